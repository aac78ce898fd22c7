"""A service as a child process: what is kept of its output."""

from __future__ import annotations

import sys

from picoseek.serving.service_process import ServiceCommand, ServiceProcess


async def test_long_lines_are_shown_whole_and_kept_short_for_the_last_words() -> None:
    shown: list[str] = []
    program = "print('settings: ' + 'x' * 1000); print('the port is taken'); raise SystemExit(3)"
    process = await ServiceProcess.start(
        ServiceCommand("search", "127.0.0.1:1", [sys.executable, "-c", program]), shown.append
    )
    try:
        assert await process.wait() == 3
    finally:
        await process.stop(5.0)
    assert [len(line) for line in shown] == [1010, 17]
    settings, cause = process.last_lines.splitlines()
    assert settings.startswith("settings: xxx") and settings.endswith(" ...") and len(settings) < 310
    assert cause == "the port is taken"
