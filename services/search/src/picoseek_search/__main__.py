"""The executable `picoseek-search`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# A search uses one core and many run at once; BLAS reads this when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from picoseek_chassis.server import run
from picoseek_chassis.settings import SettingsError

from picoseek_search.allocator import return_freed_memory
from picoseek_search.application import make_application
from picoseek_search.settings import SearchSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="picoseek-search",
        description="PicoSeek's search service: vectors and documents in, matches out.",
        epilog="Every setting may be given as an environment variable PICOSEEK_SEARCH_<NAME>; flags win.",
    )
    parser.add_argument("--data-dir", type=Path, help="directory of the collections")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0: any free one")
    given = parser.parse_args(arguments)
    try:
        settings = SearchSettings.load(data_dir=given.data_dir, host=given.host, port=given.port)
    except SettingsError as error:
        print(f"picoseek-search: {error}", file=sys.stderr)
        return 2
    return_freed_memory()
    return run(settings, make_application(settings))


if __name__ == "__main__":
    sys.exit(main())
