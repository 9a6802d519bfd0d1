"""A real sshd of its own, with throw-away users, keys and an agent."""

from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from sessiond.remote.ssh.settings import SshSettings
from tests.ports import free_port
from tests.processes import children

SSHD = "/usr/sbin/sshd"
PATIENCE_S = 15.0
_SEPARATION = Path("/run/sshd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sshd:
    """A running server."""

    port: int
    pid: int
    base: Path

    @property
    def public_key(self) -> str:
        """Its host key, type and base64."""
        return " ".join((self.base / "host_key.pub").read_text().split()[:2])

    @property
    def log(self) -> str:
        """What it said so far."""
        return (self.base / "log").read_text(errors="replace")

    def known_line(self, name: str = "127.0.0.1", key: str = "") -> str:
        """Its line in a known_hosts file."""
        return f"[{name}]:{self.port} {key or self.public_key}\n"

    def sessions(self) -> list[int]:
        """The processes that serve its connections."""
        return children(self.pid)

    async def idle(self) -> None:
        """Wait until it serves nobody: its process for a connection ends a little later than the connection."""
        with anyio.fail_after(PATIENCE_S):
            while self.sessions():  # noqa: ASYNC110  (the end of another one's child is no event)
                await anyio.sleep(0.02)

    def cut(self) -> None:
        """Kill the processes that serve its connections, as an administrator or the kernel might."""
        for pid in self.sessions():
            for below in (*children(pid), pid):
                with suppress(ProcessLookupError):
                    os.kill(below, signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may log in."""

    name: str
    home: Path
    key: Path


def need_sshd() -> None:
    """Skip where there is no sshd."""
    if not Path(SSHD).exists():
        pytest.skip(f"no {SSHD}: install openssh-server")


def need_root() -> None:
    """Skip where no users can be made."""
    if os.geteuid() != 0:
        pytest.skip("not root: cannot make throw-away users")


def tool(*argv: str) -> None:
    """Run a program that must succeed and has nothing to say."""
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def set_password(user: User, password: str) -> None:
    """Give ``user`` a password."""
    subprocess.run(["chpasswd"], input=f"{user.name}:{password}\n", text=True, check=True)


def keygen(path: Path, *, passphrase: str = "", kind: str = "ed25519") -> Path:
    """Make a key pair."""
    tool("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path))
    return path


def public(key: Path) -> str:
    """The public half of a key."""
    return key.with_name(f"{key.name}.pub").read_text()


@contextmanager
def unix_user(base: Path, *, name: str = "", shell: str = "/bin/bash", password: str = "") -> Iterator[User]:
    """A user of this machine with a home below ``base``, and a key; the user is removed at the end."""
    need_root()
    name = name or f"sd{os.urandom(5).hex()}"
    home = base / f"home-{name}"
    _open_up(base)
    subprocess.run(["useradd", "-M", "-d", str(home), "-s", shell, name], check=True)
    try:
        chosen = password or os.urandom(12).hex()  # an account without a password is locked, to sshd
        subprocess.run(["chpasswd"], input=f"{name}:{chosen}\n", text=True, check=True)
        home.mkdir()
        shutil.chown(home, name, name)
        yield User(name=name, home=home, key=keygen(base / f"key-{name}"))
    finally:
        _end_all_of(name)
        subprocess.run(["userdel", name], check=True, stderr=subprocess.DEVNULL)


def _end_all_of(name: str) -> None:
    """Kill a user's processes and wait for their ends: who has any that runs is not removed."""
    ended: set[int] = set()
    while found := _processes_of(name) - ended:
        for pid in found:
            with suppress(ProcessLookupError):
                watched = os.pidfd_open(pid)
                try:
                    signal.pidfd_send_signal(watched, signal.SIGKILL)
                    assert select.select([watched], [], [], PATIENCE_S)[0]
                finally:
                    os.close(watched)
        ended |= found


def _processes_of(name: str) -> set[int]:
    found = subprocess.run(["pgrep", "-u", name], check=False, stdout=subprocess.PIPE, text=True)
    return {int(pid) for pid in found.stdout.split()}


def root_user(base: Path) -> User:
    """Ourselves."""
    me = pwd.getpwuid(os.geteuid())
    return User(name=me.pw_name, home=Path(me.pw_dir), key=keygen(base / "key-ourselves"))


@contextmanager
def sshd(
    base: Path,
    users: Sequence[User],
    *options: str,
    program: str = SSHD,
    pam: bool = False,
    host_key: str = "ed25519",
    port: int = 0,
    env: Mapping[str, str] | None = None,
) -> Iterator[Sshd]:
    """A server on a loopback port that lets ``users`` in with their keys.

    ``options`` come first in its configuration, where sshd takes the first value of each. The program's name is its
    PAM service. ``env`` is its environment, where that is not ours.
    """
    need_sshd()
    if os.geteuid() == 0:
        _SEPARATION.mkdir(mode=0o755, exist_ok=True)
    _open_up(base / "authorized")
    for user in users:
        (base / "authorized" / user.name).write_text(public(user.key))
    if not (base / "host_key").exists():
        keygen(base / "host_key", kind=host_key)
    port = port or free_port()
    lines = [
        *options,
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {base}/host_key",
        f"AuthorizedKeysFile {base}/authorized/%u",
        f"PidFile {base}/pid",
        "PermitRootLogin yes",
        "StrictModes no",
        f"UsePAM {'yes' if pam else 'no'}",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "MaxStartups 100",
        "UseDNS no",
        "PrintMotd no",
        "",
    ]
    (base / "sshd_config").write_text("\n".join(lines))
    with (base / "log").open("ab") as log:
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(base / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
        )
    server = Sshd(port=port, pid=process.pid, base=base)
    try:
        _await_listener(server, process)
        yield server
    finally:
        server.cut()
        process.terminate()
        process.wait(PATIENCE_S)


def settings(server: Sshd, user: User, base: Path, **more: object) -> SshSettings:
    """How to reach ``server`` as ``user``: by key, with its host key known, whatever the tester's own configuration."""
    known = base / f"known-{server.port}"
    if not known.exists():
        known.write_text(server.known_line())
    given: dict[str, object] = {
        "cluster": "frontier",
        "host": "127.0.0.1",
        "port": server.port,
        "user": user.name,
        "identity_files": (str(user.key),),
        "known_hosts": str(known),
        "config_file": str(base / "ssh_config"),
    }
    return SshSettings(**(given | more))  # type: ignore[arg-type]


@contextmanager
def agent(base: Path, *keys: Path) -> Iterator[str]:
    """A real ssh-agent that holds ``keys``; its socket."""
    path = str(base / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        give_up = time.monotonic() + PATIENCE_S
        while not Path(path).exists():
            assert time.monotonic() < give_up
            time.sleep(0.01)
        for key in keys:
            subprocess.run(["ssh-add", "-q", str(key)], env={**os.environ, "SSH_AUTH_SOCK": path}, check=True)
        yield path
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


class FrozenRelay:
    """Passes bytes on to a port until it is frozen; then it takes what comes and says nothing, like a dead network."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._thaw = anyio.Event()
        self._thaw.set()
        self.port = free_port()

    def freeze(self) -> None:
        """Be a black hole from now on."""
        self._thaw = anyio.Event()

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port) as listener:
            task_status.started()
            await listener.serve(self._relay)

    async def _relay(self, near: SocketStream) -> None:
        async with near, await anyio.connect_tcp("127.0.0.1", self._target) as far, anyio.create_task_group() as both:
            both.start_soon(self._pass, near, far)
            both.start_soon(self._pass, far, near)

    async def _pass(self, source: SocketStream, sink: SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                data = await source.receive()
                await self._thaw.wait()
                await sink.send(data)
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await sink.send_eof()


def _open_up(folder: Path) -> None:
    """Make a folder that other users may pass through."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in (folder, *folder.parents):
        if each.stat().st_mode & 0o001 == 0:
            each.chmod(each.stat().st_mode | 0o011)


def _await_listener(server: Sshd, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        assert process.poll() is None, server.log
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1) as asked:
            asked.settimeout(PATIENCE_S)
            # Its first words are those of a process for this connection; the next one that asks is to find it alone.
            assert asked.recv(1), server.log
            break
        time.sleep(0.02)
    while time.monotonic() < give_up:
        if not server.sessions():
            return
        time.sleep(0.02)
    raise AssertionError(server.log)
