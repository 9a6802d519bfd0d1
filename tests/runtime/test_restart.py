"""A daemon that dies anywhere in a session's life, and the next one on the same state database and cluster."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from sessiond.core.events import StopRequested
from sessiond.core.ids import SessionId
from sessiond.core.session import Outcome, State
from sessiond.store.store import Store
from tests.runtime.conftest import VirtualClock
from tests.runtime.scripted import ScriptedCluster, World, world

pytestmark = pytest.mark.anyio


async def a_whole_life(
    virtual: VirtualClock, folder: Path, die_at: Callable[[World, Callable[[], None]], None] | None
) -> tuple[list[State], int, Outcome | None, ScriptedCluster]:
    """A session that comes up and is stopped, by a daemon that dies once on the way and is started again."""
    cluster = ScriptedCluster()
    seen: list[State] = []
    session: SessionId | None = None
    with closing(Store.open(folder)) as store:
        for life in range(2):
            async with world(virtual, folder / "s", cluster=cluster, history=store, loaded=store.load()) as here:
                here.bus.listen(lambda published: seen.append(published.session.state))
                if life == 0 and die_at is not None:
                    die_at(here, here.group.cancel_scope.cancel)
                if here.engine.sessions:
                    session = next(iter(here.engine.sessions))
                else:
                    session = await here.begin()
                if here.of(session).state not in (State.KILL, State.ABANDON, State.ENDED):
                    await here.reaches(State.RUNNING, [session], 300)
                    await here.engine.ask(session, StopRequested())
                await here.reaches(State.ENDED, [session], 900)
                await anyio.sleep(600)
                break
        loaded = store.load()
        assert {} == dict(loaded.actions)
        (ended,) = loaded.sessions
        return seen, cluster.submitted[ended.id], ended.outcome, cluster


async def test_a_life_without_a_restart(virtual: VirtualClock, tmp_path: Path) -> None:
    """What the next test compares with; and there are as many transitions as it counts on."""
    seen, submissions, outcome, cluster = await a_whole_life(virtual, tmp_path, None)
    assert (1, Outcome.CANCELLED) == (submissions, outcome)
    assert (8, ["stage", "submit", "cancel", "cleanup"]) == (len(seen), cluster.begun)


@pytest.mark.parametrize("nth", range(1, 9))
async def test_a_restart_after_any_transition_leads_to_the_same_end(
    virtual: VirtualClock, tmp_path: Path, nth: int
) -> None:
    """One submission, the same outcome, an empty journal."""

    def die(here: World, kill: Callable[[], None]) -> None:
        here.bus.listen(lambda _published: kill() if len(here.heard) == nth else None)

    _, submissions, outcome, cluster = await a_whole_life(virtual, tmp_path, die)
    assert (1, Outcome.CANCELLED) == (submissions, outcome)
    assert cluster.ran["cleanup", next(iter(cluster.jobs))] >= 1


@pytest.mark.parametrize("effect", ["before", "after"])
@pytest.mark.parametrize("verb", ["stage", "submit", "cancel", "cleanup"])
async def test_a_restart_around_any_effect_leads_to_the_same_end(
    virtual: VirtualClock, tmp_path: Path, verb: str, effect: str
) -> None:
    """Also where the command did its work and the daemon died before it heard of it."""

    def die(here: World, kill: Callable[[], None]) -> None:
        do = here.cluster._do

        def dying(asked: str, *rest: Any) -> None:
            if asked == verb:
                here.cluster._do = do  # type: ignore[method-assign]
                if effect == "before":
                    kill()
                    return
                kill()
            do(asked, *rest)

        here.cluster._do = dying  # type: ignore[method-assign, assignment]

    _, submissions, outcome, _ = await a_whole_life(virtual, tmp_path, die)
    assert (1, Outcome.CANCELLED) == (submissions, outcome)
