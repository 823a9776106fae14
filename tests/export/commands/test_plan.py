"""`thimble-export plan`: what it says of presets and of files, before anything is trained."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.export.conftest import Run, Said
from thimble.models.features import ids_from_text
from thimble.models.presets import preset
from thimble.models.schemes import embedding_for
from thimble.models.schemes.block import BlockEmbedding


def planned(said: Said) -> dict[str, Any]:
    assert said.status == 0, said.err
    plan: dict[str, Any] = json.loads(said.out)
    return plan


def write_clicks(path: Path, rows: int) -> np.ndarray:
    """A CSV of users, some more active than others, and shops. Returns the ids, [rows, 2]."""
    random = np.random.default_rng(0)
    users = random.integers(0, 1500, rows) ** 2 // 1500
    shops = random.integers(0, 20, rows)
    lines = [f"{i % 2},{i % 7},{user},s{shop}" for i, (user, shop) in enumerate(zip(users, shops, strict=True))]
    path.write_text("\n".join(["label,age,user,shop", *lines]) + "\n")
    shop_ids = ids_from_text("shop", "string", [f"s{shop}" for shop in shops])
    return np.stack([users, shop_ids], axis=1)


COLUMNS = ("--dense", "age", "--int", "user", "--string", "shop")


def test_files(run: Run) -> None:
    ids = write_clicks(Path("clicks.csv"), 4000)
    plan = planned(run("plan", "clicks.csv", *COLUMNS, "--memory", 4000, "--chunk", 4, "--json"))
    counts = [np.unique(column, return_counts=True) for column in ids.T]
    different = sum(len(of_field) for of_field, _ in counts)
    assert (plan["rows"], plan["fields"], plan["ids"]) == (4000, 2, different)
    assert plan["ids_once"] == sum(int((times == 1).sum()) for _, times in counts)
    assert plan["full_table_bytes"] == different * 64
    assert (plan["memory_bytes"], plan["chunk_size"], plan["chunks"]) == (4000, 4, 4)
    assert plan["epoch_seconds"] == pytest.approx(4000 / plan["pace"]["rows_per_second"])
    slots = {(it["scheme"], it["precision"]): it["slots"] for it in plan["sharing"]}
    assert slots == {
        **{("block", "fp32"): 250, ("block", "int8"): 999, ("block", "int4"): 1998},  # a step is 4 bytes
        **{("robe-v1", "fp32"): 997, ("robe-v2", "fp32"): 996},
    }
    block = plan["sharing"][0]
    assert block["slot_load"] == pytest.approx(different * 4 / 250)
    # the model's own hash map: what trains the floats that rows read
    embedding = embedding_for("block", preset("feed").fields[:2], 16, 4000, 4, 0)
    assert isinstance(embedding, BlockEmbedding)
    read = embedding.hash_map(16).starts(ids) // 4
    traffic = np.bincount(read.ravel(), minlength=250)
    own = np.zeros(len(ids))
    for f, (of_field, times) in enumerate(counts):
        own += times[np.searchsorted(of_field, ids[:, f])] * (1 / traffic[read[:, f]]).mean(axis=1)
    assert block["shared_share"] == pytest.approx(1 - own.mean() / 2, abs=0.03)


def test_what_is_said_of_hot_rows_is_what_train_gives(run: Run) -> None:
    write_clicks(Path("clicks.csv"), 4000)
    write_clicks(Path("held-out.csv"), 100)
    for memory in (4000, 600):
        plan = planned(run("plan", "clicks.csv", *COLUMNS, "--memory", memory, "--json"))
        said = run("plan", "clicks.csv", *COLUMNS, "--memory", memory)
        # all rows are planned for, so all are trained on
        options = ["--held-out", "held-out.csv", "--validation-share", "0", "--epochs", "1", "--name", f"m{memory}"]
        trained = run("train", "clicks.csv", *COLUMNS, "--memory", memory, "--hot-rows", "auto", *options)
        assert trained.status == 0, trained.err
        hot = plan["hot_rows"]
        if hot["ids"]:
            whose = f"{hot['ids']:,} ids with {hot['reads']:.0%} of the reads"
            assert f"hot rows: --hot-rows auto would give rows of their own to {whose}\n" in said.out
            assert f"hot rows: {whose} have rows of their own; " in trained.out
        else:
            assert "hot rows: --hot-rows auto would give none\n" in said.out
            assert "hot rows: none would pay" in trained.out


def test_a_preset(run: Run) -> None:
    said = run("plan", "--preset", "feed", "--rows", 50_000, "--memory", 800_000)
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "feed: 50,000 rows, 6 fields, 4,070,238 ids in its tables"
    assert lines[1] == "full tables: 260.5 MB, 16 floats an id"
    assert lines[2].startswith("memory: 800.0 kB in int4, 326 times smaller, in chunks of 4, 4 an embedding; ")
    assert re.search(r"\n  block fp32 +50,000 +326 ", said.out)
    assert re.search(
        r"all inner products of 50,000 rows: kept within \d+% by this memory, and 10% would take ", said.out
    )
    assert re.search(r"training: [\d,]+ rows/s in [\d,]+ steps? of 256 rows on this machine's \w+, so about ", said.out)
    assert re.search(r"--memory \d+  the least, .* other ids have 10% ", said.out)
    assert "\n  --memory-precision int4  " in said.out and "hot rows" not in said.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give click files, or a --preset to plan without any"),
        (
            ["--preset", "netflix"],
            "no preset 'netflix'; there are criteo-tb, criteo-tb-v2, criteo-kaggle, feed and demo",
        ),
        (["--preset", "feed", "--embedding-dim", "8"], "--preset has sizes of its own: leave out --embedding-dim"),
        (["--preset", "feed", "--memory", "7"], "a memory of 7 bytes does not hold two "),
        (["--preset", "feed", "--memory", "99999999999999"], "have no room for embeddings that take 800.0 TB while "),
        (["clicks.csv", *COLUMNS, "--memory", "99999999999999"], "have no room for embeddings that take 800.0 TB "),
        (["--preset", "feed", "--chunk", "7"], "which takes an even --chunk, not 7: give an even one, or --memory-pre"),
        (["clicks.csv"], "name the features' columns with --dense, --int, --hex or --string, or give a --preset"),
        (["clicks.csv", "--dense", "age"], "a model of numbers alone has no memory to plan"),
        (["clicks.csv", *COLUMNS, "--rows", "5"], "--rows is for a preset without files"),
        (["clicks.csv", "--int", "user,price"], "clicks.csv: no column 'price'"),
        (["empty.csv", *COLUMNS], "empty.csv: no usable row to plan for"),
        (["empty.csv", *COLUMNS, "--no-cache"], "empty.csv: no usable row to plan for"),
        (["bad.csv", *COLUMNS], "bad.csv: no usable row to plan for"),
        (["bad.csv", *COLUMNS, "--no-cache"], "bad.csv: no usable row to plan for"),
        (["gone.csv", *COLUMNS], "gone.csv"),
    ],
)
def test_what_cannot_be_planned(run: Run, arguments: list[str], sentence: str) -> None:
    write_clicks(Path("clicks.csv"), 3)
    Path("empty.csv").write_text("label,age,user,shop\n")
    Path("bad.csv").write_text("label,age,user,shop\n2,1,1,a\n0,x,1,a\n")
    said = run("plan", *arguments)
    assert (said.status, said.out) == (1, "")
    assert sentence in said.err.splitlines()[-1]
    assert "Traceback" not in said.err


def test_the_cache_changes_nothing_and_bad_rows_are_told_beside_the_plan(run: Run) -> None:
    write_clicks(Path("clicks.csv"), 50)
    with Path("clicks.csv").open("a") as file:
        file.write("2,1,1,a\n")
    plans = []
    for more in ([], ["--no-cache"]):
        said = run("plan", "clicks.csv", *COLUMNS, "--json", *more)
        plans.append(planned(said))
        assert plans[-1]["rows"] == 50
        assert "bad rows were left out" in said.err
        del plans[-1]["pace"], plans[-1]["epoch_seconds"]
    assert plans[0] == plans[1]
    assert run("plan", "clicks.csv", *COLUMNS, "--strict").status == 1


def test_one_row_is_enough(run: Run) -> None:
    write_clicks(Path("clicks.csv"), 1)
    plan = planned(run("plan", "clicks.csv", *COLUMNS, "--json"))
    assert plan["precision"] == "int4"
    assert (plan["rows"], plan["ids"], plan["ids_once"]) == (1, 2, 2)
    assert plan["pace"]["step_rows"] == 1
    assert plan["recommendation"]["memory_bytes"] == plan["full_table_bytes"] == 128
