from pathlib import Path

import pytest

from thimble.loadtests.compare.pagecache import evict, resident, warm

SIZE = 8 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    if evict([path]):
        pytest.skip("these files live in memory alone, or somebody maps them")
    return path


def test_what_is_evicted_is_gone_until_it_is_read(file: Path) -> None:
    assert resident([file]) == 0
    with file.open("rb") as opened:
        opened.read(1)
    assert 0 < resident([file]) < SIZE
    assert warm([file]) == SIZE
    assert evict([file]) == 0


def test_an_empty_file_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert resident([tmp_path / "empty"]) == evict([tmp_path / "empty"]) == 0


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        resident([tmp_path / "none"])
