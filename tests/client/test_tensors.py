"""Arrays as people have them, scored by a server with three numbers and fields of text, text, integers and tokens."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from testing.servers import Server
from thimble.client import Client, ThimbleError

DENSE = np.array([[1, 2, 3], [4, 5, np.nan]], np.float32)
IDS = np.array([[1, 2, 3, (1 << 53) - 1], [5, 6, 0, 7]], np.int64)
GAPS = [[1, 2, 3], [4, 5, None]]


@pytest.mark.parametrize(
    "dense",
    [
        DENSE.tolist(),
        DENSE.astype(np.float64),
        DENSE.astype(np.float16),
        DENSE.astype(np.longdouble),
        DENSE.astype(">f4"),
        np.asfortranarray(DENSE),
        DENSE[::-1, ::-1].copy()[::-1, ::-1],
        np.array(GAPS, object),
        np.ma.masked_array([[1, 2, 3], [4, 5, 6]], [[False, False, False], [False, False, True]]),
        pd.DataFrame(GAPS),
        pd.DataFrame(GAPS).convert_dtypes(),
        pd.DataFrame(GAPS, dtype=object),
        pl.DataFrame(GAPS, orient="row"),
        pa.table(pd.DataFrame(GAPS, columns=["a", "b", "c"])),
    ],
    ids=lambda dense: f"{type(dense).__module__}.{type(dense).__name__}",
)
def test_numbers_of_any_library_and_layout_score_alike(small_server: Server, dense: Any) -> None:
    with Client(small_server.url, "one") as client:
        expected = client.score_arrays(DENSE, IDS)
        assert client.score_arrays(dense, IDS).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "ids",
    [
        IDS.tolist(),
        IDS.astype(np.uint64),
        IDS.astype(">i8"),
        IDS.astype(np.float64),
        np.where(IDS == 0, np.nan, IDS),
        np.asfortranarray(IDS),
        [[id or None for id in row] for row in IDS.tolist()],
        np.ma.masked_equal(IDS, 0),
        pd.DataFrame(IDS),
        pd.DataFrame(IDS).replace(0, pd.NA),
        pd.DataFrame(IDS).convert_dtypes().replace(0, pd.NA),
        pl.DataFrame(IDS),
    ],
    ids=lambda ids: f"{type(ids).__module__}.{type(ids).__name__}",
)
def test_ids_of_any_library_and_layout_score_alike(small_server: Server, ids: Any) -> None:
    with Client(small_server.url, "one") as client:
        expected = client.score_arrays(DENSE, IDS)
        assert client.score_arrays(DENSE, ids).tolist() == expected.tolist()


def with_last(array: Any, value: Any, dtype: Any = object) -> Any:
    changed = array.astype(dtype)
    changed[1, 2] = value
    return changed


@pytest.mark.parametrize(
    ("dense", "ids", "reason"),
    [
        (DENSE, IDS + 0.7, "ids: f0 in row 0: 1.7 is not an integer"),
        (DENSE, IDS.astype(str), "ids: f0 in row 0: '1' is not an integer"),
        (DENSE, IDS.astype(bytes), "ids: f0 in row 0: '1' is not an integer"),
        (DENSE, IDS.astype(bool), "ids: f0 in row 0: True is not an integer"),
        (DENSE, IDS.astype("M8[ns]"), "ids: f0 in row 0: '1970-01-01T00:00:00.000000001' is not an integer"),
        (DENSE, IDS.astype(complex), "ids: f0 in row 0: '(1+0j)' is not an integer"),
        (DENSE, with_last(IDS, np.inf, float), "ids: f2 in row 1: 'inf' is not an integer"),
        (
            DENSE,
            with_last(IDS % 8, 2**24, np.float32),
            "ids: column 2 in row 1: 16777216.0 is a float32, which from 2^24 on stands for several integers",
        ),
        (
            DENSE,
            with_last(IDS % 8, 2048, np.float16),
            "ids: column 2 in row 1: 2048.0 is a float16, which from 2^11 on stands for several integers",
        ),
        (
            DENSE,
            np.ma.masked_equal((IDS % 8 + 2**24).astype(">f4"), 2**24),
            "ids: column 1 in row 0: 16777218.0 is a float32, which from 2^24 on stands for several integers",
        ),
        (DENSE, with_last(IDS % 8, np.inf, np.float32), "ids: f2 in row 1: 'inf' is not an integer"),
        (
            DENSE,
            with_last(IDS, 2.0**53, float),
            "ids: f2 in row 1: 9007199254740992.0 is a float, which from 2^53 on stands for several integers",
        ),
        (DENSE, with_last(IDS, -1, np.int64), "ids: f2 is -1 in row 1, not in 0 to 2^60 - 1"),
        (
            DENSE,
            with_last(IDS, (1 << 64) - 1, np.uint64),
            "ids: f2 in row 1: id 18446744073709551615 is not in the range 0 to 2^60 - 1",
        ),
        (DENSE, with_last(IDS, 1 << 64), "ids: f2 in row 1: '18446744073709551616' is not an integer"),
        (DENSE, with_last(IDS, "x"), "ids: f2 in row 1: 'x' is not an integer"),
        (DENSE, with_last(IDS, "\ud800"), "ids: f2 in row 1: \"'\\\\ud800'\" is not an integer"),
        (
            DENSE,
            with_last(IDS, pd.Timedelta(0)),
            "ids: f2 in row 1: \"Timedelta('0 days 00:00:00')\" is not an integer",
        ),
        (with_last(DENSE, np.inf, float), IDS, "dense: d2 is infinite in row 1"),
        (with_last(DENSE, np.inf), IDS, "dense: d2 in row 1: 'inf' is not a number"),
        (with_last(DENSE, 1e39, float), IDS, "dense: d2 in row 1: 1e+39 is not a finite float32 number"),
        (with_last(DENSE, "1.5"), IDS, "dense: d2 in row 1: '1.5' is not a number"),
        (DENSE.astype(str), IDS, "dense: d0 in row 0: '1.0' is not a number"),
        (DENSE[0], IDS, "dense: shape [3] is not [rows, 3]"),
        (1.5, IDS, "dense: shape [] is not [rows, 3]"),
        (None, IDS, "input dense is missing"),
        (DENSE, None, "input ids is missing"),
        (DENSE, IDS.T, "ids: shape [4, 2] is not [rows, 4]"),
        (DENSE[:1], IDS, "dense has 1 rows, ids has 2"),
        (DENSE[:0], IDS[:0], "dense: 0 rows; there must be one at least"),
    ],
)
def test_the_server_refuses_what_arrays_hold(small_server: Server, dense: Any, ids: Any, reason: str) -> None:
    with Client(small_server.url, "one") as client, pytest.raises(ThimbleError) as caught:
        client.score_arrays(dense, ids)
    assert caught.value.status == 400
    assert caught.value.message == reason


def test_rows_of_several_lengths_are_no_array() -> None:
    with Client("http://127.0.0.1:9", "small") as client, pytest.raises(ThimbleError, match="ids: no array"):
        client.score_arrays(DENSE, [[1, 2], [3]])
