"""A run's folder: what it refuses, what it keeps, and what its parts promise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from picoseek_training import checkpoint
from picoseek_training.optimization.update import Update
from picoseek_training.parallel.processes import ONE_PROCESS, Processes
from picoseek_training.run.fingerprint import file_digest, fingerprint
from picoseek_training.run.folder import LAST, RECIPE, RunFolder
from picoseek_training.run.prefetch import prefetched


@dataclass(frozen=True)
class Phase:
    steps: int
    rate: float = 1.0


@dataclass(frozen=True)
class Recipe:
    output: Path
    width: int = 8
    phases: tuple[Phase, ...] = (Phase(3),)
    evaluation: tuple[str, ...] = ()


def _begun(folder: Path, recipe: Recipe) -> None:
    run = RunFolder(folder)
    run.open(recipe)
    run.save({"step": 1})


def test_keys_that_differ_are_named_and_others_may(tmp_path: Path) -> None:
    _begun(tmp_path, Recipe(tmp_path))
    RunFolder(tmp_path).open(Recipe(Path("elsewhere"), evaluation=("a", "b")))
    with pytest.raises(ValueError, match=r"width was 8 and is 9; take these back, or name another `output`"):
        RunFolder(tmp_path).open(Recipe(tmp_path, width=9))


def test_a_run_may_be_prolonged_where_its_kind_says_so(tmp_path: Path) -> None:
    _begun(tmp_path, Recipe(tmp_path))
    longer = Recipe(tmp_path, phases=(Phase(5), Phase(2)))
    with pytest.raises(ValueError, match=r"phases\.0\.steps was 3 and is 5; phases\.1\.rate was \(not set\)"):
        RunFolder(tmp_path).open(longer)
    RunFolder(tmp_path).open(longer, may_change=("phases.0.steps",), may_grow=("phases.*",))
    with pytest.raises(ValueError, match=r"phases\.1\.rate was 1\.0 and is \(not set\)"):
        RunFolder(tmp_path).open(Recipe(tmp_path, phases=(Phase(5),)), may_grow=("phases.*",))


def test_a_folder_without_a_checkpoint_takes_any_recipe(tmp_path: Path) -> None:
    RunFolder(tmp_path).open(Recipe(tmp_path))
    RunFolder(tmp_path).open(Recipe(tmp_path, width=9))


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "run", writes=False)
    other.open(Recipe(tmp_path))
    other.log({"step": 1})
    other.save({"step": 1})
    assert not (tmp_path / "run").exists()
    assert other.last() is None and not (tmp_path / "run" / RECIPE).exists()


def test_a_checkpoint_that_is_not_written_to_its_end_leaves_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save({"step": 1}, tmp_path / LAST)

    def full(content: Any, path: str) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(paddle, "save", full)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save({"step": 2}, tmp_path / LAST)
    assert checkpoint.load(tmp_path / LAST) == {"step": 1}


def test_fingerprints_differ_with_each_part_and_not_with_the_order_of_keys(tmp_path: Path) -> None:
    parts: list[Any] = [Recipe(tmp_path), {"a": 1, "b": Path("c")}, [1, "x"]]
    assert fingerprint(*parts) == fingerprint(parts[0], {"b": Path("c"), "a": 1}, parts[2])
    assert fingerprint(*parts) != fingerprint(Recipe(tmp_path, width=9), *parts[1:])
    file = tmp_path / "weights"
    file.write_bytes(b"a")
    first = file_digest(file)
    file.write_bytes(b"b")
    assert file_digest(file) != first


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_batches_come_in_order_whoever_makes_them(ahead: int) -> None:
    assert list(prefetched(lambda step: step * step, 3, 8, ahead)) == [9, 16, 25, 36, 49]
    assert list(itertools.islice(prefetched(lambda step: step, 0, 100, ahead), 3)) == [0, 1, 2]


def test_a_gradient_that_is_not_finite_changes_no_weight() -> None:
    layer = paddle.nn.Linear(2, 1)
    before = layer.weight.numpy().copy()
    parameters = list(layer.parameters())
    optimizer = paddle.optimizer.Momentum(0.1, parameters=parameters)
    loss = (layer(paddle.zeros([1, 2])) * 0.0).sqrt().sum()  # 0, with the slope 0 * infinity
    with pytest.raises(FloatingPointError, match="a gradient is not finite at step 7; lower the learning rate"):
        Update("float32", ONE_PROCESS)(loss, optimizer, parameters, 0.1, lambda: "step 7")
    np.testing.assert_array_equal(layer.weight.numpy(), before)
    assert all(parameter.grad is None or not parameter.grad.numpy().any() for parameter in parameters)


def test_the_parts_of_a_batch_are_disjoint_and_whole() -> None:
    rows = list(range(12))
    assert [row for rank in range(3) for row in rows[Processes(rank, 3).part(4)]] == rows
