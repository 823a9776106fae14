"""What is not said follows from the number of rows, and what is said stays as it is."""

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from thimble.export.training.recipe import Recipe, recipe_for


def test_larger_files_have_larger_batches_and_each_epoch_has_steps() -> None:
    sizes = [1, 2, 10, 100, 500, 5_000, 100_000, 1_000_000, 10**9]
    recipes = [recipe_for(rows, validated=True) for rows in sizes]
    for before, after in pairwise(recipes):
        assert before.batch_size <= after.batch_size
        assert before.dense_lr <= after.dense_lr and before.sparse_lr >= after.sparse_lr
    for rows, recipe in zip(sizes, recipes, strict=True):
        assert math.ceil(rows / recipe.batch_size) >= min(10, rows / 32)
    assert (recipes[0].batch_size, recipes[-1].batch_size) == (32, 2048)


def test_the_table_in_the_docs_is_true() -> None:
    text = (Path(__file__).parents[3] / "docs/training.md").read_text()
    lines = re.findall(r"^\| ([\d,]+)(?: and more)? \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    assert len(lines) == 6
    for rows, batch, dense_lr, sparse_lr in lines:
        recipe = recipe_for(int(rows.replace(",", "")), validated=True)
        said = (batch, dense_lr, sparse_lr)
        assert said == (f"{recipe.batch_size:,}", f"{recipe.dense_lr:.2g}", f"{recipe.sparse_lr:.2g}")


def test_rates_follow_from_a_batch_that_is_given() -> None:
    large, small = (recipe_for(10**6, validated=True, batch_size=size) for size in (2048, 128))
    assert (large.dense_lr, large.sparse_lr) == (0.004, 0.002)
    assert small.batch_size == 128
    assert small.dense_lr < large.dense_lr and small.sparse_lr > large.sparse_lr


def test_another_batch_brings_other_rates_of_the_same_kind() -> None:
    before = recipe_for(500, validated=True, seed=3)
    expected = recipe_for(500, validated=True, seed=3, batch_size=2048)
    after = before.with_batch(2048)
    rates = ("dense_lr", "sparse_lr")
    assert [getattr(after, rate) for rate in rates] == pytest.approx([getattr(expected, rate) for rate in rates])
    assert after.model_dump(exclude={*rates}) == expected.model_dump(exclude={*rates})
    own = before.model_copy(update={"dense_lr": 0.5}).with_batch(before.batch_size * 16)
    assert own.dense_lr == pytest.approx(1.0)


def test_a_recipe_in_one_line() -> None:
    recipe = Recipe(batch_size=32, epochs=10, dense_lr=0.0014, sparse_lr=0.016)
    rates = "learning rates 0.0014 (MLPs) and 0.016 (embeddings)"
    assert recipe.line(embeddings=True) == f"batches of 32 rows, {rates}, at most 10 epochs, seed 0"
    once = recipe.model_copy(update={"batch_size": 1, "epochs": 1})
    assert once.line(embeddings=False) == "batches of 1 row, learning rate 0.0014, one epoch, seed 0"


def test_what_is_given_stays() -> None:
    recipe = recipe_for(500, validated=True, batch_size=7, epochs=3, dense_lr=0.0, sparse_lr=0.5, seed=9)
    given = {"batch_size": 7, "epochs": 3, "dense_lr": 0.0, "sparse_lr": 0.5, "seed": 9}
    assert recipe == Recipe.model_validate(given)


def test_without_validation_rows_there_is_one_epoch() -> None:
    assert recipe_for(500, validated=True).epochs == 10
    assert recipe_for(500, validated=False).epochs == 1


@pytest.mark.parametrize("rate", [math.nan, math.inf, -1.0])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValidationError, match="dense_lr"):
        recipe_for(500, validated=True, dense_lr=rate)
