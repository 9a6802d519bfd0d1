"""Licences of a server on the workspace, used on a login node and on a compute node of a real Slurm cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessiond.api.wire import Session
from tests.daemon.licences import CHECKOUT, Server, add_licensed, licence_server

from .bed import ALICE, LOGIN, NODES, AnyCluster, Cluster, PbsCluster
from .bed.person import Person, person
from .bed.waiting import until
from .scenario import ended, job_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

GRANTED = "server grants first\nvendor grants second\n"


@pytest.fixture
def server() -> Iterator[Server]:
    """The licence server."""
    with licence_server() as made:
        yield made


@pytest.fixture
def me(cluster: Cluster) -> Iterator[Person]:
    """Somebody with the licensed service, and no daemon yet."""
    with person(cluster, start=False) as made:
        add_licensed(made)
        yield made


def start(me: Person, server: Server, name: str, *more: str) -> Session:
    """sessionctl start, until it runs."""
    done = me.ctl("start", "licensed", "--on", "bed", "--name", name, "--time", "30", *server.words, *more)
    assert 0 == done.status, done.err + me.log.read_text()
    return me.client.session(name)


def asked(cluster: Cluster, host: str, port: int, address: str = "127.0.0.1") -> str:
    """What the licence server says on a port of a host, empty where nobody listens."""
    script = CHECKOUT.replace("127.0.0.1", address) + f"checkout {port} test"
    return cluster.hosts[host].run("bash", "-c", script, user=ALICE).stdout


def until_licensed(cluster: Cluster, host: str, server: Server) -> None:
    """Wait until both ports lead to the server again."""
    until(lambda: "server grants test\n" == asked(cluster, host, server.port), "the first port leads there", 60)
    until(lambda: "vendor grants test\n" == asked(cluster, host, server.daemon), "the second port leads there", 60)


def until_closed(cluster: AnyCluster, server: Server, *hosts: str) -> None:
    """Wait until nobody listens on the ports of hosts any more."""
    ports = (server.port, server.daemon)

    def are_closed() -> bool:
        return not any(cluster.hosts[host].listens(port) for host in hosts for port in ports)

    until(are_closed, "the ports are closed")


def are_open(session: Session) -> bool:
    """Whether the daemon says that the ports are open."""
    return session["licence"] is not None and session["licence"]["open"]


def is_wrong(session: Session) -> bool:
    """Whether it says that something is wrong with them."""
    return session["licence"] is not None and session["licence"]["problem"] is not None


def test_a_job_and_the_login_node_get_licences(cluster: Cluster, me: Person, server: Server) -> None:
    """The template's first act succeeds, on loopback alone; killed and started again the daemon opens the ports anew;
    stopped, they are closed."""
    daemon = me.daemon()
    planned = me.ctl("plan", "licensed", "--on", "bed", *server.words)
    says = f"TINY_LICENSE_FILE={server.port}@localhost: ports {server.port} and {server.daemon} of its node"
    assert f"{says} lead to the workspace" in planned.out, planned.out + planned.err
    job = start(me, server, "job")
    node = str(job["node"])
    hosts = {"job": node, "here": LOGIN}
    start(me, server, "here", "--mode", "controller")
    for name, host in hosts.items():
        log = me.ctl("logs", name).out
        assert f"file {server.port}@localhost\n{GRANTED}" in log, log
        assert "[open]" in me.ctl("show", name).out
        assert "server grants test\n" == asked(cluster, host, server.port)
        assert "" == asked(cluster, host, server.port, cluster.network.address(host))
        assert "" == asked(cluster, host, server.port, "127.0.0.2")
    daemon.kill()
    until_closed(cluster, server, *hosts.values())
    me.daemon()
    for host in hosts.values():
        until_licensed(cluster, host, server)
    for name in hosts:
        me.until_so(name, are_open)
    assert 0 == me.ctl("stop", *hosts).status
    for name in hosts:
        ended(me, cluster, name, "cancelled")
    until_closed(cluster, server, *hosts.values())


def test_a_job_of_pbs_gets_licences(pbs: PbsCluster, server: Server) -> None:
    """Its node is known by the name that PBS has for it."""
    with person(pbs, start=False) as me:
        add_licensed(me)
        me.daemon()
        job = start(me, server, "job")
        log = me.ctl("logs", "job").out
        assert f"file {server.port}@localhost\n{GRANTED}" in log, log
        assert 0 == me.ctl("stop", "job").status
        ended(me, pbs, "job", "cancelled")
        until_closed(pbs, server, str(job["node"]))


def test_the_ports_come_back_with_the_link_and_follow_the_job(cluster: Cluster, me: Person, server: Server) -> None:
    """Whatever ends the connection; and with a requeued job they move to its new node, from which they are gone when it
    leaves it."""
    me.daemon()
    job = start(me, server, "job", "--directive=--requeue")
    node = str(job["node"])
    cluster.sshd_kill_sessions(LOGIN)
    until_licensed(cluster, node, server)
    cluster.sshd_kill_sessions(node)
    until_licensed(cluster, node, server)
    drained = cluster.sh(LOGIN, "scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    assert 0 == drained.returncode, drained.stderr
    assert 0 == cluster.sh(LOGIN, "scontrol", "requeue", job_of(job)).returncode
    other = (set(NODES) - {node}).pop()
    me.ctl("ls", "--fresh")
    me.until_so("job", lambda one: one["state"] == "running" and one["node"] == other, 90)
    until_licensed(cluster, other, server)
    until_closed(cluster, server, node)
    assert f"{GRANTED}" in me.ctl("logs", "job").out.rpartition("file ")[2]
    assert 0 == cluster.sh(LOGIN, "scontrol", "update", f"nodename={node}", "state=resume").returncode
    assert 0 == me.ctl("stop", "job").status
    ended(me, cluster, "job", "cancelled")
    until_closed(cluster, server, other)


def test_what_stands_in_the_way_is_said_and_the_session_goes_on(cluster: Cluster, me: Person, server: Server) -> None:
    """No ssh to the node, a port that is taken, a server that is down: plain words, and licences as soon as it is
    mended."""
    for node in NODES:
        cluster.sshd_stop(node)
    me.configure(route="direct")
    me.daemon()
    short = ("--set", "advanced_options.license_wait=1")
    job = start(me, server, "job", *short)
    node = str(job["node"])
    shut = me.until_so("job", is_wrong)
    assert "running" == shut["state"]
    assert f"running; licences do not reach {node}: ssh to {node} failed: connection refused" == shut["phrase"]
    assert "attention" == shut["severity"]
    for verb in ("ls", "show", "why"):
        assert f"licences do not reach {node}" in " ".join(
            me.ctl(verb, *(() if verb == "ls" else ("job",)), COLUMNS="400").out.split()
        )
    assert f"no licence port {server.port} {server.daemon} here after 1 s" in me.ctl("logs", "job").out
    for one in NODES:
        cluster.sshd_start(one)
    cluster.sshd_kill_sessions(LOGIN)  # else it is found out within a minute and a half
    until_licensed(cluster, node, server)
    me.until_so("job", lambda one: one["phrase"] == "running", 60)

    dead = Server(host="", port=me.spare[0], daemon=me.spare[0])
    start(me, dead, "dead", "--mode", "controller", *short)
    silent = me.until_so("dead", is_wrong)
    assert f"the licence server does not answer (the workspace, port {dead.port})" in silent["phrase"]
    assert "connection refused" in silent["phrase"]

    taken = Server(host="", port=22, daemon=server.daemon)
    start(me, taken, "taken", "--mode", "controller", *short)
    busy = me.until_so("taken", is_wrong)
    assert "another program listens on port 22 there" in busy["phrase"]
    other = start(
        me, server, "other", "--mode", "controller", "--set", "advanced_options.license_host=localhost.example"
    )
    assert other["licence"] is not None
    refused = me.until_so("other", is_wrong)
    assert f"port {server.daemon} there leads to the workspace for the session taken" in refused["phrase"]
    names = ("job", "dead", "taken", "other")
    assert 0 == me.ctl("stop", *names).status
    for name in names:
        ended(me, cluster, name, "cancelled")
    until_closed(cluster, server, LOGIN, node)
