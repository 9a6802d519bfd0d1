"""How hypothesis is used here: the same examples every time, nothing kept on disk, no clock to race against."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

steady = settings(
    derandomize=True, database=None, deadline=None, max_examples=100, suppress_health_check=list(HealthCheck)
)
"""Settings for a test, and what holds for all that say nothing else (tests/conftest.py)."""
