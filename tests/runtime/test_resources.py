"""What is asked of a scheduler, from people's words: amounts, names, walltimes, directives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.errors import SpecError
from sessiond.core.spec import Resources
from sessiond.runtime.resources import resources, walltime_s
from tests.core.steady import steady


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("02:00:00", 7200),
        ("1:30", 5400),
        ("90", 5400),
        ("0:0:1", 1),
        ("100:00:00", 360_000),
        ("2-12", 216_000),
        ("1-0:30", 88_200),
    ],
)
def test_walltimes(text: str, seconds: int | None) -> None:
    """HH:MM:SS, HH:MM, minutes, and days before hours."""
    assert seconds == walltime_s(text)


@pytest.mark.parametrize(
    "text",
    ["0", "00:00:00", "soon", "-1", "1:60", "1:00:60", "1:2:3:4", "٣", "9999999", "1.5", ":", " 5", "-5", "1-", "a-1"],
)
def test_walltimes_that_are_none(text: str) -> None:
    """Refused with what was expected and what came."""
    with pytest.raises(SpecError, match="expected HH:MM:SS"):
        walltime_s(text)


@steady
@given(st.text(max_size=12))
def test_no_text_is_a_crash(text: str) -> None:
    """Seconds within a year, or a SpecError."""
    try:
        seconds = walltime_s(text)
    except SpecError:
        return
    assert seconds is None or 0 < seconds <= 365 * 24 * 3600


def test_everything_that_can_be_asked_for() -> None:
    """Each word arrives in its place; the time that was said goes before the default."""
    wishes = {
        "partition": "gpu,long",
        "account": "abc123",
        "qos": "high",
        "nodes": "2",
        "tasks": "4",
        "cpus": "8",
        "memory": "16G",
        "gpus": "a100:2",
        "time": "1:00:00",
    }
    assert Resources(
        partition="gpu,long",
        account="abc123",
        qos="high",
        nodes=2,
        tasks=4,
        cpus=8,
        memory="16G",
        gpus="a100:2",
        walltime_s=1800,
        extra=("--exclusive", "-C intel"),
    ) == resources(wishes, time="30", directives=("#SBATCH --exclusive", "-C intel"))
    assert Resources() == resources({"partition": "", "nodes": " "})


def test_all_problems_at_once() -> None:
    """A line each, with what was expected and what came; nothing in them that a terminal would obey."""
    wishes = {"partition": "a b", "nodes": "0", "cpus": "two", "memory": "much", "gpus": "-1", "time": "soon"}
    with pytest.raises(SpecError) as refused:
        resources(wishes, directives=("exclusive", "--x\n#SBATCH --y", "-\x1b[2J"))
    lines = refused.value.message.splitlines()
    assert 9 == len(lines)
    assert ["partition", "nodes", "cpus", "memory", "gpus", "--time"] == sorted(
        {line.split(":")[0] for line in lines} - {"--directive"},
        key=["partition", "nodes", "cpus", "memory", "gpus", "--time"].index,
    )
    assert all(line.isprintable() for line in lines)


@steady
@given(
    st.dictionaries(st.sampled_from(["partition", "nodes", "memory", "gpus"]), st.text(max_size=9)), st.text(max_size=9)
)
def test_what_is_accepted_fits_on_a_line(wishes: dict[str, str], directive: str) -> None:
    """Nothing that gets through can begin another line of a script."""
    try:
        found = resources(wishes, directives=(directive,))
    except SpecError:
        return
    assert all(text.isprintable() for text in (found.partition, found.memory, found.gpus, *found.extra))
