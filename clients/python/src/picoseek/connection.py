"""Where the services are and how they are called."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import grpc.aio

DETECT_EMBED_PORT = 7071
"""Port of the detect_embed service that `picoseek serve` starts."""
SEARCH_PORT = 7072
"""Port of the search service that `picoseek serve` starts."""
DETECT_EMBED_VARIABLE = "PICOSEEK_DETECT_EMBED_ADDRESS"
"""Environment variable with the address of detect_embed."""
SEARCH_VARIABLE = "PICOSEEK_SEARCH_ADDRESS"
"""Environment variable with the address of search."""


def _detect_embed_address() -> str:
    return os.environ.get(DETECT_EMBED_VARIABLE) or f"127.0.0.1:{DETECT_EMBED_PORT}"


def _search_address() -> str:
    return os.environ.get(SEARCH_VARIABLE) or f"127.0.0.1:{SEARCH_PORT}"


@dataclass(frozen=True)
class RetryConfig:
    """When a call is sent again.

    Only calls that may be repeated are: reads, and writes with a request id, which the service applies once. They are
    repeated when the service cannot be reached or names a delay (RetryInfo), never beyond the deadline.
    """

    max_attempts: int = 5
    """Attempts in all; 1: never again."""
    initial_backoff_s: float = 0.1
    """Pause before the second attempt where the service names none, in seconds; it doubles each time."""
    max_backoff_s: float = 2.0
    """Longest such pause, in seconds."""


@dataclass(frozen=True)
class KeepAliveConfig:
    """How a dead connection is noticed."""

    interval_s: float = 30.0
    """Ping after so many seconds without traffic. The services allow 10 and more."""
    timeout_s: float = 10.0
    """The connection counts as dead when a ping is not answered in this time, in seconds."""


@dataclass(frozen=True)
class ConnectionConfig:
    """Addresses, deadlines, retries, limits."""

    detect_embed: str = field(default_factory=_detect_embed_address)
    """host:port of detect_embed; by default of PICOSEEK_DETECT_EMBED_ADDRESS, else 127.0.0.1:7071."""
    search: str = field(default_factory=_search_address)
    """host:port of search; by default of PICOSEEK_SEARCH_ADDRESS, else 127.0.0.1:7072."""
    timeout_s: float = 30.0
    """Deadline of a call that names none, in seconds, its retries included."""
    retry: RetryConfig = field(default_factory=RetryConfig)
    """When a call is sent again."""
    keep_alive: KeepAliveConfig = field(default_factory=KeepAliveConfig)
    """How a dead connection is noticed."""
    stream_searches: bool = True
    """Searches of one query share a stream, which costs half of what calls cost. False: each is a call of its own,
    which balancers can share out."""
    max_message_bytes: int = 64 << 20
    """Longest message in bytes, both ways; the services' default is the same."""


def open_channel(address: str, config: ConnectionConfig) -> grpc.aio.Channel:
    """Return a channel to an address; it connects at the first call and again when the connection breaks."""
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.max_send_message_length", config.max_message_bytes),
            ("grpc.max_receive_message_length", config.max_message_bytes),
            ("grpc.keepalive_time_ms", round(config.keep_alive.interval_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(config.keep_alive.timeout_s * 1000)),
            # The first reconnection waits a second by default, longer than a service needs to come back.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 5000),
            # Addresses with several servers behind them (a headless service) share the calls out.
            ("grpc.lb_policy_name", "round_robin"),
            ("grpc.enable_http_proxy", 0),
        ],
    )
