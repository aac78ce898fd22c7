"""PicoSeek's search service beside other engines: one machine, one run, by turns, clients included.

    python clients/python/benchmarks/peers/compare.py --peers-python .venv-bench-peers/bin/python \
        --vectors base.npy --queries queries.npy --metric l2 --folder build/peers/sift

Each engine has one core, its callers the other. All make the same kind of graph, and each searches with the fewest
candidates that reach a recall of .95. The engines take turns, so that all meet the same neighbours on the machine;
figures are medians over the turns. `--steps` and `--engines` do a part: what is loaded stays in the folder, and so do
figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np
from drive import ENGINES
from engine import Metric

RECALL = 0.95
K = 10
CALLERS = (16, 1)
OURS = "picoseek"
STEPS = ("load", "ef", "turns")
# Short enough that all engines meet the same neighbours, long enough for some hundred searches of each.
TURN_S = 2.0


class DrivenEngine:
    """An engine in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self._process = process
        self._name = name

    def __call__(self, do: str, **what: object) -> dict[str, Any]:
        """Give a command and wait for the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} failed")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Comparison:
    """Engines on one set of vectors, and what is known of them."""

    def __init__(self, vectors: Path, queries: Path, metric: Metric, folder: Path, peers_python: Path) -> None:
        """Take what an earlier run has left in the folder; the nearest vectors are found if they are not there."""
        self._vectors, self._queries, self._metric = vectors, queries, metric
        self._folder = folder
        self._peers_python = peers_python
        self._results = folder / "results.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.known: dict[str, dict[str, Any]] = json.loads(self._results.read_text()) if self._results.exists() else {}
        self._truth = folder / "truth.npy"
        if not self._truth.exists():
            base, asked = (np.load(path).astype(np.float32) for path in (vectors, queries))
            way = faiss.METRIC_L2 if metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT
            np.save(self._truth, faiss.knn(asked, base, K, metric=way)[1])

    def _keep(self, name: str, **what: object) -> None:
        self.known.setdefault(name, {}).update(what)
        self._results.write_text(json.dumps(self.known))

    @contextmanager
    def _driven(self, name: str) -> Iterator[DrivenEngine]:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        cores = sorted(os.sched_getaffinity(0))
        python = sys.executable if name.startswith(OURS) else str(self._peers_python)
        arguments = [
            *(python, str(Path(__file__).with_name("drive.py")), name),
            *("--folder", str(folder), "--metric", self._metric.value, "--truth", str(self._truth)),
            *("--vectors", str(self._vectors), "--queries", str(self._queries)),
            *("--engine-core", str(cores[-1]), "--caller-core", str(cores[0])),
        ]
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            yield DrivenEngine(process, name)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def load(self, names: list[str]) -> None:
        """Write and index the vectors in each engine, one after the other; what was there is removed."""
        for name in names:
            shutil.rmtree(self._folder / name, ignore_errors=True)
            with self._driven(name) as engine:
                self._keep(name, **engine("load"))
            _say(f"{name}: loaded in {self.known[name]['load_s']:.0f} s")

    def find_ef(self, names: list[str]) -> None:
        """Find with how many candidates each engine reaches the recall."""
        for name in names:
            with self._driven(name) as engine:
                self._keep(name, **engine("smallest", recall=RECALL))
            _say(f"{name}: {self.known[name]['recalls']}")

    def take_turns(self, names: list[str], turns: int) -> None:
        """Measure all engines by turns, and add the turns to those that are known."""
        with ExitStack() as stack:
            engines = {name: stack.enter_context(self._driven(name)) for name in names}
            pace = {
                (name, callers): engine("measure", ef=self.known[name]["ef"], callers=callers, count=200, first=0)
                for name, engine in engines.items()
                for callers in CALLERS
            }
            for turn in range(turns):
                for callers in CALLERS:
                    for name, engine in engines.items():
                        warm = pace[name, callers]
                        count = max(100, round(TURN_S * warm["count"] / warm["seconds"]))
                        measured = engine(
                            "measure", ef=self.known[name]["ef"], callers=callers, count=count, first=137 * turn
                        )
                        kept = self.known[name].get(f"turns_{callers}", [])
                        self._keep(name, **{f"turns_{callers}": [*kept, measured]})
                _say(f"turn {turn + 1} of {turns}")
            for name, engine in engines.items():
                self._keep(name, **engine("describe"))

    def table(self) -> str:
        """Return what is known as a table in Markdown."""
        names = [name for name in ENGINES if "turns_1" in self.known.get(name, {})]
        lines = [
            "| engine | searches in | `ef` | recall@10 | 16 callers: q/s | p50 ms | p99 ms | 1 caller: q/s | p50 ms "
            "| p99 ms | µs a query: server | client | load and build, s | memory, MiB | PicoSeek's q/s: 16 | 1 |",
            "|" + "---|" * 16,
        ]
        for name in names:
            known = self.known[name]
            many, one = known["turns_16"], known["turns_1"]
            cells = [
                name,
                known["place"],
                str(known["ef"]),
                f"{median(turn['recall'] for turn in many):.3f}",
                *(cell for turns in (many, one) for cell in _speed(turns)),
                *(f"{_cpu_us(many, side):.0f}" for side in ("server_cpu_s", "client_cpu_s")),
                f"{known['load_s']:.0f}",
                f"{known['memory_bytes'] / 2**20:.0f}",
                *(f"{self.times(name, callers):.2f}" for callers in CALLERS),
            ]
            lines.append("| " + " | ".join(cells) + " |")
        versions = [f"* {name}: {self.known[name]['version']}; {self.known[name]['callers']}" for name in names]
        return "\n".join([*lines, "", *versions]) + "\n"

    def times(self, name: str, callers: int) -> float:
        """Return how many times as many searches a second PicoSeek makes: the median over the turns."""
        both = zip(self.known[OURS][f"turns_{callers}"], self.known[name][f"turns_{callers}"], strict=False)
        return median(_pace(ours) / _pace(theirs) for ours, theirs in both)


def _pace(turn: dict[str, Any]) -> float:
    return float(turn["count"] / turn["seconds"])


def _speed(turns: list[dict[str, Any]]) -> list[str]:
    took = np.concatenate([turn["took_ms"] for turn in turns])
    return [f"{median(map(_pace, turns)):.0f}", f"{np.median(took):.2f}", f"{np.quantile(took, 0.99):.2f}"]


def _cpu_us(turns: list[dict[str, Any]], side: str) -> float:
    return float(1e6 * sum(turn[side] for turn in turns) / sum(turn["count"] for turn in turns))


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True, help="NPY file, (rows, dimension)")
    parser.add_argument("--queries", type=Path, required=True, help="NPY file, (queries, dimension)")
    parser.add_argument("--metric", type=Metric, default=Metric.INNER_PRODUCT, help="l2, or inner_product")
    parser.add_argument("--folder", type=Path, required=True, help="for the engines' files and the figures")
    parser.add_argument("--peers-python", type=Path, required=True, help="interpreter that has the other engines")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("engines and callers need a core each")
    names, steps = arguments.engines.split(","), arguments.steps.split(",")
    if unknown := set(names) - set(ENGINES) or set(steps) - set(STEPS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    comparison = Comparison(
        arguments.vectors.absolute(),
        arguments.queries.absolute(),
        arguments.metric,
        arguments.folder.absolute(),
        arguments.peers_python.absolute(),
    )
    if "load" in steps:
        comparison.load(names)
    if "ef" in steps:
        comparison.find_ef(names)
    if "turns" in steps:
        comparison.take_turns(names, arguments.turns)
        sys.stdout.write(comparison.table())


if __name__ == "__main__":
    main()
