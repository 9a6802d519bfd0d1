"""A disk that is full for real: a small tmpfs as the state folder, in a mount namespace of the daemon's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sessiond.client import Client, ClientError

from . import traces
from .workspace import Daemon, Workspace, fetch

_MOUNT = 'mount -t tmpfs -o size=2m,mode=700 tmpfs "$1" && shift && exec "$@"'


class Disk:
    """The daemon's state folder, seen through its mount namespace."""

    def __init__(self, daemon: Daemon, state: Path) -> None:
        self.daemon = daemon
        self.folder = Path(f"/proc/{daemon.pid}/root{state}")
        self._filler = self.folder / "filler"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._filler.open("ab", buffering=0) as filler:
            size = 1 << 16
            while size:
                try:
                    filler.write(b"x" * size)
                except OSError:
                    size //= 2
        assert 0 == os.statvfs(self.folder).f_bavail

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink()


@pytest.fixture
def full(workspace: Workspace) -> tuple[Workspace, Disk]:
    """A world whose daemon has a disk of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not allow new mount namespaces")
    workspace.state.mkdir(mode=0o700)
    daemon = workspace.daemon("unshare", "--mount", "sh", "-c", _MOUNT, "sh", str(workspace.state))
    return workspace, Disk(daemon, workspace.state)


def test_requests_are_refused_and_sessions_go_on(full: tuple[Workspace, Disk]) -> None:
    """Start and stop: 75, a clear sentence and a hint; looking works; afterwards all does, and nothing is lost."""
    workspace, disk = full
    session = workspace.start("tiny")
    disk.fill()
    for words in (("start", "tiny"), ("stop", session["id"]), ("start", "tiny", "--name", "other")):
        done = workspace.ctl(*words)
        assert 75 == done.status, done
        sentence, hint = done.err.splitlines()
        assert "cannot be written just now" in sentence
        assert "full" in sentence
        assert "nothing was lost" in hint
    assert [session["id"]] == [one["id"] for one in workspace.client.sessions(all=True)]
    assert "running" == workspace.client.session(session["id"])["state"]
    assert session["url"] is not None
    assert 200 == fetch(session["url"])[0]
    disk.free()
    second = workspace.start("tiny")
    assert 200 == fetch(second["url"] or "")[0]
    assert [] == [text for text in workspace.client.status()["warnings"] if "cannot be written" in text]
    for one in (session, second):
        assert "cancelled" == workspace.stop(one["id"])["outcome"]
    assert 2 == workspace.started()
    assert [] == workspace.traces(session, second)


def test_what_happens_meanwhile_is_written_down_later(full: tuple[Workspace, Disk]) -> None:
    """A service dies while the disk is full: people still get an answer at once, and its end is known afterwards."""
    workspace, disk = full
    dying, living = workspace.start("tiny"), workspace.start("tiny")
    disk.fill()
    traces.end_marked(f"SESSIOND_TAG=sd-{dying['id']}")
    # the daemon notices, cannot write it down, and keeps trying
    traces.until(lambda: "waiting" in workspace.log.read_text(), "the daemon does not notice the end")
    with pytest.raises(ClientError) as refused:
        Client(workspace.socket, timeout_s=10).stop(living["id"])
    assert "state-full" == refused.value.code
    assert "cannot be written just now" in refused.value.message
    assert 200 == fetch(living["url"] or "")[0]
    assert any("cannot be written" in warning for warning in workspace.client.status()["warnings"])
    disk.free()
    assert "failed" == workspace.cleaned(dying["id"])["outcome"]
    assert "cancelled" == workspace.stop(living["id"])["outcome"]
    assert [] == workspace.traces(dying, living)


def test_a_start_under_way_waits_for_room(full: tuple[Workspace, Disk]) -> None:
    """The disk fills up between the request and the start: nothing runs that is not written down; later it goes on."""
    workspace, disk = full
    folder = workspace.services / "tiny"
    gate = workspace.root / "gate"
    os.mkfifo(gate)
    (folder / "controller.sh").write_text(f"read -r _ < {gate}\n")
    session = workspace.client.start({"service": "tiny"})
    with gate.open("w") as opened:  # opens when the preparation waits there
        disk.fill()
        opened.write("go\n")
    traces.until(lambda: "waiting" in workspace.log.read_text(), "the daemon does not notice the full disk")
    assert 0 == workspace.started()
    assert "render" == workspace.client.session(session["id"])["state"]
    disk.free()
    workspace.until(session["id"], "running")
    assert 1 == workspace.started()
    assert "cancelled" == workspace.stop(session["id"])["outcome"]
    assert [] == workspace.traces(session)


def test_a_daemon_that_is_restarted_meanwhile_serves_what_runs(full: tuple[Workspace, Disk]) -> None:
    """After `kill -9`, with no byte free: sessions are reached, and that it was restarted is written down later."""
    workspace, disk = full
    first = disk.daemon
    with subprocess.Popen(["nsenter", "--target", str(first.pid), "--mount", "sleep", "600"]) as keeper:
        try:
            spaces = [Path(f"/proc/{pid}/ns/mnt") for pid in (first.pid, keeper.pid)]
            traces.until(lambda: 1 == len({space.readlink() for space in spaces}), "it is not kept")
            session = workspace.start("tiny")
            disk.fill()
            first.kill()
            workspace.daemon("nsenter", "--target", str(keeper.pid), "--mount")
            assert 200 == fetch(session["url"] or "")[0]
            assert any("cannot be written" in warning for warning in workspace.client.status()["warnings"])
            Path(f"/proc/{keeper.pid}/root{workspace.state}/filler").unlink()
            traces.until(lambda: "can be written again" in workspace.log.read_text(), "it does not go on")
            workspace.until(session["id"], "running")
            assert "cancelled" == workspace.stop(session["id"])["outcome"]
            assert [] == workspace.traces(session)
        finally:
            keeper.kill()
