"""Runs every recording of a folder: `python -m golden FOLDER`, from `tests/`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from golden import (
    assigners,
    detectors,
    head_losses,
    losses,
    preprocessing,
    recognition_networks,
    results,
    training_steps,
)
from golden.comparison import Comparison
from golden.golden_file import GoldenFile, NotCovered, read

Covers = Callable[[GoldenFile], bool]
Check = Callable[[GoldenFile, Comparison], None]
CHECKS: tuple[tuple[Covers, Check], ...] = (
    (recognition_networks.covers, recognition_networks.check),
    (detectors.covers, detectors.check),
    (losses.covers, losses.check),
    (assigners.covers, assigners.check),
    (head_losses.covers, head_losses.check),
    (preprocessing.covers, preprocessing.check),
    (results.covers_retrieval, results.check_retrieval),
    (results.covers_suppression, results.check_suppression),
    (training_steps.covers, training_steps.check),
)


def verdict(path: Path) -> tuple[str, str]:
    """Return passed, failed or not covered, and why."""
    comparison = Comparison()
    try:
        file = read(path)
        check = next((check for covers, check in CHECKS if covers(file)), None)
        if check is None:
            return "not covered", "no check recognises its content"
        check(file, comparison)
        comparison.finish()
    except NotCovered as reason:
        if not comparison.failures:
            return "not covered", str(reason)
    except Exception as error:  # a file that breaks the product is a finding, and the others still count
        comparison.failures.append(f"{type(error).__name__}: {error}")
    if comparison.failures:
        more = len(comparison.failures) - 1
        return "FAILED", comparison.failures[0] + (f" (and {more} more)" if more else "")
    return "passed", f"{comparison.compared} comparisons"


def main(arguments: list[str]) -> int:
    """Run the folder; return 1 when a file failed, 2 when there is nothing to run."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m golden FOLDER", file=sys.stderr)
        return 2
    counts = {"passed": 0, "FAILED": 0, "not covered": 0}
    for path in sorted(Path(arguments[0]).rglob("*.npz")):
        result, reason = verdict(path)
        counts[result] += 1
        print(f"{path.name}: {result} ({reason})", flush=True)
    print("golden: {passed} passed, {FAILED} failed, {not covered} not covered".format(**counts))
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
