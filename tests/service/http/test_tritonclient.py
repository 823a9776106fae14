"""The Open Inference Protocol as Triton's own client speaks it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from testing.samples import random_batch
from testing.servers import Server
from thimble.export.clicks.golden import golden_batch
from thimble.models.features import Batch
from thimble.models.spec import ModelSpec

MODEL = "criteo"
# Enough for either form of the answer to be worth compressing.
MANY = 600


@pytest.fixture(scope="module")
def address(server: Server) -> str:
    return server.url.removeprefix("http://")


@pytest.fixture
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address, concurrency=8) as client:
        yield client


@pytest.fixture(scope="module")
def golden(criteo: ModelSpec) -> tuple[Batch, list[float]]:
    assert criteo.golden is not None
    return golden_batch(criteo, criteo.golden.features), criteo.golden.by_output["score"]


@pytest.fixture(scope="module")
def many(criteo: ModelSpec) -> Batch:
    return random_batch(criteo, MANY)


def tensor(name: str, array: np.ndarray[Any, Any], binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    return tensor.set_data_from_numpy(array, binary_data=binary)


def inputs(batch: Batch, dense: bool = True, ids: bool = True) -> list[triton.InferInput]:
    """The flags say which tensors are binary."""
    return [tensor("dense", batch.dense, dense), tensor("ids", batch.ids, ids)]


def scores(result: triton.InferResult, rows: int) -> list[float]:
    found = result.as_numpy("score")
    assert found.dtype == np.float32 and found.shape == (rows,)
    values: list[float] = found.tolist()
    return values


def infer(client: triton.InferenceServerClient, batch: Batch, **options: Any) -> list[float]:
    return scores(client.infer(MODEL, inputs(batch), **options), len(batch.ids))


def test_health(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready(MODEL, "2")
    assert not client.is_model_ready("other")


def test_metadata(client: triton.InferenceServerClient) -> None:
    metadata = client.get_server_metadata()
    assert metadata["name"] == "thimble"
    assert {"binary_tensor_data", "model_configuration", "statistics"} <= set(metadata["extensions"])
    described = {
        "name": MODEL,
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "dense", "datatype": "FP32", "shape": [-1, 13]},
            {"name": "ids", "datatype": "INT64", "shape": [-1, 26]},
        ],
        "outputs": [{"name": "score", "datatype": "FP32", "shape": [-1]}],
    }
    assert client.get_model_metadata(MODEL) == client.get_model_metadata(MODEL, "1") == described


def test_config(client: triton.InferenceServerClient) -> None:
    config = client.get_model_config(MODEL)
    assert config == client.get_model_config(MODEL, "1")
    assert config["name"] == MODEL and config["max_batch_size"] == 1000
    assert config["input"] == [
        {"name": "dense", "data_type": "TYPE_FP32", "dims": [13]},
        {"name": "ids", "data_type": "TYPE_INT64", "dims": [26]},
    ]


def test_repository_index(client: triton.InferenceServerClient) -> None:
    index = client.get_model_repository_index()
    assert index == [{"name": MODEL, "version": "1", "state": "READY", "reason": ""}]


def test_statistics_rise_by_what_was_sent(client: triton.InferenceServerClient, criteo: ModelSpec) -> None:
    def counts() -> dict[str, int]:
        (model,) = client.get_inference_statistics(MODEL)["model_stats"]
        stages = model["inference_stats"]
        return {
            **{stage: times["count"] for stage, times in stages.items()},
            **{f"{stage} ns": times["ns"] for stage, times in stages.items()},
            "inferences": model["inference_count"],
            "executions": model["execution_count"],
            "last": model["last_inference"],
        }

    before = counts()
    sizes = [1, 2, 3, 50, 1]
    pending = [client.async_infer(MODEL, inputs(random_batch(criteo, rows))) for rows in sizes]
    for request, rows in zip(pending, sizes, strict=True):
        scores(request.get_result(), rows)
    with pytest.raises(InferenceServerException):
        client.infer(MODEL, inputs(random_batch(criteo, 1))[:1])
    after = counts()
    risen = {name: after[name] - before[name] for name in before}
    stages = ("success", "queue", "compute_input", "compute_infer", "compute_output")
    assert {risen[stage] for stage in stages} == {len(sizes)}
    assert all(risen[f"{stage} ns"] > 0 for stage in stages)
    assert risen["fail"] == 1 and risen["fail ns"] > 0
    assert risen["inferences"] == sum(sizes)
    assert 1 <= risen["executions"] <= len(sizes)
    assert after["last"] > before["last"]
    assert after["cache_hit"] == after["cache_miss"] == 0


def test_statistics_of_all_of_one_and_of_a_version_agree(client: triton.InferenceServerClient) -> None:
    (of_all,) = client.get_inference_statistics()["model_stats"]
    (of_one,) = client.get_inference_statistics(MODEL)["model_stats"]
    (of_version,) = client.get_inference_statistics(MODEL, "1")["model_stats"]
    assert of_all == of_one == of_version
    assert (of_all["name"], of_all["version"]) == (MODEL, "1")


def test_golden_rows_score_as_written(client: triton.InferenceServerClient, golden: tuple[Batch, list[float]]) -> None:
    batch, expected = golden
    assert infer(client, batch) == pytest.approx(expected, abs=1e-6)
    assert infer(client, batch, model_version="1") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dense", [True, False], ids=["binary dense", "JSON dense"])
@pytest.mark.parametrize("ids", [True, False], ids=["binary ids", "JSON ids"])
@pytest.mark.parametrize("output", [True, False, None], ids=["binary out", "JSON out", "no outputs"])
def test_every_mixture_of_tensors_scores_alike(
    client: triton.InferenceServerClient, many: Batch, dense: bool, ids: bool, output: bool | None
) -> None:
    batch = many
    outputs = None if output is None else [triton.InferRequestedOutput("score", binary_data=output)]
    result = client.infer(MODEL, inputs(batch, dense, ids), outputs=outputs)
    assert scores(result, MANY) == infer(client, batch)
    assert ("data" in result.get_output("score")) == (output is False)


def test_the_order_of_the_inputs_is_free(client: triton.InferenceServerClient, many: Batch) -> None:
    turned = client.infer(MODEL, inputs(many)[::-1])
    assert scores(turned, MANY) == infer(client, many)


def test_nan_in_binary_and_null_in_json_are_both_missing(
    server: Server, client: triton.InferenceServerClient, golden: tuple[Batch, list[float]]
) -> None:
    batch, expected = golden
    assert np.isnan(batch.dense).any()
    dense = [[None if np.isnan(x) else x for x in row] for row in batch.dense.tolist()]
    request = {
        "inputs": [
            {"name": "dense", "datatype": "FP32", "shape": batch.dense.shape, "data": dense},
            {"name": "ids", "datatype": "INT64", "shape": batch.ids.shape, "data": batch.ids.tolist()},
        ]
    }
    (output,) = httpx.post(f"{server.url}/v2/models/{MODEL}/infer", json=request).json()["outputs"]
    by_json = np.array(output["data"], np.float32).tolist()
    assert by_json == infer(client, batch) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("binary", [True, False])
def test_ids_as_bytes_are_the_raw_values(
    client: triton.InferenceServerClient, criteo: ModelSpec, golden: tuple[Batch, list[float]], binary: bool
) -> None:
    batch, expected = golden
    assert criteo.golden is not None
    columns = [criteo.golden.features[field.name] for field in criteo.fields]
    texts = [["" if value is None else str(value) for value in row] for row in zip(*columns, strict=True)]
    result = client.infer(MODEL, [tensor("dense", batch.dense), tensor("ids", np.array(texts, object), binary)])
    assert scores(result, len(texts)) == pytest.approx(expected, abs=1e-6)


def test_request_id_comes_back(client: triton.InferenceServerClient, golden: tuple[Batch, list[float]]) -> None:
    batch, _ = golden
    for outputs in (None, [triton.InferRequestedOutput("score", binary_data=False)]):
        result = client.infer(MODEL, inputs(batch), outputs=outputs, request_id="Größe \n 7")
        response = result.get_response()
        assert response["id"] == "Größe \n 7"
        assert (response["model_name"], response["model_version"]) == (MODEL, "1")
    assert "id" not in client.infer(MODEL, inputs(batch)).get_response()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_requests_may_be_compressed(
    client: triton.InferenceServerClient, many: Batch, algorithm: str, binary: bool
) -> None:
    batch = many
    sent = inputs(batch, binary, binary)
    result = client.infer(MODEL, sent, request_compression_algorithm=algorithm)
    assert scores(result, MANY) == infer(client, batch)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_answers_are_compressed_when_they_are_large(
    address: str, many: Batch, algorithm: str, binary: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [triton.InferRequestedOutput("score", binary_data=binary)]
    with triton.InferenceServerClient(address, verbose=True) as talkative:  # it prints the headers of answers
        large = infer(talkative, many, outputs=outputs, response_compression_algorithm=algorithm)
        assert f"'content-encoding': '{algorithm}'" in capsys.readouterr().out
        small = infer(
            talkative, Batch(many.dense[:2], many.ids[:2]), outputs=outputs, response_compression_algorithm=algorithm
        )
        assert "content-encoding" not in capsys.readouterr().out
        plain = infer(talkative, many, outputs=outputs)
        assert "content-encoding" not in capsys.readouterr().out
    assert large == plain and small == pytest.approx(plain[:2], abs=1e-6)


def test_async_requests_get_their_own_scores(client: triton.InferenceServerClient, many: Batch) -> None:
    batches = [Batch(many.dense[i : 2 * i], many.ids[i : 2 * i]) for i in range(1, 41)]
    expected = infer(client, many)
    pending = [client.async_infer(MODEL, inputs(batch), request_id=str(i)) for i, batch in enumerate(batches, 1)]
    for i, request in enumerate(pending, 1):
        result = request.get_result()
        assert result.get_response()["id"] == str(i)
        assert scores(result, i) == pytest.approx(expected[i : 2 * i], abs=1e-6)


def test_aio_client(address: str, golden: tuple[Batch, list[float]], many: Batch) -> None:
    batch, expected = golden

    async def talk() -> None:
        async with triton_aio.InferenceServerClient(address) as client:
            assert await client.is_server_live() and await client.is_server_ready()
            assert await client.is_model_ready(MODEL) and not await client.is_model_ready("other")
            assert (await client.get_server_metadata())["name"] == "thimble"
            assert (await client.get_model_metadata(MODEL))["versions"] == ["1"]
            assert (await client.get_model_config(MODEL, "1"))["name"] == MODEL
            assert len(await client.get_model_repository_index()) == 1
            assert (await client.get_inference_statistics())["model_stats"][0]["name"] == MODEL
            results = await asyncio.gather(*(client.infer(MODEL, inputs(batch), request_id=str(i)) for i in range(20)))
            for i, result in enumerate(results):
                assert result.get_response()["id"] == str(i)
                assert scores(result, len(expected)) == pytest.approx(expected, abs=1e-6)
            plain = await client.infer(MODEL, inputs(many))
            for algorithm in ("gzip", "deflate"):
                result = await client.infer(
                    MODEL,
                    inputs(many),
                    request_compression_algorithm=algorithm,
                    response_compression_algorithm=algorithm,
                )
                assert scores(result, MANY) == scores(plain, MANY)
            with pytest.raises(InferenceServerException, match="no model 'other' is served") as caught:
                await client.infer("other", inputs(batch))
            assert caught.value.status() == "404"

    asyncio.run(talk())


def test_a_long_timeout_is_served_and_a_short_one_refused(
    client: triton.InferenceServerClient, golden: tuple[Batch, list[float]]
) -> None:
    batch, expected = golden
    assert infer(client, batch, timeout=10_000_000) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InferenceServerException) as caught:
        infer(client, batch, timeout=1)
    assert caught.value.status() == "504"
    assert "more than the timeout of 0.001 ms" in caught.value.message()


def refusal(client: triton.InferenceServerClient, *sent: triton.InferInput, model: str = MODEL, **options: Any) -> str:
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, list(sent), **options)
    message: str = caught.value.message()
    assert "\n" not in message
    return f"{caught.value.status()} {message}"


def test_errors_arrive_with_their_status_and_sentence(
    client: triton.InferenceServerClient, criteo: ModelSpec, golden: tuple[Batch, list[float]]
) -> None:
    batch, expected = golden
    dense, ids = inputs(batch)
    assert refusal(client, dense, ids, model="other") == "404 no model 'other' is served; there is criteo version 1"
    assert refusal(client, dense, ids, model_version="2").startswith("404 version 2 of criteo is not served")
    assert refusal(client, dense, ids, model="../../etc/passwd").startswith("404 ")
    assert refusal(client, dense) == "400 input ids is missing"
    assert refusal(client, dense, ids, dense) == "400 input dense is there twice"
    assert refusal(client, dense, tensor("C1", batch.ids)).startswith("400 input 'C1' is none of the model's")
    assert refusal(client, dense, tensor("ids", batch.ids[1:])) == "400 dense has 8 rows, ids has 7"
    assert refusal(client, dense, tensor("ids", batch.ids[:, 1:])) == "400 ids: shape [8, 25] is not [rows, 26]"
    assert refusal(client, dense, tensor("ids", batch.ids.astype(np.int32))).startswith("400 ids: datatype 'INT32'")
    assert refusal(client, dense, tensor("ids", -batch.ids)).startswith("400 ids: C")
    assert refusal(client, *inputs(random_batch(criteo, 1001))) == (
        "413 1001 rows are more than the limit of 1000 in one request"
    )
    assert refusal(client, dense, ids, outputs=[triton.InferRequestedOutput("ctr")]).startswith("400 output 'ctr'")
    assert refusal(client, dense, ids, sequence_id=7).startswith("400 sequence_id")
    infinite = tensor("dense", np.full_like(batch.dense, np.inf))
    assert refusal(client, infinite, ids) == "400 dense: I1 is infinite in row 0"
    dense.set_shared_memory("region", batch.dense.nbytes)
    assert refusal(client, dense, ids) == "400 dense: shared memory is not supported"
    with pytest.raises(InferenceServerException, match="no model 'other'"):
        client.get_model_metadata("other")
    with pytest.raises(InferenceServerException, match="no model 'other'"):
        client.get_inference_statistics("other")
    with pytest.raises(InferenceServerException, match="there is nothing at /v2/trace/setting"):
        client.get_trace_settings()
    assert infer(client, batch) == pytest.approx(expected, abs=1e-6)
