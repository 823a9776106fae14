from pathlib import Path

import pytest

from tests.export.clicks.test_bags_in_files import spec_with, write
from thimble.export.clicks import files
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError


def test_values_of_a_row_are_counted_without_blanks(tmp_path: Path) -> None:
    use = FileClicks([write(tmp_path / "clicks", "criteo")], spec_with()).bag_use()
    assert [*use] == ["tags", "last"]
    tags, last = use.values()
    assert (tags.rows, tags.values, tags.mean) == (5, 7, 1.4)
    assert [round(7 * tags.cut_share(room)) for room in (1, 2, 3, 4, 9)] == [4, 2, 1, 0, 0]
    assert last.values == 10  # bad ones and missing words among them


def test_room_is_for_nearly_all_rows(tmp_path: Path) -> None:
    def suited(*lengths: int) -> int:
        rows = "".join(f"1\t1\t1\t{';'.join('a' * length)}\t\n" for length in lengths)
        (tmp_path / "clicks").write_text(rows)
        return FileClicks([tmp_path / "clicks"], spec_with()).bag_use()["tags"].suited()

    assert suited(1, 2, 3, 4) == 4
    assert suited(*[2] * 99, 50) == 2
    assert suited(*[2] * 98, 50, 51) == 50
    assert suited(*[200] * 10) == 64
    assert suited(0, 0) == 1


def test_of_several_files_the_first_rows_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOOKED_AT", 8)
    for name, tags in (("a", "x"), ("b", "x;y")):
        (tmp_path / name).write_text(f"1\t1\t1\t{tags}\t\n" * 10)
    use = FileClicks([tmp_path / "a", tmp_path / "b"], spec_with()).bag_use()["tags"]
    assert (use.rows, use.values) == (8, 12)


@pytest.mark.parametrize("weights", ["a:0.5;b:.25", " a:1.0 ", "city:3:0.5"])
def test_weights_are_refused_by_name(tmp_path: Path, weights: str) -> None:
    (tmp_path / "clicks").write_text(f"1\t1\t1\t\t\n0\t1\t1\t{weights}\t\n")
    with pytest.raises(ClickError, match=r"^column 'tags': its values have weights, as '.*' has, and bags take none; "):
        FileClicks([tmp_path / "clicks"], spec_with()).bag_use()


def test_values_that_are_not_all_like_weights_are_text(tmp_path: Path) -> None:
    (tmp_path / "clicks").write_text("1\t1\t1\ta:0.5;b\t\n0\t1\t1\tsize:12\t\n")
    assert FileClicks([tmp_path / "clicks"], spec_with()).bag_use()["tags"].values == 3


def test_without_bags_no_row_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "clicks", "criteo")
    source = FileClicks([path], spec_with(None, None))
    path.unlink()
    assert source.bag_use() == {}
