"""Where settings come from, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest
from picoseek_chassis.settings import ServiceSettings, SettingsError
from pydantic_settings import SettingsConfigDict


class ExampleSettings(ServiceSettings):
    """Settings as a service derives them."""

    model_config = SettingsConfigDict(env_prefix="PICOSEEK_EXAMPLE_")


def test_arguments_win_over_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("port: 1001\nhost: '::1'\nlog_level: debug\n")
    monkeypatch.setenv("PICOSEEK_CONFIG", str(file))
    monkeypatch.setenv("PICOSEEK_EXAMPLE_PORT", "1002")
    settings = ExampleSettings.load(log_level="error", host=None)
    assert (settings.host, settings.port, settings.log_level) == ("::1", 1002, "error")


@pytest.mark.parametrize(
    ("variable", "value", "word"),
    [("PORT", "70000", "port"), ("LOG_LEVEL", "loud", "log_level"), ("DRAIN_GRACE_S", "soon", "drain_grace_s")],
)
def test_a_wrong_value_names_the_setting_and_its_variable(
    variable: str, value: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PICOSEEK_EXAMPLE_{variable}", value)
    with pytest.raises(SettingsError) as caught:
        ExampleSettings.load()
    assert word in str(caught.value) and f"PICOSEEK_EXAMPLE_{variable}" in str(caught.value)


def test_variables_that_are_no_settings_are_told_with_what_may_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORTS", "LOG_LEVEL", "WHATEVER_ELSE_THERE_IS", "ADDRESS"):
        monkeypatch.setenv(f"PICOSEEK_EXAMPLE_{name}", "info")
    assert ExampleSettings.strange_variables() == {
        "PICOSEEK_EXAMPLE_PORTS": "PICOSEEK_EXAMPLE_PORT",
        "PICOSEEK_EXAMPLE_WHATEVER_ELSE_THERE_IS": "",
    }


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("prot: 1001\n")
    monkeypatch.setenv("PICOSEEK_CONFIG", str(file))
    with pytest.raises(SettingsError, match="prot"):
        ExampleSettings.load()


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICOSEEK_CONFIG", "/nowhere/settings.yaml")
    with pytest.raises(SettingsError, match=r"/nowhere/settings\.yaml"):
        ExampleSettings.load()


def test_every_setting_is_described() -> None:
    missing = [name for name, field in ServiceSettings.model_fields.items() if not field.description]
    assert not missing
