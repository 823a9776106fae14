"""Offline: clicks to a trained DLRM to one .onnx file."""
