"""What a run says of itself, and nothing where all is well."""

from typing import Any

import pytest

from testing.samples import small_spec
from thimble.export.training.advice import advice
from thimble.export.training.checkpoint import Progress, RunConfig
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import OwnModel
from thimble.models.spec import Metrics, ModelSpec

GOOD = {"rows": 1000, "base_rate": 0.2, "log_loss": 0.4, "auc": 0.75, "auc_interval": (0.7, 0.8)}
SPEC = small_spec(memory=1000, rows=500)


def said(
    metrics: dict[str, Any] | None = None,
    losses: tuple[float, ...] = (0.45, 0.4, 0.41),
    recipe: Recipe | None = None,
    rows: int = 50_000,
    spec: ModelSpec = SPEC,
    validated: int = 1000,
    start: float | None = None,
) -> list[str]:
    config = RunConfig(
        spec=spec,
        source="rows",
        clicks="rows",
        held_out_clicks="rows",
        train_rows=rows,
        held_out_rows=1000,
        recipe=recipe or Recipe(batch_size=512, epochs=10),
    )
    validation = [Metrics.model_validate(GOOD | {"rows": validated, "log_loss": loss}) for loss in losses]
    constant = None if start is None else Metrics(rows=validated, base_rate=0.2, log_loss=start)
    found = Metrics.model_validate(GOOD | (metrics or {}))
    return advice(config, Progress(epoch=len(losses), start=constant, validation=validation, metrics=found))


def test_nothing_is_said_where_all_is_well() -> None:
    assert said() == said(start=0.41) == []
    near, unsure = (1.015, (1.01, 1.02)), (1.05, (0.97, 1.13))
    for calibration, interval in (near, unsure):
        assert said({"calibration": calibration, "calibration_interval": interval}) == []
    assert said({"auc_interval": None}) == []  # of one group


def test_who_gave_no_memory_is_not_told_to_leave_it_out() -> None:
    for ids in (1, 2, 3, 100):
        own = OwnModel(dense=["age"], fields={"string": ["city"]}, embedding_dim=20)
        assert said(spec=own.spec({"city": ids})) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"metrics": {"log_loss": 0.51}},
            "than a constant score: log loss 0.5100, the base rate's is 0.5004",
        ),
        (
            {"start": 0.4, "metrics": {"log_loss": 0.51, "auc": 0.5, "auc_interval": (0.5, 0.5)}},
            "its log loss on 1,000 validation rows is 0.4000, and the best epoch's was 0.4000; these columns say too",
        ),
        ({"metrics": {"auc": 0.55, "auc_interval": (0.48, 0.62)}}, "do not tell the AUC of 0.5500 from chance"),
        (
            {"metrics": {"normalised_entropy_interval": (0.9, 1.04)}},
            "1,000 held-out rows do not tell the log loss of 0.4000 from a constant score's, 0.5004; bring more rows",
        ),
        ({"metrics": {"base_rate": 0.0, "auc": None, "auc_interval": None}}, "one class alone in 1,000 held-out"),
        (
            {"metrics": {"rows": 1, "base_rate": 1.0, "auc": None, "auc_interval": None}},
            "one class alone in 1 held-out row, which tells nothing",
        ),
        (
            {"metrics": {"calibration": 1.12, "calibration_interval": (1.05, 1.19)}},
            "the scores' mean is 1.12 times the base rate of the 1,000 held-out rows (1.05 to 1.19); --platt fits it",
        ),
        *(
            (
                {"metrics": {"calibration": 1.12, "calibration_interval": (1.05, 1.19)}, **change},
                "held-out rows (1.05 to 1.19); bring more rows, or more for validation (--validation-share)",
            )
            # too few, none, and where it was fitted
            for change in ({"validated": 22}, {"losses": ()}, {"recipe": Recipe(batch_size=512, epochs=10, platt=True)})
        ),
        ({"rows": 500, "recipe": Recipe(batch_size=2048)}, "an epoch has only 1 step of 2,048 rows; a smaller"),
        ({"losses": (0.5, 0.45, 0.44), "recipe": Recipe(epochs=3)}, "try --epochs 6 in a new --run"),
        ({"rows": 5000, "recipe": Recipe(batch_size=2048)}, "only 3 steps of 2,048 rows; a smaller --batch-size"),
        ({"spec": small_spec(memory=5000, rows=5)}, "the shared array has 20,000 bytes"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(change: dict[str, Any], sentence: str) -> None:
    (found,) = said(**change)
    assert sentence in found


def test_of_a_constant_too_it_is_said_that_held_out_rows_of_one_class_tell_nothing() -> None:
    constant, one_class = said({"base_rate": 0.0, "auc": None, "auc_interval": None}, start=0.4)
    assert constant.startswith("the model is a constant, ")
    assert one_class.startswith("one class alone in 1,000 held-out rows, which tells nothing")


@pytest.mark.parametrize("losses", [(), (0.4,)])
def test_one_epoch_alone_does_not_tell_whether_more_would_help(losses: tuple[float, ...]) -> None:
    assert said(losses=losses, recipe=Recipe(epochs=1)) == []
