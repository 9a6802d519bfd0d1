"""Waiting for what nobody announces."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable


def until(condition: Callable[[], bool], what: str, limit_s: float = 20.0, every_s: float = 0.02) -> None:
    """Look every ``every_s`` seconds until ``condition`` holds; AssertionError with ``what`` after ``limit_s``."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"waited {limit_s:g} s in vain: {what}"
        time.sleep(every_s)


def gone(pid: int, limit_s: float = 10.0) -> None:
    """Wait for the end of a process that need not be a child. Raises AssertionError when it lives on."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([end], [], [], limit_s)[0], f"process {pid} lives on"
    finally:
        os.close(end)
