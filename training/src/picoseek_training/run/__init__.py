"""What every training run needs: its folder, batches made ahead, and the optimiser's step."""
