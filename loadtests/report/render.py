"""A comparison as a page that needs nothing else, and as Markdown."""

import json
from pathlib import Path
from typing import NamedTuple

import jinja2

from thimble.loadtests.report import charts, tables, words
from thimble.loadtests.results.comparison import Comparison
from thimble.loadtests.results.files import replace

_HERE = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=jinja2.select_autoescape(["html"]),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES = {".html": "report.html", ".md": "report.md"}


class Paths(NamedTuple):
    html: Path
    markdown: Path


def render(found: Comparison, results: Path) -> Paths:
    """Write the report beside the results."""
    view = {
        "title": " and ".join(f"{name}: {label}" for name, label in tables.letters(found).items()) or "a comparison",
        "ids": words.ids(found),
        "partial": found.reason,
        "headlines": words.headlines(found),
        "not_won": words.not_won(found),
        "caveats": words.caveats(found),
        "tables": tables.tables(found),
        "machine": list(tables.machine(found)),
        "results": results.name,
    }
    paths = Paths(*(results.with_suffix(suffix) for suffix in TEMPLATES))
    replace(paths.markdown, _HERE.get_template(TEMPLATES[".md"]).render(view))
    page = _HERE.get_template(TEMPLATES[".html"])
    replace(paths.html, page.render(view, charts=charts.charts(found), raw=_raw(found)))
    return paths


def _raw(found: Comparison) -> str:
    """Everything but the histograms, which only the results file has."""
    steps = {"steps": {"__all__": {"histogram"}}}
    return json.dumps(found.model_dump(mode="json", exclude={"rounds": {"__all__": {"A": steps, "B": steps}}}))
