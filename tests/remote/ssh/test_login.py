"""Being let in by a real sshd, or not, and what is said about it."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from pathlib import Path

import anyio
import asyncssh
import pytest

from sessiond.core.command import Command
from sessiond.core.errors import AuthDenied, HostDown, HostKeyRefused, HostRefused, LinkError, NeedsLogin
from sessiond.remote.ssh.connector import SshConnector
from sessiond.remote.ssh.settings import SshSettings
from tests.ports import free_port

from .conftest import connected
from .house import FrozenRelay, Sshd, User, agent, keygen, public, settings, sshd, tool
from .person import Person, refused

pytestmark = pytest.mark.anyio

TRUE = Command(argv=("true",))


async def test_a_name_that_does_not_exist(server: Sshd, user: User, tmp_path: Path) -> None:
    """An unknown name is a host that is down."""
    kind, message, _ = await refused(settings(server, user, tmp_path, host="no-such-host.invalid"))
    assert HostDown is kind
    assert message.startswith("no-such-host.invalid: ")


async def test_nobody_listens(server: Sshd, user: User, tmp_path: Path) -> None:
    """A refused connection is told apart from a silent one."""
    port = free_port()
    kind, message, _ = await refused(settings(server, user, tmp_path, port=port))
    assert (HostRefused, f"127.0.0.1 refuses connections: nothing listens on port {port}") == (kind, message)


async def test_a_host_that_says_nothing(server: Sshd, user: User, tmp_path: Path) -> None:
    """A host that takes the connection and stays silent is given up in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        kind, message, _ = await refused(settings(server, user, tmp_path, port=port, connect_s=0.5))
    assert (HostDown, "127.0.0.1 took the connection and said nothing for 0.5 s") == (kind, message)


