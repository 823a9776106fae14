"""Offline: clicks to a trained DLRM to one .onnx file.

`publish` and `module_spec` are for torch modules of somebody's own.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thimble.export.artifact.own_module import module_spec
    from thimble.export.artifact.own_module import publish_module as publish

# ONNX Runtime's wheels for Linux report to their makers, unless this is said before they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["module_spec", "publish"]


def __getattr__(name: str) -> Any:
    """What the command line does without takes seconds to import, so that waits until somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from thimble.export.artifact import own_module

    return {"module_spec": own_module.module_spec, "publish": own_module.publish_module}[name]
