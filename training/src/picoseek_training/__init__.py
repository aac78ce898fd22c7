"""Networks, losses, data, distillation, training and export of PicoSeek models."""
