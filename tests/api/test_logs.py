"""A session's own output through the API, and the daemon's log."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from pathlib import Path

import pytest
import structlog

from sessiond import logs
from tests.api.conftest import Api, House

pytestmark = pytest.mark.anyio

LINES = "".join(f"line {n}\n" for n in range(1, 6))


async def test_a_log_is_followed_to_its_end(api: Api) -> None:
    """Begun before there is anything, ended by the session's end; whole, each line once."""
    session = await api.start("slow")
    async with api.http.get(f"http://sessiond/v1/sessions/{session['id']}/log?follow=1") as response:
        followed = (await response.read()).decode()
    assert LINES in followed
    ended = await api.reaches(session, "ended")
    assert ended["ended"] is not None
    async with api.http.get(f"http://sessiond/v1/sessions/{session['id']}/log") as response:
        assert followed == (await response.read()).decode()


async def test_a_log_is_read_from_any_place(api: Api) -> None:
    """From the beginning, from the middle, from the end; following what is over ends at once."""
    session = await api.over()
    begins: list[int] = []

    async def read(offset: int) -> str:
        path = f"http://sessiond/v1/sessions/{session['id']}/log?offset={offset}"
        async with api.http.get(path) as once, api.http.get(f"{path}&follow=1") as followed:
            text = await once.read()
            assert text == await followed.read()
            assert once.headers["Sessiond-Offset"] == followed.headers["Sessiond-Offset"]
            begins.append(int(once.headers["Sessiond-Offset"]))
            return text.decode()

    whole = await read(0)
    assert LINES in whole
    assert [whole[7:], whole[-7:], "", whole] == [await read(n) for n in (7, -7, 10_000, -10_000)]
    assert [0, 7, len(whole) - 7, 10_000, 0] == begins


async def test_each_transition_is_a_line_of_the_daemons_log(api: Api, house: House) -> None:
    """JSON, with the fields that the documentation names."""
    session = await api.over()
    events = await api.events(0, (session["id"], "ended"))
    lines = [json.loads(line) for line in house.log().splitlines()]
    mine = [line for line in lines if line.get("session") == session["id"] and "to" in line]
    assert [e["event"] for e in events if e["session"] == session["id"]] == [line["event"] for line in mine]
    wanted = ["ts", "level", "event", "session", "name", "cluster", "from", "to", "actions", "job", "node", "problem"]
    assert all(set(wanted) <= set(line) for line in mine)
    assert [] == [line for line in lines if line["level"] in ("error", "critical")]


def test_what_is_named_like_a_secret_is_not_written() -> None:
    """Whoever passes it, and also in JSON."""
    stream = io.StringIO()
    try:
        logs.configure("json", stream)
        structlog.get_logger("x").info("hello", token="t0ken", password="hunter2", cookie="c", why="plain")
    finally:
        structlog.reset_defaults()
        _forget_handlers()
    line = json.loads(stream.getvalue())
    assert ("***", "***", "***", "plain") == tuple(line[k] for k in ("token", "password", "cookie", "why"))


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    """A full disk below the log must not end the daemon, whose work it was to wait for room."""
    went_on = False
    # Closing the stream tries once more to write what could not be written.
    with contextlib.suppress(OSError), Path("/dev/full").open("w", buffering=1) as stream:
        try:
            logs.configure("json", stream)
            structlog.get_logger("x").info("hello")
            went_on = True
        finally:
            structlog.reset_defaults()
            _forget_handlers()
    assert went_on


def _forget_handlers() -> None:
    """`logs.configure` gave the standard library's log a stream that is about to be closed."""
    logging.getLogger().handlers.clear()
