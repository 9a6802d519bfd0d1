"""What the daemon costs: memory, the time to a session's first answer, restarts, and CPU in steady state.

    python bench/daemon.py [--live 200] [--ended 1000] [--starts 10] [--steady 60]

A real daemon on a private state folder. Live sessions are real: each is a runner, its two shells and a small Python
server. Ended ones are written into the state database by the store itself, with the history of a real session's life,
before the daemon starts. Ratios tell more than figures, so each has something of the same run to be compared with.
"""

from __future__ import annotations

import argparse
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from _house import ROOT, SERVER, House, Usage, house
from _road import roads

from sessiond.config.catalogue import Catalogue
from sessiond.core import machine
from sessiond.core.events import (
    EndpointPublished,
    Event,
    JobEnded,
    JobRunning,
    Staged,
    StopRequested,
    Submitted,
    TunnelUp,
)
from sessiond.core.ids import ActionId, ClusterName, JobId, session_id
from sessiond.core.session import Endpoint, Outcome, Session, State
from sessiond.core.spec import LaunchSpec, Mode, Prefix, ServiceSpec
from sessiond.store.store import Store

AT_ONCE = 4
"""Sessions started at the same time, so that starting them is not what is measured."""


@dataclass(slots=True)
class Report:
    """Lines of the table: what, its figure, what it is compared with."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, what: str, value: float, unit: str, against: float | None = None, name: str = "") -> None:
        """A figure, and its ratio to another of the same unit."""
        ratio = "" if against is None or against <= 0 else f"{value / against:7.2f} x {name}"
        self.rows.append((what, f"{value:9.3f} {unit}" if unit in ("s", "ms") else f"{value:9.1f} {unit}", ratio))
        print(f"{what:62}{self.rows[-1][1]:16}{ratio}", flush=True)


def bare_mib() -> float:
    """The resident memory of an interpreter that does nothing."""
    show = "print(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1])"
    done = subprocess.run([sys.executable, "-I", "-c", show], capture_output=True, check=True)
    return int(done.stdout) / 1024


def write_ended(state_dir: Path, count: int) -> None:
    """Put ended sessions of the real JupyterLab folder into a new state database."""
    catalogue = Catalogue.read([ROOT / "services"])
    service = replace(catalogue.spec("jupyterlab-host"), prefix=Prefix.KEEP)
    store = Store.open(state_dir)
    try:
        for number in range(1, count + 1):
            _one_life(store, service, number)
    finally:
        store.close()


def _one_life(store: Store, service: ServiceSpec, number: int) -> None:
    born = 1_700_000_000.0 + 60 * number
    identity = session_id(born, number)
    spec = LaunchSpec(
        service=service,
        workflow=service.name,
        cluster=ClusterName("local"),
        mode=Mode.LOCAL,
        user="bench",
        jobdir=f"/nonexistent/sessiond/{identity}",
        params={"service_notebook_dir": "/data/projects/one"},
        secrets={"service_token": f"{number:032}"},
        urlend=f"lab?token={number:032}",
    )
    session = Session(
        id=identity,
        name=f"old-{number}",
        number=store.next_number(),
        spec=spec,
        open_port=50000 + number % 5000,
        created=born,
        state=State.RENDER,
        since=born,
    )
    job = JobId(f"{number}:4711:0f0f0f0f-0000-4000-8000-000000000000")
    endpoint = Endpoint(run=f"{job}.0", host="127.0.0.1", port=7000)
    events: list[Event] = [
        Staged(),
        Submitted(job=job),
        JobRunning(nodes=("here",), started=born + 2),
        EndpointPublished(endpoint=endpoint),
        TunnelUp(),
        StopRequested(),
        JobEnded(outcome=Outcome.CANCELLED),
    ]
    done: ActionId | None = None
    step = machine.create(session)
    for second, event in enumerate([None, *events]):
        if event is not None:
            step = machine.step(step.after, event, born + second)
        assert step.record is not None
        store.commit(step, at=born + second, done=done)
        orders = step.record.actions
        done = orders[0].id if orders else None
    assert done is not None
    store.action_done(done, born + len(events))


def first_answer(found: House, count: int, name: str) -> tuple[list[float], list[float]]:
    """Start sessions one after the other: seconds from `sessionctl start` to a 200 through the gateway, and the
    daemon's part of it, from the session's creation to the service's first answer to the probe."""
    whole, inside = [], []
    ctl = [sys.executable, "-c", "from sessiond.cli.main import main; main()"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
    for number in range(count):
        began = time.perf_counter()
        argv = [*ctl, "start", "trivial", "--name", f"{name}-{number}"]
        done = subprocess.run(argv, env=found.env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"sessionctl start failed: {done.stderr}")
        with opener.open(done.stdout.strip().splitlines()[-1], timeout=30) as answer:
            assert answer.status == 200
        whole.append(time.perf_counter() - began)
        inside.append(_daemon_part(found, f"{name}-{number}"))
    return whole, inside


def _daemon_part(found: House, name: str) -> float:
    lines = found.client.story(name)["lines"]
    ready = next(line for line in lines if line["text"] == "the service answers")
    times = [datetime.fromisoformat(line["at"]).timestamp() for line in (lines[0], ready)]
    return times[1] - times[0]


def bare_start(folder: Path) -> float:
    """Seconds from starting the same server by hand to its answer: what no daemon can undercut."""
    script = folder / "bare.py"
    script.write_text(SERVER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-I", "-S", str(script), str(port)])
    try:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
                    peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    assert peer.recv(4096)
                    return time.perf_counter() - began
            except ConnectionRefusedError:
                time.sleep(0.001)
    finally:
        server.kill()
        server.wait()


def start_many(found: House, count: int) -> float:
    """Start ``count`` sessions through the API and wait until all run; the seconds that took."""
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as threads:

        def one(number: int) -> None:
            name = f"live-{number}"
            found.client.start({"service": "trivial", "name": name})
            found.until(lambda: found.client.session(name)["state"] == "running", 120, every_s=0.05)

        list(threads.map(one, range(count)))
    return time.perf_counter() - began


def restart(found: House, live: int) -> tuple[float, float, float]:
    """kill -9 and start again: seconds to the first answer of the API, until all sessions run, and the daemon's CPU."""
    found.kill()
    began = time.perf_counter()
    answered = found.start()
    # Not more often: what asks takes CPU from what is measured.
    found.until(lambda: found.counts().get("running", 0) == live, 300, every_s=0.05)
    return answered, time.perf_counter() - began, found.usage().own


def steady(found: House, seconds: float) -> Usage:
    """CPU used while nobody asks anything."""
    before = found.usage()
    time.sleep(seconds)
    return found.usage().since(before)


def median_of(measure: Callable[[], float], count: int) -> float:
    """The median of some runs."""
    return statistics.median(measure() for _ in range(count))


def measure(live: int, ended: int, starts: int, steady_s: float) -> None:
    """All figures, each printed as soon as it is known."""
    report = Report()
    bare = bare_mib()
    with house() as found:
        report.add("memory: python3 -I -c pass", bare, "MiB")
        found.start()
        time.sleep(1)
        report.add("memory: daemon, no session", found.resident_mib(), "MiB", bare, "bare interpreter")
        alone = median_of(lambda: bare_start(found.folder), starts)
        report.add("first answer: the service by hand", alone, "s")
        _starts(report, found, starts, "no other session", alone)
        _roads(report, found, "few sessions")
    with house() as found:
        write_ended(found.state_dir, ended)
        report.add(f"start with {ended} ended sessions", found.start(), "s")
        time.sleep(1)
        old = found.resident_mib()
        report.add(f"memory: {ended} ended", old, "MiB", bare, "bare interpreter")
        idle = steady(found, steady_s / 4)
        report.add("CPU a minute: no live session, daemon", idle.own * 240 / steady_s, "s")
        report.add(f"start of {live} sessions, {AT_ONCE} at a time", start_many(found, live), "s")
        time.sleep(5)
        full = found.resident_mib()
        report.add(f"memory: {ended} ended, {live} live", full, "MiB", bare, "bare interpreter")
        report.add("  a live session's part", (full - old) * 1024 / max(live, 1), "KiB")
        used = steady(found, steady_s)
        report.add(f"CPU a minute: {live} live, daemon", used.own * 60 / steady_s, "s")
        report.add(f"CPU a minute: {live} live, its looks at the sessions", used.children * 60 / steady_s, "s")
        looks = found.client.status()["clusters"][0]["commands"]
        time.sleep(10)
        report.add("  looks a minute", (found.client.status()["clusters"][0]["commands"] - looks) * 6.0, "")
        _starts(report, found, starts, f"{live} others live", alone)
        _roads(report, found, f"{live} others live")
        for session in found.client.sessions():
            if not re.fullmatch(r"live-\d+", session["name"]):
                found.client.stop(session["name"])
        found.until(lambda: found.counts() == {"running": live, "ended": ended + starts + 1}, 120)
        answered, all_back, cpu = restart(found, live)
        report.add(f"restart after kill -9, {live} live: API answers", answered, "s")
        report.add(f"restart after kill -9, {live} live: all running again", all_back, "s", answered, "API answers")
        report.add("  CPU of the daemon until then", cpu, "s")
        report.add("memory: the same after the restart", found.resident_mib(), "MiB", bare, "bare interpreter")
        began = time.perf_counter()
        for session in found.client.sessions():
            found.client.stop(session["id"])
        found.until(lambda: set(found.counts()) == {"ended"}, 300, every_s=0.1)
        report.add(f"stop of {live} sessions at once", time.perf_counter() - began, "s")
        report.add("stop of the daemon", found.terminate(), "s")


def _starts(report: Report, found: House, starts: int, name: str, alone: float) -> None:
    whole, inside = first_answer(found, starts, "try")
    middle = statistics.median(whole)
    report.add(f"first answer: sessionctl start to 200, {name}", middle, "s", alone, "by hand")
    report.add("  the daemon's part: created to answering", statistics.median(inside), "s", alone, "by hand")
    report.add("  slowest", max(whole), "s", alone, "by hand")


def _roads(report: Report, found: House, name: str) -> None:
    ways = roads(found)
    for way in ways:
        report.add(f"GET, {name}: {way.name}", way.get_ms, "ms", ways[0].get_ms, "its own port")
    for way in ways:
        report.add(f"POST, {name}: {way.name}", way.post_ms, "ms", ways[0].post_ms, "its own port")
    for way in ways:
        report.add(f"download, {name}: {way.name}", way.mib_s, "MiB/s", ways[0].mib_s, "its own port")


def main() -> None:
    """Read the sizes and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--live", type=int, default=200)
    parser.add_argument("--ended", type=int, default=1000)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--steady", type=float, default=60.0, metavar="SECONDS")
    given = parser.parse_args()
    measure(given.live, given.ended, given.starts, given.steady)


if __name__ == "__main__":
    main()
