"""Services on a cluster's nodes, through a real login node: two sshd on loopback, the second playing a compute node.

The node is called 127.2, which the resolver takes for 127.0.0.2: for sessiond it is a name like any other. What listens
on 127.0.0.2 listens on "the node's address"; what listens on 127.0.0.1 is reached from within the node alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import asyncssh
import pytest
from anyio.abc import ByteStream

from sessiond.core.command import Command, Completed
from sessiond.core.errors import AnswerLost, NotSent
from sessiond.core.session import Endpoint
from sessiond.remote.ssh import nodes as nodes_module
from sessiond.remote.ssh.nodes import Nodes
from tests.ports import free_port

from .tunnel_sshd import Sshd, echo, hold, running_sshd, service

pytestmark = pytest.mark.anyio

NODE = "127.2"
ADDRESS = "127.0.0.2"


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """The login node."""
    with running_sshd(tmp_path_factory.mktemp("login")) as found:
        yield found


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """The compute node."""
    with running_sshd(tmp_path_factory.mktemp("node"), host=ADDRESS) as found:
        yield found


@dataclass
class Cluster:
    """The nodes under test, and what was asked of whom."""

    node: Sshd
    home: Path
    known_hosts: bytes | None = None
    more: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    lessons: list[str] = field(default_factory=list)
    looks: int = 0
    mute: bool = False

    async def options(self, host: str) -> asyncssh.SSHClientConnectionOptions:
        """How to connect to a node, noting that somebody wants to."""
        self.asked.append(host)
        known = f"[{host}]:{self.node.port} {self.node.host_key}\n".encode()
        return self.node.options(known if self.known_hosts is None else self.known_hosts, **self.more)

    async def run(self, command: Command) -> Completed:
        """Run a command as on the login node, whose home is ours."""
        self.looks += 1
        if self.mute:
            raise AnswerLost("the link was lost")
        env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin"}
        done = await anyio.run_process(command.argv, input=command.stdin, env=env, check=False)
        return Completed(rc=done.returncode, stdout=done.stdout, stderr=done.stderr)

    @asynccontextmanager
    async def nodes(
        self, login: Sshd, policy: str = "auto", earlier: str = "", idle_s: float = 60.0
    ) -> AsyncIterator[Nodes]:
        """The nodes through a fresh connection to the login node."""
        async with login.connection() as connection:
            found = Nodes(
                connection,
                options=self.options,
                run=self.run,
                policy=policy,
                learned=self.lessons.append,
                earlier=earlier,
                idle_s=idle_s,
            )
            yield found
            with anyio.fail_after(5):
                await found.aclose()


@pytest.fixture
def cluster(node: Sshd, tmp_path: Path) -> Cluster:
    """A cluster whose node's key is known here."""
    return Cluster(node, tmp_path)


def at(host: str, port: int = 0, path: str = "", keys: tuple[str, ...] = ()) -> Endpoint:
    """An endpoint."""
    return Endpoint(run="1.0", host=host, port=port, path=path, host_keys=keys)


async def answers(stream: ByteStream) -> bool:
    """Whether an echo is at the other end; closes the stream."""
    async with stream:
        await stream.send(b"hello")
        return await stream.receive() == b"hello"


async def test_the_login_node_itself(login: Sshd, cluster: Cluster, tmp_path: Path) -> None:
    """A loopback endpoint is on the login node, by port or by path, and no node is asked."""
    path = str(tmp_path / "socket")
    async with cluster.nodes(login) as nodes, service(echo) as port, service(echo, path=path):
        stream = await nodes.connect(at("127.0.0.1", port))
        assert 1 == nodes.streams
        assert await answers(stream)
        assert await answers(await nodes.connect(at("localhost", port)))
        assert await answers(await nodes.connect(at("127.0.0.1", path=path)))
        assert 0 == nodes.streams
        closed = free_port()
        with pytest.raises(NotSent, match=rf"^127\.0\.0\.1:{closed}: connection refused$"):
            await nodes.connect(at("127.0.0.1", closed))
        assert 0 == nodes.streams
    assert ([], []) == (cluster.asked, cluster.lessons)


@pytest.mark.parametrize(("host", "port"), [("node1", 0), ("node1", 65536), ("-oProxyCommand=x", 80), ("a b", 80)])
async def test_nonsense_is_refused(login: Sshd, cluster: Cluster, host: str, port: int) -> None:
    """A port that is none, or a name that could be an option, goes nowhere."""
    async with cluster.nodes(login) as nodes:
        with pytest.raises(NotSent, match=r"not a port|not the name of a node"):
            await nodes.connect(at(host, port))
    assert [] == cluster.asked


