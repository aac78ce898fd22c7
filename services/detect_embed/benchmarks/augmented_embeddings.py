"""Real embeddings in any number: augmented views of pictures through the embedder that ships, kept in files.

    python services/detect_embed/benchmarks/augmented_embeddings.py FOLDER... --rows 100000 --out build/embeddings

It writes `base.npy`, views of most of the pictures, and `queries.npy`, one view each of pictures that were held out. A
view is a turned, flipped and scaled part of a picture in other colours. Everything follows from the seed. What is done
is kept in shards, so a run that was ended goes on where it was; `--seconds` ends it in time.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from queue import Empty, SimpleQueue

import cv2
import numpy as np
from numpy.typing import NDArray
from picoseek_bundle import Bundle, Preprocessor, Task, decode_picture, default_bundle, load_bundle
from picoseek_detect_embed.engine.paddle_adapter import PaddleAdapter
from picoseek_detect_embed.engine.spec import EngineSpec, InputTensor

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
BATCH = 16
SHARD = 250
LEAST_AREA = 0.35
MOST_TURN_DEGREES = 25.0
SIDES_PX = (96, 256)


def augmented(picture: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a view of a picture.

    Args:
        picture: [height, width, 3] uint8, BGR.
        random: what it follows from.

    Returns:
        [height, width, 3] uint8, BGR: a part of a third to all of the area, of 96 to 256 px.
    """
    height, width = picture.shape[:2]
    area, aspect = random.uniform(LEAST_AREA, 1.0), math.exp(random.uniform(-0.3, 0.3))
    part_width = min(width, width * math.sqrt(area * aspect))
    part_height = min(height, height * math.sqrt(area / aspect))
    centre = random.uniform((part_width / 2, part_height / 2), (width - part_width / 2, height - part_height / 2))
    side = int(random.integers(*SIDES_PX))
    turn = math.radians(random.uniform(-MOST_TURN_DEGREES, MOST_TURN_DEGREES))
    mirror = random.choice((-1.0, 1.0))
    # From a pixel of the view to one of the picture: to the middle, to the part's size, turned.
    scale = np.diag((mirror * part_width / side, part_height / side))
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = rotation @ scale
    affine = np.column_stack((linear, centre - linear @ (side / 2, side / 2)))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(picture, affine, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    colours = view.astype(np.float32) * random.uniform(0.8, 1.2, 3).astype(np.float32)
    grey = colours.mean(axis=2, keepdims=True)
    colours = grey + np.float32(random.uniform(0.6, 1.4)) * (colours - grey)
    colours = (colours - 127.5) * np.float32(random.uniform(0.75, 1.25)) + np.float32(127.5 + random.uniform(-25, 25))
    return np.asarray(np.clip(colours, 0, 255), np.uint8)


class BareEmbedder:
    """The network of a bundle, in this process."""

    def __init__(self, bundle: Bundle) -> None:
        self._input = bundle.manifest.input_name
        self._prepare = Preprocessor(bundle.manifest.input)
        inputs = (InputTensor(self._input, self._prepare.shape),)
        spec = EngineSpec(str(bundle.program), str(bundle.weights), inputs, (0,), (BATCH,), BATCH)
        self._adapter = PaddleAdapter(spec)

    def embed(self, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return unit vectors, shape (pictures, dimension)."""
        batch = np.stack([self._prepare(picture) for picture in pictures])
        features = self._adapter.run({self._input: batch})[0].reshape(len(pictures), -1)
        return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), np.float32)


def pictures_in(folders: list[Path]) -> list[Path]:
    """Return the pictures anywhere in some folders, in an order that is always the same."""
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)


@dataclass(frozen=True)
class Shard:
    """Views that are embedded in one go and kept in a file."""

    path: Path
    """The file."""
    numbers: range
    """Numbers of the views; pictures take turns."""


class ShardEmbedder:
    """Makes shards; one a process."""

    def __init__(self, paths: list[Path], seed: int) -> None:
        cv2.setNumThreads(1)
        self._paths = paths
        self._seed = seed
        self._embedder = BareEmbedder(load_bundle(default_bundle(Task.EMBEDDING)))

    def make(self, shard: Shard) -> None:
        """Embed the views of a shard and write its file."""
        batches = [shard.numbers[place : place + BATCH] for place in range(0, len(shard.numbers), BATCH)]
        vectors = [self._embedder.embed([self._view(number) for number in batch]) for batch in batches]
        partial = shard.path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.save(file, np.concatenate(vectors))
        partial.replace(shard.path)

    def _view(self, number: int) -> NDArray[np.uint8]:
        picture = decode_picture(self._paths[number % len(self._paths)].read_bytes())
        return augmented(picture, np.random.default_rng((self._seed, number)))


def make_shards(shards: list[Shard], paths: list[Path], seed: int, processes: int, seconds: float) -> bool:
    """Make the shards that are missing, and return whether all are there.

    Args:
        shards: what is wanted.
        paths: the pictures.
        seed: what the views follow from.
        processes: how many work at it.
        seconds: after which no shard is begun.
    """
    queue: SimpleQueue[Shard] = SimpleQueue()
    missing = [shard for shard in shards if not shard.path.exists()]
    for shard in missing:
        queue.put(shard)
    until = time.monotonic() + seconds

    def work() -> None:
        with suppress(Empty), ProcessPoolExecutor(1, get_context("spawn"), _start, (paths, seed)) as process:
            while time.monotonic() < until:
                process.submit(_make, queue.get_nowait()).result()
                sys.stderr.write(f"\r{len(shards) - queue.qsize()} of {len(shards)} shards begun ")

    if missing:
        with ThreadPoolExecutor(processes) as threads:
            for done in [threads.submit(work) for _ in range(processes)]:
                done.result()
    return all(shard.path.exists() for shard in shards)


_own: ShardEmbedder


def _start(paths: list[Path], seed: int) -> None:
    global _own
    _own = ShardEmbedder(paths, seed)


def _make(shard: Shard) -> None:
    _own.make(shard)


def main() -> int:
    """Embed, and return 0 when both files are complete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="where pictures are")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1_000, help="pictures to hold out")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no shard after so many")
    arguments = parser.parse_args()
    paths = pictures_in(arguments.folders)
    if len(paths) <= arguments.queries:
        parser.error(f"{len(paths)} pictures are too few to hold {arguments.queries} out")
    order = np.random.default_rng(arguments.seed).permutation(len(paths))
    shuffled = [paths[place] for place in order]
    space = load_bundle(default_bundle(Task.EMBEDDING)).space.removeprefix("sha256:")[:16]
    parts = {
        "queries": (shuffled[: arguments.queries], arguments.queries),
        "base": (shuffled[arguments.queries :], arguments.rows),
    }
    begun = time.monotonic()
    for seed, (name, (part, rows)) in enumerate(parts.items(), start=arguments.seed):
        # Vectors of another embedder, seed or choice of pictures are other vectors.
        folder = arguments.out / f"{name}-{space}-{len(paths)}-{arguments.queries}-{arguments.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        shards = [
            Shard(folder / f"{first:09}-{min(rows, first + SHARD):09}.npy", range(first, min(rows, first + SHARD)))
            for first in range(0, rows, SHARD)
        ]
        if not make_shards(shards, part, seed, arguments.processes, arguments.seconds - (time.monotonic() - begun)):
            return 1
        np.save(arguments.out / f"{name}.npy", np.concatenate([np.load(shard.path) for shard in shards]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
