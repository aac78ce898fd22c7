"""A model that cannot run ends the service at its start, which says which one and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import waiting
from picoseek_bundle import Bundle, Task, default_bundle, load_bundle, write_bundle
from picoseek_chassis.health_probe import probe

ENDS_WITHIN_S = 120.0
PROGRAM, WEIGHTS = "inference.json", "inference.pdiparams"

pytestmark = pytest.mark.slow


def _changed_bundle(folder: Path, change: Callable[[Path], None], **fields: Any) -> Bundle:
    """Write the shipped embedder with changed files; their checksums are right."""
    shipped = load_bundle(default_bundle(Task.EMBEDDING))
    sources = folder / "sources"
    sources.mkdir()
    for name in (PROGRAM, WEIGHTS):
        (sources / name).write_bytes((shipped.folder / name).read_bytes())
    change(sources)
    manifest = shipped.manifest.model_dump(exclude={"files"}) | {"name": "broken"} | fields
    return write_bundle(folder / "bundle", {name: sources / name for name in (PROGRAM, WEIGHTS)}, **manifest)


def _truncate_weights(sources: Path) -> None:
    content = (sources / WEIGHTS).read_bytes()
    (sources / WEIGHTS).write_bytes(content[: len(content) // 2])


def _break_program(sources: Path) -> None:
    (sources / PROGRAM).write_text("no program")


def _nothing(sources: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "fields", "why"),
    [
        (_truncate_weights, {}, "Cannot read tensor"),
        (_break_program, {}, "parse error"),
        (_nothing, {"input_name": "picture"}, "its manifest names picture"),
    ],
)
def test_a_bundle_that_cannot_run_ends_the_service(
    start_service: Any, tmp_path: Path, change: Callable[[Path], None], fields: dict[str, Any], why: str
) -> None:
    bundle = _changed_bundle(tmp_path, change, **fields)
    service = start_service(bundle.folder)
    health: list[str | None] = []

    def ended() -> bool:
        if service.process.poll() is None:
            health.append(probe(service.address, "", 1.0))
        return service.process.poll() is not None

    waiting.until(ended, within_s=ENDS_WITHIN_S)
    assert service.process.returncode == 1
    assert None not in health, "it never served"
    assert any("NOT_SERVING" in str(problem) for problem in health), "it said so while it tried"
    last = service.log.read_text().splitlines()[-1]
    assert f"bundle {bundle.folder}: the engine of model broken cannot be started: " in last
    assert why in last


def test_a_good_model_beside_a_broken_one_does_not_hide_it(start_service: Any, tmp_path: Path) -> None:
    broken = _changed_bundle(tmp_path, _truncate_weights)
    service = start_service(default_bundle(Task.EMBEDDING), broken.folder)
    assert service.process.wait(ENDS_WITHIN_S) == 1
    assert f"bundle {broken.folder}" in service.log.read_text().splitlines()[-1]
