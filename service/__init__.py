"""Online: .onnx files to scores over HTTP. Never imports torch."""

import os

# ONNX Runtime's wheels for Linux report to their makers, unless this is said before they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
