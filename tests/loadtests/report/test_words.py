import pytest

from tests.loadtests.report.comparisons import comparison
from thimble.loadtests.report import numbers, words


@pytest.mark.parametrize(
    ("value", "text"), [(0.012345, "0.0123"), (9.996, "10"), (99.96, "100"), (1234.5, "1,234"), (2e6, "2,000,000")]
)
def test_three_digits_count(value: float, text: str) -> None:
    assert numbers.number(value) == text


def test_sizes_and_seconds() -> None:
    assert [numbers.size(n) for n in (0, 999, 1000, 96.1e9, 5e15)] == ["0 B", "999 B", "1 kB", "96.1 GB", "5,000 TB"]
    assert (numbers.seconds(0.0012), numbers.seconds(1.5), numbers.ms(0.5)) == ("1.2 ms", "1.5 s", "0.5 ms")


def test_headlines_have_ratio_spread_and_goal() -> None:
    first, memory, _, cold = words.headlines(comparison())[:4]
    assert (first.ratio, first.spread, first.verdict) == ("1,001x", "", "at least 100x: reached")
    assert first.values == "A 2 GB, B 2 MB"
    assert memory.spread == "201x to 201x over 3 rounds"
    assert (cold.ratio, cold.verdict, cold.kind) == ("60x", "at least 10x: reached", "b")


def test_where_the_small_model_does_not_win_is_said_from_the_numbers() -> None:
    sentences = words.not_won(comparison())
    assert "Requests/s with p99 under 50 ms: 500 and 500, no difference that the rounds can tell (" in sentences[2]
    assert "with the tables in memory, B takes 10% less processor time for a row" in sentences[-1]


def test_what_was_not_cold_is_said() -> None:
    found = comparison()
    cold = found.rounds[1]["A"].startup(cold=True)
    assert cold
    cold.cached = 0.4
    assert any("emptied of A's files, of which up to 40%" in sentence for sentence in words.caveats(found))


def test_a_generator_that_is_the_bottleneck_is_marked() -> None:
    found = comparison()
    assert not any("GENERATOR-BOUND" in sentence for sentence in words.caveats(found))
    found.ceiling = 300
    marked = [sentence for sentence in words.caveats(found) if "GENERATOR-BOUND" in sentence]
    assert marked[0].startswith("GENERATOR-BOUND: at 250 requests/s more than 80% was offered of the 300 requests/s")
    assert "the knee of A" in marked[1] and "the knee of B" in marked[2]


def test_a_busy_machine_is_said() -> None:
    found = comparison()
    found.busy = 5.8
    assert any("about 5.8 processes busy" in sentence for sentence in words.caveats(found))


def test_refusals_and_failures_are_said() -> None:
    found = comparison()
    found.rounds[0]["B"].steps[0].rejected = {"429": 3}
    found.rounds[0]["B"].steps[1].failed = {"no answer: timed out": 2}
    (sentence,) = [s for s in words.caveats(found) if "refused" in s]
    assert sentence.endswith("3 were refused and 2 failed (no answer: timed out).")
