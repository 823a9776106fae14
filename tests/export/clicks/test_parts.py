"""Which rows are held out, which are for validation, and the order of the others."""

import re
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from testing.clicks import CLICK_SPEC, lines, numbers, write_lines
from thimble.export.clicks.cache import cached
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.origin import origin
from thimble.export.clicks.parts import Plan, parse_split, prepared
from thimble.export.clicks.parts_in_words import described
from thimble.export.clicks.rows import ClickError, Clicks, Parts, Rows
from thimble.export.training.intercept import LastRows

ROWS = 1500


def write(path: Path, rows: int = ROWS, users: int = 97, same_time: bool = False) -> Path:
    """Rows in no order of time, of which every 50th is bad."""
    names = "label,d0,d1,f0,f1,f2,user,at"
    times = np.random.default_rng(0).permutation(rows) // 3
    text = [names]
    for i, line in enumerate(lines(rows)):
        values = ["x" if i % 50 == 9 else "1", *line.split("\t")[1:]]
        text.append(",".join([*values, f"u{i % users}", "5" if same_time else str(times[i])]))
    return write_lines(path, text)


def parts_of(path: Path, plan: Plan, cache: Path | None, held_out: Path | None = None) -> Parts:
    files = [FileClicks([p], CLICK_SPEC, group=plan.group, time=plan.time) if p else None for p in (path, held_out)]
    source, apart = files
    assert source is not None
    return prepared(source, apart, plan, cache, lambda _: None)


def ids(rows: Rows | None, epoch: int = 0, skip: int = 0, size: int = 64) -> list[int]:
    """The row numbers of our files, which are the ids of a field."""
    return numbers(rows.read(size, skip, epoch)) if rows else []


def column(path: Path, name: str) -> dict[int, str]:
    header, *rows = [line.split(",") for line in path.read_text().splitlines()]
    place = header.index(name)
    return {int(row[3]): row[place] for row in rows}


def assert_parted(parts: Parts, rows: int = ROWS) -> None:
    """Each good row is in one part, and the parts are as large as they should be."""
    found = [ids(part) for part in parts]
    assert sorted(number for part in found for number in part) == [i for i in range(rows) if i % 50 != 9]
    good = rows - rows // 50
    assert abs(len(found[1]) - good / 10) < good / 40
    assert abs(len(found[2]) - 200) < good / 40


@pytest.mark.parametrize("cache", ["cache", None])
@pytest.mark.parametrize(("by", "column_name"), [("share", None), ("group", "user"), ("time", "at")])
@pytest.mark.parametrize("in_order", [False, True])
def test_rows_are_split_and_ordered(
    tmp_path: Path, by: str, column_name: str | None, in_order: bool, cache: str | None
) -> None:
    path = write(tmp_path / "clicks.csv")
    text = f"{by}:{column_name}" if column_name else by
    plan = Plan(*parse_split(text, in_order), in_order=in_order, seed=3)
    folder = tmp_path / cache if cache else None
    if by == "time" and not cache:
        with pytest.raises(ClickError, match="only in a cache; leave out --no-cache or --split"):
            parts_of(path, plan, folder)
        return
    parts = parts_of(path, plan, folder)
    assert_parted(parts)
    training, held_out, validation = (ids(part) for part in parts)
    assert held_out == sorted(held_out) and validation == sorted(validation)
    rule, order = described(parts, plan)
    if by == "group":
        users = column(path, "user")
        of_parts = [{users[number] for number in part} for part in (training, held_out, validation)]
        assert sum(map(len, of_parts)) == 97
        assert "split by 'user': all rows of one value stay together" in rule
        assert not cache or f"({len(of_parts[0])} trained on, {len(of_parts[2])} for validation, " in rule
    elif by == "time":
        times = {number: int(time) for number, time in column(path, "at").items()}
        first = min(times[number] for number in held_out)
        assert max(times[number] for number in validation) < first
        assert max(map(times.__getitem__, training)) < min(times[number] for number in validation)
        assert rule.startswith(f"split by 'at': held out are rows from {first} on, for validation are rows from ")
        if in_order:
            assert sorted(training, key=lambda number: (times[number], number)) == training
            assert order == "order: that of 'at'"
    elif in_order or not cache:
        assert sorted([*training, *validation, *held_out]) == [*sorted(training), *validation, *held_out]
        assert rule == "split by share: rows held out and for validation are the last"
    else:
        assert rule == "split by share: rows held out and for validation are drawn by seed 3"
        assert [number > ROWS / 2 for number in held_out].count(True) > len(held_out) / 3
    if not in_order:
        assert training != sorted(training) and "shuffled anew in each epoch" in order and "seed 3" in order
    elif by != "time":
        assert training == sorted(training) and order == "order: that of the files"


