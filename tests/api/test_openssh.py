"""OpenSSH itself, through the daemon's connection, to a real SSH server: no prompt, the right host, whole files."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sessiond.config.model import ClusterConfig, Ssh
from sessiond.core.spec import Mode
from tests.api.reach_house import FRONTIER, LOCAL, House, house
from tests.ports import neighbours

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        shutil.which("ssh") is None or not Path("/usr/sbin/sshd").exists(), reason="OpenSSH is not installed"
    ),
]


@dataclass(frozen=True)
class Server:
    """An SSH server on this machine."""

    port: int
    host_key: str
    identity: Path


def answers(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """sshd for this user alone, with keys of its own."""
    with tempfile.TemporaryDirectory(prefix="sds-") as made:
        root = Path(made)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", root / name], check=True)
        port = neighbours(1).start
        lines = [
            f"Port {port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {root}/host",
            f"AuthorizedKeysFile {root}/user.pub",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin yes",
            "PidFile none",
            "Subsystem sftp internal-sftp",
            "MaxStartups 100",
        ]
        (root / "config").write_text("\n".join(lines) + "\n")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (root / "log").open("wb") as log:
            sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", root / "config"], stderr=log)
        try:
            until = time.monotonic() + 20
            while not answers(port):
                if sshd.poll() is not None or time.monotonic() > until:
                    pytest.skip(f"sshd does not run here: {(root / 'log').read_text()[:200]}")
                time.sleep(0.05)
            kind, key, *_ = (root / "host.pub").read_text().split()
            yield Server(port, f"{kind} {key}", root / "user")
        finally:
            sshd.terminate()
            sshd.wait(20)


@pytest.fixture
async def here(server: Server) -> AsyncIterator[House]:
    """A house with a session on a node whose SSH server is that one, which nobody has seen before."""
    with tempfile.TemporaryDirectory(prefix="sdo-") as root:
        async with house(Path(root)) as made:
            made.settings[FRONTIER] = ClusterConfig(
                name=FRONTIER,
                transport=Ssh(
                    host="frontier-login.invalid",
                    user=getpass.getuser(),
                    identity_files=(str(server.identity),),
                    known_hosts=f"{root}/known hosts",
                ),
            )
            made.network.ports["n042", 22] = made.network.ports["127.0.0.1", 22] = server.port
            made.add("sim", host_keys=(server.host_key,))
            yield made


async def config(made: House) -> str:
    """The path of the configuration that `sessionctl ssh-config` prints."""
    done = await made.ctl("ssh-config")
    assert (0, b"") == (done.returncode, done.stderr)
    path = made.root / "sessiond.conf"
    path.write_bytes(done.stdout)
    return str(path)


STRICT = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes")


async def test_a_command_on_a_node(here: House, server: Server) -> None:
    """`sessionctl ssh` runs it there, gives back its output and its exit status, and asks nothing: the node's key is
    the one that its session found there."""
    done = await here.ctl("ssh", "sim", "echo $SSH_CONNECTION; exit 7")
    assert (7, True) == (done.returncode, done.stdout.startswith(b"127.0.0.1 ")), done.stderr
    assert [("n042", 22, (server.host_key,))] == [(one.host, one.port, one.host_keys) for one in here.network.reached]


async def test_a_host_of_its_name(here: House) -> None:
    """With the printed configuration `ssh NAME` does the same, and scp carries files both ways, byte for byte."""
    conf = await config(here)
    done = await here.run("ssh", "-F", conf, *STRICT, "sim", "echo hello")
    assert (0, b"hello\n") == (done.returncode, done.stdout), done.stderr
    data = os.urandom(3_000_000)
    (here.root / "data").write_bytes(data)
    for pair in ((f"{here.root}/data", f"sim:{here.root}/there"), (f"sim:{here.root}/there", f"{here.root}/back")):
        done = await here.run("scp", "-q", "-F", conf, *STRICT, *pair)
        assert 0 == done.returncode, done.stderr
    assert data == (here.root / "back").read_bytes()


async def test_another_key_than_the_published_is_refused(here: House) -> None:
    """A node that shows a key which is neither known nor its session's is not trusted."""
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFz9mvCPJ4hMHIZRl1LcbTGTXxXi0ymS5Wy6bWQkVhfP"
    here.add("fake", host_keys=(other,))
    done = await here.run("ssh", "-F", await config(here), *STRICT, "fake", "true")
    assert (255, True) == (done.returncode, b"Host key verification failed" in done.stderr), done.stderr


