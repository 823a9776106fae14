"""Which torch module belongs to which architecture."""

from thimble.models.architectures.base import BaseArchitecture
from thimble.models.architectures.dcnv2 import DcnV2Architecture
from thimble.models.architectures.deepfm import DeepFmArchitecture
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.architectures.mlp import MlpArchitecture
from thimble.models.architectures.own import OwnArchitecture
from thimble.models.architectures.wide_deep import WideDeepArchitecture
from thimble.models.nn.dcnv2 import DCNv2
from thimble.models.nn.deepfm import DeepFM
from thimble.models.nn.dlrm import DLRM
from thimble.models.nn.mlp import MLPRecommender
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.wide_deep import WideDeep
from thimble.models.spec import ModelSpec

MODULES: dict[type[BaseArchitecture], type[Recommender]] = {
    DlrmArchitecture: DLRM,
    DcnV2Architecture: DCNv2,
    DeepFmArchitecture: DeepFM,
    WideDeepArchitecture: WideDeep,
    MlpArchitecture: MLPRecommender,
}


def recommender(spec: ModelSpec) -> Recommender:
    """The untrained torch module of a spec, whose architecture is one of ours."""
    assert not isinstance(spec.architecture, OwnArchitecture)
    return MODULES[type(spec.architecture)](spec)
