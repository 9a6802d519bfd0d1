"""What the tests of failures share: tiny services for a cluster's hosts, somebody who starts them, what may be left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sessiond.api.wire import Session, StartRequest
from sessiond.api.wire_clusters import ClusterLink
from tests.daemon import services
from tests.daemon.traces import marked
from tests.daemon.workspace import Daemon, fetch, tag
from tests.live.bed import ALICE, Call, Cluster, Job
from tests.live.bed.person import Person, person
from tests.live.bed.waiting import until

PATIENCE_S = 30.0
ACTIVE = "PENDING,CONFIGURING,RUNNING,SUSPENDED,COMPLETING"
STAYS = frozenset(
    {"logs.out", "exit", "stop", "session.sh", "inputs.sh", "job.sh", "kill.sh", "kill.done", "failure", "burn"}
)
"""What may stay in an ended session's folder on the cluster, beside its attempts: its story, and the user's files."""

_COUNT = 'echo "${resource_jobdir##*/}" >> "${HOME}/started"\n'
SERVE = f"{services.SERVER} tiny {services.BOUND}"
_BURN = (
    'until [ -s "${resource_jobdir}/burn" ]; do sleep 0.1; done\nkill "$!"\nexit "$(cat "${resource_jobdir}/burn")"\n'
)

SERVICES: Mapping[str, str] = MappingProxyType(
    {
        "kite": f"{_COUNT}exec {SERVE}\n",
        "fuse": f"{_COUNT}{SERVE} &\n{_BURN}",
        "heavy": f"{_COUNT}exec {SERVE}\n",
        "glutton": f"{_COUNT}exec {SERVE}\n",
    }
)
"""Start templates: ``kite`` serves until it is told to end, ``fuse`` until `Storm.burn`."""

PREPARATIONS: Mapping[str, str] = MappingProxyType(
    {"heavy": "sleep 300\n", "glutton": 'cat /dev/zero > "${resource_jobdir}/../../.filling" 2>/dev/null\nexit 0\n'}
)
"""controller.sh: ``heavy`` takes its time, ``glutton`` leaves no room on the disk that its session's folder is on."""


