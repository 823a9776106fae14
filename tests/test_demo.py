"""The demo model that is committed: what `make run` serves."""

import numpy as np

from testing.data import CRITEO_LINES, DEMO, needs
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.metrics.ranking import auc
from thimble.export.scoring.evaluate import evaluate_artifact, read_spec
from thimble.models.presets import CRITEO_TB_ROWS, preset
from thimble.service.engine.artifact import read_artifact
from thimble.service.engine.engine import Engine


def test_everything_fits_in_ten_million_bytes() -> None:
    spec, shape = read_spec(DEMO), preset("demo")
    assert DEMO.stat().st_size <= 10_000_000
    assert list(DEMO.parent.iterdir()) == [DEMO]
    assert [field.rows for field in spec.fields] == CRITEO_TB_ROWS
    assert spec.full_table_bytes == 187_767_399 * 128 * 4
    assert spec.architecture == shape.architecture


def test_its_precision_costs_next_to_nothing() -> None:
    cost = read_spec(DEMO).precision_cost
    assert cost is not None and cost.rows == 1_000_000
    assert cost.auc is not None and abs(cost.auc) <= 0.0002


def test_it_ranks_clicks_that_it_never_saw() -> None:
    spec = read_spec(DEMO)
    assert spec.metrics is not None and spec.metrics.auc is not None
    engine = Engine(read_artifact(DEMO, 1 << 28), "auto", 1)
    (clicks,) = GeneratedClicks(spec, 0, 0).read(5_000_000, 5_020_000, 20_000)
    found = auc(clicks.labels, engine.score(clicks.batch))
    assert found is not None and found.interval is not None
    assert found.interval[0] < spec.metrics.auc < found.interval[1]


@needs(CRITEO_LINES)
def test_real_lines_get_sensible_scores() -> None:
    spec = read_spec(DEMO)
    scores = evaluate_artifact(DEMO, FileClicks([CRITEO_LINES], spec)).scores
    assert len(scores) == 600 and np.isfinite(scores).all()
    assert 0 < scores.min() < scores.max() < 1 and scores.std() > 0.01
