"""The stream of events: everything once, in order, replayed or live."""

from __future__ import annotations

import json

import anyio
import pytest

from tests.api.conftest import Api

pytestmark = pytest.mark.anyio


async def test_a_replay_goes_over_into_what_comes(api: Api) -> None:
    """Asked for in the middle of a life: each event once, none missing."""
    session = await api.start("slow")
    live = await api.events(0, (session["id"], "ended"))
    again = await api.events(0, (session["id"], "ended"))
    assert [{**e, "job": None, "node": None} for e in live] == [{**e, "job": None, "node": None} for e in again]
    numbers = [event["seq"] for event in live]
    assert sorted(set(numbers)) == numbers
    middle = numbers[len(numbers) // 2]
    assert [e for e in again if e["seq"] > middle] == await api.events(middle, (session["id"], "ended"))


async def test_a_replayed_event_is_what_it_was(api: Api) -> None:
    """A session had no job when it was created, and a replay does not say otherwise."""
    session = await api.over()
    created = next(e for e in await api.events(0, (session["id"], "ended")) if e["session"] == session["id"])
    assert ("Created", None, None) == (created["event"], created["job"], created["node"])


async def test_an_event_says_what_happened(api: Api) -> None:
    """The states link up, the first has none before it, and each has its sentence."""
    session = await api.over()
    mine = [e for e in await api.events(0, (session["id"], "ended")) if e["session"] == session["id"]]
    assert (None, "render", "Created", ["Stage"]) == tuple(
        mine[0][k] for k in ("from_state", "to_state", "event", "actions")
    )
    assert [e["to_state"] for e in mine[:-1]] == [e["from_state"] for e in mine[1:]]
    assert all(event["text"] and event["name"] == session["name"] for event in mine)


async def test_many_watchers_see_the_same(api: Api) -> None:
    """Live ones, connected before it began."""
    seen: list[list[int]] = []

    async def watch(started: anyio.Event) -> None:
        async with api.http.get("http://sessiond/v1/events") as response:
            numbers: list[int] = []
            async for line in response.content:
                started.set()
                if line.strip():
                    event = json.loads(line)
                    numbers.append(event["seq"])
                    if (event["name"], event["to_state"]) == ("watched", "ended"):
                        break
            seen.append(numbers)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            started = anyio.Event()
            tasks.start_soon(watch, started)
            await started.wait()
        await api.start("slow", name="watched")
    assert 5 == len(seen)
    assert [seen[0]] * 5 == seen
    assert len(seen[0]) > 4
