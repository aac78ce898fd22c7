"""Build a bundle of EfficientNet-Lite0; `picoseek models build efficientnet-lite0` runs this."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m picoseek_training.general_bundle", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle; a bundle there is replaced")
    parser.add_argument("--labels", type=Path, help="a folder a class, or a CSV file `path,label`, to adapt to")
    options = parser.parse_args(arguments)

    # Paddle speaks while it is imported, and of nothing that a user could change.
    os.environ.setdefault("GLOG_minloglevel", "2")
    for message in ("No ccache found", "When training, we now always track"):
        warnings.filterwarnings("ignore", message=message)
    from picoseek_bundle import BundleError

    from picoseek_training.data.labelled_files import LabelsError
    from picoseek_training.general_bundle.build import build_adapted, build_plain
    from picoseek_training.general_bundle.errors import BuildError

    try:
        if options.labels is None:
            bundle = build_plain(options.out)
        else:
            bundle = build_adapted(options.out, options.labels, _say)
    except (BuildError, BundleError, LabelsError, OSError) as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on where it was")
        return 130
    manifest = bundle.manifest
    print(f"{bundle.folder}: {manifest.name} {manifest.version}, space {bundle.space}")
    print(f"`picoseek serve --bundle {bundle.folder}` serves it")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
