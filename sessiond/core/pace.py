"""How long to wait: back-off after a failure, and the cadence of polling. Functions of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

_FIRST_S = 1.0
_LONGEST_S = 300.0
_SPREAD = 0.2
LONGEST_BACKOFF_S = _LONGEST_S * (1 + _SPREAD)
"""No back-off is longer: one that seems to be was armed before the clock was set back."""
_CHANGE_IS_FRESH_S = 60.0
_LONG_WAIT_S = 600.0


def jittered(seconds: float, key: str, spread: float = 0.1) -> float:
    """``seconds`` moved by up to ``spread`` of itself either way, always the same for the same ``key``.

    The key stands in for chance so that this stays a function: sessions differ, so their clocks spread all the same.
    """
    return seconds * (1 + spread * (crc32(key.encode()) / 0x7FFFFFFF - 1))


def backoff_s(retries: int, key: str) -> float:
    """Seconds to wait before retry number ``retries`` (from 1): doubling from one second to five minutes."""
    return jittered(min(_FIRST_S * 2.0 ** min(retries - 1, 30), _LONGEST_S), f"{key}.{retries}", _SPREAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class PollPolicy:
    """A cluster's cadence in seconds: never faster than ``floor_s``; ``busy_s`` while something is about to happen,
    ``waiting_s`` while jobs wait, ``long_waiting_s`` once they have waited for ten minutes, ``steady_s`` while
    everything runs."""

    floor_s: float = 5.0
    busy_s: float = 5.0
    waiting_s: float = 15.0
    long_waiting_s: float = 45.0
    steady_s: float = 60.0


LOCAL_PACE = PollPolicy(floor_s=0.1, busy_s=0.25, waiting_s=1.0, long_waiting_s=5.0, steady_s=3.0)
"""For this machine: a look costs a shell and some reads of /proc, and there is no scheduler to be polite to."""


def poll_every_s(policy: PollPolicy, *, changed_s_ago: float, waiting_s: float | None, took_s: float) -> float:
    """Seconds from one look at a cluster to the next.

    ``changed_s_ago`` is the time since any of its sessions changed state, ``waiting_s`` how long the most recent
    waiter has waited (None when nobody waits for a node, a start, an answer or an end), ``took_s`` how long the last
    look took: a cluster that answers slowly is asked ten times more slowly still.
    """
    if waiting_s is None:
        wished = policy.steady_s
    elif changed_s_ago < _CHANGE_IS_FRESH_S:
        wished = policy.busy_s
    elif waiting_s < _LONG_WAIT_S:
        wished = policy.waiting_s
    else:
        wished = policy.long_waiting_s
    return max(wished, policy.floor_s, 10 * took_s)
