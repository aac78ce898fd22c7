"""`python -m picoseek.cli`."""

from picoseek.cli import main

main(prog_name="picoseek")
