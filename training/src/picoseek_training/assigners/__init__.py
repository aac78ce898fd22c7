"""Assignment of ground-truth boxes to the cells of a dense detector; numpy, outside the gradient."""
