"""The page of an evaluation: how good an artifact's scores of click files are."""

from collections.abc import Iterator, Mapping

from thimble.export.metrics.curves import Curves
from thimble.export.report import answers, tables
from thimble.export.report.charts import curve_charts
from thimble.export.report.numbers import count
from thimble.export.report.page import Page
from thimble.models.spec import Metrics, ModelSpec

SAME_FILES = "All models scored the same files. Intervals are 95 % intervals."
OTHER_ROWS = " Not all of them scored the same rows: each leaves out those that are bad for the features it has."


def evaluation_page(
    spec: ModelSpec, clicks: str, models: Mapping[str, Metrics], curves: Curves, negatives_kept: float = 1
) -> Page:
    """`models` are the metrics of artifacts by their paths on these clicks, first those of the one that it is about.

    `spec` and `curves` are that one's. The clicks hold the share `negatives_kept` of the negatives, and what is said of
    them is true of the full log, except for numbers of rows.
    """
    path, metrics = next(iter(models.items()))
    clicked = f"{metrics.base_rate:.2%} of them {'with ' + spec.outputs[0] if spec.heads else 'clicked'}"
    facts = list(artifact_facts(spec))
    if negatives_kept < 1:
        clicked = f"base rate {metrics.base_rate:.2%} of the full log"
        facts.insert(0, ("negatives kept in these rows", f"{negatives_kept:g}, which the figures make up for"))
    differing = len({other.rows for other in models.values()}) > 1
    return Page(
        title=f"{spec.name} on {clicks}",
        standing=f"{path} scored {count(metrics.rows)} rows, {clicked}.",
        headlines=answers.headlines_of(spec, metrics),
        charts=curve_charts(curves, negatives_kept),
        tables=[
            *answers.compared(spec, models, SAME_FILES + (OTHER_ROWS if differing else "")),
            *tables.fields(spec),
        ],
        facts=facts,
    )


def artifact_facts(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """What a model is and where its weights come from."""
    embedding = spec.embedding
    yield "features", f"{len(spec.dense)} dense, {len(spec.fields)} fields"
    if spec.dense:
        yield "numbers", str(spec.dense_transform)
    if spec.fields:
        yield "embedding", f"{embedding.scheme} version {embedding.version}, dimension {spec.embedding_dim}"
    if spec.heads:
        yield "answers", ", ".join(map(str, spec.heads))
    yield "architecture", spec.architecture.kind
    yield "MLPs", f"{spec.architecture}, {spec.precision}"
    if spec.provenance:
        provenance = spec.provenance
        rows = f"{count(provenance.rows_trained)} rows, batch {provenance.batch_size}, seed {provenance.seed}"
        yield "trained on", f"{provenance.source}: {rows}"
        yield "written by", provenance.tool
