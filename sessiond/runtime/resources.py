"""What a person asks of a scheduler, from the words of ``--set`` and a cluster's defaults. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from sessiond.core.errors import SpecError, printable
from sessiond.core.spec import Resources
from sessiond.render.directives import GPUS, MEMORY, NAME

NAMES = frozenset({"partition", "queue", "account", "qos", "nodes", "tasks", "cpus", "memory", "gpus", "time"})
"""The names that ``--set`` and ``[clusters.NAME.defaults]`` have for them."""

QUEUE = frozenset({"partition", "queue"})
"""Of these names, which mean one thing: Slurm's word for it, and all others'."""

_LONGEST_WALLTIME_S = 365 * 24 * 3600
_LARGEST_COUNT = 1_000_000
_DIRECTIVE_LIMIT = 1000
_FROM_DEFAULTS = " (from the cluster's defaults in config.toml)"


def behind(defaults: Mapping[str, str], remembered: Mapping[str, str]) -> dict[str, str]:
    """What stands behind a person's own settings: a remembered queue takes a default partition's place."""
    return {n: v for n, v in defaults.items() if n not in QUEUE or not QUEUE & remembered.keys()} | dict(remembered)


def walltime_s(text: str) -> int | None:
    """Seconds of ``[[HH:]MM:]SS``-like walltimes as schedulers write them: ``HH:MM:SS``, ``HH:MM``, or minutes.

    Days may come first, as Slurm writes them: ``2-12:00:00``. Empty means none. Raises SpecError.
    """
    if not text:
        return None
    wrong = SpecError(
        f'--time: expected HH:MM:SS, such as "02:00:00", got "{printable(text)}"', hint="a bare number is minutes"
    )
    days_text, dash, clock = text.rpartition("-")
    parts = clock.split(":")
    if len(parts) > 3 or not all(_is_number(part) for part in parts) or (dash and not _is_number(days_text)):
        raise wrong
    numbers = [int(part) for part in parts]
    if len(numbers) == 1:
        # Slurm: minutes alone, but hours after days (sbatch(1), --time).
        numbers = [numbers[0], 0] if dash else [0, numbers[0]]
    hours, minutes, seconds = [*numbers, 0][:3]
    total = int(days_text or 0) * 86400 + hours * 3600 + minutes * 60 + seconds
    if total <= 0 or total > _LONGEST_WALLTIME_S or (len(parts) > 1 and minutes > 59) or seconds > 59:
        raise wrong
    return total


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def resources(
    wishes: Mapping[str, str], *, time: str = "", directives: Collection[str] = (), usual: Collection[str] = ()
) -> Resources:
    """What ``wishes`` (names from `NAMES`; empty values are no wish), ``--time`` and ``--directive`` ask for.

    ``time`` goes before a wish of that name. ``usual`` are the wishes that nobody has now, but the cluster's defaults.
    Raises SpecError with every problem, a line each.
    """
    problems: list[str] = []

    def wrong(name: str, expected: str) -> None:
        problems.append(f"{name}: {expected}" + (_FROM_DEFAULTS if name in usual else ""))

    def word(name: str) -> str:
        return matched(name, NAME, "a name")

    def matched(name: str, pattern: re.Pattern[str], what: str) -> str:
        value = wishes.get(name, "").strip()
        if value and not pattern.fullmatch(value):
            wrong(name, f'expected {what}, got "{printable(value)}"')
        return value

    def partition() -> str:
        names = {one for name in QUEUE if (one := word(name))}
        if len(names) > 1:
            problems.append(f"queue: it is another word for partition, and they differ: {', '.join(sorted(names))}")
        return min(names, default="")

    def count(name: str) -> int | None:
        value = wishes.get(name, "").strip()
        if not value:
            return None
        number = int(value) if _is_number(value) else 0
        if not 0 < number <= _LARGEST_COUNT:
            wrong(name, f'expected a number from 1 on, got "{printable(value)}"')
        return number

    def duration() -> int | None:
        try:
            return walltime_s(time or wishes.get("time", "").strip())
        except SpecError as error:
            name = "time" if not time and "time" in usual else "--time"
            wrong(name, error.message.removeprefix("--time: "))
            return None

    found = Resources(
        partition=partition(),
        account=word("account"),
        qos=word("qos"),
        nodes=count("nodes"),
        tasks=count("tasks"),
        cpus=count("cpus"),
        memory=matched("memory", MEMORY, 'an amount such as "16G"'),
        gpus=matched("gpus", GPUS, 'a number, or a type and a number such as "a100:2"'),
        walltime_s=duration(),
        extra=tuple(_directive(text, problems) for text in directives),
    )
    if problems:
        timed = any(problem.startswith(("--time", "time:")) for problem in problems)
        hint = "a bare number is minutes" if timed else "this is what sessiond passes on to the scheduler"
        raise SpecError("\n".join(problems), hint=hint)
    return found


def _directive(text: str, problems: list[str]) -> str:
    """A directive as a person typed it; ``#SBATCH`` or ``#PBS`` before it is taken away."""
    bare = re.sub(r"^#(?:SBATCH|PBS)\s+", "", text.strip())
    if not bare.startswith("-") or not bare.isprintable() or len(bare) > _DIRECTIVE_LIMIT:
        problems.append(
            f'--directive: expected an option of the scheduler such as "--exclusive", got "{printable(text)}"'
        )
    return bare
