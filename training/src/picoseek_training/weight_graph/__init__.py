"""What files of trained networks have in common: a graph of operators and the constants among its tensors."""
