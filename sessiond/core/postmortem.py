"""Why a session ended as it did: the evidence, and what it says in sentences. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sessiond.core.report import Evidence
from sessiond.core.session import Outcome, Session, State

UNEXPECTED = frozenset(Outcome) - {Outcome.COMPLETED, Outcome.IDLE}
"""Ends that nobody here asked for. Cancelled is among them where it was somebody else, on the cluster."""

LOG_LINES = 200
SCHEDULER_CHARS = 16_000
"""The most that is kept of what one command of a scheduler says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostMortem:
    """What was collected after an end. ``at`` is UTC seconds.

    ``complete`` says that nothing more will come; ``missing`` what could not be had, a sentence each. ``link`` is how
    the connection to the cluster was, and ``tunnel`` the last thing that was wrong with the way to the service; both
    are empty where nothing was. ``log`` holds the last `LOG_LINES` lines. There is no secret in any of it.
    """

    at: float
    complete: bool
    node: str = ""
    link: str = ""
    tunnel: str = ""
    evidence: Evidence | None = None
    log: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def ended_unexpectedly(session: Session) -> bool:
    """Whether the session is over, and nobody asked for that here."""
    if session.state is not State.ENDED or session.ending is Outcome.CANCELLED:
        return False
    return (session.outcome or Outcome.LOST) in UNEXPECTED


def sentences(found: PostMortem) -> list[str]:
    """What is known, a line each."""
    lines: list[str] = []
    evidence = found.evidence
    if evidence is not None:
        if evidence.status is not None:
            how = evidence.reason.removeprefix("signal:")
            why = f" (signal {how})" if how != evidence.reason else f" ({how})" if how not in ("", "exit") else ""
            lines.append(f"its script's exit record: status {evidence.status}{why}")
        if evidence.failure:
            lines.append(f"its script said: {evidence.failure}")
        lines += [f"{words.asked}: {summary}" for words in evidence.words if (summary := _summary(words.said))]
        if evidence.peak_memory is not None:
            lines.append(f"most memory used: {_size(evidence.peak_memory)}")
    if found.node:
        lines.append(f"it ran on {found.node}")
    if found.tunnel:
        lines.append(f"the last trouble on the way to its service: {found.tunnel}")
    if found.link:
        lines.append(f"the connection to its cluster: {found.link}")
    without = "not to be had" if found.complete else "not there yet"
    return lines + [f"{without}: {text}" for text in found.missing]


_TELLING = re.compile(
    r"(?:^|[ \t])((?:Job_?State|State|Reason|ExitCode|Exit_status|TimeLimit|MaxRSS|ReqMem|(?-i:comment)"
    r"|Resource_List\.(?:walltime|mem)|resources_used\.(?:walltime|mem))) ?= ?(.*?)(?=[ \t]+[\w:./]+=|$)",
    re.MULTILINE | re.IGNORECASE,
)
_SUMMARY_CHARS = 300


def _summary(said: str) -> str:
    """The few words of a scheduler's record that tell how a job ended; of anything else its first line."""
    told: dict[str, str] = {}
    for name, value in _TELLING.findall(said):
        told.setdefault(name, value.strip())
    text = "; ".join(f"{name}={value}" for name, value in told.items() if value not in ("", "None", "(null)"))
    return (text or said.strip().partition("\n")[0])[:_SUMMARY_CHARS]


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
