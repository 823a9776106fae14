"""The hash lookup as a native ONNX Runtime op: its sources, how it is built, and where its library is found."""
