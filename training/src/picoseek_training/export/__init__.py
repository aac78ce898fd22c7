"""Networks as files for inference: Paddle's two formats and ONNX, in float32 or with smaller weights."""
