"""The session that every rival runs: the demo model on one thread without spinning, with the native lookup if built.

Needs nothing but onnxruntime, so that it can be imported from each rival's own environment.
"""

from pathlib import Path
from typing import Any

import onnxruntime

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "artifacts" / "demo" / "1" / "model.onnx"
LIBRARY = ROOT / "ops" / "libthimble_ops.so"


def open_session() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if LIBRARY.is_file():
        options.register_custom_ops_library(str(LIBRARY))
    return onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
