"""Data frames, scored by a server with three numbers and fields of text, text, integers and hexadecimal tokens."""

from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from testing.servers import Server
from thimble.client import Client, ThimbleError

COLUMNS = {"d0": [1.5, None, -3], "f0": ["x", "y", None], "f2": [1, (1 << 53) + 1, 0], "f3": ["a0", None, "b"]}


def test_frames_score_as_their_lists_do(small_server: Server) -> None:
    frame = pd.DataFrame(COLUMNS)
    with Client(small_server.url, "one") as client:
        expected = client.score(COLUMNS).tolist()
        assert len(set(expected)) == 3
        for features in (
            frame,
            frame.convert_dtypes(),
            frame.convert_dtypes(dtype_backend="pyarrow"),
            frame.astype(object),
            frame.set_index("d0").reset_index(),
            dict(frame),
            pl.DataFrame(COLUMNS),
            pa.table(COLUMNS),
            pa.RecordBatch.from_pydict(COLUMNS),
        ):
            assert client.score(features).tolist() == expected
        for row in range(3):
            assert client.score(frame.iloc[row]).tolist() == pytest.approx([expected[row]])
            assert client.score(pl.DataFrame(COLUMNS).row(row, named=True)).tolist() == pytest.approx([expected[row]])


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"d0": [1, 2], "d1": [3.0, 1e39]}, "d1: 1e+39 is not a finite float32 number (index 1)"),
        ({"f2": [True, False]}, "f2: True is not an integer (index 0)"),
        ({"d0": ["1", "2"]}, "d0: '1' is not a number (index 0)"),
        ({"f2": [1.0, 1.7]}, "f2: 1.7 is not an integer (index 1)"),
        (
            {"f2": [2.0**53]},
            "f2: 9007199254740992.0 is a float, which from 2^53 on stands for several integers (index 0)",
        ),
        ({"f0": [7]}, "f0: 7 is not a string (index 0)"),
        ({"f3": [7]}, "f3: 7 is not a hexadecimal token in a string (index 0)"),
        ({"f0": [["x"]]}, "f0: a list is not a string (index 0)"),
        ({"label": [1]}, "unknown feature 'label'"),
        ({"d0": []}, "d0 is an empty list: 0 rows to score"),
    ],
)
def test_the_server_refuses_what_a_frame_holds(
    small_server: Server, library: Any, columns: dict[str, Any], reason: str
) -> None:
    with Client(small_server.url, "one") as client, pytest.raises(ThimbleError) as caught:
        client.score(library(columns))
    assert caught.value.message == reason


def test_infinity_is_refused_in_the_words_of_the_server(small_server: Server) -> None:
    with Client(small_server.url, "one") as client:
        for huge in (1e39, -1e39):
            sentences = []
            for value in (huge, huge * 1e300):
                with pytest.raises(ThimbleError) as caught:
                    client.score({"d0": [0, value]})
                sentences.append(caught.value.message.replace(repr(value), "it"))
            assert sentences[0] == sentences[1]


def test_columns_that_differ_in_length_are_named(small_server: Server) -> None:
    different = {"d0": pd.Series([1, 2]), "f0": pl.Series(["a", "b", "c"])}
    with Client(small_server.url, "one") as client, pytest.raises(ThimbleError, match="d0 has 2 values, f0 has 3"):
        client.score(different)
