"""Scores batches: verifies artifacts, runs them in ONNX Runtime, and queues requests before it."""
