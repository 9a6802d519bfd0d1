"""What is left of a cluster after its end: nothing, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .bed import ALICE, LOGIN, NODES, TARA, Cluster, number, reason_to_skip
from .bed.disks import reason_against_quotas
from .bed.fixtures import fresh_cluster
from .bed.waiting import until

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def machine() -> dict[str, list[str]]:
    """All of this machine in which a cluster could leave something behind."""
    locks = [_text(path) for path in Path("/run").glob("sessiond-bed-*.lock")]
    namespaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    links = subprocess.run(["ip", "-o", "link", "show"], capture_output=True, text=True, check=True).stdout
    routes = subprocess.run(["ip", "route", "show", "table", "all"], capture_output=True, text=True, check=True).stdout
    processes: list[str] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                world = (folder / "ns/net").readlink()
            except OSError:
                continue
            if world != Path("/proc/self/ns/net").readlink() or "sdbed" in command:
                processes.append(f"{world} {command}")
    return {
        "locks": locks,
        "namespaces": sorted(line.split()[0] for line in namespaces.splitlines()),
        "links": sorted(line.split()[1].rstrip(":") for line in links.splitlines()),
        "routes": sorted(routes.splitlines()),
        "loop devices": sorted(_text(path) for path in Path("/sys/block").glob("loop*/loop/backing_file")),
        "mounts": sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
        "processes": sorted(processes),
        "folders": sorted(str(path) for path in Path(tempfile.gettempdir()).glob("sdbed*")),
        "users": Path("/etc/passwd").read_text().splitlines(),
        "groups": Path("/etc/group").read_text().splitlines(),
    }


def _text(file: Path) -> str:
    """What a file says that may go meanwhile: other clusters come and go."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def marks_of(number: int) -> list[str]:
    """What marks a thing as one of the cluster with ``number``, which is up: others may be up beside it."""
    worlds = [Path(f"/run/netns/sd{number}-{host}").stat().st_ino for host in (LOGIN, *NODES)]
    names = [f"sd{number}-", f"sdbed{number}-", f"10.{100 + number}.", f"{ALICE}:", f"{TARA}:"]
    return names + [f"net:[{world}]" for world in worlds]


def left(before: dict[str, list[str]], marks: list[str]) -> list[str]:
    """What has one of ``marks`` and was not there before."""
    return [
        f"{kind}: {thing}"
        for kind, things in machine().items()
        for thing in things
        if thing not in before[kind] and any(mark in thing for mark in marks)
    ]


def all_gone(before: dict[str, list[str]], marks: list[str]) -> None:
    """Wait until nothing is left. A mount, and the loop device below it, ends with the last namespace that has it, and
    whoever makes one meanwhile, for another cluster or a test of another kind, begins with copies of all mounts.
    """
    found: list[str] = []

    def is_clean() -> bool:
        found[:] = left(before, marks)
        return not [thing for thing in found if thing.startswith("loop devices: ")]

    until(is_clean, "the loop devices end", limit_s=60)
    assert [] == found


def quota() -> int:
    """Megabytes for homes, where they can have a quota at all: they then lie on a loop device, which could be left."""
    return 0 if reason_against_quotas() else 8


def test_nothing_is_left_behind() -> None:
    """After two clusters with jobs, connections and a broken network: no process, link, mount, file or user of them."""
    before = machine()
    with fresh_cluster(home_quota_mb=quota()) as one, fresh_cluster() as two:
        marks = marks_of(one.network.number) + marks_of(two.network.number)
        one.until_job(one.submit("setsid sleep 600 & sleep 600"), "RUNNING")
        kinds = {thing.partition(":")[0] for thing in left(before, marks)}
        loops = {"loop devices"} if quota() else set()
        assert {"locks", "namespaces", "links", "routes", "mounts", "processes", "folders"} | loops == kinds
        with two.connection("sleep 600"):
            two.cut()
            one.ctld_freeze()
            two.power_off("node1")
    all_gone(before, marks)


def test_an_interrupted_bring_up_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the hosts are up and the daemons are not."""
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    before = machine()
    marks: list[str] = []

    def interrupted(cluster: Cluster) -> None:
        marks.extend(marks_of(cluster.network.number))
        raise KeyboardInterrupt

    monkeypatch.setattr(Cluster, "munge_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Cluster().up()
    assert [] != marks
    assert [] == left(before, marks)


def test_the_next_cluster_sweeps_up_after_a_killed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 of the tests: its hosts end by themselves, and whoever takes its number removes the rest."""
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    before = machine()
    # beyond those of other clusters, which would sweep up as well
    own = number.LAST + 1 + os.getpid() % 50
    monkeypatch.setattr(number, "FIRST", own)
    monkeypatch.setattr(number, "LAST", own)
    code = (
        "import signal; from tests.live.bed import Cluster, Settings, number\n"
        f"number.FIRST = number.LAST = {own}\n"
        f"cluster = Cluster(Settings(home_quota_mb={quota()}))\n"
        "cluster.up(); cluster.submit('sleep 600')\n"
        "print(cluster.network.number, cluster.folder, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as doomed:
        assert doomed.stdout is not None
        taken, folder = doomed.stdout.readline().split()
        doomed.send_signal(signal.SIGKILL)
    assert own == int(taken)
    marks = marks_of(own)
    until(lambda: not any(thing.startswith("processes:") for thing in left(before, marks)), "its processes end")
    assert [] != left(before, marks)
    with fresh_cluster() as heir:
        assert own == heir.network.number
        assert not Path(folder).exists()
        heir.until_job(heir.submit("true"), "COMPLETED")
    all_gone(before, marks)
