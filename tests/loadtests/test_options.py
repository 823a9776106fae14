import argparse

import pytest

from thimble.loadtests import options
from thimble.loadtests.traffic.requests import Traffic
from thimble.loadtests.traffic.served import LoadError


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


def test_what_a_web_page_leaves_empty_is_not_given() -> None:
    assert options.traffic(parse("--clicks", "", "--model", "")) == Traffic()


def test_rates_are_numbers_separated_by_commas() -> None:
    assert options.rates("10,2.5") == [10, 2.5]
    with pytest.raises(LoadError, match="--rate fast: not numbers separated by commas"):
        options.rates("fast")
    with pytest.raises(LoadError, match="--seed: input should be greater than or equal to 0"):
        options.traffic(parse("--seed", "-1"))
