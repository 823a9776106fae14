import math

import pytest

from tests.export.tradeoff.made_up import FULL_AUC, block, outcome
from thimble.export.tradeoff.advice import advice, advised, is_sure
from thimble.export.tradeoff.findings import Finding, findings, learning
from thimble.export.tradeoff.grid import FULL, Run, Setting
from thimble.export.tradeoff.outcomes import Outcome, StepTime
from thimble.export.tradeoff.table import lines, table
from thimble.export.training.history import Point

FULL_TABLES = Setting(scheme=FULL)


def found(
    losses: dict[Setting, list[float]], allowed: float = 0.001, times: tuple[StepTime, ...] = ()
) -> list[Finding]:
    """Of models that lose so much beside full tables with each seed."""
    outcomes = [
        outcome(Run(setting, seed), FULL_AUC - loss, embedding_bytes=None)
        for setting, seeds in losses.items()
        for seed, loss in enumerate(seeds)
    ]
    return findings(outcomes, times, allowed, 50)


def test_figures_are_means_with_an_interval_of_all_models_scatter() -> None:
    full, small = found({FULL_TABLES: [0, 0.0002], block(10): [0.001, 0.0012, 0.0014]})
    assert full.auc.value == pytest.approx(FULL_AUC - 0.0001) and full.gap is None
    assert small.gap is not None and small.gap.value == pytest.approx(-0.0011)
    deviation = ((2e-8 + 8e-8) / 3) ** 0.5
    assert full.auc.half == pytest.approx(3.182 * deviation / 2**0.5)
    assert small.gap.half == pytest.approx(3.182 * deviation * (1 / 2 + 1 / 3) ** 0.5)
    assert small.normalised_entropy.value == pytest.approx(1.5 - small.auc.value)


def test_with_one_seed_each_nothing_is_said_of_chance() -> None:
    full, small = found({FULL_TABLES: [0], block(10): [0.001]})
    assert full.auc.half is None and small.gap is not None and small.gap.half is None


def test_the_smallest_memory_that_will_do_is_advised() -> None:
    models = found({FULL_TABLES: [0, 0], block(10): [0, 0], block(100): [0.0009, 0.0008], block(1000): [0.004, 0.004]})
    best = advised(models, 0.001)
    assert best is not None and best.setting == block(100)
    said = advice(models, 0.001).line
    assert said.startswith(
        "the smallest memory within 0.001 AUC of full tables has 10.0 MB: block fp32 in chunks of 8 at 100x"
    )
    assert "is 0.0009 below them (95 % interval -0.0009 to -0.0008), 2 seeds; train with the same files and" in said
    assert said.endswith(" --scheme block --memory-precision fp32 --memory 10000000 --chunk 8")
    assert advised(models, 0.01) == models[-1]
    assert "; with 2 models still to be trained the same command goes on; train with" in advice(models, 0.001, 2).line


def test_advice_that_chance_could_overturn_says_so() -> None:
    losses = {FULL_TABLES: [0, 0.001], block(10): [0.0005, 0.0013]}
    assert "which chance could still make too little: more --seeds tell" in advice(found(losses), 0.001).line
    assert "could still make too little: more --minutes tell" in advice(found(losses), 0.001, left_out=1).line
    once = {FULL_TABLES: [0.0], block(10): [0.0]}
    assert "of which chance may make much: more --seeds tell" in advice(found(once), 0.001).line
    assert not any(is_sure(found(of)[1], 0.001) for of in (losses, once))
    assert is_sure(found({FULL_TABLES: [0, 0.0002], block(10): [0, 0.0002]})[1], 0.001)


def test_where_nothing_will_do_the_best_is_named() -> None:
    models = found({FULL_TABLES: [0], block(10): [0.01], block(100): [0.02]})
    said = advice(models, 0.001).line
    assert said.startswith(
        "no model here is within 0.001 AUC of full tables: the best, block fp32 in chunks of 8 at 10x, is"
    )
    assert said.endswith("; try a smaller --compression, or allow more by --within")


