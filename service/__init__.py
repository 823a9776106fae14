"""Online: .onnx files to scores over HTTP. Never imports torch."""
