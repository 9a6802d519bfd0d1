"""The browsers in which pages are tried, and the mark that runs a test in each of them."""

from __future__ import annotations

import pytest

from tests.live import chromium, firefox

CHROMIUM = pytest.param(
    chromium.chromium,
    id="chromium",
    marks=pytest.mark.skipif(chromium.PROGRAM is None, reason="no Chromium on this machine"),
)
FIREFOX = pytest.param(
    firefox.firefox,
    id="firefox",
    marks=pytest.mark.skipif(firefox.PROGRAM is None, reason="no Firefox on this machine"),
)
EACH = pytest.mark.parametrize("browser", [CHROMIUM, FIREFOX])
"""Runs a test once in each; it takes a ``browser``, a `tests.live.browser.Browser`."""
