"""Fixtures of the services' tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The clients of these tests are aiohttp's, which needs asyncio."""
    return "asyncio"
