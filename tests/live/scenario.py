"""What scenarios on a cluster have in common: tiny services for nodes, who submitted what, and what is left there."""

from __future__ import annotations

import contextlib
from pathlib import Path

from sessiond.api.wire import Session
from tests.daemon import services, traces
from tests.daemon.workspace import Workspace, fetch, tag

from .bed import ALICE, LOGIN, NODES, AnyCluster
from .bed.config import SHELLS
from .bed.host import Process
from .bed.waiting import until

PYTHON = f"{services.SERVER} where"
"""The shell's words for the server that says where it is; its address or the path of its socket follows."""

SERVE = f"{PYTHON} {services.BOUND}"


def add_service(me: Workspace, name: str, start: str, *, kill: str = "", manifest: str = "") -> None:
    """A service of the person's own; the daemon finds it by itself."""
    services.write(me.services / name, start, kill=kill, manifest=manifest)


def add_where(me: Workspace) -> None:
    """The service ``where``, which says on which node it runs, and in which run of its job."""
    add_service(me, "where", f"exec {SERVE}\n")


def page(session: Session) -> str:
    """What a browser is shown at a session's URL; fails unless it is the service's own page."""
    assert session["url"] is not None
    status, text = fetch(session["url"])
    assert 200 == status, text
    return text


def submissions(cluster: AnyCluster, session: Session) -> int:
    """How many times sbatch or qsub was called to submit a session: it is called in the session's folder."""
    name = f"/{session['id']}"
    calls = [*cluster.calls("sbatch"), *cluster.calls("qsub")]
    return sum(f"{name} " in call.arguments or call.folder.endswith(name) for call in calls)


def folder(cluster: AnyCluster, session: Session, user: str = ALICE) -> Path:
    """Where this machine sees a session's folder on the cluster, with the workdir as it is by default."""
    return cluster.home(user) / "sessiond" / session["id"]


def job_of(session: Session) -> str:
    """A session's job."""
    assert session["job_id"] is not None
    return session["job_id"]


def of_job(cluster: AnyCluster, host: str, *sessions: Session) -> list[Process]:
    """The processes of sessions' jobs on a host: the scheduler marks them, and the session does."""
    if not cluster.hosts[host].is_on:
        return []
    marks = {f"SESSIOND_TAG={tag(one)}".encode() for one in sessions}
    marks |= {f"{name}={one['job_id']}".encode() for name in ("SLURM_JOB_ID", "PBS_JOBID") for one in sessions}
    users = {cluster.uid(user) for user in SHELLS}

    def is_marked(one: Process) -> bool:
        with contextlib.suppress(OSError):
            return not marks.isdisjoint(Path(f"/proc/{one.pid}/environ").read_bytes().split(b"\0"))
        return False

    return [one for one in cluster.hosts[host].processes() if one.uid in users and is_marked(one)]


def files_of(cluster: AnyCluster, host: str, *sessions: Session) -> list[str]:
    """What sessions have in folders of a host that only that host sees: each is named after one, or says its name."""
    if not cluster.hosts[host].is_on or not sessions:
        return []
    names = [tag(one) for one in sessions]
    # only what lies in its own file system: paths of the machine may be mounted below
    own = ("find", "/tmp", "/dev/shm", "-xdev")
    found = [file for file in cluster.sh(host, *own).stdout.split() if any(name in file for name in names)]
    words = [word for name in names for word in ("-e", name)]
    return found + cluster.sh(host, *own, "-type", "f", "-exec", "grep", "-slF", *words, "{}", "+").stdout.split()


def leftovers(cluster: AnyCluster, *sessions: Session, killed: bool = False) -> list[str]:
    """Everything on the cluster that sessions which are over should not have left, there and in the workspace.

    ``killed``: the scheduler ended them with SIGKILL, so that the reservation of a port may lie on the node; it ended
    with the process that is named in it.
    """
    left: list[str] = []
    names = {tag(one) for one in sessions}
    left += [f"job {job}" for job in cluster.active() if job.name in names]
    left += [f"a listener on port {port}" for port in traces.listening() & {one["open_port"] for one in sessions}]
    for name in (LOGIN, *NODES):
        left += [f"{name}: {one}" for one in of_job(cluster, name, *sessions)]
        files = files_of(cluster, name, *sessions)
        left += [f"{name}: {file}" for file in files if not (killed and file.endswith(".port.used"))]
    for session in sessions:
        node, port = session["node"], session["service_port"]
        if (
            node in cluster.hosts
            and cluster.hosts[node].is_on
            and port is not None
            and cluster.hosts[node].listens(port)
        ):
            left.append(f"{node}: a listener on port {port}")
    return left


def nothing_left(cluster: AnyCluster, *sessions: Session, killed: bool = False) -> None:
    """Wait until sessions which are over have left nothing: what ends by itself after them has a moment for it."""
    found: list[str] = []

    def is_clean() -> bool:
        found[:] = leftovers(cluster, *sessions, killed=killed)
        return not found

    try:
        until(is_clean, "nothing is left of the sessions", limit_s=30)
    except AssertionError as error:
        raise AssertionError(f"{error}: {found}") from None


def cleaned(cluster: AnyCluster, session: Session, user: str = ALICE) -> None:
    """Wait until an ended session's cleaning up on the cluster, which no event announces, is over."""
    where = folder(cluster, session, user)
    gone = ("run.sh", "secrets.sh", "service", "ports", "slurm_run.sh", "lib")
    until(lambda: not any((where / name).exists() for name in gone), f"{where} is cleaned up")


def ended(
    me: Workspace, cluster: AnyCluster, name: str, outcome: str, *, limit_s: float = 30, killed: bool = False
) -> Session:
    """Wait until a session has ended with ``outcome``, and nothing of it is left; no daemon met a bug of its own."""
    session = me.until_so(name, lambda one: one["state"] == "ended", limit_s)
    assert outcome == session["outcome"], f"{me.story(name)}\n{session}"
    assert 1 >= submissions(cluster, session)
    log = me.log.read_text()
    assert '"level": "error"' not in log, log
    assert "Traceback" not in log, log
    cleaned(cluster, session)
    nothing_left(cluster, session, killed=killed)
    return session