class Storm:
    """A cluster and somebody with sessions on it; what people see, and what really is."""

    def __init__(self, cluster: Cluster, me: Person) -> None:
        self.cluster = cluster
        self.me = me

    def configure(self, **keys: object) -> None:
        """Write the configuration; ``keys`` of the cluster's table differ from now on."""
        self.me.configure(ports=self.me.ports, **keys)

    # What people see.

    @property
    def link(self) -> ClusterLink:
        """The link as ``clusters`` shows it."""
        return next(one for one in self.me.client.clusters() if one["name"] == "bed")["link"]

    def until_link(self, *states: str, limit_s: float = PATIENCE_S) -> ClusterLink:
        """Wait until the link is in one of ``states``."""
        found: list[ClusterLink] = []

        def there() -> bool:
            found[:] = [self.link]
            return found[0]["state"] in states

        until(there, f"the link is {' or '.join(states)}; {self.me.log}", limit_s)
        return found[0]

    def said(self, *words: str) -> str:
        """What sessionctl prints, on both outputs, when it succeeds."""
        done = self.me.ctl(*words)
        assert 0 == done.status, done.out + done.err
        return done.out + done.err

    def request(self, service: str = "kite", **more: Any) -> StartRequest:
        """A request for a session on the cluster."""
        found: StartRequest = {"service": service, "cluster": "bed", **more}  # type: ignore[typeddict-item] # keys are StartRequest's
        return found

    def begin(self, service: str = "kite", **more: Any) -> Session:
        """Start a session and wait for nothing."""
        return self.me.client.start(self.request(service, **more))

    def start(self, service: str = "kite", *, to: str = "running", **more: Any) -> Session:
        """Start a session and wait until it is in state ``to``."""
        return self.me.until(self.begin(service, **more)["id"], to)

    def running(self, *sessions: Session) -> list[Session]:
        """The sessions, once all of them run."""
        return [self.me.until(one["id"], "running") for one in sessions]

    def answers(self, session: Session) -> str:
        """What the service says at the session's URL; empty where it does not answer with 200."""
        status, text = fetch(str(session["url"]))
        return text if status == 200 else ""

    def until_answers(self, session: Session, expected: str) -> None:
        """Wait until the service says ``expected`` at the session's URL."""
        until(lambda: expected == self.answers(session), f"{session['url']} answers {expected}")

    # What really is.

    def folder(self, session: Session) -> Path:
        """Where this machine sees a session's folder, below the home or the small disk."""
        there = Path(session["folder"])
        return self.cluster.home(self.me.user) / there.relative_to("~") if there.is_relative_to("~") else there

    def burn(self, session: Session, status: int = 0) -> None:
        """Have a ``fuse`` end with an exit status."""
        file = self.folder(session) / "burn.new"
        file.write_text(f"{status}\n")
        file.rename(file.with_name("burn"))

    def sbatches(self, session: Session) -> list[Call]:
        """The calls of sbatch for a session."""
        return [
            call for call in self.cluster.calls("sbatch") if call.tag == tag(session) or session["id"] in call.arguments
        ]

    def jobs(self, session: Session, states: str = "all") -> list[Job]:
        """A session's jobs."""
        return [job for job in self.cluster.jobs(states) if job.name == tag(session) or job.comment == session["id"]]

    def started(self, session: Session) -> int:
        """How often a session's service was started."""
        with contextlib.suppress(FileNotFoundError):
            return (self.cluster.home(self.me.user) / "started").read_text().split().count(session["id"])
        return 0

    def left(self, session: Session) -> list[str]:
        """What a session that is over should not have left on the cluster and here."""
        found = [f"job {job.id} {job.state}" for job in self.jobs(session, ACTIVE)]
        found += marked(f"SESSIOND_TAG={tag(session)}")
        folder = self.folder(session)
        if folder.exists():
            names = {path.name for path in folder.iterdir()}
            found += sorted(f"{folder}/{name}" for name in names - STAYS if not name.startswith("attempt."))
        return found + [line for line in left(self.cluster, self.me.user) if tag(session) in line]

    # Both.

    def over(self, session: Session, outcome: str, *, submitted: int = 1, limit_s: float = PATIENCE_S) -> Session:
        """Wait for a session's end, and see that it is the right one and that nothing is left of it."""
        ended = self.me.until_so(session["id"], lambda one: one["state"] == "ended", limit_s)
        assert outcome == ended["outcome"], f"{ended}\n{self.me.story(session['id'])}"
        assert submitted == len(self.sbatches(session)), self.cluster.calls("sbatch")
        assert submitted >= len(self.jobs(session))
        found = [""]

        def clean() -> bool:
            found[:] = self.left(ended)
            return not found

        try:
            until(clean, "nothing is left", limit_s, every_s=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}: {found}\n{self.me.log.read_text()}") from None
        return ended

    def end(self, *sessions: Session) -> None:
        """Stop sessions and see that nothing is left of them."""
        for one in sessions:
            self.me.client.stop(one["id"])
        for one in sessions:
            self.over(one, "cancelled")

    def alive(self, before: Session, said: str) -> Session:
        """A session that has run and runs again: the same URL, job and process, submitted and started once."""
        after = self.me.until_so(
            before["id"], lambda one: one["state"] in ("running", "ended") and one["link"]["state"] == "up"
        )
        facts = ("id", "state", "url", "job_id", "node", "attempt", "open_port", "created")
        assert [before[fact] for fact in facts] == [after[fact] for fact in facts]  # type: ignore[literal-required] # keys are Session's
        self.until_answers(before, said)
        assert (1, 1) == (len(self.sbatches(before)), self.started(before))
        assert [after["job_id"]] == [job.id for job in self.jobs(before)]
        return after

    def daemon(self, **env: str) -> Daemon:
        """Start a daemon and wait until it serves."""
        return self.me.daemon(**env)


@contextlib.contextmanager
def storm(cluster: Cluster, *, start: bool = True, workdir: str | None = None) -> Iterator[Storm]:
    """Somebody with a running daemon (``start`` False: without one) and the tiny services, on ``cluster``."""
    with person(cluster, start=False, workdir=workdir) as me:
        for name, template in SERVICES.items():
            preparation = PREPARATIONS.get(name, "")
            services.write(me.services / name, template, controller=preparation, url=services.URL)
        it = Storm(cluster, me)
        it.configure()
        if start:
            me.daemon()
        yield it


def left(cluster: Cluster, user: str = ALICE) -> list[str]:
    """What sessions that are over should not have left on a cluster: processes, sockets, reservations of ports."""
    found: list[str] = []
    text = 'find /tmp -xdev -maxdepth 1 -name "sd-*"; grep -Hs sd- /tmp/*.port.used'
    for name, host in cluster.hosts.items():
        if host.is_on:
            mine = [one for one in host.processes() if one.uid == cluster.uid(user) and one.name != "sshd"]
            found += [f"{name}: process {one.pid} {one.name}" for one in mine]
            found += [f"{name}: {line}" for line in cluster.sh(name, "sh", "-c", text).stdout.splitlines()]
    return found


def nothing_left(cluster: Cluster) -> None:
    """Wait until nothing is left on a cluster but ended sessions' stories: no job, process, socket or reservation."""
    found: list[str] = []

    def clean() -> bool:
        found[:] = [f"job {job.id} {job.state}" for job in cluster.jobs(ACTIVE)] + left(cluster)
        return not found

    try:
        until(clean, "nothing is left", every_s=0.2)
    except AssertionError as error:
        raise AssertionError(f"{error}: {found}") from None


def stays(condition: Callable[[], bool], seconds: float, what: str, *, every_s: float = 0.2) -> None:
    """See for some seconds that a condition holds: there is no event for what does not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"it did not stay so: {what}"
        time.sleep(every_s)
