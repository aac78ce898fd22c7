"""Settings that every service has. They come from the environment and, below it, from a YAML file."""

from __future__ import annotations

import os
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from picoseek_chassis.address import Address


class SettingsError(ValueError):
    """A setting is wrong; the message names it and says where it may be set."""


class ServiceSettings(BaseSettings):
    """Settings of a service process. Each may be set as an environment variable with the service's prefix."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    config_file_variable: ClassVar[str] = "PICOSEEK_CONFIG"
    """Environment variable that names the YAML file."""

    host: str = "127.0.0.1"
    """Address to listen on. Loopback by default: the services have no authentication yet."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port to listen on; 0: any free one, written to the log."""
    max_message_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 30)] = 64 << 20
    """Longest gRPC message in bytes, both ways."""
    drain_grace_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """Seconds that calls under way have after a stop was asked for."""
    max_connection_age_s: Annotated[float, Field(ge=0)] = 0.0
    """Connections are closed politely after this time, so that clients find new replicas; 0: never."""
    reflection: bool = True
    """Serve gRPC reflection."""
    channelz: bool = False
    """Serve channelz, which shows connections and calls to anybody who may connect."""
    metrics_address: str = ""
    """HOST:PORT where metrics are served to Prometheus, over HTTP and to anybody who may connect; empty: nowhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""
    log_format: Literal["text", "json"] = "text"
    """Lines for people, or a JSON object a line."""

    @field_validator("metrics_address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return str(Address.parse(value)) if value else ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, and that over the file."""
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if path := os.environ.get(cls.config_file_variable):
            if not os.path.isfile(path):
                raise SettingsError(f"{cls.config_file_variable} names {path!r}, which is no file")
            sources.append(YamlConfigSettingsSource(settings_cls, yaml_file=path))
        return tuple(sources)

    @classmethod
    def load(cls, **arguments: object) -> Self:
        """Read the settings; arguments that are None count as not given.

        Raises:
            SettingsError: a value is wrong; the message names every such setting.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            return cls(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            prefix = cls.model_config.get("env_prefix", "")
            lines = [
                f"{'.'.join(str(part) for part in item['loc'])} ({prefix}{str(item['loc'][0]).upper()}): {item['msg']}"
                if item["loc"]
                else item["msg"]
                for item in error.errors()
            ]
            raise SettingsError("; ".join(lines)) from error

    def describe(self) -> str:
        """Return the effective settings as one line of name=value."""
        return " ".join(f"{name}={value}" for name, value in self.model_dump(mode="json").items())

    @classmethod
    def strange_variables(cls) -> dict[str, str]:
        """Return the environment variables with the service's prefix that are none of its settings.

        Returns:
            By name, the variable that may be meant; empty: none is like it.
        """
        prefix = cls.model_config.get("env_prefix", "")
        known = [name.upper() for name in cls.model_fields]
        # Clients find the service by its address, often with the same environment.
        strange = {
            name: name.upper().removeprefix(prefix)
            for name in sorted(os.environ)
            if name.upper().startswith(prefix) and name.upper() != f"{prefix}ADDRESS"
        }
        return {
            name: next((f"{prefix}{near}" for near in get_close_matches(bare, known, n=1)), "")
            for name, bare in strange.items()
            if bare not in known
        }

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
