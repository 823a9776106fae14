"""What a run says of a split that is not as it was asked for, and of times."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.parts import Plan, prepared
from thimble.export.clicks.parts_in_words import described

DAYS = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=i) for i in range(100)]


def written(path: Path, times: list[str] | list[datetime] | list[int]) -> Path:
    """Ten rows of each time."""
    rows = 10 * len(times)
    table = pa.table(
        {
            **{name: [1] * rows for name in ("d0", "d1", "f0")},
            **{name: ["1"] * rows for name in ("f1", "f2")},
            "label": [i % 2 for i in range(rows)],
            "at": [time for time in times for _ in range(10)],
        }
    )
    pq.write_table(table, path)
    return path


def said(path: Path, plan: Plan, cache: Path | None) -> list[str]:
    source = FileClicks([path], CLICK_SPEC, group=plan.group, time=plan.time)
    return described(prepared(source, None, plan, cache, lambda _: None), plan)


def test_a_split_that_is_not_as_asked(tmp_path: Path) -> None:
    two = written(tmp_path / "two.parquet", [1, 2])
    together = "rows of one value of 'at' stay together"
    _, *notes, _ = said(two, Plan("time", "at"), tmp_path / "cache")
    assert notes == [
        f"held out are 50.0% of the rows, not 10.0%: {together}",
        f"no rows for validation: {together}",
    ]
    _, *notes, _ = said(two, Plan("time", "at", held_out_share=0.5, validation_share=0), tmp_path / "cache")
    assert not notes
    _, *notes, _ = said(two, Plan(validation_share=0.01), tmp_path / "cache")
    assert notes == ["no rows for validation: there are too few rows"]
    _, *notes, _ = said(written(tmp_path / "many.parquet", [*range(100)]), Plan("time", "at"), tmp_path / "cache")
    assert not notes


@pytest.mark.parametrize("form", ["moments", "text", "numbers", "far"])
def test_moments_are_written_as_people_read_them(tmp_path: Path, form: str) -> None:
    seconds = [int(day.timestamp()) for day in DAYS]
    times: dict[str, list[str] | list[datetime] | list[int]] = {
        "moments": DAYS,
        "text": ["noon", *(f"{day:%Y-%m-%d}" for day in DAYS[1:])],
        "numbers": seconds,
        "far": [str(day.date()) if i < 5 else f"{10**12 + i}" for i, day in enumerate(DAYS)],
    }
    rule, *_ = said(written(tmp_path / "c.parquet", times[form]), Plan("time", "at"), tmp_path / "cache")
    as_read = {"numbers": "", "far": ""}.get(form, " (2026-04-01T00:00:00Z)")
    first = 10**12 + 90 if form == "far" else seconds[90]
    assert f"held out are rows from {first}{as_read} on, " in rule
