"""What is not said follows from the number of rows, and what is said stays as it is."""

import math
from itertools import pairwise

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


def test_rates_follow_from_a_batch_that_is_given() -> None:
    large, small = (recipe_for(10**6, validated=True, batch_size=size) for size in (2048, 128))
    assert (large.dense_lr, large.sparse_lr) == (0.004, 0.002)
    assert small.batch_size == 128
    assert small.dense_lr < large.dense_lr and small.sparse_lr > large.sparse_lr


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
