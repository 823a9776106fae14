"""The page of an evaluation: how good an artifact's scores of click files are."""

from collections.abc import Iterator, Mapping

from thimble.export.metrics.curves import Curves
from thimble.export.report import tables
from thimble.export.report.charts import curve_charts
from thimble.export.report.numbers import count
from thimble.export.report.page import Page, headlines
from thimble.models.spec import Metrics, ModelSpec

SAME_ROWS = "All models scored the same files. Intervals are 95 % intervals."


def evaluation_page(spec: ModelSpec, clicks: str, models: Mapping[str, Metrics], curves: Curves) -> Page:
    """`models` are the metrics of artifacts by their paths on these clicks, first those of the one that it is about.

    `spec` and `curves` are that one's.
    """
    path, metrics = next(iter(models.items()))
    return Page(
        title=f"{spec.name} on {clicks}",
        standing=f"{path} scored {count(metrics.rows)} rows, {metrics.base_rate:.2%} of them clicked.",
        headlines=headlines(metrics),
        charts=curve_charts(curves),
        tables=[tables.compared(models, SAME_ROWS), *tables.fields(spec)],
        facts=list(artifact_facts(spec)),
    )


def artifact_facts(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """What a model is and where its weights come from."""
    embedding = spec.embedding
    yield "features", f"{len(spec.dense)} dense, {len(spec.fields)} fields"
    if spec.dense:
        yield "numbers", str(spec.dense_transform)
    if spec.fields:
        yield "embedding", f"{embedding.scheme} version {embedding.version}, dimension {spec.embedding_dim}"
    yield "MLPs", f"{spec.architecture}, {spec.precision}"
    if spec.provenance:
        provenance = spec.provenance
        rows = f"{count(provenance.rows_trained)} rows, batch {provenance.batch_size}, seed {provenance.seed}"
        yield "trained on", f"{provenance.source}: {rows}"
        yield "written by", provenance.tool
