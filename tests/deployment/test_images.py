"""The image files install what they say, and the result serves.

No container engine is needed: the build stage's own commands run in a copy of the build context, with the install
prefix moved.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import waiting
import yaml
from picoseek_chassis.health_probe import probe

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "deploy" / "images"
PREFIX = "/opt/picoseek"


@dataclass(frozen=True)
class Stage:
    """The build stage of an image file."""

    arguments: dict[str, str]
    """Defaults of its build arguments."""
    copies: tuple[str, ...]
    """Folders that it takes from the context, under the same names."""
    commands: tuple[str, ...]
    """Shell commands in order."""


def _instructions(image: str) -> list[tuple[str, str]]:
    text = (IMAGES / f"{image}.Dockerfile").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    words = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(name, value.strip()) for name, value in words]


def _build_stage(image: str) -> Stage:
    arguments, copies, commands, stage = {}, [], [], 0
    for name, value in _instructions(image):
        if name == "FROM":
            stage += 1
        elif stage == 1 and name == "ARG":
            key, _, default = value.partition("=")
            arguments[key] = default
        elif stage == 1 and name == "COPY":
            source, target = value.split()
            assert source == target
            copies.append(source)
        elif stage == 1 and name == "RUN":
            commands.append(value)
    return Stage(arguments, tuple(copies), tuple(commands))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("image", "executable", "absent"),
    [
        ("detect-embed", "picoseek-detect-embed", "faiss"),
        ("search", "picoseek-search", "paddle"),
    ],
)
def test_the_build_commands_make_a_service_that_serves(
    image: str, executable: str, absent: str, tmp_path: Path
) -> None:
    stage = _build_stage(image)
    context, prefix = tmp_path / "src", tmp_path / "prefix"
    for folder in stage.copies:
        shutil.copytree(ROOT / folder, context / folder, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    environment = {**os.environ, **stage.arguments, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    for command in stage.commands:
        done = subprocess.run(
            ["/bin/sh", "-ec", command.replace(PREFIX, str(prefix))],
            cwd=context,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    missing = subprocess.run([prefix / "bin" / "python", "-c", f"import {absent}"], capture_output=True)
    assert missing.returncode != 0, f"the {image} image must not hold {absent}"

    port = waiting.free_port()
    variable = executable.upper().replace("-", "_")
    environment |= {f"{variable}_PORT": str(port), f"{variable}_DATA_DIR": str(tmp_path / "data")}
    with subprocess.Popen([prefix / "bin" / executable], env=environment, cwd=tmp_path) as service:
        try:
            address = f"127.0.0.1:{port}"
            waiting.until(lambda: service.poll() is not None or probe(address, "", 2.0) is None, within_s=120)
            assert service.poll() is None, "the service ended at once"
        finally:
            service.terminate()
        assert service.wait(timeout=60) == 0


@pytest.mark.parametrize("image", ["detect-embed", "search"])
def test_images_run_without_root_and_probe_their_health(image: str) -> None:
    instructions = dict(_instructions(image))
    assert instructions["USER"] == "10001:10001"
    assert "picoseek_chassis.health_probe" in instructions["HEALTHCHECK"]


def test_compose_builds_both_images_and_keeps_the_data() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    services = compose["services"]
    assert {(ROOT / "deploy" / services[name]["build"]["context"]).resolve() for name in services} == {ROOT}
    assert all((ROOT / services[name]["build"]["dockerfile"]).is_file() for name in services)
    assert services["search"]["volumes"] == ["search-data:/data"] and "search-data" in compose["volumes"]
    assert all(port.startswith("127.0.0.1:") for name in services for port in services[name]["ports"])