async def test_a_login_node_is_known_by_its_own_name(here: House, server: Server) -> None:
    """A session on the login node goes by the key that a direct ssh there has noted."""
    here.add("login", mode=Mode.CONTROLLER, nodes=("fl3",))
    for line, expected in (("other.invalid", 255), ("frontier-login.invalid", 0)):
        (here.root / "known hosts").write_text(f"{line} {server.host_key}\n")
        done = await here.run("ssh", "-F", await config(here), *STRICT, "login", "true")
        assert expected == done.returncode, done.stderr
    done = await here.ctl("ssh", "login", "echo", "there")
    assert (0, b"there\n") == (done.returncode, done.stdout), done.stderr


async def test_a_session_here_through_a_plain_proxy(here: House, server: Server) -> None:
    """`sessionctl proxy NAME PORT` as a ProxyCommand reaches a server of this machine."""
    here.add("own", cluster=LOCAL, mode=Mode.LOCAL, nodes=("here",))
    (here.root / "kh").write_text(f"own {server.host_key}\n")
    done = await here.run(
        *("ssh", "-F", "none", *STRICT, "-i", str(server.identity), "-o", f"UserKnownHostsFile={here.root}/kh"),
        *("-o", f"ProxyCommand={shlex.join(here.sessionctl)} proxy own {server.port}", "own", "echo", "hello"),
    )
    assert (0, b"hello\n") == (done.returncode, done.stdout), done.stderr


async def test_what_the_user_has_configured_holds(here: House, server: Server) -> None:
    """A user, a key and a name in known_hosts that ~/.ssh/config has for the login node hold for its sessions, and what
    would lead elsewhere does not."""
    here.settings[FRONTIER] = ClusterConfig(name=FRONTIER, transport=Ssh(host="fl"))
    here.add("login", mode=Mode.CONTROLLER, nodes=("fl3",))
    own = [
        "Host fl",
        f"  User {getpass.getuser()}",
        f"  IdentityFile {server.identity}",
        f"  UserKnownHostsFile {here.root}/kh",
        "  HostName fl.example.invalid",
        "  Port 2222",
        "  ControlMaster auto",
        f"  ControlPath {here.root}/master",
        "  ProxyJump nowhere.invalid",
    ]
    (here.root / "own").write_text("\n".join(own) + "\n")
    (here.root / "kh").write_text(f"[fl.example.invalid]:2222 {server.host_key}\n")
    here.network.ports["127.0.0.1", 2222] = server.port
    # OpenSSH takes the home folder of the account, whatever HOME says.
    (here.root / "bin").mkdir()
    usual = f'case " $* " in *" -F "*) ;; *) set -- -F {here.root}/own "$@" ;; esac\nexec {shutil.which("ssh")} "$@"\n'
    (here.root / "bin" / "ssh").write_text(f"#!/bin/sh\n{usual}")
    (here.root / "bin" / "ssh").chmod(0o700)
    here.path = f"{here.root}/bin:"
    conf = await config(here)
    for name, place in (("login", "127.0.0.1"), ("sim", "n042")):
        before = len(here.network.reached)
        for argv in (("ssh", "-F", conf, *STRICT, name, "echo hello"), (*here.sessionctl, "ssh", name, "echo hello")):
            done = await here.run(*argv)
            assert (0, b"hello\n") == (done.returncode, done.stdout), (argv, done.stderr)
        assert [place, place] == [one.host for one in here.network.reached[before:]]
    assert not (here.root / "master").exists()


async def test_what_is_printed(here: House) -> None:
    """Live sessions on clusters alone; one without a host yet is a comment; there is no word of ~/.ssh in it."""
    here.add("own", cluster=LOCAL, mode=Mode.LOCAL, nodes=("here",))
    here.add("queued", nodes=())
    await config(here)
    text = (here.root / "sessiond.conf").read_text()
    assert ["Host sim"] == [line for line in text.splitlines() if line.startswith("Host ")]
    assert "# queued: queued waits for a node" in text
    assert text.startswith("#")
    assert "Include ~/.ssh/sessiond.conf" in text
    assert f"SESSIOND_SOCKET={here.socket}" in text


async def test_the_keys_alone(here: House) -> None:
    """What ssh runs for a node's keys prints them and nothing more."""
    done = await here.ctl("ssh-config", "--host-keys", "sim")
    kind, key = here.sessions["sim"].endpoint.host_keys[0].split()  # type: ignore[union-attr]  # it has one
    assert f"n042 {kind} {key}\n".encode() == done.stdout
