"""What is asked of any batch scheduler for a session: the forms of its values, and its job's script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from sessiond.core.errors import SpecError, printable
from sessiond.core.spec import Resources
from sessiond.render.quote import word

LEAD_S = 60
"""How long before the walltime's end a session is told, if the walltime is long enough."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,@:+-]{0,254}")
MEMORY = re.compile(r"[1-9][0-9]{0,14}[KMGT]?B?|0", re.IGNORECASE)
GPUS = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}:)?[1-9][0-9]{0,4}")


def lead_s(resources: Resources) -> int:
    """How many seconds before the walltime's end the session is told: a minute, of a short walltime a quarter."""
    return LEAD_S if resources.walltime_s is None else max(1, min(LEAD_S, resources.walltime_s // 4))


def script(mark: str, lines: Iterable[str], folder: str, command: Iterable[str], *, log: str = "") -> bytes:
    """A job's whole script: its directives, ``lines`` after ``mark``, then, in the session's folder, ``command`` in the
    place of the shell. ``folder`` is shell lines that lead there; with ``log`` the output goes into that file."""
    head = "".join(f"{mark} {line}\n" for line in lines)
    run = " ".join(word(part) for part in command)
    into = f" >>{log} 2>&1" if log else ""
    return f"#!/bin/bash\n{head}{folder}{_SHARED}exec {run}{into}\n".encode()


_SHARED = (
    '[ -r ./session.sh ] || { echo "sessiond: the session\'s folder is not there on $(hostname)." >&2; exit 66; }\n'
)


def duration(seconds: int) -> str:
    """``H:MM:SS``. Raises SpecError for no time at all."""
    if seconds <= 0:
        raise SpecError("the walltime must be longer than nothing", hint="for example 2h or 30m")
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def count(name: str, number: int) -> int:
    """A number of something. Raises SpecError for one that cannot be."""
    if not 1 <= number <= 10_000_000:
        raise SpecError(f"{name} must be a number from 1 on, not {number}")
    return number


def fit(name: str, value: str, form: re.Pattern[str], hint: str) -> str:
    """``value``, which must have ``form``. Raises SpecError with ``hint``."""
    if not form.fullmatch(value):
        raise SpecError(f"{printable(value)!r} cannot be the {name} of a job", hint=hint)
    return value


def own(text: str, mark: str, submitter: str, example: str, unfit: Callable[[str], str | None]) -> str:
    """A person's own directive, as they wrote it but for the blanks around it and a leading ``mark``.

    ``unfit`` says why a directive's line cannot be used, or None. Raises SpecError.
    """
    if _CONTROL.search(text):
        raise SpecError(
            f"the directive {printable(text)!r} contains a line break or another control character",
            hint="Give each directive by itself.",
        )
    line = text.strip().removeprefix(mark).strip()
    if not line.startswith("-") or " #" in line:
        raise SpecError(
            f"{printable(text)!r} is no directive of {submitter}", hint=f"One begins with a dash, like {example}."
        )
    why = unfit(line)
    if why is not None:
        raise SpecError(f"the directive {printable(line)!r} cannot be used: {why}", hint="Leave it out.")
    return line