async def test_closed_before_the_banner(server: Sshd, user: User, tmp_path: Path) -> None:
    """A host that closes at once (MaxStartups) refuses."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, lambda stream: stream.aclose())
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        kind, message, hint = await refused(settings(server, user, tmp_path, port=port))
        tasks.cancel_scope.cancel()
    assert HostRefused is kind
    assert message.startswith("127.0.0.1 closed the connection before it let us in")
    assert "MaxStartups" in hint


async def test_no_key_is_accepted(server: Sshd, user: User, tmp_path: Path) -> None:
    """A host that takes keys alone and none of ours denies; a key file that is not there is told."""
    wrong = keygen(tmp_path / "wrong")
    chosen = settings(server, user, tmp_path, identity_files=(str(wrong), str(tmp_path / "gone")))
    kind, message, hint = await refused(chosen)
    assert (AuthDenied, f"{user.name}@127.0.0.1: no key was accepted") == (kind, message)
    assert f"{tmp_path}/gone does not exist" in hint
    assert await refused(chosen, Person()) == (kind, message, hint)


async def test_an_unknown_host_key(server: Sshd, user: User, tmp_path: Path) -> None:
    """It is refused, with its fingerprint and the command that accepts it."""
    empty = tmp_path / "empty"
    kind, message, hint = await refused(settings(server, user, tmp_path, known_hosts=str(empty)))
    fingerprint = asyncssh.import_public_key(server.public_key).get_fingerprint()
    assert HostKeyRefused is kind
    assert f"the host key of 127.0.0.1 is not known (its key is ssh-ed25519 {fingerprint})" == message
    command = f"ssh -F {tmp_path}/ssh_config -o UserKnownHostsFile={empty} -p {server.port} {user.name}@127.0.0.1"
    assert f"`{command}`" in hint
    assert not empty.exists()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
async def test_a_changed_host_key(kind: str, server: Sshd, user: User, tmp_path: Path) -> None:
    """It is refused, with the line it contradicts and the command that removes it; a key of another kind is one too."""
    known = tmp_path / "known"
    other = " ".join(public(keygen(tmp_path / "other", kind=kind)).split()[:2])
    known.write_text(f"# mine\n{server.known_line(key=other)}")
    refusal, message, hint = await refused(settings(server, user, tmp_path, known_hosts=str(known)))
    assert HostKeyRefused is refusal
    assert f"the host key of 127.0.0.1 has changed: it is not the one in {known}, line 2" in message
    assert f"`ssh-keygen -R '[127.0.0.1]:{server.port}' -f {known}`" in hint
    removal = hint.split("`")[1]
    tool("sh", "-c", removal)
    assert "[127.0.0.1]" not in known.read_text()


async def test_a_revoked_host_key(server: Sshd, user: User, tmp_path: Path) -> None:
    """A key that is known and revoked is refused, by which line is said."""
    known = tmp_path / "known"
    known.write_text(f"{server.known_line()}@revoked * {server.public_key}\n")
    refusal, message, _ = await refused(settings(server, user, tmp_path, known_hosts=str(known)))
    assert (HostKeyRefused, f"127.0.0.1 shows a host key that is revoked by {known}, line 2") == (refusal, message)


async def test_host_keys_cannot_be_left_unchecked(server: Sshd, user: User, tmp_path: Path) -> None:
    """A configuration that knows of no known_hosts at all, or says not to check, does not open the door."""
    (tmp_path / "ssh_config").write_text(
        "Host *\nUserKnownHostsFile none\nGlobalKnownHostsFile none\nStrictHostKeyChecking no\n"
    )
    kind, _, _ = await refused(settings(server, user, tmp_path, known_hosts=None))
    assert HostKeyRefused is kind


async def test_hashed_names_and_unreadable_lines(server: Sshd, user: User, tmp_path: Path) -> None:
    """Hashed entries are found, and lines that nobody can read are passed over."""
    known = tmp_path / "known"
    known.write_text(server.known_line())
    tool("ssh-keygen", "-H", "-f", str(known))
    known.write_text(f"nonsense\n@what ever x\n{known.read_text()}")
    assert "|1|" in known.read_text()
    async with connected(settings(server, user, tmp_path, known_hosts=str(known))) as connection:
        assert 0 == (await connection.run(TRUE)).rc


async def test_a_host_certificate(user: User, tmp_path: Path) -> None:
    """A host whose certificate an authority of known_hosts signed is trusted."""
    authority = keygen(tmp_path / "authority")
    base = tmp_path / "server"
    base.mkdir()
    keygen(base / "host_key")
    tool("ssh-keygen", "-q", "-s", str(authority), "-h", "-I", "host", "-n", "127.0.0.1", f"{base}/host_key.pub")
    known = tmp_path / "known"
    known.write_text(f"@cert-authority * {public(authority)}")
    with sshd(base, [user], f"HostCertificate {base}/host_key-cert.pub") as server:
        async with connected(settings(server, user, tmp_path, known_hosts=str(known))) as connection:
            assert 0 == (await connection.run(TRUE)).rc


@pytest.mark.parametrize("form", ["OPENSSH", "PEM"])
async def test_an_encrypted_key(form: str, server: Sshd, user: User, tmp_path: Path) -> None:
    """Without a person it needs one; a person is asked for its passphrase, and once more after a slip."""
    if form == "OPENSSH" and find_spec("bcrypt") is None:
        pytest.skip("no bcrypt: OpenSSH's encrypted keys cannot be opened")
    locked = keygen(tmp_path / "locked", kind="ed25519" if form == "OPENSSH" else "rsa", passphrase="open sesame")
    if form == "PEM":
        tool("ssh-keygen", "-q", "-p", "-m", "PEM", "-P", "open sesame", "-N", "open sesame", "-f", str(locked))
    authorized = server.base / "authorized" / user.name
    before = authorized.read_text()
    authorized.write_text(before + public(locked))
    locked.with_name("locked.pub").unlink()
    chosen = settings(server, user, tmp_path, identity_files=(str(locked),))
    kind, message, hint = await refused(chosen)
    assert (NeedsLogin, f"127.0.0.1 needs the passphrase of {locked}, which only you can give") == (kind, message)
    assert "Run `sessionctl login frontier`." == hint
    person = Person("sesame", "open sesame")
    connection = await SshConnector(chosen).open(person)
    try:
        assert 0 == (await connection.run(TRUE)).rc
    finally:
        await connection.aclose()
        authorized.write_text(before)
    assert [(f"Passphrase for key {locked}: ", False)] * 2 == person.asked
    assert ["", "That was not the passphrase."] == [prompt.title for prompt in person.prompts]


async def test_a_passphrase_is_asked_only_for_a_key_that_helps(server: Sshd, user: User, tmp_path: Path) -> None:
    """Nobody is asked to open a key that the host would not accept."""
    locked = keygen(tmp_path / "locked", passphrase="open sesame")
    async with connected(settings(server, user, tmp_path, identity_files=(str(locked), str(user.key)))) as connection:
        assert 0 == (await connection.run(TRUE)).rc
    kind, _, _ = await refused(settings(server, user, tmp_path, identity_files=(str(locked),)))
    assert AuthDenied is kind


async def test_a_certificate(user: User, tmp_path: Path) -> None:
    """A key whose certificate the host's authority signed is accepted."""
    authority, mine = keygen(tmp_path / "authority"), keygen(tmp_path / "mine")
    tool("ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", user.name, f"{mine}.pub")
    with sshd(tmp_path / "server", [], f"TrustedUserCAKeys {authority}.pub") as server:
        async with connected(settings(server, user, tmp_path, identity_files=(str(mine),))) as connection:
            assert 0 == (await connection.run(TRUE)).rc


