"""Names of things: sessions, jobs, clusters, actions."""

from __future__ import annotations

import re
from typing import NewType

SessionId = NewType("SessionId", str)
"""Twelve characters of Crockford's base 32, lower case: eight of time, four of chance; sorts by creation."""

JobTag = NewType("JobTag", str)
"""``sd-`` and the session id: 15 characters, the longest job name old PBS servers take."""

JobId = NewType("JobId", str)
"""The job's name in its scheduler's own words: ``4711``, ``4711.pbs``, or a process identity."""

ClusterName = NewType("ClusterName", str)
ActionId = NewType("ActionId", str)
"""``<session id>.<version>``: the version of the session whose transition ordered the action."""

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_LENGTH = 12
_TAG = re.compile(rf"sd-[{ALPHABET}]{{{ID_LENGTH}}}")
_TIME_CHARS = 8
_CHANCE_BITS = 5 * (ID_LENGTH - _TIME_CHARS)


def session_id(now: float, chance: int) -> SessionId:
    """Make an id from a time in UTC seconds and some random bits (the low 20 are used).

    Eight characters hold 40 bits: milliseconds since 1970 modulo 34.8 years, so ids sort by time within
    any realistic life of a state folder.
    """
    value = (int(now * 1000) % (1 << (5 * _TIME_CHARS))) << _CHANCE_BITS | chance % (1 << _CHANCE_BITS)
    return SessionId("".join(ALPHABET[value >> shift & 31] for shift in range(5 * (ID_LENGTH - 1), -1, -5)))


def tag_of(session: SessionId) -> JobTag:
    """The job name that marks a session's job on its cluster."""
    return JobTag(f"sd-{session}")


def is_tag(text: str) -> bool:
    """Whether a job of this name is some session's."""
    return _TAG.fullmatch(text) is not None


def action_id(session: SessionId, version: int) -> ActionId:
    """The id of the action ordered by the transition that made ``version``."""
    return ActionId(f"{session}.{version}")
