import argparse
import re

import pytest

from thimble.loadtests import options
from thimble.loadtests.options import OptionError, Plan
from thimble.loadtests.traffic.requests import Traffic


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    options.add(parser)
    return parser.parse_args(arguments)


def test_without_options_the_traffic_is_its_own_default() -> None:
    assert options.traffic(parse()) == Traffic()


def test_options_survive_being_written_down() -> None:
    given = parse("--scenario", "batch", "--clicks", "a file.tsv", "--max-p99-ms", "12.5", "--rate", "1,2")
    assert parse(*options.arguments(given)) == given
    traffic = options.traffic(given)
    assert options.traffic(parse(*options.traffic_arguments(traffic))) == traffic


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize("name", options.NAMES)
def test_what_a_web_page_leaves_empty_is_not_given(name: str, empty: str) -> None:
    given = argparse.Namespace(**{**vars(parse()), name: empty})
    assert (options.traffic(given), options.plan(given)) == (Traffic(), Plan())


def test_rates_are_numbers_separated_by_commas() -> None:
    assert options.plan(parse("--shape", "step", "--rate", "10, 2.5")).rate == (10, 2.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--rate", "fast"], "--rate fast: input should be a valid number"),
        (["--rate", "1,,2"], "--rate 1,,2: input should be a valid number"),
        (["--rate", "0"], "--rate 0: input should be greater than 0"),
        (["--rate", "1e9"], "--rate 1e9: input should be less than or equal to 1000000"),
        (["--rate", "5,6"], "--rate 5.0,6.0: the shape constant takes 1 rate, not 2"),
        (["--shape", "spike"], "--rate 50.0: the shape spike takes 2 rates, not 1"),
        (
            ["--rate", "1e6", "--seconds", "80000"],
            "is 80,000,000,000 requests in a step, of which there can be 50,000,0",
        ),
        (["--seconds", "nan"], "--seconds nan: input should be a finite number"),
        (["--seconds", "1e9"], "--seconds 1e9: input should be less than or equal to 86400"),
        (["--timeout-s", "0"], "--timeout-s 0: input should be greater than 0"),
        (["--max-p99-ms", "-5"], "--max-p99-ms -5: input should be greater than 0"),
        (["--max-error-share", "2"], "--max-error-share 2: input should be less than or equal to 1"),
        (["--ceiling", "inf"], "--ceiling inf: input should be a finite number"),
        (["--rows", "0"], "--rows 0: input should be greater than 0"),
        (["--rows", "1000000"], "--rows 1000000: input should be less than or equal to 65536"),
        (["--seed", "-1"], "--seed -1: input should be greater than or equal to 0"),
        (["--seed", "1.5"], "--seed 1.5: input should be a valid integer"),
    ],
)
def test_values_that_an_option_does_not_take_are_named(given: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        options.traffic(parse(*given)), options.plan(parse(*given))
