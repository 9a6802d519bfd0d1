"""service.json through a session's life, as a program sees it that reads it all the time."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from pathlib import Path

from . import services, traces
from .workspace import Workspace, fetch

FIELDS = ["URL", "PORT", "SLUG", "JOB_STATUS", "ERROR_MESSAGE"]


class Reader(threading.Thread):
    """Reads a file as fast as it can; keeps every different content that it saw."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._over = threading.Event()
        self.seen: list[bytes] = []
        self.reads = 0

    def run(self) -> None:
        """Read until `close`."""
        while not self._over.wait(0.0005):
            self._look()
        # what was written before `close` is seen in any case
        self._look()

    def _look(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            assert not self.seen, "it is never missing once it was there"
            return
        self.reads += 1
        if not self.seen or self.seen[-1] != content:
            self.seen.append(content)

    def until(self, word: str) -> None:
        """Wait until it has seen a word."""
        traces.until(lambda: any(word.encode() in content for content in self.seen), f"{word} is not seen")

    def close(self) -> list[dict[str, str]]:
        """Stop reading; what was seen, each of it whole."""
        self._over.set()
        self.join()
        return [json.loads(content) for content in self.seen]


def test_five_fields_through_the_life(workspace: Workspace) -> None:
    """Submitted, Running, Cancelled, never half a file; across a restart of the daemon it stays true."""
    gate = workspace.root / "gate"
    os.mkfifo(gate)
    services.write(workspace.services / "gated", f"read -r _ < {gate}\nexec {services.SERVE}\n", url=services.URL)
    daemon = workspace.daemon()
    session = workspace.client.start({"service": "gated"})
    path = workspace.state / "sessions" / session["id"] / "service.json"
    reader = Reader(path)
    reader.start()
    try:
        reader.until("Submitted")
        gate.write_text("go\n")
        running = workspace.until(session["id"], "running")
        reader.until("Running")
        daemon.kill()
        workspace.daemon()
        workspace.until(session["id"], "running")
        workspace.stop(session["id"])
    finally:
        seen = reader.close()
    assert reader.reads > 100
    assert all(FIELDS == list(one) for one in seen)
    assert all(isinstance(value, str) for one in seen for value in one.values())
    assert {("/me", str(session["open_port"]), "")} == {(one["URL"], one["PORT"], one["ERROR_MESSAGE"]) for one in seen}
    # the tail of an expression of JavaScript, whose first text it closes
    assert all(one["SLUG"].startswith("?token=") and one["SLUG"].endswith('"') for one in seen)
    assert all(one["SLUG"][:-1] in (running["url"] or "") for one in seen)
    order = [one["JOB_STATUS"] for one in seen]
    words = list(dict.fromkeys(order))
    assert ["Submitted", "Running", "Cancelled"] == [word for word in words if word != "Initializing"]
    assert "Running" not in order[order.index("Cancelled") :]
    assert json.loads(path.read_text()) == seen[-1]
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    written = {one.name for one in path.parent.iterdir() if one.name.endswith((".json", ".new"))}
    assert {"inputs.json", "service.json"} == written


def test_a_failure_brings_its_message(workspace: Workspace) -> None:
    """Failed, with the reason that people are told; Completed has none."""
    workspace.daemon()
    found: dict[str, tuple[str, str]] = {}
    for service in ("says", "brief"):
        session = workspace.client.start({"service": service})
        workspace.cleaned(session["id"])
        fields = json.loads((workspace.state / "sessions" / session["id"] / "service.json").read_text())
        found[service] = (fields["JOB_STATUS"], fields["ERROR_MESSAGE"])
    assert {"says": ("Failed", "the licence server does not answer"), "brief": ("Completed", "")} == found


def test_the_slug_is_without_escapes(workspace: Workspace) -> None:
    """url.sh escapes & and / for sed; whoever reads service.json gets them plain."""
    (workspace.services / "tiny" / "url.sh").write_text('export URLEND="a\\/b?x=1\\&y=2\\""\n')
    workspace.daemon()
    session = workspace.start("tiny")
    assert "/a/b?x=1&y=2&sessiond=" in (session["url"] or "")
    fields = json.loads((workspace.state / "sessions" / session["id"] / "service.json").read_text())
    assert 'a/b?x=1&y=2"' == fields["SLUG"]


def test_the_gateways_token_stands_before_what_no_server_sees(workspace: Workspace) -> None:
    """What follows a # in an address is for the page alone; the gateway would not get to see a token there."""
    workspace.daemon()
    for end, expected in (("x?a=1#s=2", r"/x\?a=1&sessiond=[\w-]+#s=2"), ("#s=2", r"/\?sessiond=[\w-]+#s=2")):
        (workspace.services / "tiny" / "url.sh").write_text(f'export URLEND="{end}\\""\n')
        session = workspace.start("tiny")
        assert re.search(f"{expected}$", session["url"] or ""), session["url"]
        assert 200 == fetch(session["url"] or "")[0]
