"""Containers are configured by their environment: every setting must be readable from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from picoseek_chassis.settings import ServiceSettings
from picoseek_detect_embed.settings import DetectEmbedSettings
from picoseek_search.settings import SearchSettings

SERVICES: tuple[type[ServiceSettings], ...] = (DetectEmbedSettings, SearchSettings)


def _as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_can_be_given_as_an_environment_variable(
    service: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = str(service.model_config["env_prefix"])
    for name in service.model_fields:
        monkeypatch.delenv(f"{prefix}{name.upper()}", raising=False)
    defaults = service.load()
    for name in service.model_fields:
        value = getattr(defaults, name)
        if value is not None:
            monkeypatch.setenv(f"{prefix}{name.upper()}", _as_text(value))
    assert service.load() == defaults


@pytest.mark.parametrize("value", ["3", "0", "128", "many"])
def test_a_batch_of_no_shape_that_is_warmed_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICOSEEK_DETECT_EMBED_MAX_BATCH", value)
    with pytest.raises(ValueError, match=r"max_batch \(PICOSEEK_DETECT_EMBED_MAX_BATCH\)"):
        DetectEmbedSettings.load()


def test_a_batch_of_a_shape_that_is_warmed_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PICOSEEK_DETECT_EMBED_MAX_BATCH", "8")
    assert DetectEmbedSettings.load().max_batch == 8
    file = tmp_path / "settings.yaml"
    file.write_text("max_batch: 2\n")
    monkeypatch.delenv("PICOSEEK_DETECT_EMBED_MAX_BATCH")
    monkeypatch.setenv("PICOSEEK_CONFIG", str(file))
    assert DetectEmbedSettings.load().max_batch == 2
