"""ONNX files as graphs of weighted layers."""
