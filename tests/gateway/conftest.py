"""The gateway is aiohttp, so its tests run on asyncio only."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of these tests."""
    return "asyncio"