async def test_an_agent(server: Sshd, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the agent are offered first; which agent may stand in the configuration."""
    with agent(tmp_path, user.key) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        async with connected(settings(server, user, tmp_path, identity_files=())) as connection:
            assert 0 == (await connection.run(TRUE)).rc
        monkeypatch.delenv("SSH_AUTH_SOCK")
        (tmp_path / "ssh_config").write_text(f"Host *\n  IdentityAgent {path}\n")
        async with connected(settings(server, user, tmp_path, identity_files=())) as connection:
            assert 0 == (await connection.run(TRUE)).rc


async def test_a_dead_agent_is_no_harm(
    server: Sshd, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that has gone leaves the keys of the files."""
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "nobody"))
    async with connected(settings(server, user, tmp_path)) as connection:
        assert 0 == (await connection.run(TRUE)).rc


async def test_the_users_own_configuration(server: Sshd, user: User, tmp_path: Path, own_home: Path) -> None:
    """Host, Match, Include, HostName, Port, User, IdentityFile, HostKeyAlias and UserKnownHostsFile are heeded."""
    (own_home / "known").write_text(f"the-cluster {server.public_key}\n")
    (own_home / ".ssh" / "more").write_text(f"Host hpc\n  HostName 127.0.0.1\n  Port {server.port}\n")
    (own_home / ".ssh" / "config").write_text(
        "Include more\n"
        f'Match originalhost hpc exec "test -e {user.key}"\n  User {user.name}\n  HostKeyAlias the-cluster\n'
        f"Host hpc\n  IdentityFile {user.key}\n  UserKnownHostsFile %d/known\n"
        "Host *\n  User nobody\n  RequestTTY force\n  RemoteCommand false\n  ForwardAgent yes\n"
    )
    async with connected(SshSettings(cluster="hpc", host="hpc")) as connection:
        done = await connection.run(Command(argv=("sh", "-c", "id -un; test -t 0; echo $?")))
    assert f"{user.name}\n1\n".encode() == done.stdout


async def test_a_configuration_with_an_error(server: Sshd, user: User, tmp_path: Path) -> None:
    """It is told with its line, and nothing is tried."""
    (tmp_path / "ssh_config").write_text("Host *\n  Port ssh\n")
    kind, message, _ = await refused(settings(server, user, tmp_path, port=None))
    assert LinkError is kind
    where = f"{tmp_path}/ssh_config line 2"
    assert f"your ssh configuration has an error: {where}: Invalid Port integer value: ssh" == message


