"""The formats in which a network can leave; bundles are written by picoseek_bundle."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from paddle import nn
from picoseek_bundle import check_bundle_folder
from picoseek_bundle.manifest import MANIFEST_NAME

from picoseek_training.export.old_format import State, write_old_program
from picoseek_training.export.onnx_file import write_onnx
from picoseek_training.export.program import PROGRAM, STEM, WEIGHTS, NetworkInput, write_program
from picoseek_training.export.stored_weights import Precision

ONNX_NAME = "model.onnx"


class Format(StrEnum):
    """What to write."""

    BUNDLE = "bundle"
    """Paddle's inference files with a manifest, for `picoseek serve --bundle`."""
    PADDLE = "paddle"
    """`inference.json` and `inference.pdiparams` of Paddle 3."""
    PDMODEL = "pdmodel"
    """`inference.pdmodel` and `inference.pdiparams` of earlier ones."""
    ONNX = "onnx"
    """`model.onnx`."""


_FILES = {
    Format.PADDLE: (PROGRAM, WEIGHTS),
    Format.PDMODEL: (f"{STEM}.pdmodel", WEIGHTS),
    Format.ONNX: (ONNX_NAME,),
}


def check_folder(folder: Path, target: Format) -> None:
    """Make sure that a network can be written to a folder: it is new, empty or holds the same format alone.

    Files of two exports in one folder would pass for one model.

    Raises:
        ValueError: Something else is there.
    """
    if target is Format.BUNDLE:
        check_bundle_folder(folder)
        return
    names = {file.name for file in folder.iterdir() if not file.name.startswith(".")} if folder.is_dir() else set()
    others = sorted(names - set(_FILES[target]))
    if others:
        what = "a bundle" if MANIFEST_NAME in others else f"{others[0]}, which is no part of the format {target}"
        raise ValueError(f"{folder} holds {what}; give another folder with --out, or remove this one")


@dataclass(frozen=True)
class Deployable:
    """A trained network, ready to be written."""

    make: Callable[[], nn.Layer]
    """Builds it; importable from another process, such as `functools.partial(create, "picodet_s")`."""
    state: State
    """Its weights."""
    inputs: Sequence[NetworkInput]
    outputs: Sequence[str]
    """Names for its outputs in ONNX."""

    def build(self) -> nn.Layer:
        """Make it with its weights."""
        network = self.make()
        state: Any = dict(self.state)
        network.set_state_dict(state)
        network.eval()
        return network


def write_format(network: Deployable, target: Format, folder: Path, precision: Precision) -> list[Path]:
    """Write a network's files, whole or not at all.

    Args:
        network: What to write.
        target: Any format but a bundle.
        folder: Where; see `check_folder`. Files of an earlier export are replaced.
        precision: How the weights are stored.

    Returns:
        The files.

    Raises:
        ValueError: The network cannot be written in this format, or something else is in the folder.
    """
    check_folder(folder, target)
    # On the file system of the folder, which is made only when there is something to put into it.
    there = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=there))
    try:
        if target is Format.PDMODEL:
            files = list(write_old_program(network.make, network.state, network.inputs, scratch, precision))
        else:
            files = list(write_program(network.build(), network.inputs, scratch, precision))
            if target is Format.ONNX:
                write_onnx(files[0], files[1], network.outputs, scratch / ONNX_NAME)
                files = [scratch / ONNX_NAME]
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            os.replace(file, folder / file.name)
        return [folder / file.name for file in files]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
