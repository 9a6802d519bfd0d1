"""The tables of qstat: a line a job in three shapes, a line a queue, a line a server."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from .attributes import Attributes

_BLANK = " -- "
# A comment longer than a line of the narrow table is cut, with dots.
_COMMENT = 74

Row = tuple[str, Attributes]
"""A job's id with its attributes."""


def plain(jobs: Iterable[Row], *, heading: bool, wide: bool = False) -> str:
    """``qstat``; time use is that of processors, 0 before anything is known of it."""
    lines: list[str] = []
    if heading:
        lines += _PLAIN_HEADING_WIDE if wide else _PLAIN_HEADING
    for number, job in jobs:
        user = job["Job_Owner"].partition("@")[0]
        used = job.get("resources_used.cput", "0")[:8]
        name, queue, state = job["Job_Name"], job["queue"], job["job_state"]
        if wide:
            lines.append(f"{number:<30.30} {name:<15.15} {user:<15.15}  {used:>8} {state} {queue:<15.15}")
        else:
            # of the server's name the first part
            short = ".".join(number.split(".")[:2])
            shown = name[:15]
            lines.append(f"{short:<17.17} {shown:<16} {user:<16.16}  {used:>8} {state} {queue:<16.16}")
    return "".join(f"{line}\n" for line in lines)


def alternate(server: str, jobs: Iterable[Row], flags: frozenset[str], *, heading: bool) -> str:
    """``qstat`` with any of ``-a -u -s -n -T -H -1 -w``: ``flags`` are the letters."""
    wide, estimates = "w" in flags, "T" in flags
    lines: list[str] = []
    if heading:
        lines += _heading(server, wide=wide, estimates=estimates)
    for number, job in jobs:
        line = _line(number, job, wide=wide, elapsed=_elapsed(job, estimates=estimates))
        hosts = job.get("exec_host", _BLANK)
        if "n" in flags:
            lines += [f"{line} {hosts}"] if "1" in flags else [line, f"   {hosts}"]
        else:
            lines.append(f"{line} " if "1" in flags else line)
        if "s" in flags:
            comment = job.get("comment", _BLANK)
            if len(comment) > _COMMENT and not wide:
                comment = f"{comment[: _COMMENT - 3]}..."
            lines.append(f"   {comment}")
    return "".join(f"{line}\n" for line in lines)


def queues(found: Iterable[Row], *, heading: bool, default: str = "") -> str:
    """``qstat -Q``; the default queue's type ends with an asterisk."""
    lines = [*_QUEUES_HEADING] if heading else []
    for name, queue in found:
        counts = _counts(queue)
        flags = " ".join("yes" if queue.get(key) == "True" else " no" for key in ("enabled", "started"))
        kind = f"{queue['queue_type'][:3]}*" if name == default else queue["queue_type"][:4]
        most = queue.get("max_run", "0")[:5]
        lines.append(f"{name:<16.16} {most:>5} {queue['total_jobs']:>5} {flags} {_six(counts)} {kind:<4}")
    return "".join(f"{line}\n" for line in lines)


def server_line(name: str, server: Attributes, *, heading: bool) -> str:
    """``qstat -B``."""
    lines = [*_SERVER_HEADING] if heading else []
    counts, state = _counts(server), server["server_state"][:10]
    lines.append(f"{name:<16.16} {0:>5} {server['total_jobs']:>5} {_six(counts)} {state:<10}")
    return "".join(f"{line}\n" for line in lines)


def _six(counts: Mapping[str, str]) -> str:
    kinds = ("Queued", "Running", "Held", "Waiting", "Transit", "Exiting")
    return " ".join(f"{counts[kind]:>5}" for kind in kinds)


def _counts(thing: Attributes) -> dict[str, str]:
    pairs = (word.partition(":") for word in thing["state_count"].split())
    return {name: count for name, _, count in pairs}


def _line(number: str, job: Attributes, *, wide: bool, elapsed: str) -> str:
    user = job["Job_Owner"].partition("@")[0]
    session = job.get("session_id", _BLANK)
    nodes = job.get("Resource_List.nodect", _BLANK)
    tasks = job.get("Resource_List.ncpus", _BLANK)
    limit = job.get("Resource_List.walltime", _BLANK)
    memory = job.get("Resource_List.mem", _BLANK)
    name, queue, state = job["Job_Name"], job["queue"], job["job_state"]
    if wide:
        left = f"{number:<30.30} {user:<15.15} {queue:<15.15} {name:<15.15} {session:>8.8} {nodes:>4.4} {tasks:>5.5}"
    else:
        left = f"{number:<15.15} {user:<8.8} {queue:<8.8} {name:<10.10} {session:>6.6} {nodes:>3.3} {tasks:>3.3}"
    return f"{left} {memory:>6.6} {limit:>5.5} {state:.1} {elapsed:>5.5}"


def _elapsed(job: Attributes, *, estimates: bool) -> str:
    if not estimates:
        return job.get("resources_used.walltime", _BLANK)
    start = int(job.get("estimated.start_time", 0))
    # nothing is estimated for what has started, and nothing that lies in the past is shown
    if job["job_state"] not in "QS" or start < time.time():
        return "--"
    then, now = time.localtime(start), time.localtime(time.time())
    return time.strftime("%H:%M" if then.tm_yday == now.tm_yday else "%a %H", then)


def _heading(server: str, *, wide: bool, estimates: bool) -> list[str]:
    last = "Start" if estimates else "Elap"
    lines = ["", f"{server}: "]
    if wide:
        lines += [f"{'':>99}               Est"] if estimates else []
        columns = (
            ("Job ID", 30),
            ("Username", 15),
            ("Queue", 15),
            ("Jobname", 15),
            ("SessID", 8),
            ("NDS", 4),
            ("TSK", 5),
        )
        names = " ".join(f"{name:<{width}}" for name, width in columns)
        dashes = " ".join("-" * width for _, width in columns)
        return [
            *lines,
            f"{'':>99}Req'd  Req'd   {last}",
            f"{names} Memory Time  S Time",
            f"{dashes} ------ ----- - -----",
        ]
    lines += [f"{'':>75}Est"] if estimates else []
    return [*lines, f"{'':>60}Req'd  Req'd   {last}", *_NARROW_HEADING]


_PLAIN_HEADING = (
    "Job id            Name             User              Time Use S Queue",
    "----------------  ---------------- ----------------  -------- - -----",
)
_PLAIN_HEADING_WIDE = (
    "Job id                         Name            User             Time Use S Queue",
    "-----------------------------  --------------- ---------------  -------- - ---------------",
)
_NARROW_HEADING = (
    "Job ID          Username Queue    Jobname    SessID NDS TSK Memory Time  S Time",
    "--------------- -------- -------- ---------- ------ --- --- ------ ----- - -----",
)
_QUEUES_HEADING = (
    "Queue              Max   Tot Ena Str   Que   Run   Hld   Wat   Trn   Ext Type",
    "---------------- ----- ----- --- --- ----- ----- ----- ----- ----- ----- ----",
)
_SERVER_HEADING = (
    "Server             Max   Tot   Que   Run   Hld   Wat   Trn   Ext Status",
    "---------------- ----- ----- ----- ----- ----- ----- ----- ----- -----------",
)
