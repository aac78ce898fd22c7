"""The fake services as a fixture."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_services import FakeServices, fake_services


@pytest.fixture
async def services() -> AsyncIterator[FakeServices]:
    async with fake_services() as running:
        yield running
