"""What the server counts, as Prometheus metrics.

With several workers each keeps its counts in files that all of them read, so every worker answers for all; for that
`PROMETHEUS_MULTIPROC_DIR` is set before this module is imported (`thimble.service.cli`). The series of a version are
dropped some time after it (`thimble.service.telemetry.series`), so none of its labels is made but by `SERIES`.
"""

import os
import warnings
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values
from prometheus_client.registry import REGISTRY

from thimble.service.telemetry.series import Metric, Series
from thimble.service.telemetry.shared_values import Files, shared_value

FOLDER = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) if "PROMETHEUS_MULTIPROC_DIR" in os.environ else None
_FILES = None if FOLDER is None else Files(FOLDER)
if _FILES is not None:
    values.ValueClass = shared_value(_FILES)  # before there is any metric
    warnings.filterwarnings("ignore", "Removal of labels")  # which prometheus_client's own values do not allow
SERIES = Series(_FILES)

# Seconds. A row takes some hundred microseconds, a full batch some milliseconds, and a timeout is ten seconds.
TIMES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_MODEL = ("model", "version")
STAGE_NAMES = ("compute_input", "compute_infer", "compute_output")  # Triton's


class BulkHistogram(Histogram):
    """A histogram that takes several amounts at a time."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """What `observe` does with each."""
        self._sum.inc(sum(amounts))
        buckets = [bisect_left(self._upper_bounds, amount) for amount in amounts]
        for bucket in {*buckets}:
            self._buckets[bucket].inc(buckets.count(bucket))


REQUESTS = Histogram(
    "thimble_request_seconds", "From a request's headers to its answer, by status", (*_MODEL, "status"), buckets=TIMES
)
QUEUE = BulkHistogram("thimble_queue_seconds", "How long requests waited for the engine", _MODEL, buckets=TIMES)
RUN = Histogram("thimble_batch_seconds", "How long the engine took for a batch", _MODEL, buckets=TIMES)
BATCH = Histogram("thimble_batch_rows", "Rows of a batch", _MODEL, buckets=_ROWS)
STAGES = Counter("thimble_stage_seconds", "Seconds that requests spent in a stage, batch by batch", (*_MODEL, "stage"))
LAST = Gauge("thimble_last_batch_timestamp_seconds", "When a batch was scored last", _MODEL, multiprocess_mode="max")
QUEUED = Gauge("thimble_queued_rows", "Rows that wait for the engine", _MODEL, multiprocess_mode="livesum")
INFO = Gauge(
    "thimble_model_info",
    "A model that is served; `lookup` is what turns its ids into embeddings",
    (*_MODEL, "provider", "lookup", "scheme", "precision"),
    multiprocess_mode="livemax",
)
UNUSABLE = Counter("thimble_unusable_rows", "Rows for which the model failed or gave a score that is no number", _MODEL)
ENGINE_FAILURES = Counter("thimble_engine_failures", "Batches on which the engine raised", _MODEL)
CUT = Counter(
    "thimble_cut_values",
    "Values of a feature that rows had beyond those that its bag has room for",
    (*_MODEL, "feature"),
)
_SHADOW = (*_MODEL, "live")
SHADOW_ROWS = Counter(
    "thimble_shadow_rows",
    "Rows shown to a shadow (`version`) that `live` had scored: scored, not_finite, failed, or dropped as it was busy",
    (*_SHADOW, "outcome"),
)
SHADOW_ABOVE = Counter(
    "thimble_shadow_diverged_rows", "Rows that a shadow scored differently by more than `above`", (*_SHADOW, "above")
)
SHADOW_ABSOLUTE = Counter(
    "thimble_shadow_difference", "Sum of the absolute differences between a shadow's scores and the live ones", _SHADOW
)
SHADOW_SIGNED = Gauge(
    "thimble_shadow_bias", "Sum of a shadow's scores less the live ones", _SHADOW, multiprocess_mode="sum"
)
SHADOW_UP = Gauge("thimble_shadow_up", "Shadow processes that run", _MODEL, multiprocess_mode="livesum")
SHADOW_CRASHES = Counter("thimble_shadow_crashes", "Shadow processes that died", _MODEL)
CHANGES = Counter(
    "thimble_release_changes",
    "Changes of what is served: released, refused (what was served goes on), or rolled_back by the server itself",
    ("model", "outcome"),
)
BACKGROUND_FAILURES = Counter("thimble_background_failures", "Failures of what goes on beside requests", ("task",))
# Of several workers the one that has not looked for the longest time. Without --poll-s there is none.
LAST_LOOK = Gauge(
    "thimble_repository_last_look_timestamp_seconds",
    "When a look at the repository for something new has succeeded last",
    ("repository",),
    multiprocess_mode="livemin",
)
RESIDENT = Gauge(
    "thimble_resident_bytes",
    "Memory that processes which serve hold; what they share is counted for each of them",
    multiprocess_mode="livesum",
)
LOG_LINES_LOST = Counter("thimble_log_lines_lost", "Lines of the log that could not be written")
LOG_LINES_LEFT_OUT = Counter(
    "thimble_log_lines_left_out", "Refusals at the connection that were too many for a line each"
)
WORKER_DEATHS = Counter("thimble_worker_deaths", "Workers that died and were replaced")
LIVE = Gauge("thimble_live_version", "The version that answers", ("model",), multiprocess_mode="livemax")


class BatchTimes(NamedTuple):
    """A batch that was scored, times in seconds.

    `waited` has the requests of which it held the first rows, `queued` is how many rows wait behind it.
    """

    rows: int
    requests: int
    queued: int
    waited: list[float]
    fill: float
    run: float
    give: float


class ModelMetrics:
    """The metrics of one version of a model."""

    def __init__(self, model: str, version: int) -> None:
        self._labels = (model, str(version))
        self._requests: dict[int, Histogram] = {}
        self._queue, self._run, self._batch = self._child(QUEUE), self._child(RUN), self._child(BATCH)
        self.unusable = self._child(UNUSABLE).inc
        self.engine_failed = self._child(ENGINE_FAILURES).inc
        self._last, self._queued = self._child(LAST), self._child(QUEUED)
        self._fill, self._infer, self._give = (self._child(STAGES, stage) for stage in STAGE_NAMES)

    def describe(self, provider: str, lookup: str | None, scheme: str, precision: str) -> None:
        """Say how the model is served."""
        self._info = self._child(INFO, provider, lookup or "none", scheme, precision)
        self._info.set(1)
        SERIES.serve(self._labels, "model")

    def withdraw(self) -> None:
        """Say that it is served no more. What was counted stays for an hour, so that the last of it is seen."""
        self._info.set(0)
        self._queued.set(0)
        SERIES.withdraw(self._labels, "model")

    def request(self, status: int, seconds: float) -> None:
        """A request was answered."""
        if status not in self._requests:
            self._requests[status] = self._child(REQUESTS, str(status))
        self._requests[status].observe(seconds)

    def cut(self, values: Mapping[str, int]) -> None:
        """So many values of features were cut from the bags of a request. It may be called from any thread."""
        for feature, count in values.items():
            self._child(CUT, feature).inc(count)

    def batch(self, times: BatchTimes) -> None:
        """A batch was scored."""
        self._queue.observe_all(times.waited)
        self._run.observe(times.fill + times.run)
        self._batch.observe(times.rows)
        self._fill.inc(times.fill * times.requests)
        self._infer.inc(times.run * times.requests)
        self._give.inc(times.give * times.requests)
        self._last.set_to_current_time()
        self._queued.set(times.queued)

    def _child(self, metric: Metric, *labels: str) -> Metric:
        return SERIES.child(metric, *self._labels, *labels, of=(self._labels,))


class ShadowMetrics:
    """The metrics of a version that is shown requests as a shadow."""

    def __init__(self, model: str, version: int) -> None:
        self._model = model
        self._labels = (model, str(version))

    def begin(self) -> None:
        """Its process runs."""
        self._child(SHADOW_UP).set(1)
        SERIES.serve(self._labels, "shadow")

    def end(self) -> None:
        """Its process runs no more."""
        self._child(SHADOW_UP).set(0)
        SERIES.withdraw(self._labels, "shadow")

    def crash(self) -> None:
        """Its process died."""
        self._child(SHADOW_CRASHES).inc()

    def beside(self, live: int, metric: Metric, *labels: str) -> Metric:
        """What is counted of it where version `live` answered."""
        version = str(live)
        return SERIES.child(metric, *self._labels, version, *labels, of=(self._labels, (self._model, version)))

    def _child(self, metric: Metric) -> Metric:
        return SERIES.child(metric, *self._labels, of=(self._labels,))


def changed(model: str, outcome: str) -> None:
    """What is served of a model has changed, or was to."""
    SERIES.child(CHANGES, model, outcome, of=((model, ""),)).inc()


def answers(model: str, version: int) -> None:
    """This version answers from now on; 0: none does."""
    SERIES.child(LIVE, model, of=((model, ""),)).set(version)


def exposition() -> bytes:
    """All metrics, of all workers, in Prometheus's text format."""
    return generate_latest(all_metrics())


def all_metrics() -> CollectorRegistry:
    """All metrics, of all workers."""
    SERIES.drop_old()
    if FOLDER is None:
        return REGISTRY
    of_all_workers = CollectorRegistry()
    multiprocess.MultiProcessCollector(of_all_workers)  # type: ignore[no-untyped-call]
    return of_all_workers
