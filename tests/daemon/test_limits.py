"""A daemon with many sessions may have many files open; what it starts has the limit that programs expect."""

from __future__ import annotations

from pathlib import Path

from .traces import until
from .workspace import Workspace


def test_the_daemon_s_own_limit_is_raised_and_a_session_s_is_not(workspace: Workspace) -> None:
    """The soft limit goes to the hard one for the daemon alone."""
    service = workspace.services / "limits"
    service.mkdir()
    (service / "start-template.sh").write_text("ulimit -S -n >limit\nulimit -H -n >>limit\nsleep 600\n")
    daemon = workspace.daemon("prlimit", "--nofile=300:4000")
    own = [line for line in Path(f"/proc/{daemon.pid}/limits").read_text().splitlines() if "open files" in line]
    assert ["4000", "4000"] == own[0].split()[3:5]
    session = workspace.client.start({"service": "limits"})
    limit = Path(workspace.client.session(session["name"])["folder"]) / "limit"
    until(lambda: limit.exists() and len(limit.read_text().split()) == 2, "the session starts")
    assert ["300", "4000"] == limit.read_text().split()