async def test_through_a_jump_host(server: Sshd, user: User, tmp_path: Path) -> None:
    """ProxyJump of the configuration and of the cluster lead through another host, whose failures bear its name."""
    with sshd(tmp_path / "gate", [user]) as gate:
        known = tmp_path / "known"
        known.write_text(server.known_line() + gate.known_line())
        common = f"UserKnownHostsFile {known}\n  IdentityFile {user.key}\n"
        config = tmp_path / "ssh_config"
        config.write_text(
            f"Host gate\n  HostName 127.0.0.1\n  Port {gate.port}\n  User {user.name}\n  {common}"
            f"Host dead\n  HostName 127.0.0.1\n  Port {free_port()}\n  {common}"
            f"Host inner\n  HostName 127.0.0.1\n  Port {server.port}\n  User {user.name}\n  ProxyJump gate\n  {common}"
            f"Host loop\n  ProxyJump loop\n"
        )
        given = {"cluster": "c", "config_file": str(config), "known_hosts": str(known)}
        direct = {"user": user.name, "port": server.port, "identity_files": (str(user.key),)}
        for chosen in (
            SshSettings(host="inner", **given),  # type: ignore[arg-type]
            SshSettings(host="127.0.0.1", jump="gate", **direct, **given),  # type: ignore[arg-type]
        ):
            await gate.idle()
            async with connected(chosen) as connection:
                assert 0 == (await connection.run(TRUE)).rc
                assert 1 == len(gate.sessions())
        assert (HostRefused, "the jump host dead refuses connections") == (
            (failed := await refused(SshSettings(host="127.0.0.1", jump="dead", **direct, **given)))[0],  # type: ignore[arg-type]
            failed[1].partition(":")[0],
        )
        behind = SshSettings(host="127.0.0.1", jump="gate", **(direct | {"port": free_port()}), **given)  # type: ignore[arg-type]
        kind, message, _ = await refused(behind)
        assert (HostRefused, "127.0.0.1 refuses SSH connections (asked from the host before it)") == (kind, message)
        kind, message, _ = await refused(SshSettings(host="loop", **given))  # type: ignore[arg-type]
        assert (LinkError, "your ssh configuration goes through more than 8 hosts to reach loop") == (kind, message)
        (tmp_path / "known").write_text(server.known_line())
        kind, message, hint = await refused(SshSettings(host="inner", **given))  # type: ignore[arg-type]
        assert HostKeyRefused is kind
        assert message.startswith("the host key of the jump host gate is not known")
        assert f"ssh -F {config} -o UserKnownHostsFile={known} gate`" in hint


async def test_the_fastest_cipher_is_taken(server: Sshd, user: User, tmp_path: Path) -> None:
    """aes128-gcm, and whatever the user's own configuration says instead."""
    async with connected(settings(server, user, tmp_path)) as connection:
        assert "aes128-gcm@openssh.com" == connection._login.get_extra_info("send_cipher")
    (tmp_path / "ssh_config").write_text("Ciphers aes256-ctr\n")
    async with connected(settings(server, user, tmp_path)) as connection:
        assert "aes256-ctr" == connection._login.get_extra_info("send_cipher")


async def test_a_cluster_that_needs_a_person_is_not_tried_without(server: Sshd, user: User, tmp_path: Path) -> None:
    """Where the settings say so no connection is opened at all."""
    before = len(server.log)
    kind, message, _ = await refused(settings(server, user, tmp_path, attended=True))
    assert (NeedsLogin, "127.0.0.1 lets you in only with answers of your own") == (kind, message)
    assert before == len(server.log)


async def test_giving_up_leaves_nothing(server: Sshd, user: User, tmp_path: Path) -> None:
    """An attempt that is cancelled leaves no connection behind."""
    relay = FrozenRelay(server.port)
    relay.freeze()
    async with anyio.create_task_group() as tasks:
        await tasks.start(relay.serve)
        before = len(anyio.get_running_tasks())
        with anyio.move_on_after(0.3) as scope:
            await SshConnector(settings(server, user, tmp_path, port=relay.port)).open(None)
        assert scope.cancelled_caught
        with anyio.fail_after(5):
            while len(anyio.get_running_tasks()) > before + 3:  # noqa: ASYNC110  (the relay's own three)
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
