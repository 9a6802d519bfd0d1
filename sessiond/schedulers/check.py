"""What can be wrong with a cluster's login node: one look at all of it, and what it means. `sh/check.sh` looks."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sessiond.core.command import Command, Completed
from sessiond.core.errors import Unreadable
from sessiond.core.ids import is_tag
from sessiond.schedulers import common

TIMEOUT_S = 180.0
SKEW_S = 60.0
"""How far a cluster's clock may be off before a person should know."""
SCARCE_KIB = 256 * 1024
FULL_KIB = 16 * 1024

_HEAD = f"{common.RECORD}sessiond".encode()
_NO_ACCOUNTING = re.compile(r"accounting storage is disabled|slurmdbd|unable to contact.*database", re.IGNORECASE)
_NO_ROOM = re.compile(r"space|quota", re.IGNORECASE)
_UNFINISHED = re.compile(r"syntax error|unexpected (EOF|end of file)")
"""What bash 3.2 to 5.2 says of lines that it cannot read."""
_TIMED_OUT = ("124", "137", "143")
"""How coreutils' and busybox's timeout(1) end when they had to end what they ran; busybox 1.35 ends with 143."""
_SHARED = frozenset(
    {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.ceph", "panfs", "pvfs2", "orangefs", "afs", "cvmfs"}
    | {"wekafs", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "9p", "virtiofs", "cifs", "smb3"}
)
_VOLATILE = frozenset({"tmpfs", "ramfs", "overlay"})


_PARTS = ("check_ask.sh", "check_slurm.sh", "check_pbs.sh", "check_setup.sh", "check_place.sh", "check.sh")


class Grade(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. ``remedy`` says what to do, and may be empty."""

    what: str
    grade: Grade
    text: str
    remedy: str = ""


def look(workdir: str, scheduler: str, setup: str = "") -> Command:
    """Look at everything that can be looked at there. ``scheduler`` is slurm, pbs or none, ``setup`` shell lines that
    are put before."""
    kind = ("batch.sh", f"{scheduler}.sh") if scheduler in _KINDS else ()
    return common.shell(
        common.script(*kind, *_PARTS),
        workdir,
        scheduler,
        payload=common.whole_lines(setup),
        timeout_s=TIMEOUT_S,
    )


def read_look(
    done: Completed, *, scheduler: str, ours: Collection[str], asked_at: float, answered_at: float, proved_shared: bool
) -> list[Finding]:
    """What the look found.

    ``ours`` are the tags of all sessions that are known; ``asked_at`` and ``answered_at`` UTC seconds here;
    ``proved_shared`` is whether a compute node has ever written to a session's folder. Raises Unreadable.
    """
    facts = [(record[0], record[1:]) for record in common.reply(done)]
    kind = _KINDS.get(scheduler)
    return [
        _noise(done),
        *_clock(facts, asked_at, answered_at),
        *_tools(facts),
        *_setup(facts),
        *(_scheduler(facts, kind) if kind else ()),
        *(_strays(facts, ours, kind) if kind else ()),
        *_folder(facts, proved_shared=proved_shared, jobs=kind is not None),
        *_linger(facts),
    ]


Facts = Sequence[tuple[str, list[str]]]


def _all(facts: Facts, key: str, size: int) -> list[list[str]]:
    """The values of each record of ``key``. Raises Unreadable for one of another length."""
    found = [values for known, values in facts if known == key]
    if any(len(values) != size for values in found):
        raise Unreadable(f"the look's record {key!r} has another number of fields")
    return [[common.printable(value) for value in values] for values in found]


def _one(facts: Facts, key: str, size: int = 1) -> list[str]:
    found = _all(facts, key, size)
    if len(found) != 1:
        raise Unreadable(f"the look has {len(found)} records {key!r}")
    return found[0]


def _noise(done: Completed) -> Finding:
    before = common.printable(done.stdout.partition(_HEAD)[0].decode(errors="replace"))
    if not before:
        return Finding(what="shell", grade=Grade.OK, text="the login shell prints nothing to commands")
    return Finding(
        what="shell",
        grade=Grade.WARN,
        text=f"the login shell prints to commands: {before[:120]!r}",
        remedy="let ~/.bashrc (or ~/.cshrc) print only where it is interactive; scp and sftp trip over it",
    )


def _clock(facts: Facts, asked_at: float, answered_at: float) -> Iterator[Finding]:
    there = common.seconds(_one(facts, "now")[0])
    if there is None:
        raise Unreadable("the look does not say what time it is there")
    # It was looked at somewhere between the question and the answer, in whole seconds.
    off = 0.0 if asked_at - 1 <= there <= answered_at else min(there - asked_at, there - answered_at, key=abs)
    if abs(off) <= SKEW_S:
        yield Finding(what="clock", grade=Grade.OK, text=f"its clock is off by {abs(off):.0f} s")
    else:
        yield Finding(
            what="clock",
            grade=Grade.WARN,
            text=f"its clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} this machine's",
            remedy="have both use NTP; until then times of jobs are wrong by as much",
        )


def _tools(facts: Facts) -> Iterator[Finding]:
    missing = _one(facts, "missing")[0]
    if missing == "flock":
        text = "not there: flock; two sessions that install the same thing at once are not kept apart"
        yield Finding(what="tools", grade=Grade.WARN, text=text, remedy="have util-linux's flock installed there")
    elif missing:
        remedy = "have them installed there; sessions cannot be prepared without them"
        yield Finding(what="tools", grade=Grade.BAD, text=f"not there: {missing}", remedy=remedy)
    else:
        yield Finding(what="tools", grade=Grade.OK, text="the programs that sessions need are there")


def _setup(facts: Facts) -> Iterator[Finding]:
    """How the cluster's `setup` fared. Every session there, and every preparation, begins with its lines."""
    for how, complaint in _all(facts, "setup", 2):
        words = complaint.replace("/dev/fd/4: ", "")
        bad, warn = Grade.BAD, Grade.WARN
        if how == "through" and not words:
            yield Finding(what="setup", grade=Grade.OK, text="the lines of `setup` run there without a complaint")
        elif how in _TIMED_OUT:
            text = "the lines of `setup` do not come to an end there: given up after 15 s"
            remedy = "let them ask nothing and wait for nothing; every session there begins with them"
            yield Finding(what="setup", grade=bad, text=text, remedy=remedy)
        elif how != "through":
            said = f": {words}" if words else ""
            text = f"the lines of `setup` end the shell, with status {how}{said}"
            remedy = "leave out `exit`, `exec` and `set -e` there; no session gets further than these lines"
            yield Finding(what="setup", grade=bad, text=text, remedy=remedy)
        elif _UNFINISHED.search(words):
            text = f"bash cannot read the lines of `setup`: {words}"
            yield Finding(what="setup", grade=bad, text=text, remedy="correct them in config.toml; no session starts")
        else:
            text = f"the lines of `setup` complain: {words}"
            remedy = "correct them in config.toml, if what they say matters: services start all the same"
            yield Finding(what="setup", grade=warn, text=text, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What is particular to a scheduler.

    ``needed`` are its commands, ``setup`` an example of lines that bring them along, ``lists`` the one that tells
    which jobs are the user's, ``cancels`` the one that ends them, ``job`` what a whole id is; ``ended`` finds
    whether it is known how jobs ended.
    """

    needed: tuple[str, ...]
    setup: str
    lists: str
    cancels: str
    job: re.Pattern[str]
    ended: Callable[[Facts], Iterator[Finding]]


def _scheduler(facts: Facts, kind: _Kind) -> Iterator[Finding]:
    versions = _versions(facts)
    lacking = [program for program in kind.needed if program not in versions]
    if lacking:
        yield Finding(
            what="scheduler",
            grade=Grade.BAD,
            text=f"not found there: {', '.join(lacking)}",
            remedy=f"let `setup` load them, for example {kind.setup}, or correct `scheduler` in config.toml",
        )
    else:
        first = kind.needed[0]
        text = f"its commands are there ({first}: {versions[first]})"
        yield Finding(what="scheduler", grade=Grade.OK, text=text)
    if "queue" in (answers := _answers(facts)):
        yield _queue(*answers["queue"])
    yield from kind.ended(facts)


def _versions(facts: Facts) -> dict[str, str]:
    """Each command that is there, and what it says of its version."""
    return {program: version for program, version in _all(facts, "version", 2) if version}


def _answers(facts: Facts) -> dict[str, tuple[str, str]]:
    """The status and the last words of each question that was asked."""
    return {what: (status, text) for what, status, text in _all(facts, "asked", 3)}


def _queue(status: str, text: str) -> Finding:
    if status == "0":
        return Finding(what="queue", grade=Grade.OK, text="the scheduler answers")
    remedy = "wait, or ask the cluster's administrators; running sessions go on, and are seen again when it answers"
    return Finding(what="queue", grade=Grade.BAD, text=f"the scheduler {_trouble(status, text)}", remedy=remedy)


def _trouble(status: str, text: str) -> str:
    return "did not answer within 15 s" if status in _TIMED_OUT else f"says: {text or f'status {status}'}"


def _accounting(facts: Facts) -> Iterator[Finding]:
    there = "sacct" in _versions(facts)
    status, text = _answers(facts).get("accounting", ("127", ""))
    if there and status == "0":
        yield Finding(what="accounting", grade=Grade.OK, text="sacct answers: it is known how every job ended")
        return
    if not there:
        text = "there is no sacct"
    elif _NO_ACCOUNTING.search(text):
        text = "accounting is off"
    else:
        text = f"sacct {_trouble(status, text)}"
    remedy = "nothing has to be done: how a job ended is asked elsewhere, and is less certain long afterwards"
    yield Finding(what="accounting", grade=Grade.WARN, text=text, remedy=remedy)


def _history(facts: Facts) -> Iterator[Finding]:
    """What a PBS server remembers of jobs that have ended: PBS has a history of days, Torque keeps them for seconds."""
    if "history" not in (answers := _answers(facts)):
        return
    status, text = answers["history"]
    settings = dict(_all(facts, "setting", 2))
    history, kept = settings.get("job_history_enable", ""), settings.get("keep_completed", "")
    if status == "0" and history.lower() in {"true", "t", "1"}:
        text = "the server keeps a history: it is known how every job ended"
        yield Finding(what="history", grade=Grade.OK, text=text)
    elif status == "0" and re.fullmatch(r"0*[1-9][0-9]{0,9}", kept, re.ASCII):
        text = f"the server remembers jobs for {int(kept)} s after their end"
        yield Finding(what="history", grade=Grade.OK, text=text)
    else:
        text = "the server forgets jobs when they end" if status == "0" else f"qstat -B {_trouble(status, text)}"
        yield Finding(
            what="history",
            grade=Grade.WARN,
            text=f"{text}: how a job ended is known only from its own record",
            remedy="nothing has to be done; its administrators can set job_history_enable (Torque: keep_completed)",
        )


def _strays(facts: Facts, ours: Collection[str], kind: _Kind) -> Iterator[Finding]:
    answered = _answers(facts).get("queue", ("", ""))[0] == "0"
    if not answered or kind.lists not in _versions(facts):
        return
    strays = [job for job, name in _all(facts, "job", 2) if is_tag(name) and name not in ours]
    if not strays:
        yield Finding(what="strays", grade=Grade.OK, text="every job of ours there belongs to a session")
        return
    plain = " ".join(job for job in strays if kind.job.fullmatch(job))
    yield Finding(
        what="strays",
        grade=Grade.WARN,
        text=f"{len(strays)} of our jobs there belong to no session known here: {', '.join(strays[:6])}",
        remedy=f"they may be another machine's; if they are nobody's: {kind.cancels} {plain}" if plain else "",
    )


_KINDS = {
    "slurm": _Kind(
        needed=("sbatch", "squeue", "scancel", "scontrol"),
        setup='"module load slurm"',
        lists="squeue",
        cancels="scancel",
        job=re.compile(r"[0-9]{1,20}", re.ASCII),
        ended=_accounting,
    ),
    "pbs": _Kind(
        needed=("qsub", "qstat", "qdel", "qselect", "qalter"),
        setup='". /etc/profile.d/pbs.sh" or "module load pbs"',
        lists="qselect",
        cancels="qdel",
        job=re.compile(r"[0-9]{1,20}(\.[A-Za-z0-9][A-Za-z0-9._-]{0,254})?", re.ASCII),
        ended=_history,
    ),
}


def _folder(facts: Facts, *, proved_shared: bool, jobs: bool) -> Iterator[Finding]:
    folder = _one(facts, "workdir")[0]
    status, text, place = _one(facts, "written", 3)
    if status != "0":
        # Before the last colon stand the shell's name and that of the file it tried.
        why = text.rpartition(": ")[2] or f"status {status}"
        missing = f"{folder} is not there and cannot be made: " if place.rstrip("/") != folder.rstrip("/") else ""
        room = "make room there, or " if _NO_ROOM.search(why) else ""
        yield Finding(
            what="workdir",
            grade=Grade.BAD,
            text=f"{missing}{place} cannot be written: {why}",
            remedy=f"{room}set another `workdir` in config.toml",
        )
    else:
        yield Finding(what="workdir", grade=Grade.OK, text=f"{folder} can be written")
    for free, _source, point, kind in _all(facts, "free", 4):
        yield from _space(free, point)
        if jobs:
            yield _shared(kind, point, proved_shared=proved_shared)


def _space(free: str, point: str) -> Iterator[Finding]:
    if not re.fullmatch(r"[0-9]{1,18}", free, re.ASCII):
        return
    grade = Grade.BAD if int(free) < FULL_KIB else Grade.WARN if int(free) < SCARCE_KIB else Grade.OK
    remedy = "" if grade is Grade.OK else "make room there; `sessionctl rm` removes the folders of ended sessions"
    yield Finding(what="space", grade=grade, text=f"{int(free) >> 10} MiB free at {point}", remedy=remedy)


def _shared(kind: str, point: str, *, proved_shared: bool) -> Finding:
    if proved_shared:
        return Finding(what="shared", grade=Grade.OK, text="compute nodes see the workdir: a session has shown it")
    if kind in _SHARED:
        return Finding(what="shared", grade=Grade.OK, text=f"the workdir is on {kind}, which nodes usually share")
    if kind in _VOLATILE:
        text = f"the workdir is on {kind} at {point}, which compute nodes do not see"
        return Finding(what="shared", grade=Grade.WARN, text=text, remedy="set a `workdir` that all nodes share")
    return Finding(
        what="shared",
        grade=Grade.WARN,
        text=f"whether compute nodes see the workdir cannot be told ({kind or 'unknown file system'} at {point})",
        remedy="the first session in a job shows it; if it fails, set a `workdir` that all nodes share",
    )


def _linger(facts: Facts) -> Iterator[Finding]:
    match _one(facts, "linger")[0]:
        case "yes":
            yield Finding(what="linger", grade=Grade.OK, text="processes there outlive the login")
        case "no":
            yield Finding(
                what="linger",
                grade=Grade.WARN,
                text="processes on the login node may be ended when the last login ends (mode controller)",
                remedy="run there: loginctl enable-linger",
            )
        case _:
            text = "whether processes there outlive the login cannot be told; jobs do in any case"
            yield Finding(what="linger", grade=Grade.OK, text=text)
