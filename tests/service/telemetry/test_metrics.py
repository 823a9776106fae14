from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from testing.servers import running
from thimble.ops.library import LIBRARY
from thimble.service.telemetry.metrics import BulkHistogram


def samples(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of /metrics, by name and labels."""
    response = httpx.get(f"{url}/metrics")
    assert response.status_code == 200 and response.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_what_is_scored_and_refused_is_counted(small_artifact: Path) -> None:
    with running(small_artifact) as server:
        for rows in (1, 3, 100):
            assert httpx.post(f"{server.url}/v1/score", json={"features": {"d0": [1] * rows}}).status_code == 200
        assert httpx.post(f"{server.url}/v1/score", content=b"{").status_code == 400
        found = samples(server.url)
    small = (("model", "small"), ("version", "1"))

    def value(name: str, *labels: tuple[str, str]) -> float:
        return found[name, tuple(sorted((*small, *labels)))]

    assert value("thimble_request_seconds_count", ("status", "200")) == 3
    assert value("thimble_request_seconds_count", ("status", "400")) == 1
    assert value("thimble_batch_rows_sum") == 104
    assert value("thimble_batch_rows_count") == 4  # 1, 3, 64 and 36
    assert value("thimble_batch_rows_bucket", ("le", "4.0")) == 2
    assert value("thimble_queue_seconds_count") == 3
    assert value("thimble_batch_seconds_sum") > 0
    assert value("thimble_queued_rows") == 0


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 1e9]), max_size=40))
def test_amounts_are_counted_together_as_one_by_one(amounts: list[float]) -> None:
    alike = [CollectorRegistry(), CollectorRegistry()]
    together, alone = (BulkHistogram("h", "h", buckets=(1, 2), registry=registry) for registry in alike)
    together.observe_all(amounts)
    for amount in amounts:
        alone.observe(amount)
    counted, expected = ([s for s in m.samples if not s.name.endswith("_created")] for r in alike for m in r.collect())
    assert counted == expected


@pytest.mark.parametrize("library", [None, "absent.so"])
def test_they_say_how_a_model_is_served(small_artifact: Path, library: str | None) -> None:
    arguments = ["--ops-library", library] if library else []
    with running(small_artifact, *arguments) as server:
        ((_, labels),) = [key for key in samples(server.url) if key[0] == "thimble_model_info"]
    lookup = "native" if library is None and LIBRARY.is_file() else "function"
    assert {"provider": "CPUExecutionProvider", "lookup": lookup, "scheme": "block"}.items() <= dict(labels).items()
