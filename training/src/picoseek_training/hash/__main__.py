"""Build the bundle of the default embedder's hash codes; `picoseek models build hash` runs this."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m picoseek_training.hash", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle; a bundle there is replaced")
    options = parser.parse_args(arguments)

    # Paddle speaks while it is imported, and of nothing that a user could change.
    os.environ.setdefault("GLOG_minloglevel", "2")
    for message in ("No ccache found", "When training, we now always track", "Tensor do not have 'place' interface"):
        warnings.filterwarnings("ignore", message=message)
    from picoseek_bundle import BundleError

    from picoseek_training.hash.shipped import build_shipped

    try:
        bundle = build_shipped(options.out)
    except (BundleError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{bundle.folder}: {bundle.manifest.name} {bundle.manifest.version}, space {bundle.space}")
    print(f"`picoseek serve --bundle {bundle.folder}` serves it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
