"""What `why` says after each kind of end, and of what keeps a session from being used.

stories/ holds what a real daemon gave for sessions on a real cluster with Slurm 22.05, each brought to its end: refused
by sbatch, ended with an error, killed, cancelled with scancel, out of time, on a node that was switched off, preempted,
and with a connection that was cut or logged out. Out of memory alone is made of another: that cluster has no limit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import ago
from tests.cli.conftest import Ctl
from tests.cli.test_golden import compare

STORIES = Path(__file__).parent / "stories"

CAUSES = {
    "rejected": ("invalid partition specified: nope", "Next: Choose one with --set partition="),
    "rejected-time": ("Requested time limit is invalid", "Next: Ask for less time; `sessionctl partitions CLUSTER`"),
    "exit": ("ended with status 1", "Next: sessionctl logs fails", "ModuleNotFoundError"),
    "killed": ("signal KILL (out of memory?)", "--again --set memory=MORE"),
    "out-of-memory": ("ended: out of memory", "most memory used: 3.993 GiB", "--again --set memory=MORE"),
    "cancelled": ("cancelled on the cluster", "JobState=CANCELLED", "if it was not you"),
    "walltime": ("ended at its time limit", "TimeLimit=00:01:00", "--again --time LONGER"),
    "walltime-mute": ("before its service answered", "nothing listens at", "waiting for the licence server"),
    "node-failed": ("ended: its node failed", "Reason=NodeDown", "--again"),
    "preempted": ("ended: preempted", "JobState=PREEMPTED", "in another partition"),
    "requeued": ("waiting for a node", "put the job back into the queue", "Next: "),
    "not-answering": ("waiting for the service to answer", "sessionctl logs silent", "waiting for the licence server"),
    "lost-link": ("running, but bed is unreachable", "did not answer", "Next: reconnecting by itself"),
    "needs-login": ("running, but bed needs a login", "you logged out", "Next: waiting for you: sessionctl login bed"),
}
"""For each kind: the cause, its evidence, the next step, in the words that must not go."""


def recorded(kind: str) -> dict[str, Any]:
    """A story as a daemon told it; of one that ended a while ago, or has lasted as long."""
    if kind == "out-of-memory":
        return out_of_memory()
    found: dict[str, Any] = json.loads((STORIES / f"{kind}.json").read_text())
    found["session"] |= {"since": ago(hours=3, minutes=12, seconds=30), "expected_start": None}
    return found


def out_of_memory() -> dict[str, Any]:
    """The story of a killed one where Slurm enforces memory, and accounting knows how much was used."""
    found = recorded("killed")
    found["session"] |= {"outcome": "out-of-memory", "phrase": "ended: out of memory", "problem": None}
    found["lines"][-1]["text"] = "the job used more memory than it had"
    found["evidence"] = [
        "its script's exit record: status 137 (signal KILL)",
        "sacct: State=OUT_OF_MEMORY; ExitCode=0:125; ReqMem=4G; MaxRSS=4089M",
        "most memory used: 3.993 GiB",
        "it ran on node1",
    ]
    found["next"] = "sessionctl start eater --again --set memory=MORE"
    return found


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("kind", CAUSES)
def test_why(ctl: Ctl, canned: Canned, kind: str, columns: int) -> None:
    """Cause, evidence, next step; in lines that fit; with colour and without."""
    story = recorded(kind)
    name = story["session"]["name"]
    canned.sessions[name], canned.stories[name] = story["session"], story
    plain = ctl("why", name, COLUMNS=str(columns))
    compare(f"why-{kind}.{columns}.plain", plain)
    compare(f"why-{kind}.{columns}.colour", ctl.shown("why", name, columns=columns))
    folded = " ".join(plain.out.split())
    assert [] == [words for words in CAUSES[kind] if words not in folded]
    about, _, log = plain.out.partition("The last lines of its log:")
    assert max(map(len, about.splitlines())) <= columns
    assert bool(log) == bool(story["log"])


def test_what_only_looks_like_a_time_stays(ctl: Ctl, canned: Canned) -> None:
    """Whoever writes a job's comment writes evidence, too: no date of theirs keeps the story from being told."""
    story = recorded("cancelled")
    times = ("2026-13-45T99:99:99Z", "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z")
    story["evidence"] = [f"sacct: Comment={text}" for text in times]
    name = story["session"]["name"]
    canned.sessions[name], canned.stories[name] = story["session"], story
    shown = [ctl("why", name, TZ=zone) for zone in ("EAST-14", "WEST14")]
    assert [0, 0] == [done.status for done in shown]
    assert [True, True] == [f"Comment={times[0]}" in done.out for done in shown]
    assert [times[2] in shown[0].out, times[1] in shown[1].out] == [True, True]
