"""Rows of 32-bit integers, as MLPerf's reference writes Criteo's clicks."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from testing.clicks import everything, numbers
from testing.samples import small_spec
from thimble.export.clicks.file_rows import FileRows
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.golden import golden_batch, golden_features
from thimble.export.clicks.rows import ClickError, Rows
from thimble.models.presets import preset

SPEC = small_spec(dense=2, kinds=("int", "hex", "string"))


def rows(count: int, width: int = 6) -> "np.ndarray[tuple[int, int], np.dtype[np.int32]]":
    found = np.random.default_rng(0).integers(-(2**31), 2**31, (count, width), dtype=np.int32)
    found[:, 0] = np.arange(count) % 2
    found[:, 3] = np.arange(count)
    return found


@pytest.mark.parametrize("name", ["train_data.bin", "clicks", "clicks.csv"])
def test_rows_are_those_of_criteo_lines(tmp_path: Path, name: str) -> None:
    binary = rows(20_000)
    (tmp_path / name).write_bytes(binary.astype("<i4").tobytes())
    text = io.StringIO()
    for label, *dense, number, token, word in binary[:500].tolist():
        values = [label, *dense, number, f"{token & 0xFFFFFFFF:08x}", word]
        text.write("\t".join(map(str, values)) + "\n")
    (tmp_path / "lines").write_text(text.getvalue())
    source = FileClicks([tmp_path / name], SPEC)
    clicks, lines = everything(source), everything(FileClicks([tmp_path / "lines"], SPEC))
    assert source.count() == 20_000 and source.bad.count == 0
    assert clicks.labels.tolist() == binary[:, 0].tolist()
    assert np.array_equal(clicks.batch.dense[:500], lines.batch.dense)
    assert np.array_equal(clicks.batch.ids[:500], lines.batch.ids)
    assert numbers(source.read(16_000, 17_000, 99)) == list(range(16_000, 17_000))
    golden = golden_features(SPEC, Rows(source, 0, 40))
    assert np.array_equal(golden_batch(SPEC, golden).ids[:31], clicks.batch.ids[:31])


def test_a_row_of_mlperf_has_160_bytes(tmp_path: Path) -> None:
    (tmp_path / "day_23.bin").write_bytes(rows(3, 40).tobytes())
    spec = preset("criteo-tb")
    source = FileClicks([tmp_path / "day_23.bin"], spec)
    assert source.count() == 3
    assert everything(source).batch.ids.shape == (3, 26)
    (part,) = FileRows([tmp_path / "day_23.bin"], spec, ["label"]).read()
    assert part.keys[0].to_pylist() == [0, 1, 0] and not part.bad.any()


def test_what_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train_data.bin"
    wanted = "a label, 2 numbers and 3 ids, 32 bits each"
    path.write_bytes(rows(100).tobytes()[:-1])
    with pytest.raises(ClickError) as refused:
        FileClicks([path], SPEC)
    assert str(refused.value) == (
        f"train_data.bin: begins as binary clicks do, but its 2,399 bytes are no whole rows of {wanted}"
    )
    path.write_bytes(rows(60, 40).tobytes())  # of another model's features
    with pytest.raises(ClickError, match="but it has labels beside 0 and 1 as rows of a label, 2 numbers and 3 ids"):
        FileClicks([path], SPEC)
    path.write_bytes(gzip.compress(rows(100).tobytes()))
    with pytest.raises(ClickError, match=r"^train_data\.bin: what is packed in it is not text; unpack it first$"):
        FileClicks([path], SPEC)


def test_a_later_label_that_is_none_is_a_bad_row(tmp_path: Path) -> None:
    binary = rows(3000)
    binary[2000, 0] = 2
    (tmp_path / "clicks").write_bytes(binary.tobytes())
    source = FileClicks([tmp_path / "clicks"], SPEC)
    assert numbers(source.blocks()) == [i for i in range(3000) if i != 2000]
    assert list(source.bad.first.values()) == ["clicks row 2001: label: 2 is not 0 or 1"]
