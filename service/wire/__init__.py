"""Bytes to rows, scores to bytes: JSON, tab-separated lines, the Open Inference Protocol, compression."""