def test_while_models_are_still_to_be_trained_nothing_else_is_to_be_tried() -> None:
    said = advice(found({FULL_TABLES: [0], block(100): [0.02]}), 0.001, 1).line
    assert said.startswith("no model here is within 0.001 AUC of full tables so far: the best, ")
    assert said.endswith("; with 1 model still to be trained the same command goes on")


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        ({}, "full tables are not trained yet"),
        ({block(10): [0.0]}, "full tables are not trained yet"),
        ({FULL_TABLES: [0.0]}, "no compressed model is trained yet"),
    ],
)
def test_before_there_is_something_to_compare_that_is_said(losses: dict[Setting, list[float]], sentence: str) -> None:
    assert sentence in advice(found(losses), 0.001).line


def test_a_memory_that_is_larger_than_the_full_tables_of_these_rows_is_told() -> None:
    full = outcome(Run(FULL_TABLES, 0), FULL_AUC, embedding_bytes=1_000_000)
    models = findings([full, outcome(Run(block(10), 0), FULL_AUC)], (), 0.001, 50)
    larger = "has 100.0 MB, though full tables of the ids that come at least twice have but 1.0 MB"
    assert larger in advice(models, 0.001).line
    assert table(models, None, 0.001).rows[1][2] == "100.0 MB\n1e+04 %"


def learnt(setting: Setting, looks: list[tuple[int, int, float]], seed: int = 0) -> Outcome:
    points = [Point(epoch=epoch, rows=rows, seconds=rows / 100, loss=0.5, auc=auc) for epoch, rows, auc in looks]
    return outcome(Run(setting, seed)).model_copy(update={"history": points})


def test_rows_to_full_tables_quality_are_times_theirs() -> None:
    outcomes = [
        learnt(FULL_TABLES, [(1, 100, 0.6), (1, 200, 0.7995), (1, 300, 0.8)]),
        learnt(block(10), [(1, 100, 0.5), (1, 200, 0.7), (1, 300, 0.79), (2, 500, 0.801), (2, 600, 0.79)]),
        learnt(block(100), [(1, 300, 0.79)]),
    ]
    assert [it.rows_to_full for it in findings(outcomes, (), 0.001, 50)] == [1, 2.5, math.inf]
    assert [it.rows_to_full for it in findings(outcomes, (), 0.0, 50)] == [1, pytest.approx(5 / 3), math.inf]
    assert [row[9] for row in table(findings(outcomes, (), 0.001, 50), None, 0.001).rows] == [
        "1.00 x",
        "2.50 x",
        "never",
    ]


def test_only_looks_at_the_same_validation_rows_are_compared() -> None:
    seeds = [
        learnt(FULL_TABLES, [(1, 100, 0.6), (1, 200, 0.8)]),
        learnt(FULL_TABLES, [(1, 100, 0.7), (1, 200, 0.9)], 1),
    ]
    assert {look.rows: look.auc for look in learning(seeds, 20_000)} == pytest.approx({100: 0.65, 200: 0.85})
    assert [look.rows for look in learning(seeds, 20_001)] == [100], "at the end of an epoch all of them are looked at"


def test_without_validation_rows_no_row_is_counted() -> None:
    blind = outcome(Run(FULL_TABLES, 0)).model_copy(
        update={"history": [Point(epoch=1, rows=1000, seconds=1, loss=0.5)]}
    )
    assert [it.rows_to_full for it in findings([blind], (), 0.001, 0)] == [None]


def test_the_table_says_what_is_known_and_leaves_blank_what_is_not() -> None:
    times = (StepTime(setting=block(10), seconds=0.5, full_seconds=0.4),)
    models = found({FULL_TABLES: [0], block(10): [0.0005], block(100): [0.02]}, times=times)
    shown = table(models, outcome(Run(FULL_TABLES, 0)).metrics, 0.001)
    assert {len(row) for row in (*shown.rows, shown.head)} == {len(shown.head)}
    full, ten, hundred, constant = shown.rows
    assert (full[1], ten[1], ten[-1], hundred[-1]) == ("", "10", "1.25 x", "")
    assert ten[5] == "-0.0005" and constant[4] == "0.5000"
    printed = lines(shown)
    assert len(printed) == 5 and printed[2].startswith("block fp32, chunks of 8") and "\n" not in "".join(printed)
