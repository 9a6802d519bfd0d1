"""From a service that listens on a compute node to its URL answering here, on a real Slurm cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sessiond.api.wire import Session
from tests.daemon.workspace import fetch
from tests.live.bed import Cluster, reason_to_skip
from tests.live.bed.person import Person, person

POLL = "15s"
AT_ONCE = 8
"""As many as the nodes have processors."""

# Says when it listens, by the clock that all hosts of this machine share.
_SERVER = """\
import os, socket, sys, time
server = socket.create_server((os.environ["SESSIOND_BIND"], int(sys.argv[1])), backlog=64)
with open("listening.new", "w") as file:
    file.write(repr(time.time()))
os.rename("listening.new", "listening")
answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nConnection: close\\r\\n\\r\\nhello"
while True:
    with server.accept()[0] as peer:
        peer.settimeout(5)
        try:
            if peer.recv(65536):
                peer.sendall(answer)
        except OSError:
            pass
"""
_START = 'cd "$resource_jobdir" && exec /usr/bin/python3 -I -S service/server.py "$servicePort"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """One session: seconds from its service's listening until its URL answered, and from the request until then."""

    after_listening: float
    after_request: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """A real cluster with somebody whose daemon reaches it."""

    cluster: Cluster
    me: Person

    def reach(self, name: str) -> Reached:
        """Start a session, wait for its URL to answer with 200, and stop it."""
        asked = time.time()
        session = self.me.client.start({"service": "prompt", "cluster": "bed", "name": name})
        self.me.until_so(session["id"], lambda one: one["state"] in ("running", "ended"), limit_s=100)
        session = self.me.client.session(name)
        status, text = fetch(session["url"] or "")
        answered = time.time()
        if (status, text) != (200, "hello"):
            raise SystemExit(f"{name} answers {status}; it is {session['phrase']}")
        listening = float(self._seen_from_here(session).joinpath("listening").read_text())
        self.me.client.stop(name, force=True)
        return Reached(after_listening=answered - listening, after_request=answered - asked)

    def _seen_from_here(self, session: Session) -> Path:
        """A session's folder; its path begins with the home folder there, `~` or in full."""
        _, _, below = session["folder"].rpartition("/sessiond/")
        return self.cluster.home() / "sessiond" / below

    def one_by_one(self, count: int) -> list[Reached]:
        """Sessions one after the other."""
        return [self.reach(f"one-{n}") for n in range(count)]

    def together(self, count: int) -> list[Reached]:
        """Sessions begun a second apart, as many at a time as the nodes take."""

        def one(n: int) -> Reached:
            time.sleep(n % AT_ONCE)
            return self.reach(f"many-{n}")

        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(one, range(count)))

    def beside(self, count: int, settle_s: float) -> list[Reached]:
        """Sessions one after the other, while another's job has been waiting for ``settle_s`` seconds: by then the
        daemon waits for news of it in longer stretches, and one that is only just begun is not in them."""
        later = ["--begin=now+1hour"]
        self.me.client.start({"service": "prompt", "cluster": "bed", "name": "waits", "directives": later})
        self.me.until("waits", "wait-for-node")
        time.sleep(settle_s)
        found = []
        for n in range(count):
            found.append(self.reach(f"beside-{n}"))
            time.sleep(2 + n * 3.7 % 5)
        self.me.client.stop("waits", force=True)
        return found

    def submit(self, count: int) -> tuple[float, int]:
        """Start ``count`` sessions; seconds from the first request to the last job's number, and the sbatch calls."""
        before = self.cluster.sbatch_calls()
        began = time.monotonic()
        ids = [
            self.me.client.start({"service": "prompt", "cluster": "bed", "name": f"s-{n}"})["id"] for n in range(count)
        ]
        while any(one["job_id"] is None for one in self.me.client.sessions() if one["id"] in ids):
            time.sleep(0.1)
        return time.monotonic() - began, self.cluster.sbatch_calls() - before


@contextlib.contextmanager
def bed() -> Iterator[Bed | str]:
    """A real cluster and a daemon; or why there can be none here. Nothing is left of either."""
    reason = reason_to_skip()
    if reason:
        yield reason
        return
    with Cluster() as cluster, person(cluster, poll=POLL, start=False) as me:
        folder = me.services / "prompt"
        folder.mkdir()
        (folder / "start-template.sh").write_text(_START)
        (folder / "server.py").write_text(_SERVER)
        me.configure(ports=range(22000, 22400))
        me.daemon()
        yield Bed(cluster=cluster, me=me)
