"""A real daemon and a command of the person's: what it is run with, once each, and what a bad one does."""

from __future__ import annotations

import json
import time
from pathlib import Path

from . import services
from .traces import marked, until
from .workspace import Workspace

SAY = """#!/bin/sh
[ -n "$3" ] && sleep "$3"
printf '%s\\n%s\\n' "$1" "$2" >> "${0%/*}/said"
"""


def say(workspace: Workspace, *more: str) -> list[str]:
    """Put the command there, and into the configuration."""
    program = workspace.root / "say"
    program.write_text(SAY)
    program.chmod(0o700)
    workspace.configure("[notify]", f"command = {json.dumps([str(program), '{title}', '{text}', *more])}")
    return [str(program)]


def said(workspace: Workspace) -> list[tuple[str, str]]:
    """Title and text of each notice so far."""
    file = workspace.root / "said"
    lines = file.read_text().splitlines() if file.exists() else []
    return list(zip(lines[::2], lines[1::2], strict=False))


def test_each_thing_is_told_once(workspace: Workspace) -> None:
    """That it runs and that it failed; nothing again after kill -9; nothing of what the person did."""
    say(workspace)
    first = workspace.daemon()
    workspace.start("tiny", name="lab")
    until(lambda: len(said(workspace)) == 1, "nothing was told")
    assert [("lab: running", "tiny on local; sessionctl open lab")] == said(workspace)
    first.kill()
    workspace.daemon()
    workspace.until("lab", "running")
    workspace.stop("lab")
    workspace.cleaned(workspace.client.start({"service": "seven", "name": "bad"})["id"])
    until(lambda: len(said(workspace)) == 2, "the failure was not told")
    title, text = said(workspace)[1]
    assert "bad: failed" == title
    assert text.startswith("seven on local; the session's script ended with status 7")
    assert "sessionctl why bad" in text
    assert [] == workspace.client.status()["warnings"]


def test_what_one_daemon_could_not_tell_the_next_one_does(workspace: Workspace) -> None:
    """It was killed in the moment between the end and the notice, as far as that can be hit."""
    say(workspace)
    services.write(
        workspace.services / "short", f"{services.SERVE} &\nwhile [ ! -e go ]; do sleep 0.05; done\nexit 3\n"
    )
    first = workspace.daemon()
    session = workspace.start("short", name="lab")
    until(lambda: len(said(workspace)) == 1, "nothing was told")
    Path(session["folder"], "go").touch()
    workspace.until("lab", "ended")
    first.kill()
    workspace.daemon()
    until(lambda: len(said(workspace)) == 2, "the end was not told")
    workspace.start("tiny", name="next")
    until(lambda: len(said(workspace)) == 3, "the next session was not told")
    assert ["lab: running", "lab: failed", "next: running"] == [title for title, _ in said(workspace)]
    workspace.stop("next")


def test_a_command_that_hangs_holds_nothing_up(workspace: Workspace) -> None:
    """It is ended after ten seconds, `status` says so, and sessions do not notice; a reload mends it."""
    say(workspace, "600")
    workspace.daemon()
    began = time.monotonic()
    workspace.start("tiny", name="lab")
    assert "running" == workspace.client.session("lab")["state"]
    until(lambda: bool(workspace.client.status()["warnings"]), "nobody says that the command hangs")
    assert 10 <= time.monotonic() - began
    (warning,) = workspace.client.status()["warnings"]
    assert "notify.command: say did not finish within 10 s and was ended" == warning
    assert warning in workspace.ctl("status").out
    until(lambda: not [line for line in marked(workspace.mark) if line.endswith("sleep 600")], "the command goes on")
    say(workspace)
    assert 0 == workspace.ctl("reload").status
    workspace.start("tiny", name="other")
    until(lambda: len(said(workspace)) == 1, "the mended command was not run")
    assert [] == workspace.client.status()["warnings"]
    workspace.stop("lab")
    workspace.stop("other")


def test_a_command_that_is_not_there(workspace: Workspace) -> None:
    """One warning, and everything else works."""
    workspace.configure("[notify]", 'command = ["/nowhere/say", "{title}"]')
    workspace.daemon()
    workspace.start("tiny", name="lab")
    until(lambda: bool(workspace.client.status()["warnings"]), "nobody says that there is no such program")
    (warning,) = workspace.client.status()["warnings"]
    assert warning.startswith("notify.command: say could not be started: ")
    workspace.stop("lab")


def test_a_cluster_that_needs_a_login_is_told_once(workspace: Workspace) -> None:
    """Whatever waits for it, and after kill -9."""
    say(workspace)
    cluster = ("[clusters.frontier]", 'host = "127.0.0.1"', 'login = "interactive"')
    workspace.config.write_text(workspace.config.read_text() + "\n".join(cluster) + "\n")
    first = workspace.daemon()
    for n in range(5):
        workspace.client.start({"service": "tiny", "cluster": "frontier", "name": f"md{n}"})
    until(lambda: len(said(workspace)) == 1, "nothing was told")
    first.kill()
    workspace.daemon()
    workspace.start("tiny", name="lab")
    until(lambda: len(said(workspace)) == 2, "the next session was not told")
    (title, text), (other, _) = said(workspace)
    assert ("frontier needs a login", "lab: running") == (title, other)
    assert text.startswith("of its sessions md0")
    assert text.endswith("sessionctl login frontier")
    for name in ("lab", *(f"md{n}" for n in range(5))):
        workspace.stop(name)
