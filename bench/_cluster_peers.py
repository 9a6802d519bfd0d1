"""How often other programs ask a scheduler about sessions: computed from their sources, and played for real."""

from __future__ import annotations

import math
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from _cluster_site import FIRST_JOB, Counts, Site
from _house import TICKS_A_SECOND

AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """A program's way to know of ``n`` sessions that run, all of one person on one cluster: commands of the scheduler
    and SSH logins a minute. ``why`` is where the figures come from."""

    name: str
    why: str
    commands: Callable[[int], float]
    logins: Callable[[int], float]


def _no(_: int) -> float:
    return 0.0


HABITS = (
    Habit(
        name="Open OnDemand",
        why="an open page: squeue -j ID for each session every 10 s, each over a new ssh (submit_host)",
        commands=lambda n: 6.0 * n,
        logins=lambda n: 6.0 * n,
    ),
    Habit(
        name="batchspawner",
        why="squeue -j ID for each server every 30 s, every 0.5 s while one starts; on the cluster, no ssh",
        commands=lambda n: 2.0 * n,
        logins=_no,
    ),
    Habit(
        name="AiiDA",
        why="squeue --jobs=A,B,... for each worker, a new login each time, 15 s apart at least; one worker",
        commands=lambda n: 4.0,
        logins=lambda n: 4.0,
    ),
    Habit(
        name="jobflow-remote",
        why="one squeue for all every 30 s for each worker; a kept connection",
        commands=lambda n: 2.0,
        logins=_no,
    ),
    Habit(
        name="Parsl",
        why="squeue for each 50 ids every 60 s; on the cluster, no ssh",
        commands=lambda n: float(math.ceil(n / 50)),
        logins=_no,
    ),
    Habit(
        name="PSI/J",
        why="one squeue for all every 30 s; on the cluster, no ssh",
        commands=lambda n: 2.0,
        logins=_no,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What a habit came to: counts a minute, and CPU seconds an hour here and, over ssh, on the login node."""

    commands: float
    logins: float
    cpu_here: float
    cpu_there: float


def play_ondemand(site: Site, sessions: int, seconds: float) -> Played:
    """Open OnDemand's habit: real ssh processes, the real sshd; the squeue that answers is the stand-in."""
    argvs = [site.ssh(f"squeue -h -j {FIRST_JOB + n} -o '%T|%B|%M'") for n in range(sessions)]
    return _played(site, argvs, 10, seconds)


def play_batchspawner(site: Site, sessions: int, seconds: float) -> Played:
    """batchspawner's habit without its sudo: real processes; the squeue that answers is the stand-in."""
    squeue = str(site.slurm / "bin/squeue")
    return _played(
        site, [[squeue, "-h", "-j", str(FIRST_JOB + n), "-o", "%T %B"] for n in range(sessions)], 30, seconds
    )


def _played(site: Site, argvs: Sequence[list[str]], every_s: float, seconds: float) -> Played:
    """Run each of ``argvs`` every so many seconds, spread evenly; what could not be kept up with is not counted."""
    before, here, there = site.counts(), _children_s(), _below_s(site)
    began = time.monotonic()
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for turn in range(max(1, round(len(argvs) * seconds / every_s))):
            time.sleep(max(0.0, began + turn * every_s / len(argvs) - time.monotonic()))
            if time.monotonic() - began > seconds:
                break
            pool.submit(subprocess.run, argvs[turn % len(argvs)], capture_output=True, timeout=60, check=True)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
    finally:
        pool.shutdown(cancel_futures=True)
    took = time.monotonic() - began
    asked: Counts = site.counts().since(before)
    return Played(
        commands=asked.scheduler * 60 / took,
        logins=asked.logins * 60 / took,
        cpu_here=(_children_s() - here) * 3600 / took,
        cpu_there=(_below_s(site) - there) * 3600 / took,
    )


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _below_s(site: Site) -> float:
    """CPU seconds of all connections that the site's sshd has seen the end of."""
    fields = Path(f"/proc/{site.sshd.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS_A_SECOND
