"""Points at which a test can have the process killed, as a power cut would: without a word and without clean-up.

``SESSIOND_FAILPOINT=commit.before:3`` has the third pass of that point send SIGKILL to the own process.
``SESSIOND_FAILPOINT_TRACE=FILE`` appends a line with its name for every pass, so that a test can count them.
Both are read once, at import; with neither set a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class _Armed:
    name: str
    nth: int
    trace: str
    passed: Counter[str] = field(default_factory=Counter)


def _read(env: Mapping[str, str]) -> _Armed | None:
    wanted, trace = env.get("SESSIOND_FAILPOINT", ""), env.get("SESSIOND_FAILPOINT_TRACE", "")
    if not wanted and not trace:
        return None
    name, _, nth = wanted.rpartition(":")
    if wanted and not (name and nth.isdecimal() and int(nth) > 0):
        raise ValueError(f"SESSIOND_FAILPOINT must be NAME:N with N from 1, got {wanted!r}")
    return _Armed(name=name, nth=int(nth or 0), trace=trace)


_ARMED = _read(os.environ)


def hit(name: str) -> None:
    """Pass the point ``name``; does not return from the pass that the environment names."""
    if _ARMED is None:
        return
    _ARMED.passed[name] += 1
    if _ARMED.trace:
        trace = os.open(_ARMED.trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(trace, f"{name}\n".encode())
        finally:
            os.close(trace)
    if name == _ARMED.name and _ARMED.passed[name] == _ARMED.nth:
        os.kill(os.getpid(), signal.SIGKILL)
