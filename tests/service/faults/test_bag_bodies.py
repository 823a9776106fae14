"""Bags of as many values as a body has room for, and of more, stall and fill a server no more than other bodies."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testing.artifacts import write_artifact
from testing.samples import criteo_spec
from testing.servers import Server, running
from tests.service.faults.hostile_bodies import FIELDS, INFER, TEXT, TSV, Sent, filled
from tests.service.faults.test_bodies import check_harmless
from thimble.models.bags import Bag
from thimble.service.wire.scan import BAG_VALUES

VALUES = 100
FIRST = b'{"features": {"C1": '


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec, bag = criteo_spec(), Bag(values=VALUES, pooling="sum")
    fields = [field.model_copy(update={"bag": bag}) for field in spec.fields]
    folder = tmp_path_factory.mktemp("bags")
    write_artifact(spec.model_copy(update={"fields": fields}), folder, "criteo", 1)
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with running(repository) as server:
        yield server


@pytest.fixture(scope="module")
def idle(repository: Path) -> Iterator[Server]:
    with running(repository) as server:
        yield server


def full(rows: int, as_text: bool) -> bytes:
    """Rows whose bags are all full."""
    bag = "|".join(["a"] * VALUES) if as_text else ["a"] * VALUES
    features = {name: [bag] * rows for name in FIELDS}
    return json.dumps({"features": features}, separators=(",", ":")).encode()


def tensor(rows: int, element: str) -> bytes:
    """Bags with their separators in an element."""
    dense = {"name": "dense", "datatype": "FP32", "shape": [rows, 13], "data": [0] * 13 * rows}
    ids = {"name": "ids", "datatype": "BYTES", "shape": [rows, 26], "data": [element] * 26 * rows}
    return json.dumps({"inputs": [dense, ids]}, separators=(",", ":")).encode()


WHOLE = "|".join(["a"] * VALUES)
HOSTILE: dict[str, Callable[[], Sent]] = {
    "a text of values": lambda: Sent(filled(FIRST + b'"', b"ab|", b'"}}'), {413}),
    "a text of separators": lambda: Sent(filled(FIRST + b'"', b"|", b'"}}'), {413}),
    "a list of values": lambda: Sent(filled(FIRST + b"[[", b'"ab",', b'"ab"]]}}'), {413}),
    "a list of nulls": lambda: Sent(filled(FIRST + b"[[", b"null,", b"null]]}}"), {413}),
    "a shared list": lambda: Sent(filled(FIRST + b'{"bag": [', b'"ab",', b'"ab"]}}}'), {413}),
    "bags of lists": lambda: Sent(filled(FIRST + b"[[", b"[],", b"[]]]}}"), {413}),
    "empty bags": lambda: Sent(filled(FIRST + b"[", b"[],", b"[]]}}"), {413}),
    "more full lists than are parsed at once": lambda: Sent(full(395, as_text=False), {413}),
    "as many as are": lambda: Sent(full(BAG_VALUES // 2613, as_text=False), {200}),
    "full texts": lambda: Sent(full(795, as_text=True), {200}),
    "a few bytes for many rows": lambda: Sent(FIRST + b"[" + b"null," * 9999 + b"null]}}", {413}),
    "a line of values": lambda: Sent(b"\t" * 13 + b"ab|" * (TEXT // 3 - 20) + b"\t" * 25, {413}, headers=(TSV,)),
    "lines of full bags": lambda: Sent(
        ("\t" * 13 + "\t".join([WHOLE] * 26) + "\n").encode() * 795, {200}, headers=(TSV,)
    ),
    "full bags in a tensor": lambda: Sent(tensor(780, WHOLE), {200}, INFER),
    "bags of which most is cut": lambda: Sent(tensor(1, "ab|" * 53_000), {200}, INFER),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_bag_stalls_or_fills_the_server(server: Server, idle: Server, name: str) -> None:
    sent = HOSTILE[name]()
    assert len(sent.body) <= TEXT
    check_harmless(server, idle, sent)
