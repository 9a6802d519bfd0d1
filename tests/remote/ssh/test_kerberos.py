"""Being let in by a real sshd with tickets of a real Kerberos realm, or not, and what is said about it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import asyncssh
import pytest
from asyncssh import gss

from sessiond.core.command import Command
from sessiond.core.errors import AuthDenied, HostKeyRefused, NeedsLogin
from sessiond.core.session import Endpoint
from sessiond.remote.ssh import kerberos
from sessiond.remote.ssh.connector import SshConnector
from sessiond.remote.ssh.settings import SshSettings

from .conftest import connected
from .house import Sshd, User, set_password, settings, sshd
from .person import Person, refused
from .realm import HOST, Realm, realm, silent_kdc
from .test_ways import echo

pytestmark = pytest.mark.anyio

TRUE = Command(argv=("true",))
ASKS = "GSSAPIAuthentication yes\n"
ACCEPTS = ("GSSAPIAuthentication yes", "GSSAPIKeyExchange yes", "GSSAPIStrictAcceptorCheck no")
"""sshd's own check wants the principal of the machine's name, which is not the one of its loopback address."""


@pytest.fixture(scope="module")
def world(place: Path, user: User) -> Iterator[Realm]:
    """A realm that knows the user."""
    with realm(place / "realm") as made:
        made.add_user(user.name)
        yield made


@pytest.fixture
def here(world: Realm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Realm]:
    """The realm, as the workspace's own, without a ticket."""
    for name in [name for name in os.environ if name.startswith("KRB5")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KRB5_CONFIG", world.environment["KRB5_CONFIG"])
    yield world
    world.kdestroy()


@pytest.fixture(scope="module")
def member(place: Path, world: Realm) -> Iterator[Sshd]:
    """A server that is in the realm and takes nobody's key."""
    with sshd(place / "member", [], *ACCEPTS, env=world.environment) as running:
        yield running


def asking(server: Sshd, user: User, base: Path, *lines: str, **more: object) -> SshSettings:
    """How to reach ``server`` where the ssh configuration asks for Kerberos, and says ``lines``."""
    (base / "ssh_config").write_text("\n".join(["Host *", ASKS, *lines, ""]))
    return settings(server, user, base, **more)


async def test_a_ticket_lets_in(here: Realm, member: Sshd, user: User, tmp_path: Path) -> None:
    """With a ticket and without any key that is good nobody has to be there; it was Kerberos that did it."""
    here.kinit(user.name)
    async with connected(asking(member, user, tmp_path)) as connection:
        assert f"{user.name}\n".encode() == (await connection.run(Command(argv=("id", "-un")))).stdout
    assert f"Accepted gssapi-with-mic for {user.name} from" in member.log


@pytest.mark.parametrize("line", ["", "GSSAPIAuthentication no\n"])
async def test_only_where_the_configuration_asks(
    line: str, here: Realm, member: Sshd, user: User, tmp_path: Path
) -> None:
    """As with ssh a ticket is not used unless the configuration says so; not even the realm is asked for one."""
    here.kinit(user.name)
    (tmp_path / "ssh_config").write_text(line)
    kind, message, _ = await refused(settings(member, user, tmp_path))
    assert (AuthDenied, f"{user.name}@127.0.0.1: no key was accepted") == (kind, message)
    assert HOST not in here.tickets()


@pytest.mark.parametrize("state", ["none", "expired"])
async def test_without_a_ticket_a_person_is_told_to_get_one(
    state: str, here: Realm, member: Sshd, user: User, tmp_path: Path
) -> None:
    """Nothing is tried again before; then a login asks nothing, and the next one needs nobody."""
    if state == "expired":
        here.kinit(user.name, "-l", "1s")
        here.await_expiry()
    chosen = asking(member, user, tmp_path)
    why = "your Kerberos ticket has expired" if state == "expired" else "there is no Kerberos ticket"
    hint = "Run `kinit`, then `sessionctl login frontier`."
    assert (NeedsLogin, f"{user.name}@127.0.0.1: {why}, and no key was accepted", hint) == await refused(chosen)
    here.kinit(user.name)
    person = Person()
    connection = await SshConnector(chosen).open(person)
    await connection.aclose()
    assert [] == person.prompts
    async with connected(chosen) as connection:
        assert 0 == (await connection.run(TRUE)).rc


async def test_a_password_beside_it(here: Realm, user: User, tmp_path: Path) -> None:
    """Where a password would do, too, a person is told of both; either lets in."""
    set_password(user, "another 7")
    options = (*ACCEPTS, "PasswordAuthentication yes")
    with sshd(tmp_path / "server", [], *options, env=here.environment) as server:
        chosen = asking(server, user, tmp_path)
        message = "127.0.0.1 needs your password, which only you can give (there is no Kerberos ticket)"
        hint = "Run `kinit`, then `sessionctl login frontier`."
        assert (NeedsLogin, message, hint) == await refused(chosen)
        person = Person("another 7")
        connection = await SshConnector(chosen).open(person)
        await connection.aclose()
        assert 1 == len(person.asked)
        here.kinit(user.name)
        async with connected(chosen) as connection:
            assert 0 == (await connection.run(TRUE)).rc


async def test_a_key_goes_without_a_ticket(here: Realm, server: Sshd, user: User, tmp_path: Path) -> None:
    """A configuration that asks for Kerberos everywhere is no harm where a key is good."""
    async with connected(asking(server, user, tmp_path)) as connection:
        assert 0 == (await connection.run(TRUE)).rc


async def test_a_ticket_of_somebody_else(here: Realm, member: Sshd, user: User, tmp_path: Path) -> None:
    """A ticket that the host does not take for this user is told apart from none."""
    here.add_user("somebody-else")
    here.kinit("somebody-else")
    kind, message, _ = await refused(asking(member, user, tmp_path))
    expected = f"{user.name}@127.0.0.1: neither your Kerberos ticket nor a key was accepted"
    assert (AuthDenied, expected) == (kind, message)


async def test_a_host_that_the_realm_does_not_know(here: Realm, member: Sshd, user: User, tmp_path: Path) -> None:
    """Its name is told, since that is what may be wrong."""
    here.kinit(user.name)
    known = tmp_path / "known"
    known.write_text(member.known_line("localhost"))
    kind, message, hint = await refused(asking(member, user, tmp_path, host="localhost", known_hosts=str(known)))
    why = "Kerberos says: Server host/localhost@SESSIOND.TEST not found in Kerberos database"
    assert (AuthDenied, f"{user.name}@localhost: no key was accepted, and {why}") == (kind, message)
    assert hint.startswith("See what `kvno host/NAME` says")


async def test_where_asyncssh_finds_no_gssapi(
    server: Sshd, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kerberos is asked for and cannot be had: what is missing is told, where no key is good; else nothing is."""
    monkeypatch.setattr(gss, "gss_available", False)
    async with connected(asking(server, user, tmp_path)) as connection:
        assert 0 == (await connection.run(TRUE)).rc
    kind, message, hint = await refused(asking(server, user, tmp_path, identity_files=(str(tmp_path / "gone"),)))
    why = "Kerberos cannot be used: the Python package gssapi is not installed"
    assert (AuthDenied, f"{user.name}@127.0.0.1: no key was accepted, and {why}") == (kind, message)
    assert hint.startswith("Your ssh configuration says GSSAPIAuthentication yes")
    assert "`pip install 'sessiond[kerberos]'`" in hint
    assert "`sessionctl login frontier`" in hint


def test_asyncssh_does_not_find_what_is_not_installed() -> None:
    """What the test before pretends is what asyncssh says where gssapi cannot be imported."""
    code = "import sys; sys.modules['gssapi'] = None; from asyncssh import gss; print(gss.gss_available)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False\n" == done.stdout


@pytest.mark.parametrize("line", ["", "GSSAPIDelegateCredentials yes"])
async def test_a_ticket_is_passed_on_only_where_asked(
    line: str, here: Realm, member: Sshd, user: User, tmp_path: Path
) -> None:
    """The user's own ticket is in the session there, or nothing is; by default nothing."""
    here.kinit(user.name)
    async with connected(asking(member, user, tmp_path, line)) as connection:
        done = await connection.run(Command(argv=("env", "KRB5_CONFIG=/dev/null", "klist")))
    assert (0 if line else 1) == done.rc
    assert bool(line) == (b"krbtgt/SESSIOND.TEST@SESSIOND.TEST" in done.stdout)


async def test_behind_a_jump_host_with_a_key(
    here: Realm, server: Sshd, member: Sshd, user: User, tmp_path: Path
) -> None:
    """Each host on the way is entered in its own manner."""
    here.kinit(user.name)
    known = tmp_path / "known"
    known.write_text(server.known_line() + member.known_line())
    (tmp_path / "ssh_config").write_text(
        f"Host gate\n  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile {user.key}\n"
        f"Host inner\n  HostName 127.0.0.1\n  Port {member.port}\n  ProxyJump gate\n  {ASKS}\n"
        f"Host *\n  User {user.name}\n  UserKnownHostsFile {known}\n"
    )
    await server.idle()
    await member.idle()
    async with connected(
        SshSettings(cluster="c", host="inner", config_file=str(tmp_path / "ssh_config"))
    ) as connection:
        assert 0 == (await connection.run(TRUE)).rc
        assert (1, 1) == (len(server.sessions()), len(member.sessions()))


async def test_a_node_with_a_ticket(here: Realm, server: Sshd, member: Sshd, user: User, tmp_path: Path) -> None:
    """A compute node that takes tickets alone is reached with one."""
    here.kinit(user.name)
    known = tmp_path / "known"
    known.write_text(f"{server.known_line()}node1 {member.public_key}\n")
    (tmp_path / "ssh_config").write_text(
        f"Host node1\n  HostName 127.0.0.1\n  Port {member.port}\n  HostKeyAlias node1\n  {ASKS}"
    )
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    chosen = settings(server, user, tmp_path, known_hosts=str(known), route="jump")
    async with listener, anyio.create_task_group() as tasks, connected(chosen) as connection:
        tasks.start_soon(listener.serve, echo)
        stream = await connection.connect(Endpoint(run="1", host="node1", port=port, scheme="http"))
        await stream.send(b"hello")
        assert b"hello" == await stream.receive()
        await stream.aclose()
        tasks.cancel_scope.cancel()


async def test_an_unknown_host_key_stays_unknown(here: Realm, member: Sshd, user: User, tmp_path: Path) -> None:
    """No ticket vouches for a host, whatever is configured; a key exchange by Kerberos would let it pass unseen."""
    here.kinit(user.name)
    empty = tmp_path / "empty"
    empty.touch()
    chosen = asking(member, user, tmp_path, "GSSAPIKeyExchange yes", known_hosts=str(empty))
    kind, message, _ = await refused(chosen)
    assert HostKeyRefused is kind
    assert message.startswith("the host key of 127.0.0.1 is not known")
    async with asyncssh.connect(
        "127.0.0.1", member.port, username=user.name, known_hosts=str(empty), config=[chosen.config_file]
    ) as unchecked:
        assert unchecked.get_server_host_key() is None


async def test_a_silent_realm_holds_nothing_up(
    here: Realm, server: Sshd, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its KDC does not answer the loop goes on, and in good time the host is tried with a key."""
    monkeypatch.setattr(kerberos, "ANSWER_S", 2.0)
    here.kinit(user.name)
    gaps: list[float] = []

    async def tick() -> None:
        last = time.monotonic()
        while True:
            await anyio.sleep(0.01)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    with silent_kdc(here):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            with anyio.fail_after(10):
                async with connected(asking(server, user, tmp_path)) as connection:
                    assert 0 == (await connection.run(TRUE)).rc
            tasks.cancel_scope.cancel()
    assert sum(gaps) > 2.0
    assert max(gaps) < 2.0  # libkrb5 itself would have stopped it for ten times as long


async def test_a_silent_realm_is_told(
    here: Realm, member: Sshd, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing else lets in, the realm's silence is named; it does not ask for another ticket."""
    monkeypatch.setattr(kerberos, "ANSWER_S", 0.3)
    here.kinit(user.name)
    with silent_kdc(here):
        kind, message, hint = await refused(asking(member, user, tmp_path))
    why = "the Kerberos server (KDC) did not answer"
    assert (AuthDenied, f"{user.name}@127.0.0.1: no key was accepted, and {why}") == (kind, message)
    assert hint.startswith("Check your network (a VPN?), then `sessionctl login frontier`.")


async def test_a_ticket_at_hand_needs_no_realm(here: Realm, member: Sshd, user: User, tmp_path: Path) -> None:
    """One that was fetched before is good as long as it lasts, whatever the KDC does."""
    here.kinit(user.name)
    async with connected(asking(member, user, tmp_path)):
        assert HOST in here.tickets()
    with silent_kdc(here):
        async with connected(asking(member, user, tmp_path)) as connection:
            assert 0 == (await connection.run(TRUE)).rc


async def test_silent_realms_take_no_more_threads_than_some(
    here: Realm, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions without an answer do not pile up, and names are looked up meanwhile; all end with the KDC's silence."""
    monkeypatch.setattr(kerberos, "ANSWER_S", 60.0)
    here.kinit(user.name)
    found: list[kerberos.Kerberos] = []

    async def ask() -> None:
        options = asyncssh.SSHClientConnectionOptions(host="127.0.0.1", config=None, client_keys=None, agent_path=None)
        found.append(await kerberos.prepare(options))
        assert options.gss_host is None

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            with silent_kdc(here):
                for _ in range(kerberos.AT_ONCE):
                    tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 22)
                assert [] == found
                await ask()
                assert ["the Kerberos server (KDC) did not answer"] == [one.problem for one in found]
    assert kerberos.AT_ONCE + 1 == len(found)
    assert {"the Kerberos server (KDC) did not answer"} == {one.problem for one in found}
