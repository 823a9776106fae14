from pathlib import Path

from thimble.export.plan.caches import Cache, first_that_holds, processor_caches


def write_cache(folder: Path, index: int, **values: str) -> None:
    entry = folder / f"index{index}"
    entry.mkdir()
    for name, value in values.items():
        (entry / name).write_text(f"{value}\n")


def test_caches_as_linux_tells_them(tmp_path: Path) -> None:
    write_cache(tmp_path, 3, type="Unified", level="3", size="32M")
    write_cache(tmp_path, 0, type="Data", level="1", size="48K")
    write_cache(tmp_path, 1, type="Instruction", level="1", size="32K")
    write_cache(tmp_path, 2, type="Unified", level="2", size="2048K")
    caches = processor_caches(tmp_path)
    assert caches == [Cache(level=1, bytes=49_152), Cache(level=2, bytes=1 << 21), Cache(level=3, bytes=1 << 25)]
    assert first_that_holds(caches, 49_152) == caches[0]
    assert first_that_holds(caches, 10_000_000) == caches[2]
    assert first_that_holds(caches, 1 << 26) is None


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    assert processor_caches(tmp_path / "nowhere") == []
    write_cache(tmp_path, 0, type="Data", level="1")
    write_cache(tmp_path, 1, type="Data", level="one", size="48K")
    write_cache(tmp_path, 2, type="Data", level="2", size="")
    write_cache(tmp_path, 3, type="Data", level="2", size="0K")
    assert processor_caches(tmp_path) == []
    assert first_that_holds([], 1) is None
