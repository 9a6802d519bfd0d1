"""Lengths of time as people write them in requests."""

from __future__ import annotations

import re

from sessiond.core.errors import SpecError, printable

_LONGEST_S = 366 * 86400
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_BY_UNITS = re.compile(r"(?:[0-9]{1,6}[dhms]){1,4}", re.ASCII)
_BY_CLOCK = re.compile(r"([0-9]{1,4}):([0-5][0-9])(?::([0-5][0-9]))?", re.ASCII)


def duration_s(text: str, *, option: str = "", example: str = "+30m, +2h, +1h30m or +01:30:00") -> int:
    """``+30m``, ``2h``, ``1h30m`` or ``+HH:MM:SS`` in seconds. Raises SpecError, which names ``option``, if given."""
    words = text.removeprefix("+")
    clock = _BY_CLOCK.fullmatch(words)
    about = f'{option}: "{printable(text)}"' if option else f'"{printable(text)}"'
    if clock is not None:
        found = int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3] or 0)
    elif _BY_UNITS.fullmatch(words):
        found = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", words))
    else:
        raise SpecError(f"{about} is no length of time", hint=f"write it as {example}")
    if not 0 < found <= _LONGEST_S:
        raise SpecError(f"{about} is not between a second and a year", hint=f"write it as {example}")
    return found
