"""Which of a model's answers a request asks for, and the scores of these."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from thimble.models.conversions import shown
from thimble.models.hashing import Floats
from thimble.models.spec import ModelSpec
from thimble.service.errors import RequestError

Picked = Sequence[int] | None
"""The places of some answers among those of the model, in the order in which they are asked for; None for all."""


class Outputs:
    """What a model answers."""

    def __init__(self, spec: ModelSpec) -> None:
        self.names = spec.outputs
        self._places = {name: place for place, name in enumerate(spec.outputs)}
        self._several = bool(spec.heads)

    @property
    def listed(self) -> str:
        """Their names in a line."""
        return ", ".join(self.names)

    def picked(self, outputs: Any) -> Picked:
        """Of a list of names. RequestError 400: it is none, or one is none of the model's or there twice."""
        if outputs is None:
            return None
        if not isinstance(outputs, list) or not outputs:
            raise RequestError(400, f"outputs must be a list of some of {self.listed}")
        places = [self.place(name) for name in outputs]
        self.check_different(places)
        return places

    def place(self, name: Any) -> int:
        """Where it is among the answers. RequestError 400: it is none of them."""
        place = self._places.get(name) if isinstance(name, str) else None
        if place is None:
            raise RequestError(400, f"output {shown(name)} is none of the model's: {self.listed}")
        return place

    def check_different(self, places: Sequence[int]) -> None:
        """RequestError 400: one is asked for twice."""
        for nth, place in enumerate(places):
            if place in places[:nth]:
                raise RequestError(400, f"output {self.names[place]} is there twice")

    def columns(self, scores: Floats, picked: Picked) -> dict[str, Floats]:
        """Of scores [rows] or [rows, heads] those that were picked by name, [rows] each."""
        if not self._several:
            return {self.names[0]: scores}
        places = range(len(self.names)) if picked is None else picked
        return {self.names[place]: np.ascontiguousarray(scores[:, place]) for place in places}

    def told(self, scores: Floats, picked: Picked) -> Floats | dict[str, Floats]:
        """As JSON has them: of a model of one answer a list, of several one for each."""
        return self.columns(scores, picked) if self._several else scores
