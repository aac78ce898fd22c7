"""`python -m picoseek_training.cli` is `picoseek-train`."""

from picoseek_training.cli import main

main()
