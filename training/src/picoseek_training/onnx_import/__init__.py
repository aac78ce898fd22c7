"""Import of official weights that exist only as ONNX files."""
