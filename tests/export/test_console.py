from pathlib import Path

import numpy as np
import pytest

from testing.clicks import CLICK_SPEC, lines, write_lines
from testing.samples import small_spec
from thimble.export.artifact.agreement import Agreement
from thimble.export.clicks.bad_rows import BadRows
from thimble.export.clicks.cached import CachedClicks, Selection
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.clicks.split import Part, Split
from thimble.export.console import agreement_line, bad_rows, cached, cost_line, inspection, metrics_line, training_lines
from thimble.export.wording import size
from thimble.models.presets import preset
from thimble.models.provenance import Ancestor, PlattScaling, Provenance
from thimble.models.spec import Metrics, PrecisionCost


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (10_000_000, "10.0 MB"), (96_136_908_288, "96.1 GB"), (5e15, "5000.0 TB")],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


def test_metrics_line() -> None:
    known = Metrics(rows=1000, base_rate=0.2, log_loss=0.45, auc=0.75, auc_interval=(0.7, 0.8), best_auc=0.8)
    assert metrics_line(known) == (
        "AUC 0.7500 (95 % interval 0.7000 to 0.8000), best reachable 0.8000, "
        "log loss 0.4500, base rate 0.2000, 1,000 rows"
    )
    more = {"normalised_entropy": 0.9, "calibration": 1.02, "calibration_error": 0.01, "group_auc": 0.7}
    priced = known.model_copy(
        update={**more, "groups": 120, "one_class_groups": 20, "group_auc_interval": (0.65, 0.75)}
    )
    assert metrics_line(priced) == (
        "AUC 0.7500 (95 % interval 0.7000 to 0.8000), best reachable 0.8000, "
        "AUC within groups 0.7000 (95 % interval 0.6500 to 0.7500) (20 of 120 groups, of one class, left out), "
        "log loss 0.4500, normalised entropy 0.9000, base rate 0.2000, calibration 1.020, calibration error 0.0100, "
        "1,000 rows"
    )
    undefined = known.model_copy(update={"groups": 2, "one_class_groups": 2})
    assert ", AUC within groups undefined (2 of 2 groups, of one class, left out), " in metrics_line(undefined)
    assert metrics_line(Metrics(rows=2, base_rate=0, log_loss=0.1)).startswith("AUC undefined: the rows are all of one")


def read_bad(path: Path, rows: int, bad: BadRows) -> BadRows:
    """With the rows of a file, all of them bad."""
    source = FileClicks([write_lines(path, ["why"] * rows)], CLICK_SPEC)
    source.bad = bad
    assert [len(block.labels) for block in source.blocks()] == [0]
    return bad


def test_bad_rows(tmp_path: Path) -> None:
    bad = BadRows()
    assert bad_rows(bad) == []
    read_bad(tmp_path / "a", 5, bad)
    reason = "6 columns expected, found 1"
    assert bad_rows(bad) == ["5 bad rows were left out:", *(f"  a line {line}: {reason}" for line in range(1, 6))]
    read_bad(tmp_path / "b", 1, bad)
    assert bad_rows(bad)[0] == "6 bad rows were left out:"
    assert bad_rows(bad)[-1] == "  ..."
    assert bad_rows(bad, "have no score")[0] == "6 bad rows have no score:"


def test_a_count_that_stopped_is_said_to_be_no_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BadRows, "MOST", 3)
    known, going_on = BadRows(), BadRows()
    known.found_before(3, {}, ())  # exact, since a cache counts all
    assert bad_rows(known)[0] == "3 bad rows were left out:"
    going_on.found_before(4, {}, ())
    assert bad_rows(read_bad(tmp_path / "a", 5, going_on))[0] == "7 or more bad rows were left out:"


def test_caches_are_named_in_the_order_of_the_parts(tmp_path: Path) -> None:
    rule = Split(by="share")
    source = FileClicks([write_lines(tmp_path / "clicks", lines(3))], CLICK_SPEC)
    for _ in range(20):
        selections = [
            Selection(CachedClicks(source, Path(name), [], 0), np.empty(0, np.uint32), rule, part)
            for name, part in (("a", Part.TRAINING), ("b", Part.HELD_OUT))
        ]
        parts = Parts(*(Rows(selection, 0, 1) for selection in selections))
        assert [line[-1] for line in cached(parts)] == ["a", "b"]


def test_agreement_line() -> None:
    assert agreement_line(small_spec(), Agreement(64, 4.5e-8, 0)) == (
        "over 64 rows lookups identical, scores within 4.5e-08 of torch's and identical to numpy's"
    )
    assert agreement_line(small_spec("full"), Agreement(64, 0, 0)) == (
        "over 64 rows scores identical to torch's and identical to numpy's"
    )


def test_cost_line() -> None:
    cost = PrecisionCost(rows=1000, auc=-0.00012, log_loss=0.0003, logit_mean=0.0123, logit_largest=0.2)
    assert cost_line(cost) == (
        "AUC -0.000120, log loss +0.000300, logits change by 1.2e-02 on average and 2.0e-01 at most, "
        "1,000 held-out rows"
    )
    assert cost_line(cost.model_copy(update={"auc": None})).startswith("AUC undefined, log loss")


def test_inspection() -> None:
    table = dict(inspection(preset("demo"), 12_000_000))
    assert table["features"] == "13 dense, 26 fields (26 hex)"
    assert table["numbers"] == "criteo: ln(max(x, 0) + 1), a missing number as 0"
    assert table["memory"] == "1,800,000 fp32 weights in chunks of 32"
    assert table["as full tables"] == "96.1 GB, 13,352 times as much"


def test_what_else_shaped_the_weights() -> None:
    known = Provenance(source="day 9", rows_trained=50, epochs=1, batch_size=8, seed=0, tool="thimble 1")
    assert training_lines(known) == []
    before = tuple(Ancestor(source=f"day {number}", rows_trained=1000) for number in range(1, 9))
    changed = {"ancestors": before, "negatives_kept": 0.05, "platt": PlattScaling(slope=0.9, intercept=0.25, rows=1500)}
    assert training_lines(known.model_copy(update=changed)) == [
        ("went on from", "8 runs of 8,000 rows: day 1, day 2, day 3, day 4, day 5 and 3 more"),
        ("negatives kept", "0.05, which scores and metrics make up for"),
        ("Platt scaling", "slope 0.9000, intercept +0.2500, from 1,500 validation rows"),
    ]
    one = known.model_copy(update={"ancestors": before[:1]})
    assert training_lines(one) == [("went on from", "1 run of 1,000 rows: day 1")]
