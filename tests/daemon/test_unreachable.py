"""A cluster that cannot be reached: what is begun waits, and everybody is told."""

from __future__ import annotations

import contextlib
import re
from itertools import pairwise

from sessiond.api.wire import Event

from .workspace import PATIENCE_S, Workspace


def test_watchers_hear_of_links(workspace: Workspace) -> None:
    """The link's changes stand among the sessions' events; the session waits, says why, and can be stopped."""
    workspace.configure("[clusters.far]", 'host = "127.0.0.1"', f"port = {workspace.spare[0]}", 'user = "nobody"')
    workspace.daemon()
    seen: list[Event] = []
    with contextlib.closing(workspace.client.events(0)) as events:
        workspace.client.start({"service": "tiny", "cluster": "far", "name": "there"})
        while not any(event["event"] == "StageDelayed" for event in seen):
            got = events.poll(PATIENCE_S)
            assert got, f"nothing more came: {seen}"
            seen += got
    links = [event for event in seen if event["event"] == "Link"]
    assert [("idle", "connecting"), ("connecting", "backoff")] == [(e["from_state"], e["to_state"]) for e in links][:2]
    assert {("", "", "far")} == {(e["session"], e["name"], e["cluster"]) for e in links}
    assert "refuses connections" in links[1]["text"]
    assert all(earlier["seq"] <= later["seq"] for earlier, later in pairwise(seen))
    why = workspace.ctl("why", "there").out
    assert re.search(r"the connection to its cluster: unreachable for \d+ s: .*refuses connections", why)
    assert "Next: reconnecting by itself" in why
    session = workspace.client.session("there")
    assert ("render", "ended") == (session["state"], workspace.client.stop("there")["state"])
    assert "far is unreachable" in session["phrase"]
    assert "the connection to its cluster" not in workspace.ctl("why", "there").out  # of no interest any more
