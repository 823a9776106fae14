"""What the server counted of a model, in the form of Triton's statistics."""

from collections import defaultdict
from typing import Any

from thimble.service.telemetry.metrics import STAGE_NAMES, all_metrics


def statistics(model: str, version: int) -> dict[str, Any]:
    """A model's numbers as Triton's statistics extension has them."""
    sums: dict[str, float] = defaultdict(float)
    for sample in (sample for metric in all_metrics().collect() for sample in metric.samples):
        labels = sample.labels
        if (labels.get("model"), labels.get("version")) == (model, str(version)):
            outcome = "" if "status" not in labels else "_ok" if labels["status"] == "200" else "_refused"
            sums[sample.name + outcome + labels.get("stage", "")] += sample.value
    served = sums["thimble_queue_seconds_count"]
    return {
        "name": model,
        "version": str(version),
        "last_inference": int(sums["thimble_last_batch_timestamp_seconds"] * 1e3),
        "inference_count": int(sums["thimble_batch_rows_sum"]),
        "execution_count": int(sums["thimble_batch_rows_count"]),
        "inference_stats": {
            "success": _duration(sums["thimble_request_seconds_count_ok"], sums["thimble_request_seconds_sum_ok"]),
            "fail": _duration(
                sums["thimble_request_seconds_count_refused"], sums["thimble_request_seconds_sum_refused"]
            ),
            "queue": _duration(served, sums["thimble_queue_seconds_sum"]),
            **{stage: _duration(served, sums[f"thimble_stage_seconds_total{stage}"]) for stage in STAGE_NAMES},
            "cache_hit": _duration(0, 0),
            "cache_miss": _duration(0, 0),
        },
        "batch_stats": [],
    }


def _duration(count: float, seconds: float) -> dict[str, int]:
    return {"count": int(count), "ns": int(seconds * 1e9)}
