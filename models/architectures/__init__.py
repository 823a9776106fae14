"""The architectures, a file each, and what stands in the place of one where a model is a module of somebody's own.

A new one is a subclass of `BaseArchitecture` in a file of its own, named in `_Architecture` below, and its torch module
in a file of `thimble.models.nn`, named in `thimble.models.nn.registry`. Nothing else names them: the command line, the
trainer, the exporter and its proof ask them, and a server takes whatever graph a file has.
"""

from typing import Annotated, get_args

from pydantic import Field

from thimble.models.architectures.base import AskedSizes
from thimble.models.architectures.dcnv2 import DcnV2Architecture
from thimble.models.architectures.deepfm import DeepFmArchitecture
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.architectures.mlp import MlpArchitecture
from thimble.models.architectures.own import OwnArchitecture
from thimble.models.architectures.wide_deep import WideDeepArchitecture

_Architecture = DlrmArchitecture | DcnV2Architecture | DeepFmArchitecture | WideDeepArchitecture | MlpArchitecture
Architecture = Annotated[_Architecture | OwnArchitecture, Field(discriminator="kind")]

ARCHITECTURES: dict[str, type[_Architecture]] = {
    name: kind for kind in get_args(_Architecture) for name in get_args(kind.model_fields["kind"].annotation)
}
"""Those that we know, by their kind."""


def architecture_for(kind: str, asked: AskedSizes) -> _Architecture:
    """One of these sizes. ValueError: no such architecture, or not of these sizes."""
    if kind not in ARCHITECTURES:
        raise ValueError(f"no architecture {kind!r}; there are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[kind].create(asked)
