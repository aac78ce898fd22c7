"""The executable `picoseek-detect-embed`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from picoseek_bundle import BundleError
from picoseek_chassis.server import run
from picoseek_chassis.settings import SettingsError

from picoseek_detect_embed.application import load_bundles, make_application
from picoseek_detect_embed.settings import DetectEmbedSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="picoseek-detect-embed",
        description="PicoSeek's detect_embed service: pictures in, crops and embeddings out.",
        epilog="Every setting may be given as an environment variable PICOSEEK_DETECT_EMBED_<NAME>; flags win.",
    )
    parser.add_argument(
        "--bundle",
        type=Path,
        action="append",
        dest="bundles",
        help="folder of a model bundle; may be given again; a task without any gets the one that ships with PicoSeek",
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0: any free one")
    given = parser.parse_args(arguments)
    try:
        settings = DetectEmbedSettings.load(
            bundles=None if given.bundles is None else tuple(given.bundles), host=given.host, port=given.port
        )
        return run(settings, make_application(settings, load_bundles(settings)))
    except (SettingsError, BundleError) as error:
        print(f"picoseek-detect-embed: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
