"""`picoseek models build efficientnet-lite0`: an embedder from public weights, adapted to labels if there are any."""
