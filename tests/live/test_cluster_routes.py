"""The ways to a service on a compute node, through real SSH servers; and people's own way there with ssh."""

from __future__ import annotations

import subprocess

import pytest

from sessiond.api.wire import Session
from tests.daemon import services

from .bed import ALICE, LOGIN, NODES, Cluster
from .bed.fixtures import fresh_cluster
from .bed.person import Person, person
from .bed.waiting import until
from .scenario import PYTHON, SERVE, add_service, add_where, ended, folder, job_of, page

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

ON_SOCKET = (
    f'if sessiond_listen_socket; then exec {PYTHON} "$SESSIOND_LISTEN_SOCKET"; fi\necho "no socket" >&2\nexec {SERVE}\n'
)


def start(me: Person, service: str, name: str, *more: str) -> None:
    """sessionctl start, until it runs."""
    done = me.ctl("start", service, "--on", "bed", "--name", name, "--time", "30", *more)
    assert 0 == done.status, done.err


def has_a_problem(session: Session) -> bool:
    """Whether its service cannot be reached, and it is known why."""
    return session["state"] == "tunnel" and session["problem"] is not None


def sshd_of_users(cluster: Cluster, node: str) -> int:
    """How many processes of sshd serve a user on a host."""
    return sum(one.name.startswith("sshd") and one.uid == cluster.uid() for one in cluster.hosts[node].processes())


def test_direct_the_login_node_opens_the_port(cluster: Cluster) -> None:
    """The service listens on all addresses of its node, and nobody logs in to the node."""
    with person(cluster, start=False, route="direct") as me:
        add_where(me)
        me.daemon()
        start(me, "where", "d")
        session = me.client.session("d")
        assert "'0.0.0.0'" in page(session)
        assert 0 == sshd_of_users(cluster, str(session["node"]))
        assert 0 == me.ctl("stop", "d").status
        ended(me, cluster, "d", "cancelled")


def test_jump_reaches_a_unix_socket_in_a_private_folder(cluster: Cluster) -> None:
    """A node that the workspace does not know is entered; the socket is nobody else's, and gone afterwards."""
    with person(cluster, start=False, route="jump") as me:
        add_service(me, "sock", ON_SOCKET)
        me.daemon()
        start(me, "sock", "s")
        session = me.client.session("s")
        path = session["service_path"]
        assert path is not None
        assert f"{path!r}" in page(session)
        node = str(session["node"])
        assert "700 sessiond-alice" == cluster.sh(node, "stat", "-c", "%a %U", path.rpartition("/")[0]).stdout.strip()
        assert 1 <= sshd_of_users(cluster, node)
        assert not any(name in cluster.known_hosts.read_text() for name in NODES)
        assert 0 == me.ctl("stop", "s").status
        ended(me, cluster, "s", "cancelled")


def test_jump_reaches_a_service_on_loopback(cluster: Cluster) -> None:
    """SSH to the node opens the node's own loopback address."""
    with person(cluster, start=False, route="jump") as me:
        add_where(me)
        me.daemon()
        start(me, "where", "j")
        session = me.client.session("j")
        assert "'127.0.0.1'" in page(session)
        assert 0 == me.ctl("stop", "j").status
        ended(me, cluster, "j", "cancelled")


def test_jump_trusts_the_key_that_the_session_found_on_its_node() -> None:
    """Neither workspace nor login node knows the node's key: the session's own script, which ran there, vouches."""
    with fresh_cluster() as cluster, person(cluster, start=False, route="jump") as me:
        (cluster.etc / "ssh/ssh_known_hosts").write_text("")
        add_where(me)
        me.daemon()
        start(me, "where", "j")
        session = me.client.session("j")
        assert session["node"] == page(session).split()[0]
        assert 0 == me.ctl("stop", "j").status
        ended(me, cluster, "j", "cancelled")


def test_auto_learns_the_way_and_remembers_it(cluster: Cluster) -> None:
    """A service that listens on loopback alone teaches that `jump` works; the next service listens on loopback then,
    also after the daemon was started again."""
    with person(cluster, start=False) as me:
        add_where(me)
        services.write(me.services / "loop", f"exec {services.SERVE}\n")
        first = me.daemon()
        start(me, "where", "a")
        assert "'0.0.0.0'" in page(me.client.session("a"))
        start(me, "loop", "b")
        assert page(me.client.session("b")).startswith("tiny")
        start(me, "where", "c")
        assert "'127.0.0.1'" in page(me.client.session("c"))
        first.signal(15)
        assert 0 == first.ended()
        me.daemon()
        start(me, "where", "d")
        assert "'127.0.0.1'" in page(me.client.session("d"))
        assert 0 == me.ctl("stop", "a", "b", "c", "d").status
        for name in "abcd":
            ended(me, cluster, name, "cancelled")


