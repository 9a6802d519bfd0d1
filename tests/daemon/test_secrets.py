"""The tokens of a session are told to its owner and to its service, and to nothing and nobody else."""

from __future__ import annotations

import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from sessiond.api.wire import Event

from .workspace import Workspace, fetch

# Looks at all command lines again and again, as `ps` in a loop would, until its standard input ends.
_WATCH_PS = """
import os, select, sys
seen = set()
while not select.select([0], [], [], 0.002)[0]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    seen.add(file.read())
            except OSError:
                pass
sys.stdout.buffer.write(b"\\n".join(sorted(seen)))
"""


def files_with(secrets: list[bytes], *roots: Path) -> dict[Path, int]:
    """The files below ``roots`` that hold any of ``secrets``, with their modes."""
    found: dict[Path, int] = {}
    for root in roots:
        for path in root.rglob("*"):
            # a daemon at work replaces files by others; one that goes meanwhile holds nothing any more
            with suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink():
                    content = path.read_bytes()
                    if any(secret in content for secret in secrets):
                        found[path] = stat.S_IMODE(path.stat().st_mode)
    return found


def events_of(workspace: Workspace) -> list[Event]:
    """All events so far."""
    events = workspace.client.events(0)
    found: list[Event] = []
    try:
        # nothing more for a second: that was all
        while batch := events.poll(1.0):
            found += batch
    finally:
        events.close()
    return found


def test_where_the_tokens_of_a_session_are(workspace: Workspace) -> None:
    """In no log, story, event or command line; in files only where nobody else can read them, and gone at the end."""
    watch = [sys.executable, "-I", "-S", "-c", _WATCH_PS]
    with subprocess.Popen(watch, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ps:
        daemon = workspace.daemon()
        session = workspace.start("careful")
        tiny = workspace.start("tiny")
        urls = [session["url"] or "", tiny["url"] or ""]
        assert [200, 200] == [fetch(url)[0] for url in urls]
        queries = [parse_qs(urlsplit(url).query) for url in urls]
        tokens = [query["sessiond"][0] for query in queries] + queries[1]["token"]
        assert all(len(token) >= 32 for token in tokens)
        secrets = [token.encode() for token in tokens]
        folders = [Path(one["folder"]) for one in (session, tiny)]
        own = [path.read_text().split("service_token=")[1].split()[0] for path in (f / "secrets.sh" for f in folders)]
        secrets += [token.strip("'\"").encode() for token in own]
        assert len(set(secrets)) == 4
        daemon.kill()
        workspace.daemon()
        for one in (session, tiny):
            workspace.until(one["id"], "running")

        holders = files_with(secrets, workspace.root)
        assert {folder / "secrets.sh" for folder in folders} <= set(holders)
        assert {} == {path: oct(mode) for path, mode in holders.items() if mode & 0o077}
        assert [] == [path for path in holders if path.suffix in (".log", ".out")]
        for folder in (workspace.state, *folders):
            assert 0 == stat.S_IMODE(folder.stat().st_mode) & 0o077, folder

        told = [workspace.ctl(*words) for words in (("why", "tiny"), ("plan", "tiny"), ("logs", "tiny"), ("status",))]
        told += [workspace.ctl("plan", "careful", "--json"), workspace.ctl("services", "--json")]
        assert [0] * len(told) == [done.status for done in told]
        for one in (session, tiny):
            workspace.stop(one["id"])
        history = events_of(workspace)
        assert any(event["event"] == "TunnelUp" for event in history)
        texts = [done.out + done.err for done in told] + [repr(history)]
        # the session in it has its URL, which is for its owner; the story itself has not
        stories = [workspace.client.story(one["id"]) for one in (session, tiny)]
        texts += [repr((story["lines"], story["next"], story["log"])) for story in stories]
        texts.append(workspace.log.read_text())
        seen, _ = ps.communicate(b"")
    assert [] == [text for text in texts if any(secret.decode() in text for secret in secrets)]
    assert b"server.py" in seen
    assert b"sessiond" in seen
    assert [] == [line for line in seen.splitlines() if any(secret in line for secret in secrets)]
    left = files_with(secrets, workspace.root)
    assert {} == {path: oct(mode) for path, mode in left.items() if not path.is_relative_to(workspace.state)}
    assert {} == {path: oct(mode) for path, mode in left.items() if mode & 0o077}


def test_a_secret_value_is_shown_nowhere(workspace: Workspace) -> None:
    """What a person gives for a secret parameter is masked in `plan`, and is in no log, story, event or view."""
    folder = workspace.services / "vault"
    folder.mkdir()
    text = (workspace.services / "tiny" / "start-template.sh").read_text()
    (folder / "start-template.sh").write_text(f'echo "${{#service_password}} characters"\n{text}')
    (folder / "url.sh").write_text('export URLEND="start\\""\n')
    (folder / "server.py").write_text((workspace.services / "tiny" / "server.py").read_text())
    (folder / "service.toml").write_text("[params.service_password]\nsecret = true\nrequired = true\n")
    workspace.daemon()
    word = "correct-horse-battery"
    plan = workspace.ctl("plan", "vault", "--set", f"service_password={word}")
    assert 0 == plan.status
    session = workspace.start("vault", set={"service_password": word})
    assert f"{len(word)} characters" in workspace.ctl("logs", session["id"]).out
    shown = [plan.out, workspace.ctl("show", "vault").out, workspace.ctl("show", "vault", "--json").out]
    shown += [workspace.ctl("why", "vault", "--json").out, repr(events_of(workspace))]
    shown.append(workspace.log.read_text())
    assert [] == [text for text in shown if word in text]
    holders = files_with([word.encode()], workspace.root)
    assert Path(session["folder"]) / "secrets.sh" in holders
    assert {} == {path: oct(mode) for path, mode in holders.items() if mode & 0o077}
