"""Offline: clicks to a trained DLRM to one .onnx file."""

import os

# ONNX Runtime's wheels for Linux report to their makers, unless this is said before they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
