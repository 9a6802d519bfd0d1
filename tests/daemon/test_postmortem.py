"""After an unexpected end the real daemon keeps what tells why, also across kill -9, and bundles it without secrets."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from pathlib import Path

from sessiond.api.wire import Session
from sessiond.client import NoDaemon

from . import services, traces
from .workspace import Workspace

SECRET = 'it\'s a "hostile" $ecret \\ of mine'
ASKED = """
[params.service_password]
label = "A password"
secret = true
"""
LEAKS = """echo "the password is $service_password"
printf '%q\\n' "$service_password"
set -x; : "$service_password"; set +x
echo "http://127.0.0.1:8888/lab?token=0123456789abcdef"
echo "my token is $service_token"
exit 7
"""


def kept(here: Workspace, session: Session) -> Path:
    """Where what was collected is kept."""
    return here.state / "sessions" / session["id"] / "postmortem.json"


def is_complete(path: Path) -> bool:
    """Whether all that will come is there."""
    return path.exists() and json.loads(path.read_text())["complete"] is True


def unpacked(content: bytes) -> dict[str, str]:
    """The files of a bundle, by their path in its one folder."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        members = tar.getmembers()
        assert {(0o600, True)} == {(member.mode, member.isreg()) for member in members}
        assert 1 == len({member.name.split("/")[0] for member in members})
        found = [(member.name, tar.extractfile(member)) for member in members]
        return {name.partition("/")[2]: file.read().decode() for name, file in found if file is not None}


def tokens(session: Session) -> list[str]:
    """What opens a session in a browser: the gateway's token, and the service's own."""
    found = [part.partition("=")[2] for part in (session["url"] or "").partition("?")[2].split("&")]
    assert 2 == len(found)
    assert all(len(token) >= 32 for token in found)
    return found


def test_a_daemon_that_is_killed_between_the_end_and_the_collection(workspace: Workspace) -> None:
    """The next one collects; what is forgotten is forgotten with it."""
    daemon = workspace.launch(SESSIOND_FAILPOINT="postmortem.before:1")
    assert daemon.is_ready()
    try:
        session = workspace.client.start({"service": "seven", "name": "one"})
        workspace.until_so(session["id"], lambda _one: False)
    except NoDaemon:
        pass
    assert daemon.ended() is not None
    (found,) = (workspace.state / "sessions").iterdir()
    assert not (found / "postmortem.json").exists()
    workspace.daemon()
    session = workspace.cleaned("one")
    assert "failed" == session["outcome"]
    path = kept(workspace, session)
    traces.until(lambda: is_complete(path), "nothing was collected")
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    record = json.loads(path.read_text())
    assert (7, "exit") == (record["evidence"]["status"], record["evidence"]["reason"])
    assert ["the first line", "the last line"] == record["log"][-2:]
    why = workspace.ctl("why", "one").out
    assert "its script's exit record: status 7" in why
    assert "Next: sessionctl logs one" in why
    assert 0 == workspace.ctl("rm", "one").status
    assert not path.parent.exists()


def test_a_bundle_has_everything_but_secrets(workspace: Workspace) -> None:
    """The story, the log, the scripts, versions; in a file for its owner that takes no other's place."""
    services.write(workspace.services / "leaks", LEAKS, url=services.URL, manifest=ASKED)
    workspace.daemon()
    started = workspace.client.start({"service": "leaks", "name": "lab", "set": {"service_password": SECRET}})
    session = workspace.cleaned(started["id"])
    traces.until(lambda: is_complete(kept(workspace, session)), "nothing was collected")
    target = workspace.root / "lab.tar.gz"
    done = workspace.ctl("why", "lab", "--bundle", str(target))
    assert (0, "") == (done.status, done.err)
    assert 0o600 == stat.S_IMODE(target.stat().st_mode)
    files = unpacked(target.read_bytes())
    assert {
        "story.txt",
        "session.json",
        "log.txt",
        "scheduler.txt",
        "evidence.json",
        "link.txt",
        "versions.txt",
    } <= set(files)
    first, *lines = files["story.txt"].splitlines()
    head, *told = workspace.ctl("why", "lab").out.splitlines()
    assert (lines, True) == (told, head.startswith(f"{first} ("))
    assert {"rendered/session.sh", "rendered/run.sh", "rendered/inputs.sh"} <= set(files)
    assert "the password is ***" in files["log.txt"]
    assert "token=***" in files["log.txt"]
    assert ["service_password"] == [name for name in json.loads(files["session.json"])["secrets"] if "pass" in name]
    files["kept"] = kept(workspace, session).read_text()
    secrets = ["hostile", "of mine", "0123456789abcdef", *tokens(started)]
    assert [] == [(name, secret) for name, text in files.items() for secret in secrets if secret in text]
    del files["kept"]
    again = workspace.ctl("why", "lab", "--bundle", str(target))
    assert 6 == again.status
    assert "is there already" in again.err
    target.write_text("something else")
    assert 0 == workspace.ctl("why", "lab", "--bundle", str(target), "--force").status
    assert files.keys() == unpacked(target.read_bytes()).keys()
    assert [target] == list(workspace.root.glob("*lab.tar.gz*"))


def test_a_bundle_of_a_session_that_lives(workspace: Workspace) -> None:
    """It says so; the token that opens it is in no file; what cannot be known yet is not made up."""
    workspace.daemon()
    session = workspace.start("tiny", name="alive")
    target = workspace.root / "alive.tar.gz"
    assert 0 == workspace.ctl("why", "alive", "--bundle", str(target)).status
    files = unpacked(target.read_bytes())
    assert "alive: running" in files["story.txt"]
    assert "running" == json.loads(files["session.json"])["state"]
    assert [] == [name for name, text in files.items() for token in tokens(session) if token in text]
    assert not kept(workspace, session).exists()


def test_a_service_that_never_answers_shows_its_log(workspace: Workspace) -> None:
    """Once its time is over `why` has the last lines of its log, and what was last wrong on the way to it."""
    services.write(
        workspace.services / "talks", "echo 'I wait for a licence'\nsleep 600\n", manifest='ready_within = "2s"\n'
    )
    workspace.daemon()
    session = workspace.start("talks", to="tunnel")
    traces.until(
        lambda: "has not answered" in workspace.client.session(session["id"])["phrase"],
        "it does not say that it is late",
    )
    why = workspace.ctl("why", session["id"]).out
    assert "the last trouble on the way to its service: " in why
    assert "Next: sessionctl logs talks" in why
    assert "I wait for a licence" in why
