"""What reads the requests for a model, made once for each that is served."""

from typing import NamedTuple
from weakref import WeakKeyDictionary

from thimble.service.releases.loader import Model
from thimble.service.wire.inference import InferenceReader
from thimble.service.wire.rows import RowReader


class Codecs(NamedTuple):
    """The readers of a model's requests in both protocols."""

    rows: RowReader
    inferences: InferenceReader


class CodecCache:
    """The codecs of models, for as long as these are there."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._codecs: WeakKeyDictionary[Model, Codecs] = WeakKeyDictionary()

    def of(self, model: Model) -> Codecs:
        """Those of a model."""
        codecs = self._codecs.get(model)
        if codecs is None:
            rows = RowReader(model.spec, self._max_rows)
            codecs = self._codecs[model] = Codecs(rows, InferenceReader(model.spec, rows))
        return codecs
