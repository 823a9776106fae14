"""What the server counted of a model, in the form of Triton's statistics."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from prometheus_client.metrics_core import Metric

from thimble.service.telemetry.metrics import all_metrics


def statistics(model: str, version: int) -> dict[str, Any]:
    """A model's numbers as Triton's statistics extension has them."""
    sums: dict[str, float] = defaultdict(float)
    for sample in _samples(model, str(version)):
        outcome = "" if "status" not in sample.labels else "_ok" if sample.labels["status"] == "200" else "_refused"
        sums[sample.name + outcome + sample.labels.get("stage", "")] += sample.value
    served = int(sums["thimble_queue_seconds_count"])
    compute = {
        stage: _duration(served, sums[f"thimble_stage_seconds_total{stage}"])
        for stage in ("compute_input", "compute_infer", "compute_output")
    }
    return {
        "name": model,
        "version": str(version),
        "last_inference": int(sums["thimble_last_batch_timestamp_seconds"] * 1e3),
        "inference_count": int(sums["thimble_batch_rows_sum"]),
        "execution_count": int(sums["thimble_batch_rows_count"]),
        "inference_stats": {
            "success": _duration(int(sums["thimble_request_seconds_count_ok"]), sums["thimble_request_seconds_sum_ok"]),
            "fail": _duration(
                int(sums["thimble_request_seconds_count_refused"]), sums["thimble_request_seconds_sum_refused"]
            ),
            "queue": _duration(served, sums["thimble_queue_seconds_sum"]),
            **compute,
            "cache_hit": _duration(0, 0),
            "cache_miss": _duration(0, 0),
        },
        "batch_stats": [],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": int(seconds * 1e9)}


def _samples(model: str, version: str) -> Iterator[Any]:
    metrics: Iterator[Metric] = iter(all_metrics().collect())
    for metric in metrics:
        for sample in metric.samples:
            if (sample.labels.get("model"), sample.labels.get("version")) == (model, version):
                yield sample
