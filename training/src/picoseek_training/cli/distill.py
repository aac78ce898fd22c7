"""`picoseek-train distill`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from picoseek_training.cli.options import config_option, set_option, tensorboard_option

teacher_option = click.option(
    "--teacher",
    required=True,
    metavar="FILE|average|peer",
    help="A checkpoint or .pdparams of the recipe's own network, an ONNX file, a Paddle inference program or its "
    "folder (embedder), `average` for the run's own average (with the usual `ema` if the recipe has none), or "
    "`peer` for a second student (embedder, `method: recognition`).",
)


@click.group()
def distill() -> None:
    """Train a recipe with a teacher: `distillation` of the recipe, with `--teacher` in place of its teacher.

    Where the recipe does not say what is compared, usual comparisons are made.
    """


@distill.command()
@config_option
@teacher_option
@set_option
@tensorboard_option
def embedder(config_path: Path, teacher: str, overrides: tuple[str, ...], tensorboard: bool) -> None:
    """Train an embedder's recipe of either method."""
    from picoseek_training.cli.embedder import train_embedder

    train_embedder(config_path, [*_distillation(config_path, teacher, _of_embedder), *overrides], tensorboard)


@distill.command()
@config_option
@teacher_option
@set_option
@tensorboard_option
def detector(config_path: Path, teacher: str, overrides: tuple[str, ...], tensorboard: bool) -> None:
    """Train a detector's recipe."""
    from picoseek_training.cli.detector import train_detector

    train_detector(config_path, [*_distillation(config_path, teacher, _of_detector), *overrides], tensorboard)


_Choice = tuple[dict[str, Any], list[dict[str, Any]]]


def _of_embedder(teacher: str) -> _Choice:
    """The teacher's configuration, and what is compared with it by default."""
    if teacher == "peer":
        return {"kind": "peer"}, [{"layer": "logits", "kind": "dml"}]
    if teacher == "average":
        return {"kind": "average"}, [{"layer": "logits", "kind": "kl"}]
    if Path(teacher).is_dir():
        from picoseek_training.paddle_import.program import find_program

        teacher = str(find_program(Path(teacher))[0])
    if Path(teacher).suffix in (".onnx", ".json", ".pdmodel"):
        outputs = {"features": 0}
        return {"kind": "file", "file": teacher, "outputs": outputs}, [{"layer": "features", "kind": "structure"}]
    return {"kind": "network", "weights": teacher}, [
        {"layer": "logits", "kind": "kl"},
        {"layer": "features", "kind": "structure"},
    ]


def _of_detector(teacher: str) -> _Choice:
    chosen = {"kind": "average"} if teacher == "average" else {"kind": "network", "weights": teacher}
    if teacher == "peer" or Path(teacher).is_dir() or Path(teacher).suffix in (".onnx", ".json", ".pdmodel"):
        raise click.BadParameter(
            "a detector learns from a checkpoint, `.pdparams` or `average`", param_hint="--teacher"
        )
    return chosen, [{"kind": "ld", "weight": 0.25}, {"kind": "scores"}, {"kind": "cwd", "weight": 5.0}]


def _distillation(config_path: Path, teacher: str, choose: Callable[[str], _Choice]) -> Sequence[str]:
    """Changes to a recipe that give it the teacher."""
    chosen, compared = choose(teacher)
    try:
        document = yaml.safe_load(config_path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{config_path} is no YAML: {error}") from error
    own = document if isinstance(document, dict) else {}
    changes = [f"distillation.teacher={json.dumps(chosen)}"]
    if teacher == "average" and own.get("method") == "recognition" and own.get("ema") is None:
        # The other kinds of recipes always have an average.
        changes.append("ema={}")
    if not (own.get("distillation") or {}).get("compare"):
        changes.append(f"distillation.compare={json.dumps(compared)}")
    return changes