async def test_direct_is_tried_first(login: Sshd, cluster: Cluster) -> None:
    """A service on the node's address is opened by the login node, which is remembered once."""
    async with cluster.nodes(login) as nodes, service(echo, host=ADDRESS) as port:
        assert await answers(await nodes.connect(at(NODE, port)))
        assert await answers(await nodes.connect(at(NODE, port)))
    assert ([], ["direct"]) == (cluster.asked, cluster.lessons)


async def test_what_refuses_directly_is_reached_by_a_jump(login: Sshd, cluster: Cluster) -> None:
    """A service on the node's loopback is reached over one SSH connection to it, however many ask at once."""
    async with cluster.nodes(login) as nodes, service(echo) as port:
        found: list[bool] = []

        async def ask() -> None:
            found.append(await answers(await nodes.connect(at(NODE, port))))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        assert [True] * 5 == found
        assert await answers(await nodes.connect(at(NODE, port)))
    assert ([NODE], ["jump"]) == (cluster.asked, cluster.lessons)


async def test_a_jump_also_tries_the_nodes_own_address(login: Sshd, cluster: Cluster) -> None:
    """Where the policy is to jump, a service on the node's address is found too, and nothing is learned."""
    async with cluster.nodes(login, "jump") as nodes, service(echo, host=ADDRESS) as port:
        assert await answers(await nodes.connect(at(NODE, port)))
    assert ([NODE], []) == (cluster.asked, cluster.lessons)


async def test_a_unix_socket_on_a_node(login: Sshd, cluster: Cluster, tmp_path: Path) -> None:
    """A Unix socket is reached by a jump whatever the policy, and teaches nothing."""
    path = str(tmp_path / "socket")
    async with cluster.nodes(login, "direct") as nodes, service(echo, path=path):
        assert await answers(await nodes.connect(at(NODE, path=path)))
        with pytest.raises(NotSent, match=f"/nowhere on {NODE} cannot be opened on the node itself: open failed"):
            await nodes.connect(at(NODE, path="/nowhere"))
    assert ([NODE], []) == (cluster.asked, cluster.lessons)


async def test_what_no_longer_works_is_unlearned(login: Sshd, cluster: Cluster) -> None:
    """When the jump that worked last week is refused today, the direct way is tried, and remembered."""
    cluster.known_hosts = f"[{NODE}]:{cluster.node.port} {cluster_key()}\n".encode()
    async with cluster.nodes(login, earlier="jump") as nodes, service(echo, host=ADDRESS) as port:
        assert await answers(await nodes.connect(at(NODE, port)))
    assert ([NODE], ["direct"]) == (cluster.asked, cluster.lessons)


def cluster_key() -> str:
    """A key that nobody has."""
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


async def test_both_failures_are_named(login: Sshd, cluster: Cluster) -> None:
    """The error says what both routes came to; the node that refused is left alone for a minute."""
    cluster.more = {"client_keys": [asyncssh.generate_private_key("ssh-ed25519")]}
    port = free_port()
    async with cluster.nodes(login) as nodes:
        for _ in range(2):
            with pytest.raises(NotSent) as caught:
                await nodes.connect(at(NODE, port))
            assert (
                f"{NODE}:{port} refused the connection from the login node, "
                f"and ssh to {NODE} failed: Permission denied" == caught.value.message
            )
            assert "allow ssh to your nodes" in caught.value.hint
        assert [NODE] == cluster.asked
    assert [] == cluster.lessons