@pytest.mark.parametrize("cache", ["cache", None])
def test_each_epoch_has_an_order_of_its_own_that_can_be_resumed(tmp_path: Path, cache: str | None) -> None:
    path = write(tmp_path / "clicks.csv")
    folder = tmp_path / cache if cache else None
    training = parts_of(path, Plan(), folder).training
    first, second = ids(training, 0), ids(training, 1)
    assert first != second and sorted(first) == sorted(second)
    assert ids(parts_of(path, Plan(), folder).training, 1) == second  # another process
    assert ids(training, 1, skip=64 * 7) == second[64 * 7 :]
    assert ids(training, 1, size=1000) == second
    other = parts_of(path, Plan(seed=1), folder).training
    assert ids(other, 0) != first and other.identity != training.identity
    assert other.identity != parts_of(path, Plan(in_order=True), folder).training.identity
    # no row is nearer to its place in the file than chance has it
    assert cache or "among 131,072 rows at a time" in described(parts_of(path, Plan(), None), Plan())[1]
    distance = np.abs(np.argsort(np.argsort(first)) - np.arange(len(first))).mean() / len(first)
    assert distance == pytest.approx(1 / 3, abs=0.03)


def test_a_stream_is_shuffled_as_far_as_its_buffer_reaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thimble.export.clicks.order.BUFFER_ROWS", 2000)
    path = write_lines(tmp_path / "clicks", lines(10_000))
    parts = parts_of(path, Plan(), None)
    order = ids(parts.training)
    assert sorted(order) == list(range(8550)) and order != sorted(order)
    assert max(order[:1000]) < 3100
    assert ids(parts.training, skip=6000) == order[6000:]


def test_the_part_of_a_row_does_not_depend_on_the_others(tmp_path: Path) -> None:
    """A user who is held out today is held out tomorrow, if about as many users are."""
    few, more = write(tmp_path / "a.csv"), write(tmp_path / "b.csv", ROWS * 2)
    plan = Plan("group", "user")
    users = column(more, "user")
    parts = [parts_of(path, plan, None) for path in (few, more)]
    held_out = [{users[number] for number in ids(part.held_out)} for part in parts]
    assert held_out[0] == held_out[1] and held_out[0]


def test_rows_of_no_group_are_parted_one_by_one(tmp_path: Path) -> None:
    path = write(tmp_path / "clicks.csv")
    path.write_text(re.sub(",u[1-6][0-9],", ",,", path.read_text()))
    parts = parts_of(path, Plan("group", "user"), tmp_path / "cache")
    assert_parted(parts)
    users = column(path, "user")
    assert all("" in {users[number] for number in ids(part)} for part in parts)


@pytest.mark.parametrize("cache", ["cache", None])
def test_held_out_files_of_their_own(tmp_path: Path, cache: str | None) -> None:
    path, apart = write(tmp_path / "a.csv"), write(tmp_path / "b.csv", 150)
    folder = tmp_path / cache if cache else None
    for plan in (Plan(), Plan("group", "user"), Plan("last", in_order=True)):
        parts = parts_of(path, plan, folder, apart)
        assert ids(parts.held_out) == [i for i in range(150) if i % 50 != 9]
        assert len(ids(parts.training)) + len(ids(parts.validation)) == 1470
        assert abs(len(ids(parts.validation)) - 200) < 60
        with pytest.raises(ClickError, match=r"a.csv cannot be both trained on and held out"):
            parts_of(path, plan, folder, path)


def test_shares(tmp_path: Path) -> None:
    path = write(tmp_path / "clicks.csv")
    parts = parts_of(path, Plan(held_out_share=0.5, validation_share=0), tmp_path / "cache")
    assert (len(parts.training), len(parts.held_out), parts.validation) == (735, 735, None)
    parts = parts_of(write(tmp_path / "few.csv", 12), Plan(), tmp_path / "cache")
    assert [len(part) for part in parts if part] == [8, 2, 1]


@pytest.mark.parametrize("cache", ["cache", None])
@pytest.mark.parametrize(("rows", "validation"), [(100, 17), (1000, 176), (2000, 200), (6000, 265)])
def test_of_few_rows_more_are_for_validation(tmp_path: Path, cache: str | None, rows: int, validation: int) -> None:
    parts = parts_of(write(tmp_path / "clicks.csv", rows), Plan(), tmp_path / cache if cache else None)
    assert parts.validation is not None and abs(len(parts.validation) - validation) <= 0.06 * validation


@pytest.mark.parametrize(
    ("text", "split", "sentence"),
    [
        ("", "share", "clicks.csv: no usable row to train on"),
        ("1,1,1,1,1,a,u,3\n", "share", "clicks.csv: one row is too few to train on some and hold out others"),
        ("1,1,1,1,1,a,u,3\n" * 9, "time:at", "column 'at' is the same in all 9 rows, so they cannot be split by it"),
        ("1,1,1,1,1,a,u,3\n" * 9, "group:user", "column 'user' is the same in all 9 rows, so they cannot be split by"),
        ("1,1,1,1,1,a,u,3\n" * 9, "group:shop", "no column 'shop'"),
        ("1,1,1,1,1,a,u,\n" * 9, "time:at", "clicks.csv: no usable row to train on"),
        ("1,1,1,1,1,a,u,3\n" * 9, "user", "--split takes share, time:COLUMN or group:COLUMN, not 'user'"),
        ("1,1,1,1,1,a,u,3\n" * 9, "group:", "--split takes share, time:COLUMN or group:COLUMN, not 'group:'"),
        ("1,1,1,1,1,a,u,3\n" * 9, "share:user", "--split takes share, time:COLUMN or group:COLUMN, not 'share:user'"),
    ],
)
def test_rows_that_cannot_be_split(tmp_path: Path, text: str, split: str, sentence: str) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("label,d0,d1,f0,f1,f2,user,at\n" + text)
    with pytest.raises(ClickError, match=sentence):
        parts_of(path, Plan(*parse_split(split, False)), tmp_path / "cache")


