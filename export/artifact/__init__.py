"""A trained model to one `.onnx` file, proven."""
