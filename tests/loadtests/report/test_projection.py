import pytest

from tests.loadtests.report.comparisons import EMPTY, MB, comparison
from thimble.loadtests.report import projection


def test_lines_are_drawn_through_two_places_or_more() -> None:
    assert projection.line([1], [2]) is None
    assert projection.line([1, 1], [2, 3]) is None
    found = projection.line([1, 2, 4], [11, 21, 41])
    assert found and (found.start, found.slope) == pytest.approx((1, 10))
    assert found.at(100) == pytest.approx(1001)


def test_what_falls_with_size_is_noise_and_stays_as_it_is() -> None:
    assert projection.line([1, 2], [10, 8]) == projection.Line(9, 0)


def test_nothing_costs_less_than_nothing() -> None:
    assert projection.line([1, 2], [0, 10]) == projection.Line(0, 4)


def test_tables_that_do_not_fit_are_projected() -> None:
    found, target = comparison(), projection.CRITEO_TB_BYTES
    assert target == pytest.approx(96.1e9, rel=1e-3)
    assert projection.projected(found, "A", "bytes", target) == pytest.approx(target + 2 * MB)
    assert projection.projected(found, "B", "bytes", target) == pytest.approx(target / 10_000 + 2 * MB)
    assert projection.projected(found, "A", "memory", target) == pytest.approx(target + 10 * MB + EMPTY, rel=1e-3)
    assert projection.projected(found, "B", "memory", target) == pytest.approx(80 * MB, rel=0.01)
    found.sizes["A"].pop()
    assert projection.projected(found, "A", "memory", target) is None


def test_replicas_share_what_they_map() -> None:
    line = projection.by_replicas(comparison().replicas["A"])
    assert line and (line.start, line.slope) == pytest.approx((2000 * MB, 70 * MB))
    assert projection.fit(line, 16e9) == 200
    assert projection.fit(line, 1e9) == 0