def test_a_login_node_that_forwards_nothing_is_named(cluster: Cluster) -> None:
    """AllowTcpForwarding no: the job runs on, the session says who forbids what, and goes on once it is allowed."""
    cluster.sshd_set(LOGIN, AllowTcpForwarding="no")
    with person(cluster, start=False, route="direct") as me:
        add_where(me)
        me.daemon()
        me.client.start({"service": "where", "cluster": "bed", "name": "f", "time": "30"})
        stuck = me.until_so("f", has_a_problem)
        assert stuck["problem"] is not None
        assert "does not allow a connection to" in stuck["problem"]["message"]
        assert "AllowTcpForwarding" in stuck["problem"]["hint"]
        assert "does not allow a connection to" in me.ctl("ls").out.replace("\n", " ")
        checked = me.ctl("doctor", "bed")
        assert "forwarding" in checked.out
        assert "AllowTcpForwarding" in checked.out
        cluster.sshd_set(LOGIN)
        cluster.sshd_kill_sessions(LOGIN)
        me.until_so("f", lambda one: one["state"] == "running", 60)
        assert page(me.client.session("f")).split()[0] in NODES
        assert 0 == me.ctl("stop", "f").status
        ended(me, cluster, "f", "cancelled")


def test_a_service_that_cannot_be_reached_says_precisely_why(cluster: Cluster) -> None:
    """Directly to a service on loopback, by ssh to nodes without sshd: it waits, and names node, port and reason."""
    for node in NODES:
        cluster.sshd_stop(node)
    with person(cluster, start=False, route="direct") as one, person(cluster, start=False, route="jump") as two:
        for me in (one, two):
            services.write(me.services / "loop", f"exec {services.SERVE}\n")
            me.daemon()
            me.client.start({"service": "loop", "cluster": "bed", "name": "s", "time": "30"})
        refused, shut = (me.until_so("s", has_a_problem)["problem"] for me in (one, two))
        sessions = [me.client.session("s") for me in (one, two)]
        assert refused is not None
        where = f"{sessions[0]['node']}:{sessions[0]['service_port']}"
        assert f"{where} refused the connection from the login node" == refused["message"]
        assert where in sessions[0]["phrase"]
        assert shut is not None
        assert f"ssh to {sessions[1]['node']} failed: connection refused" == shut["message"]
        assert "attention" == sessions[1]["severity"]
        for me in (one, two):
            assert 0 == me.ctl("stop", "s").status
            ended(me, cluster, "s", "cancelled")


def test_a_service_that_moves_to_another_port_is_followed(cluster: Cluster) -> None:
    """In the same job it publishes another port: the same URL leads there."""
    moves = (
        f'{SERVE} &\nfirst=$!\nuntil [ -e "$HOME/go" ]; do sleep 0.1; done\nkill $first\n'
        'servicePort=$(findAvailablePort)\nsessiond_publish_endpoint "port=$servicePort"\n'
        f"exec {SERVE}\n"
    )
    with person(cluster, start=False) as me:
        add_service(me, "moves", moves)
        me.daemon()
        start(me, "moves", "m")
        first = me.client.session("m")
        before = page(first)
        (cluster.home() / "go").touch()
        again = me.until_so(
            "m", lambda one: one["state"] == "running" and one["service_port"] != first["service_port"], 60
        )
        assert (first["url"], first["open_port"]) == (again["url"], again["open_port"])
        after = page(again)
        assert before != after
        assert str(again["service_port"]) in after
        assert 0 == me.ctl("stop", "m").status
        ended(me, cluster, "m", "cancelled")


def test_people_enter_the_node_of_their_session(cluster: Cluster) -> None:
    """`ssh` runs a command there, `proxy` carries bytes to a port there, ssh, scp and the like use `ssh-config`."""
    with person(cluster, start=False) as me:
        add_where(me)
        me.daemon()
        start(me, "where", "x")
        session = me.client.session("x")
        done = me.ctl("ssh", "x", 'hostname; id -un; echo "$0"')
        assert 0 == done.status, done.err
        assert [session["node"], ALICE] == done.out.split()[:2]
        assert 7 == me.ctl("ssh", "x", "exit 7").status
        carried = subprocess.run(
            [*me.ctl_argv("proxy", "x", str(session["service_port"]))],
            env=me.env,
            input="GET / HTTP/1.0\r\n\r\n",
            text=True,
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert f"{session['node']} run {job_of(session)}.0" in carried.stdout, carried
        blocks = me.ctl("ssh-config")
        assert 0 == blocks.status, blocks.err
        config = me.root / "ssh_config"
        config.write_text(blocks.out)
        host = next(line.split()[1] for line in blocks.out.splitlines() if line.lower().startswith("host "))
        asked = me.run("ssh", "-F", str(config), "-o", "BatchMode=yes", host, "hostname")
        assert (0, f"{session['node']}\n") == (asked.status, asked.out), asked
        copied = me.run(
            "scp",
            "-F",
            str(config),
            "-o",
            "BatchMode=yes",
            f"{host}:{folder_there(session['folder'])}/job.sh",
            str(me.root),
        )
        assert 0 == copied.status, copied.err
        assert (folder(cluster, session) / "job.sh").read_bytes() == (me.root / "job.sh").read_bytes()
        assert 0 == me.ctl("stop", "x").status
        until(lambda: 0 == sshd_of_users(cluster, str(session["node"])), "nobody is logged in there any more")
        ended(me, cluster, "x", "cancelled")


def folder_there(path: str) -> str:
    """A session's folder as scp takes it."""
    return path.removeprefix("~/")
