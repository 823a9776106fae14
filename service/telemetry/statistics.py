"""What the server counted of a model, in the form of Triton's statistics."""

from collections import defaultdict
from typing import Any

from prometheus_client.metrics_core import Metric
from pydantic import BaseModel

from thimble.service.telemetry.metrics import all_metrics


class Duration(BaseModel):
    count: int
    ns: int


class InferenceStatistics(BaseModel):
    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStatistics(BaseModel):
    """`inference_count` counts rows, `execution_count` batches, and the `inference_stats` requests."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferenceStatistics
    batch_stats: list[Any]


def statistics(model: str, version: int) -> ModelStatistics:
    """A model's numbers as Triton's statistics extension has them."""
    sums: dict[str, float] = defaultdict(float)
    metrics: list[Metric] = list(all_metrics().collect())
    for sample in (sample for metric in metrics for sample in metric.samples):
        labels = sample.labels
        if (labels.get("model"), labels.get("version")) == (model, str(version)):
            outcome = "" if "status" not in labels else "_ok" if labels["status"] == "200" else "_refused"
            stage = f"_{labels['stage']}" if "stage" in labels else ""
            sums[sample.name + outcome + stage] += sample.value

    def duration(count: str, seconds: str) -> Duration:
        return Duration(count=int(sums[count]), ns=int(sums[seconds] * 1e9))

    return ModelStatistics(
        name=model,
        version=str(version),
        last_inference=int(sums["thimble_last_batch_timestamp_seconds"] * 1e3),
        inference_count=int(sums["thimble_batch_rows_sum"]),
        execution_count=int(sums["thimble_batch_rows_count"]),
        inference_stats=InferenceStatistics(
            success=duration("thimble_request_seconds_count_ok", "thimble_request_seconds_sum_ok"),
            fail=duration("thimble_request_seconds_count_refused", "thimble_request_seconds_sum_refused"),
            queue=duration("thimble_queue_seconds_count", "thimble_queue_seconds_sum"),
            compute_input=duration("thimble_queue_seconds_count", "thimble_stage_seconds_total_compute_input"),
            compute_infer=duration("thimble_queue_seconds_count", "thimble_stage_seconds_total_compute_infer"),
            compute_output=duration("thimble_queue_seconds_count", "thimble_stage_seconds_total_compute_output"),
            cache_hit=Duration(count=0, ns=0),
            cache_miss=Duration(count=0, ns=0),
        ),
        batch_stats=[],
    )
