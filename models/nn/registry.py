"""Which torch module belongs to which architecture."""

from thimble.models.architectures.base import BaseArchitecture
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.nn.dlrm import DLRM
from thimble.models.nn.recommender import Recommender
from thimble.models.spec import ModelSpec

MODULES: dict[type[BaseArchitecture], type[Recommender]] = {DlrmArchitecture: DLRM}


def recommender(spec: ModelSpec) -> Recommender:
    """The untrained torch module of a spec."""
    return MODULES[type(spec.architecture)](spec)