async def test_a_barred_node_is_tried_again(login: Sshd, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time a node that refused is asked again, and lets us in."""
    cluster.known_hosts = f"{NODE} {cluster.node.host_key}\n".encode()
    cluster.more = {"port": free_port()}
    async with cluster.nodes(login, "jump") as nodes, service(echo) as port:
        for _ in range(2):
            with pytest.raises(NotSent, match=f"^ssh to {NODE} failed: connection refused$"):
                await nodes.connect(at(NODE, port))
        cluster.more = {}
        monkeypatch.setattr(nodes_module, "BARRED_S", 0.0)
        assert await answers(await nodes.connect(at(NODE, port)))
    assert [NODE, NODE] == cluster.asked


async def test_one_route_alone(login: Sshd, cluster: Cluster) -> None:
    """Where the policy names a route the other is not tried, and the error speaks of that one alone."""
    port = free_port()
    async with cluster.nodes(login, "direct") as nodes:
        with pytest.raises(NotSent) as caught:
            await nodes.connect(at(NODE, port))
    assert f"{NODE}:{port} refused the connection from the login node" == caught.value.message
    async with cluster.nodes(login, "jump") as nodes:
        with pytest.raises(NotSent) as caught:
            await nodes.connect(at(NODE, port))
    assert f"{NODE}:{port} cannot be opened on the node itself: connection refused" == caught.value.message
    assert "may not listen yet" in caught.value.hint


async def test_where_nobody_listens(login: Sshd, cluster: Cluster) -> None:
    """Both routes come to the node and are refused: one plain sentence, not the same thing twice in other words."""
    port = free_port()
    async with cluster.nodes(login, "auto") as nodes:
        with pytest.raises(NotSent) as caught:
            await nodes.connect(at(NODE, port))
    what = "neither the login node nor the node itself can connect to it"
    assert f"nothing listens at {NODE}:{port}: {what}" == caught.value.message
    assert "may not listen yet" in caught.value.hint


async def test_a_name_nobody_knows(login: Sshd, cluster: Cluster) -> None:
    """A node whose name the login node cannot resolve is said to be one."""
    async with cluster.nodes(login, "direct") as nodes:
        with pytest.raises(NotSent, match=r"^the login node does not know the name node1\.invalid$"):
            await nodes.connect(at("node1.invalid", 80))


# Who vouches for a node's host key.


async def refusal(cluster: Cluster, login: Sshd, keys: tuple[str, ...] = ()) -> NotSent | None:
    """Why a jump to the node is refused; None where it succeeds."""
    async with cluster.nodes(login, "jump") as nodes, service(echo) as port:
        try:
            stream = await nodes.connect(at(NODE, port, keys=keys))
        except NotSent as error:
            return error
        assert await answers(stream)
    return None


async def test_the_workspace_vouches_first(login: Sshd, cluster: Cluster) -> None:
    """What the workspace knows is enough: nobody else is asked."""
    assert None is await refusal(cluster, login)
    assert 0 == cluster.looks


@pytest.mark.parametrize("hashed", [False, True])
async def test_the_login_node_vouches(login: Sshd, cluster: Cluster, hashed: bool) -> None:
    """What the login node's known_hosts say is taken where the workspace knows nothing, hashed or not."""
    cluster.known_hosts = b"# nothing\n"
    known = cluster.home / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text(f"other {cluster_key()}\n[{NODE}]:{cluster.node.port} {cluster.node.host_key} a comment\n")
    if hashed:
        await anyio.run_process(["ssh-keygen", "-q", "-H", "-f", str(known)])
    assert None is await refusal(cluster, login)
    assert 1 == cluster.looks


async def test_the_session_vouches_last(login: Sshd, cluster: Cluster) -> None:
    """A key that the session's own script found on the node is taken where nobody else knows any."""
    cluster.known_hosts = b"# nothing\n"
    assert None is await refusal(cluster, login, (cluster_key(), cluster.node.host_key))


async def test_an_unknown_key_is_refused(login: Sshd, cluster: Cluster) -> None:
    """Nobody vouches: no connection is made, and the hint says how to vouch."""
    cluster.known_hosts = b"# nothing\n"
    refused = await refusal(cluster, login, ("nonsense\n* ssh-ed25519 AAAA",))
    assert refused is not None
    assert "known neither here nor on the login node" in refused.message
    assert f"ssh {NODE}" in refused.hint


@pytest.mark.parametrize(
    ("here", "there", "published", "source"),
    [
        (True, False, False, "your known_hosts"),
        (False, True, False, "the login node's known_hosts"),
        (False, False, True, "the session's own script"),
    ],
)
async def test_a_changed_key_is_refused(
    login: Sshd, cluster: Cluster, here: bool, there: bool, published: bool, source: str
) -> None:
    """The first who knows a key decides: no later one can talk us into another."""
    wrong, right = cluster_key(), cluster.node.host_key
    cluster.known_hosts = f"[{NODE}]:{cluster.node.port} {wrong}\n".encode() if here else b"# nothing\n"
    known = cluster.home / ".ssh" / "known_hosts"
    known.parent.mkdir()
    if not published:
        known.write_text(f"{NODE} {wrong if there else right}\n")
    refused = await refusal(cluster, login, (wrong if published else right,))
    assert refused is not None
    assert f"another host key than {source} has for it" in refused.message


async def test_a_revoked_key_is_refused(login: Sshd, cluster: Cluster) -> None:
    """A revoked key in the login node's files is refused even where it is listed as good."""
    cluster.known_hosts = b"# nothing\n"
    known = cluster.home / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text(f"{NODE} {cluster.node.host_key}\n@revoked * {cluster.node.host_key}\n")
    refused = await refusal(cluster, login)
    assert refused is not None
    assert "another host key" in refused.message


async def test_the_keys_cannot_be_asked_for(login: Sshd, cluster: Cluster) -> None:
    """Where the login node does not answer, the key counts as unknown."""
    cluster.known_hosts = b"# nothing\n"
    cluster.mute = True
    refused = await refusal(cluster, login, (cluster.node.host_key,))
    assert refused is not None
    assert "its host key could not be asked for: the link was lost" in refused.message


async def test_unchecked_keys_are_refused(login: Sshd, cluster: Cluster) -> None:
    """Options that check no host key are not acted upon."""

    async def options(host: str) -> asyncssh.SSHClientConnectionOptions:
        return asyncssh.SSHClientConnectionOptions(port=cluster.node.port, known_hosts=None, config=None)

    async with login.connection() as connection:
        nodes = Nodes(connection, options=options, run=cluster.run, policy="jump", learned=cluster.lessons.append)
        with pytest.raises(NotSent, match="host keys are not checked here"):
            await nodes.connect(at(NODE, 80))
        await nodes.aclose()


# The connection to a node.


async def test_an_idle_node_is_let_go(login: Sshd, cluster: Cluster) -> None:
    """A connection without streams is closed after a while, not before, and made anew when wanted."""
    async with cluster.nodes(login, "jump", idle_s=0.2) as nodes, service(echo) as port:
        held = await nodes.connect(at(NODE, port))
        connection = nodes._nodes[NODE].connection
        assert connection is not None
        assert await answers(await nodes.connect(at(NODE, port)))
        with anyio.move_on_after(0.5):
            await connection.wait_closed()
        assert await answers(held)
        with anyio.fail_after(5):
            await connection.wait_closed()
        assert await answers(await nodes.connect(at(NODE, port)))
    assert [NODE, NODE] == cluster.asked


async def test_a_lost_node_is_connected_anew(login: Sshd, cluster: Cluster) -> None:
    """A connection to a node that broke is replaced when the next stream is wanted."""
    async with cluster.nodes(login, "jump") as nodes, service(echo) as port:
        stream = await nodes.connect(at(NODE, port))
        connection = nodes._nodes[NODE].connection
        assert connection is not None
        connection.abort()
        with pytest.raises(anyio.BrokenResourceError), anyio.fail_after(5):
            await stream.receive()
        assert await answers(await nodes.connect(at(NODE, port)))
    assert [NODE, NODE] == cluster.asked


async def test_a_cancelled_jump_leaves_room_for_the_next(login: Sshd, cluster: Cluster) -> None:
    """Cancelling an attempt while the node is being connected to harms nobody after it."""
    async with cluster.nodes(login, "jump") as nodes, service(echo) as port:
        for pause in (0.0, 0.01, 0.05):
            with anyio.move_on_after(pause):
                await nodes.connect(at(NODE, port))
        assert await answers(await nodes.connect(at(NODE, port)))


async def test_closing_ends_everything(login: Sshd, cluster: Cluster) -> None:
    """Closing breaks the streams over nodes, and opens no more."""
    async with cluster.nodes(login, "jump") as nodes, service(hold) as port:
        stream = await nodes.connect(at(NODE, port))
        await nodes.aclose()
        with pytest.raises(anyio.BrokenResourceError), anyio.fail_after(5):
            await stream.receive()
        assert 0 == nodes.streams
        with pytest.raises(NotSent, match="the SSH connection is closed"):
            await nodes.connect(at(NODE, port))


async def test_a_lost_login_node_is_no_refusal(login: Sshd, cluster: Cluster) -> None:
    """Where the connection to the login node is gone, neither route is blamed, barred or learned."""
    async with cluster.nodes(login) as nodes, service(echo, host=ADDRESS) as port:
        nodes._login.abort()
        await nodes._login.wait_closed()
        with pytest.raises(NotSent, match="the SSH connection is closed"):
            await nodes.connect(at(NODE, port))
    assert ([], []) == (cluster.asked, cluster.lessons)
