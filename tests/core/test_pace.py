"""Back-off and the cadence of looks: bounds, growth, politeness."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.pace import LOCAL_PACE, PollPolicy, backoff_s, jittered, poll_every_s
from tests.core.steady import steady

POLICY = PollPolicy()
SECONDS = st.floats(0, 1e7)


@steady
@given(SECONDS, st.text(max_size=20), st.floats(0, 0.9))
def test_jitter_keeps_its_bounds_and_its_word(seconds: float, key: str, spread: float) -> None:
    """Within the spread either way, and the same for the same key."""
    moved = jittered(seconds, key, spread)
    assert seconds * (1 - spread) * 0.999 <= moved <= seconds * (1 + spread) * 1.001
    assert moved == jittered(seconds, key, spread)


def test_jitter_spreads_sessions() -> None:
    """A hundred keys fill the range rather than one end of it."""
    moved = sorted(jittered(100.0, f"k{n}") for n in range(100))
    assert moved[0] < 93
    assert moved[-1] > 107
    assert 95 < sum(moved) / 100 < 105


def test_back_off_doubles_to_five_minutes() -> None:
    """1, 2, 4 ... 256, 300, 300 seconds, give or take a fifth."""
    bases = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    waits = [backoff_s(n, "s") for n in range(1, 12)]
    assert [True] * 11 == [0.8 * base <= wait <= 1.2 * base for base, wait in zip(bases, waits, strict=True)]


@steady
@given(st.integers(1, 10**9), st.text(max_size=12))
def test_back_off_is_bounded_for_ever(retries: int, key: str) -> None:
    """However often: never at once, never more than six minutes."""
    assert 0.8 <= backoff_s(retries, key) <= 360.0


@pytest.mark.parametrize(
    ("changed", "waiting", "expected"),
    [
        (0.0, None, 60.0),
        (1e6, None, 60.0),
        (59.9, 59.9, 5.0),
        (60.0, 60.0, 15.0),
        (599.0, 599.9, 15.0),
        (600.0, 600.0, 45.0),
        (1.0, 9999.0, 5.0),
    ],
)
def test_the_cadence_by_what_is_going_on(changed: float, waiting: float | None, expected: float) -> None:
    """Fast after a change, slower while jobs wait, slow when they wait long, slowest when all runs."""
    assert expected == poll_every_s(POLICY, changed_s_ago=changed, waiting_s=waiting, took_s=0.1)


def test_a_slow_cluster_is_asked_ten_times_more_slowly() -> None:
    """And never faster than the site's floor."""
    assert 120.0 == poll_every_s(POLICY, changed_s_ago=0, waiting_s=0, took_s=12.0)
    strict = PollPolicy(floor_s=90.0)
    assert 90.0 == poll_every_s(strict, changed_s_ago=0, waiting_s=0, took_s=0.1)


@steady
@given(SECONDS, st.none() | SECONDS, st.floats(0, 1e5), st.sampled_from([POLICY, LOCAL_PACE, PollPolicy(floor_s=33.0)]))
def test_never_under_the_floor(changed: float, waiting: float | None, took: float, policy: PollPolicy) -> None:
    """Nor under ten times the last answer's duration, whatever is going on."""
    every = poll_every_s(policy, changed_s_ago=changed, waiting_s=waiting, took_s=took)
    assert every >= policy.floor_s
    assert every >= 10 * took
