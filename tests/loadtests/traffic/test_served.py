"""Which row whose score is known a load test finds at a server, and what it makes of wrong scores."""

from pathlib import Path

import httpx
import onnx
import pytest

from testing.artifacts import write_artifact
from testing.samples import small_spec
from testing.servers import running
from thimble.export.artifact.graph import describe
from thimble.export.scoring.evaluate import read_spec
from thimble.loadtests.traffic.answers import problem
from thimble.loadtests.traffic.requests import Traffic, prepare
from thimble.loadtests.traffic.served import Known, LoadError, Served, served
from thimble.models.provenance import Provenance
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import MlpPrecision, Precision

KEY = "the-key-of-the-load-tests"
REAL, GENERATED = "clicks.csv", "generated clicks, seed 0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of a model by the clicks that it was trained on."""
    paths = {}
    for source in (REAL, GENERATED):
        path = paths[source] = write_artifact(small_spec(), tmp_path_factory.mktemp("trained"), "small", 1)
        model = onnx.load(path)
        provenance = Provenance(source=source, rows_trained=9, epochs=1, batch_size=3, seed=0, tool="thimble")
        describe(model, read_spec(path).model_copy(update={"provenance": provenance}))
        onnx.save_model(model, path)
    return paths


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THIMBLE_KEY", raising=False)


@pytest.mark.parametrize(
    ("source", "variable", "brought", "golden"),
    [
        (REAL, "THIMBLE_API_KEYS", KEY, True),
        (REAL, "THIMBLE_ADMIN_KEYS", KEY, True),
        (REAL, "THIMBLE_ADMIN_KEYS", None, False),
        (REAL, None, None, False),
        (GENERATED, None, None, True),
        (GENERATED, "THIMBLE_ADMIN_KEYS", None, True),
    ],
)
def test_every_server_tells_a_row_by_which_answers_are_checked(
    trained: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    variable: str | None,
    brought: str | None,
    golden: bool,
) -> None:
    spec = read_spec(trained[source])
    if brought is not None:
        monkeypatch.setenv("THIMBLE_KEY", brought)
    with running(trained[source], env={variable: KEY} if variable else {}) as server:
        model, _ = served(server.url)
        request = prepare(Traffic(scenario="batch", rows=3), model)[0]
        answer = httpx.post(server.url + request.path, content=request.body, headers=request.headers)
    assert model.known.golden is golden
    assert spec.golden is not None
    of_file = {name: values[0] for name, values in spec.golden.features.items()}
    assert (model.known.row == of_file) is golden
    assert answer.status_code == 200, answer.text
    assert problem(request, answer.content, model.tolerance) is None
    assert request.expected is not None
    wrong = request._replace(expected=request.expected + 2 * model.tolerance)
    assert problem(wrong, answer.content, model.tolerance) == "another score than the known row's"


def test_a_server_that_asks_for_a_key_is_said_to(trained: dict[str, Path]) -> None:
    with (
        running(trained[GENERATED], env={"THIMBLE_API_KEYS": KEY}) as server,
        pytest.raises(LoadError, match="answered 401; an API key is taken from THIMBLE_KEY"),
    ):
        served(server.url)


@pytest.mark.parametrize("memory", ["fp32", "int8", "int4"])
@pytest.mark.parametrize("mlps", ["fp32", "int8"])
def test_the_tolerance_is_that_of_the_mlps(memory: MemoryPrecision, mlps: MlpPrecision) -> None:
    """Embeddings of few bits are exact."""
    precision, known = Precision(memory=memory, mlps=mlps), Known(row={}, score=0.5, golden=True)
    model = Served(name="small", version=1, precision=str(precision), features=[], known=known)
    assert model.tolerance == precision.golden_tolerance == (5e-3 if mlps == "int8" else 1e-4)
