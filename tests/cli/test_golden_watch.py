"""What `watch` shows of a day, held as files in golden/ like the other screens."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.canned_daemon import Canned
from tests.cli.conftest import Ctl, Done
from tests.cli.test_golden import compare


def event(name: str, text: str, at: str, state: str, **facts: Any) -> dict[str, Any]:
    """A line of the event stream, but for its number."""
    usual = {"at": at, "event": "moved", "session": name, "name": name, "cluster": "frontier", "from_state": "start"}
    return usual | {"to_state": state, "actions": [], "job": None, "node": None, "problem": None, "text": text} | facts


REJECTED = "the scheduler says: invalid partition specified: nope; Invalid partition name specified"
LIMIT = {"code": "rejected", "message": REJECTED, "hint": "Choose one with --set partition=."}
DAY, NEXT = "2026-01-31T09:30:0{}.123Z", "2026-02-01T00:00:0{}.000Z"
STREAM = [
    event("jl", "the service answers", DAY.format(1), "running"),
    event("sim", "the job is waiting for free nodes: it is next in line", DAY.format(2), "wait-for-node"),
    event("a-simulation-of-the-north-sea", "the job runs on n042", DAY.format(3), "start"),
    event("jl", "the session's script ended by itself", NEXT.format(1), "ended"),
    event("", "needs a login: you logged out", NEXT.format(2), "needs-login"),
    event("sim", REJECTED, NEXT.format(3), "ended", problem=LIMIT),
    event("jl", "forgotten\x1b[2J, and that is the last line", NEXT.format(4), "ended"),
]


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("look", ["colour", "plain"])
def test_watch(ctl: Ctl, canned: Canned, columns: int, look: str) -> None:
    """Names in a column, a day's line before its first, and the next step behind what asks for one."""
    canned.events += [{**one, "seq": number} for number, one in enumerate(STREAM, 1)]
    terminal = ctl.terminal("watch", "--since", "0", columns=columns, **({"NO_COLOR": "1"} if look == "plain" else {}))
    terminal.until(b"last line[^\r]*\r\n")
    shown = terminal.seen.decode().replace("\r\n", "\n")
    terminal.type(b"\x03")
    assert 130 == terminal.end()
    compare(f"watch.{columns}.{look}", Done(status=130, out=shown, err=""))
