from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loadtests.report.comparisons import comparison
from thimble.loadtests.report.figures import Figure, figures
from thimble.loadtests.report.words import caveats


def known() -> dict[str, Figure]:
    return {figure.key: figure for figure in figures(comparison())}


def test_ratios_say_how_many_times_better_b_is() -> None:
    found = known()
    assert found["bytes"].ratio == 1001
    assert found["model memory"].ratio == 201
    cold = found["first answers, cold"]
    assert cold.ratios == pytest.approx([50, 60, 70])
    assert cold.ratio == pytest.approx(60)
    assert cold.winner == "B" and cold.reached
    assert cold.spread == pytest.approx((50, 70))
    assert found["start, cold"].ratio == pytest.approx(7 / 1.1)


@given(st.lists(st.tuples(*[st.floats(1e-3, 1e3)] * 2), min_size=1, max_size=5), st.sampled_from(["less", "more"]))
def test_a_ratio_is_that_of_the_figures_beside_it(
    rounds: list[tuple[float, float]], better: Literal["less", "more"]
) -> None:
    figure = Figure("x", "x", str, {"A": [a for a, _ in rounds], "B": [b for _, b in rounds]}, better)
    a, b = figure.median("A"), figure.median("B")
    assert figure.ratio == (a / b if better == "less" else b / a)
    low, high = figure.spread
    assert low * (1 - 1e-9) <= figure.ratio <= high * (1 + 1e-9)


def test_a_round_that_one_alone_has_done_is_not_compared() -> None:
    figure = Figure("x", "x", str, {"A": [8, 100, 100], "B": [4]})
    assert (figure.median("A"), figure.median("B"), figure.ratio) == (8, 4, 2)


def test_who_else_maps_the_libraries_changes_no_models_memory() -> None:
    found = comparison()
    assert found.empty
    found.empty.unique += 20_000_000  # it was alone on the machine, those with a model were not
    figure = next(figure for figure in figures(found) if figure.key == "model memory")
    assert figure.ratios == [201, 201, 201]


def test_a_models_memory_below_nothing_is_no_figure() -> None:
    found = comparison()
    for turns in found.rounds:
        memory = turns["B"].memory
        assert memory
        memory.anonymous = 1
    assert "model memory" not in {figure.key for figure in figures(found)}
    assert any("A server of B held no more than one without a model" in sentence for sentence in caveats(found))


def test_what_the_rounds_contradict_has_no_winner() -> None:
    knee = known()["knee"]
    assert knee.ratios == pytest.approx([1, 1.1, 0.8])
    assert knee.winner is None
    assert known()["p99"].winner is None


def test_where_a_is_better_it_wins() -> None:
    found = comparison()
    for turns in found.rounds:
        turns["A"].knee, turns["B"].knee = 1000, 500
    knee = next(figure for figure in figures(found) if figure.key == "knee")
    assert (knee.ratio, knee.winner, knee.reached) == (0.5, "A", None)


def test_only_what_both_have_is_compared() -> None:
    found = comparison()
    found.rounds, found.replicas, found.empty = [{"A": found.rounds[0]["A"]}], {}, None
    assert [figure.key for figure in figures(found)] == ["bytes"]
    found.sides = {}
    assert figures(found) == []


def test_goals_are_for_the_pair_that_is_built_in() -> None:
    found = comparison()
    found.settings.tables = None
    assert {figure.goal for figure in figures(found)} == {None}
