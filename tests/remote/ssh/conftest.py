"""What the tests over SSH share: no agent and no key of the tester's own, one server with one user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sessiond.remote.ssh.connection import SshConnection
from sessiond.remote.ssh.connector import SshConnector
from sessiond.remote.ssh.settings import SshSettings

from .house import Sshd, User, sshd, unix_user


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for the workspace, without keys, agent and configuration."""
    home = tmp_path / "workspace"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the module's server keeps its files."""
    return tmp_path_factory.mktemp("sshd")


@pytest.fixture(scope="module")
def user(place: Path) -> Iterator[User]:
    """An ordinary user with bash."""
    with unix_user(place) as made:
        yield made


@pytest.fixture(scope="module")
def server(place: Path, user: User) -> Iterator[Sshd]:
    """A server as Debian sets it up, with MaxSessions 10."""
    with sshd(place / "server", [user]) as running:
        yield running


@asynccontextmanager
async def connected(settings: SshSettings) -> AsyncIterator[SshConnection]:
    """An open connection."""
    connection = await SshConnector(settings).open(None)
    try:
        yield connection
    finally:
        await connection.aclose()