@pytest.mark.parametrize("cache", ["cache", None])
def test_held_out_files_without_a_good_row(tmp_path: Path, cache: str | None) -> None:
    path, apart = write(tmp_path / "a.csv"), write(tmp_path / "b.csv", 20)
    header = apart.read_text().splitlines()[0]
    apart.write_text(header + "\n" + ("x,1,1,1,1,a,u,3\n" * 9 if cache else ""))
    with pytest.raises(ClickError, match=r"^b\.csv: no usable row to evaluate on$"):
        parts_of(path, Plan("group", "user"), tmp_path / cache if cache else None, apart)


def test_few_groups_of_which_none_is_drawn(tmp_path: Path) -> None:
    path = write(tmp_path / "clicks.csv", users=2)
    refused = r"^clicks\.csv: no value of 'user' was drawn to be held out; give other shares or another --seed"
    with pytest.raises(ClickError, match=refused):
        parts_of(path, Plan("group", "user", held_out_share=0.001), None)
    with pytest.raises(ClickError, match=r"no value of 'user' was drawn to be trained on; "):
        parts_of(path, Plan("group", "user", held_out_share=0.999), None)
    assert len(parts_of(path, Plan("group", "user"), tmp_path / "cache").held_out) > 0
    write(path, 10).write_text("label,d0,d1,f0,f1,f2,user,at\n" + "x,1,1,1,1,a,u,3\n" * 9)
    with pytest.raises(ClickError, match=r"^clicks\.csv: no usable row to train on$"):
        parts_of(path, Plan("group", "user"), None)


def test_the_last_rows_of_a_stream_with_bad_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thimble.export.clicks.order.BUFFER_ROWS", 100)
    path = write(tmp_path / "clicks.csv")
    path.write_text(re.sub("(?m)^1,(?=[0-9]*[147],)", "x,", path.read_text()))
    training = parts_of(path, Plan(), None).training
    order = ids(training, 1)
    assert len(order) < len(training) - 300
    for rows, position in [(1, 0), (50, 0), (128, 64 * (len(order) // 64 - 1)), (10_000, 128)]:
        monkeypatch.setattr("thimble.export.training.intercept.INTERCEPT_ROWS", rows)
        last = LastRows(training, 64, position, 1)
        for clicks in training.read(64, position, 1):
            last.add(clicks)
        assert numbers(last.read()) == order[-rows:]


def test_cached_rows_as_they_stood_in_the_files(tmp_path: Path) -> None:
    path = write(tmp_path / "clicks.csv")
    held_out = parts_of(path, Plan(), tmp_path / "cache").held_out
    clicks: Clicks = next(held_out.read(31))
    assert clicks.raw is not None and clicks.places is not None
    lines_of = path.read_text().splitlines()[1:]
    wanted = [lines_of[place].split(",")[1:6] for place in clicks.places]
    assert [list(row) for row in zip(*clicks.raw(), strict=True)] == wanted
    write(path, 40)
    with pytest.raises(ClickError, match=r"clicks.csv has changed since it was read; the same command reads it anew"):
        clicks.raw()


@pytest.mark.parametrize("split", ["share", "time:at", "group:user"])
@pytest.mark.parametrize("cache", ["cache", None])
def test_rows_are_read_again_without_the_cache(tmp_path: Path, split: str, cache: str | None) -> None:
    if not cache and split.startswith("time"):
        return
    path = write(tmp_path / "clicks.csv")
    parts = parts_of(path, Plan(*parse_split(split, False)), tmp_path / cache if cache else None)
    for part in parts:
        assert part is not None
        found = origin(part)
        assert found is not None
        again = type(found).model_validate_json(found.model_dump_json()).rows(CLICK_SPEC)
        assert Counter(ids(again)) == Counter(ids(part))
        assert list(islice(ids(again), 5)) == sorted(ids(part))[:5]


def test_a_cache_is_no_part_of_who_the_rows_are(tmp_path: Path) -> None:
    path = write(tmp_path / "clicks.csv")
    identities = [parts_of(path, Plan(), tmp_path / name).training.identity for name in ("a", "b")]
    assert identities[0] == identities[1]
    assert cached(FileClicks([path], CLICK_SPEC), tmp_path / "a").count() == 1470
