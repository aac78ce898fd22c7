"""Paddle in an engine process: what it says on import."""

from __future__ import annotations

import os
import subprocess
import sys

IMPORT_WITHIN_S = 120.0


def test_paddle_gives_no_advice_on_threads() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from picoseek_detect_embed.engine import paddle_adapter; print(paddle_adapter.inference)",
        ],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=IMPORT_WITHIN_S,
    )
    assert done.returncode == 0 and "paddle.inference" in done.stdout
    assert "OMP_NUM_THREADS" not in done.stderr
