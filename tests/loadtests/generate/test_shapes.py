from collections.abc import Sequence

import pytest

from thimble.loadtests.generate.shapes import KNEE_PRECISION, Name, shape
from thimble.loadtests.results.run import Step
from thimble.loadtests.traffic.served import LoadError


def follow(
    name: Name, rates: Sequence[float], limit: float = 0, spoilt: Sequence[int] = ()
) -> tuple[list[float], float | None]:
    """The rates offered and what the shape returns, before a server that sustains `limit`, but not every try."""
    offered: list[float] = []
    after: list[float] = []
    going = shape(name, rates, 2, lambda step: step.offered <= limit and len(offered) not in spoilt)
    try:
        offer = next(going)
        while True:
            assert offer.seconds == 2
            offered.append(offer.rate)
            after.append(offer.after)
            offer = going.send(Step(offered=offer.rate, seconds=offer.seconds))
    except StopIteration as end:
        assert after[-1] == 0 and all(2 * (len(after) - 1 - i) >= left for i, left in enumerate(after))
        return offered, end.value


def test_a_constant_rate_is_one_step() -> None:
    assert follow("constant", [70]) == ([70], None)


def test_steps_are_as_listed() -> None:
    assert follow("step", [10, 30, 20]) == ([10, 30, 20], None)


def test_a_spike_comes_back_down() -> None:
    assert follow("spike", [10, 90]) == ([10, 90, 10], None)


def test_a_day_has_a_trough_and_a_peak() -> None:
    offered, _ = follow("diurnal", [20, 100])
    assert len(offered) == 24
    assert min(offered) == offered[4] == pytest.approx(20)
    assert max(offered) == offered[16] == pytest.approx(100)


@pytest.mark.parametrize("limit", [3.3, 50, 777, 4000])
def test_the_knee_is_closed_in_on_from_either_side(limit: float) -> None:
    offered, knee = follow("knee", [50], limit)
    assert knee is not None
    assert limit / KNEE_PRECISION <= knee <= limit
    assert len(offered) < 30


def test_one_spoilt_try_does_not_move_the_knee() -> None:
    _, knee = follow("knee", [50], 400, spoilt=[2])
    assert knee is not None
    assert knee > 380


def test_a_server_that_sustains_nothing_has_no_knee() -> None:
    offered, knee = follow("knee", [50], 0)
    assert knee == 0
    assert min(offered) >= 1


@pytest.mark.parametrize(
    ("name", "rates", "message"),
    [
        ("constant", [1, 2], "the shape constant takes 1 rate, not 2"),
        ("spike", [1], "the shape spike takes 2 rates, not 1"),
        ("step", [5, 0], "rates must be above 0"),
        ("knee", [float("nan")], "rates must be above 0"),
    ],
)
def test_rates_that_make_no_shape_are_refused(name: Name, rates: list[float], message: str) -> None:
    with pytest.raises(LoadError, match=message):
        shape(name, rates, 1, lambda _: True)
