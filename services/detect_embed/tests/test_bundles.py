"""Which models a service serves."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from picoseek_bundle import BundleError, Task, default_bundle
from picoseek_detect_embed.application import load_bundles
from picoseek_detect_embed.settings import DetectEmbedSettings


def _served(*folders: Path) -> list[Path]:
    return [bundle.folder for bundle in load_bundles(DetectEmbedSettings(bundles=folders))]


@pytest.mark.parametrize(("given", "filled"), [(Task.EMBEDDING, Task.DETECTION), (Task.DETECTION, Task.EMBEDDING)])
def test_what_ships_fills_in_for_the_task_that_no_given_bundle_does(tmp_path: Path, given: Task, filled: Task) -> None:
    own = tmp_path / "own"
    shutil.copytree(default_bundle(given), own)
    assert _served(own) == [own, default_bundle(filled)]


def test_nothing_is_added_to_bundles_for_both_tasks(tmp_path: Path) -> None:
    folders = [tmp_path / task.value for task in (Task.EMBEDDING, Task.DETECTION)]
    for folder, task in zip(folders, (Task.EMBEDDING, Task.DETECTION), strict=True):
        shutil.copytree(default_bundle(task), folder)
    assert _served(*folders) == folders
    assert _served() == [default_bundle(Task.DETECTION), default_bundle(Task.EMBEDDING)]


def test_a_damaged_bundle_is_refused_and_not_replaced(tmp_path: Path) -> None:
    shutil.copytree(default_bundle(Task.EMBEDDING), tmp_path / "own")
    (tmp_path / "own" / "inference.pdiparams").write_bytes(b"")
    with pytest.raises(BundleError, match="copy the bundle again"):
        _served(tmp_path / "own")
