import csv

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from thimble.export.clicks.lines import Lines

LETTERS = ["", "a", ",", "\r", "é", '"b"', '"c,d"', '"e"",""f"', '""']
TEXTS = st.lists(st.lists(st.sampled_from(LETTERS), max_size=5).map(",".join), min_size=1, max_size=9)


@given(TEXTS, st.booleans(), st.data())
def test_lines_are_looked_at_all_at_once_as_one_by_one(texts: list[str], ended: bool, data: st.DataObject) -> None:
    ended |= not texts[-1]  # an empty last line is there only if it has an end
    lines = Lines.of("\n".join(texts).encode() + b"\n" * ended)
    assert [lines[i].decode() for i in range(len(texts))] == texts
    assert lines.lengths.tolist() == [len(text.encode()) for text in texts]
    assert lines.having(lines.letters == ord("a")).tolist() == ["a" in text for text in texts]
    wanted = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))))
    some = lines.only(wanted)
    assert some.text == b"".join(f"{text}\n".encode() for text, kept in zip(texts, wanted, strict=True) if kept)
    assert some.lengths.tolist() == lines.lengths[wanted].tolist()


@given(TEXTS)
def test_columns_of_lines(texts: list[str]) -> None:
    lines = Lines.of("\n".join(texts).encode() + b"\n")
    assert lines.columns(",", quoted=False).tolist() == [text.count(",") + 1 for text in texts]
    quoted = [len(next(csv.reader([text.replace("\r", "")]))) or 1 for text in texts]
    assert lines.columns(",", quoted=True).tolist() == quoted


def test_no_lines() -> None:
    none = Lines.of(b"a\nb\n").only(np.zeros(2, bool))
    assert none.text == b"" and not len(none.lengths) and not len(none.columns(",", quoted=True))
    assert not len(none.having(none.letters == ord("a")))
