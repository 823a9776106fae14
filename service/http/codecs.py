"""What reads the requests for a model, made once for each."""

from typing import NamedTuple
from weakref import WeakKeyDictionary

from thimble.service.engine.room import rows_within
from thimble.service.releases.loader import Model
from thimble.service.wire.inference import InferenceReader
from thimble.service.wire.rows import RowReader


class Codecs(NamedTuple):
    """The readers of both protocols."""

    rows: RowReader
    inferences: InferenceReader


class CodecCache:
    """The codecs of the models that are served, for as long as these are. For the event loop's thread."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        """`max_rows` is how many one request may have, and `max_bytes` what the ids of their bags may weigh."""
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._known: WeakKeyDictionary[Model, Codecs] = WeakKeyDictionary()

    def of(self, model: Model) -> Codecs:
        codecs = self._known.get(model)
        if codecs is None:
            max_rows = rows_within(model.spec, self._max_rows, self._max_bytes)
            rows = RowReader(model.spec, max_rows, model.metrics.cut)
            codecs = self._known[model] = Codecs(rows, InferenceReader(model.spec, rows))
        return codecs
