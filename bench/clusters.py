"""What a cluster's scheduler and login node are asked, and what it costs to look after up to a thousand sessions there.

    python bench/clusters.py [--quick] [--only steady,waiting,peers,submit,reach]

Root runs it, because sshd and a cluster of its own need that. Each measurement says what in it is real. Everything
that is started is ended and removed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from _cluster_bed import AT_ONCE, Reached, bed
from _cluster_house import FIRST_PORT, NAME, Place, place, until_running
from _cluster_peers import HABITS, play_batchspawner, play_ondemand
from _cluster_site import Counts, site
from _house import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured; times in seconds. ``steady_s`` is the time between two probes of a session: in it each is
    asked once. ``settle_s`` passes before it, because at the start all are asked at the same moment."""

    live: tuple[int, ...] = (1, 10, 100, 1000)
    steady_s: float = 120.0
    played: tuple[int, ...] = (10, 100)
    played_s: float = 15.0
    minute_s: float = 60.0
    submitted: int = 100
    reached: int = 24
    beside: int = 6
    settle_s: float = 62.0


QUICK = Sizes(
    live=(1, 50),
    steady_s=20.0,
    played=(10,),
    played_s=10.0,
    minute_s=12.0,
    submitted=20,
    reached=3,
    beside=2,
    settle_s=2.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A daemon and its cluster at one moment."""

    at: float
    counts: Counts
    daemon: Usage
    login: Usage

    @classmethod
    def of(cls, where: Place) -> Seen:
        """Now."""
        return cls(
            at=time.monotonic(), counts=where.site.counts(), daemon=where.house.usage(), login=where.site.usage()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """What ``live`` sessions took: counts a minute, CPU seconds an hour, memory in MiB."""

    live: int
    scheduler: float
    execs: float
    logins: float
    streams: float
    daemon: float
    login_sshd: float
    login_commands: float
    resident: float
    proportional: float


def measured(where: Place, before: Seen) -> Minute:
    """From ``before`` until now."""
    now = Seen.of(where)
    minutes = (now.at - before.at) / 60
    counts, daemon, login = (
        now.counts.since(before.counts),
        now.daemon.since(before.daemon),
        now.login.since(before.login),
    )
    return Minute(
        live=where.live,
        scheduler=counts.scheduler / minutes,
        execs=counts.execs / minutes,
        logins=counts.logins / minutes,
        streams=counts.streams / minutes,
        daemon=daemon.own * 60 / minutes,
        login_sshd=login.own * 60 / minutes,
        login_commands=login.children * 60 / minutes,
        resident=where.house.resident_mib(),
        proportional=_proportional_mib(where.house.pid),
    )


def _proportional_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"process {pid} has no memory")


@contextmanager
def places(folder: Path, sizes: tuple[int, ...]) -> Iterator[list[Place]]:
    """A daemon for each of ``sizes``, at work at the same time; each has a cluster and an sshd of its own."""
    with ExitStack() as stack:
        first, found = FIRST_PORT, []
        for live in sizes:
            found.append(stack.enter_context(place(folder / f"live-{live}", live, first)))
            first += live + 10
        for one in found:
            started = one.house.start()
            took = until_running(one)
            print(f"{one.live} live: the API answers after {started:.2f} s, all run after {started + took:.2f} s")
        yield found


def steady(where: list[Place], seconds: float) -> None:
    """Commands, channels, CPU and memory while sessions run and nobody asks anything, at ``poll = "15s"``.

    Real: the daemons, their sshds, the shells that they run there, the connections to the service. Stand-ins: Slurm's
    commands, which answer from a file; one small server that answers for all sessions; the sessions themselves, which
    are rows of the state database, lines of the queue and folders with what a session's folder holds.
    """
    before = [Seen.of(one) for one in where]
    time.sleep(seconds)
    _minutes("steady", [measured(one, since) for one, since in zip(where, before, strict=True)])


def waiting(where: Place, seconds: float) -> None:
    """The same with one more session that was just submitted and waits in the queue: the most that is ever asked.

    Real and stand-ins are those of `steady`.
    """
    where.house.client.start({"service": "trivial", "cluster": NAME, "name": "waits"})
    where.house.until(lambda: where.house.counts().get("wait-for-node", 0) == 1, 60)
    before = Seen.of(where)
    time.sleep(seconds)
    _minutes("one more waits", [measured(where, before)])


def _minutes(name: str, found: list[Minute]) -> None:
    print(f"\n{name:16}{'a minute':>12}{'':28}{'CPU s an hour':>16}{'':20}{'MiB':>8}")
    heads = ("scheduler", "exec", "logins", "service", "daemon", "its sshd", "commands", "RSS", "PSS")
    print(f"{'live sessions':16}" + "".join(f"{head:>10}" for head in heads))
    for one in found:
        asked = (one.scheduler, one.execs, one.logins, one.streams)
        used = (one.daemon, one.login_sshd, one.login_commands, one.resident, one.proportional)
        print(f"{one.live:<16}" + "".join(f"{value:10.1f}" for value in (*asked, *used)), flush=True)


def peers(folder: Path, sizes: tuple[int, ...], played: tuple[int, ...], seconds: float) -> None:
    """The same question to other programs' habits: computed for all, and two of them played for a while.

    Real: the ssh processes and the sshd, where the habit has them. Stand-ins: squeue, as for our own daemon; the
    programs themselves are not run, only what they would run.
    """
    print("\nothers, computed: scheduler's commands (ssh logins) a minute" + "".join(f"{n:>14}" for n in sizes))
    for habit in HABITS:
        cells = "".join(f"{f'{habit.commands(n):.0f} ({habit.logins(n):.0f})':>14}" for n in sizes)
        print(f"{habit.name:60}{cells}   {habit.why}")
    print(f"\n{'others, played':36}{'a minute':>20}{'CPU s an hour':>26}")
    print(f"{'':16}" + "".join(f"{head:>12}" for head in ("live", "scheduler", "logins", "here", "there")))
    with site(folder / "peers") as own:
        own.run_jobs([f"job-{n}" for n in range(max(played))], int(time.time()))
        for name, play in (("Open OnDemand", play_ondemand), ("batchspawner", play_batchspawner)):
            for count in played:
                # A time of its own for each, or they would take each other's CPU.
                got = play(own, count, seconds)
                values = (got.commands, got.logins, got.cpu_here, got.cpu_there)
                print(f"{name:16}{count:12}" + "".join(f"{value:12.1f}" for value in values), flush=True)


def submit(folder: Path, count: int) -> None:
    """Start ``count`` sessions as fast as the API takes them: until the last job's number is known.

    Real: daemon, sshd, staging, the submission's script. Stand-ins: sbatch, whose jobs wait for ever.
    """
    with place(folder / "submit", 0) as where:
        house = where.house
        house.start()
        before, began = where.site.counts(), time.monotonic()
        for n in range(count):
            house.client.start({"service": "trivial", "cluster": NAME, "name": f"s-{n}"})
        posted = time.monotonic() - began
        house.until(lambda: house.counts().get("wait-for-node", 0) == count, 300, every_s=0.05)
        took, asked = time.monotonic() - began, where.site.counts().since(before)
        print(
            f"\n{count} sessions, stand-in sbatch: requests {posted:.2f} s, all submitted {took:.2f} s; "
            f"sbatch {where.site.calls('sbatch')}, other commands of the scheduler "
            f"{asked.scheduler - where.site.calls('sbatch')}, exec channels {asked.execs}, logins {asked.logins}; "
            f"daemon's CPU {house.usage().own:.2f} s",
            flush=True,
        )


def reach(sizes: Sizes) -> None:
    """From "the service listens on its node" to "its URL answers 200 through the gateway", at ``poll = "15s"``.

    All real: Slurm 22.05 or whatever is installed, in network namespaces of this machine with a login node and two
    nodes of four processors; sshd; the service, which writes down when it listens, by the one clock of this machine.
    The home folder is a local file system, so what NFS adds to the age of a file is not in it.
    """
    with bed() as here:
        if isinstance(here, str):
            print(f"\nno real Slurm: {here}")
            return
        print("\nreal Slurm: seconds from listening to answering (from the request)")
        _reached("one after the other", lambda: here.one_by_one(sizes.reached))
        _reached(f"begun a second apart, {AT_ONCE} at a time", lambda: here.together(sizes.reached))
        _reached(
            f"alone, beside one that has waited for {sizes.settle_s:g} s",
            lambda: here.beside(sizes.beside, sizes.settle_s),
        )
        took, calls = here.submit(sizes.submitted)
        print(f"{sizes.submitted} sessions: all submitted after {took:.2f} s, sbatch {calls}", flush=True)


def _reached(name: str, measure: Callable[[], list[Reached]]) -> None:
    found = measure()
    waits = sorted(one.after_listening for one in found)
    whole = sorted(one.after_request for one in found)
    print(
        f"{name:60}{len(found):4} sessions   median {statistics.median(waits):.2f} ({statistics.median(whole):.2f})"
        f"   p95 {_p95(waits):.2f} ({_p95(whole):.2f})   slowest {waits[-1]:.2f} ({whole[-1]:.2f})",
        flush=True,
    )


def _p95(values: list[float]) -> float:
    return values[min(len(values) - 1, round(0.95 * len(values)) - 1)] if len(values) > 1 else values[0]


def measure(sizes: Sizes, only: frozenset[str]) -> None:
    """All of it."""
    folder = Path(tempfile.mkdtemp(prefix="sd-clusters-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        if only & {"steady", "waiting", "peers"}:
            with places(folder, sizes.live) as where:
                began = time.monotonic()
                if "peers" in only:
                    peers(folder, sizes.live, sizes.played, sizes.played_s)
                if "steady" in only:
                    time.sleep(max(0.0, began + sizes.settle_s - time.monotonic()))
                    steady(where, sizes.steady_s)
                if "waiting" in only:
                    waiting(where[-1], sizes.minute_s)
        if "submit" in only:
            submit(folder, sizes.submitted)
        if "reach" in only:
            reach(sizes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Read what is wanted and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a short run of all, to see that it works")
    parser.add_argument("--only", default="steady,waiting,peers,submit,reach", metavar="PARTS")
    given = parser.parse_args()
    measure(QUICK if given.quick else Sizes(), frozenset(given.only.split(",")))


if __name__ == "__main__":
    main()
