"""Sessions that nobody uses: what counts as use, what does not count as idleness, and in which order they end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from sessiond.core.events import Event, IdleOver, IdleWarned, StopRequested
from sessiond.core.session import Outcome, Phase, Session, State
from sessiond.core.story import tell
from sessiond.runtime.idle import Idleness, IdlePolicy, Use
from sessiond.runtime.tunnel import Tunnel
from tests.core.builders import NOW, a_session
from tests.runtime.conftest import VirtualClock
from tests.runtime.connector import ScriptedConnector
from tests.runtime.scripted import world

pytestmark = pytest.mark.anyio

END = StopRequested(because=Outcome.IDLE)


class Hand:
    """An `Idleness` by hand: one session, whose door carries what a test says, and half minutes that pass."""

    def __init__(self, after_s: float = 3600.0, warn_s: float = 600.0, state: State = State.RUNNING) -> None:
        self.idleness = Idleness(lambda _session: self.use, lambda _session: self.reachable)
        self.idleness.policy = IdlePolicy(after_s=after_s, warn_s=warn_s)
        self.use: Use | None = Use(carried=0, connections=0)
        self.reachable = True
        self.session: Session = a_session(state)
        self.now = NOW
        self.look(0.0)

    def look(self, seconds: float) -> list[Event]:
        """Let ``seconds`` pass at once; what is told, which the session takes to heart as the machine would."""
        self.now += seconds
        found = [event for _, event in self.idleness.advance([self.session], min(seconds, 60.0), self.now)]
        for event in found:
            ends_by = self.now + event.ends_in_s if isinstance(event, IdleWarned) else None
            self.session = replace(self.session, idle_ends_by=ends_by)
        return found

    def passes(self, minutes: float) -> list[Event]:
        """Let so long pass, half a minute at a time."""
        return [event for _ in range(round(minutes * 2)) for event in self.look(30.0)]


def test_nobody_comes() -> None:
    """It is said before, once, and then it ends: in time, and no sooner."""
    one = Hand()
    assert [] == one.passes(49.5)
    assert [IdleWarned(unused_s=3000.0, ends_in_s=600.0)] == one.passes(0.5)
    assert [] == one.passes(9.5)
    assert [END] == one.passes(0.5)


def test_without_a_warning_it_ends_at_once() -> None:
    """A warning of "0" is none."""
    one = Hand(warn_s=0.0)
    assert [END] == one.passes(60.0)


def test_never_is_never() -> None:
    """With after = "0", whatever happens; and what was announced is taken back when it is turned off."""
    one = Hand(after_s=0.0)
    assert [] == one.passes(100_000)
    other = Hand()
    other.passes(55)
    other.idleness.policy = IdlePolicy()
    assert [IdleOver(used=False)] == other.passes(60)


def test_what_was_announced_holds() -> None:
    """Another configuration is for the next time."""
    one = Hand()
    one.passes(50)
    one.idleness.policy = IdlePolicy(after_s=60.0, warn_s=30.0)
    assert [] == one.passes(9.5)
    assert [END] == one.passes(0.5)


def test_any_byte_is_use() -> None:
    """Also after the warning, which comes again when it is due again."""
    one = Hand()
    one.passes(45)
    one.use = Use(carried=1, connections=0)
    assert [] == one.passes(50)
    one.use = Use(carried=2, connections=0)
    assert [IdleWarned(unused_s=3000.0, ends_in_s=600.0), IdleOver(used=True)] == one.passes(0.5) + _again(one)


def _again(one: Hand) -> list[Event]:
    """Use it once more after the warning that the fifty minutes since its last use bring."""
    warned = one.passes(50)
    one.use = Use(carried=3, connections=0)
    return warned + one.passes(1)


def test_an_open_connection_is_use_however_silent() -> None:
    """A page that is open keeps a WebSocket; nobody can tell from its silence that nobody looks."""
    one = Hand()
    one.use = Use(carried=0, connections=1)
    assert [] == one.passes(6000)
    one.use = Use(carried=0, connections=0)
    assert [] == one.passes(49)
    assert 1 == len(one.passes(2))


def test_a_stream_past_the_door_is_use() -> None:
    """A shell on the session's node, however silent; and a copy of files that came and went between two looks."""
    one = Hand()
    with one.idleness.visit(one.session.id):
        assert [] == one.passes(6000)
    assert [] == one.passes(49.5)
    with one.idleness.visit(one.session.id) as carried:
        carried(3, 0)
    assert [] == one.passes(50)
    with one.idleness.visit(one.session.id) as carried:
        carried(0, 1)
    assert [] == one.passes(50)
    assert [IdleWarned(unused_s=3000.0, ends_in_s=600.0)] == one.passes(0.5)
    with one.idleness.visit(one.session.id):
        assert [IdleOver(used=True)] == one.passes(0.5)


def test_what_cannot_be_seen_is_not_idleness() -> None:
    """No door, no way to its cluster: that time does not count, and the time before it is not forgotten."""
    one = Hand()
    one.passes(40)
    one.use = None
    assert [] == one.passes(6000)
    one.use, one.reachable = Use(carried=0, connections=0), False
    assert [] == one.passes(6000)
    one.reachable = True
    assert [] == one.passes(9.5)
    assert 1 == len(one.passes(0.5))


def test_who_was_warned_gets_the_whole_time_again() -> None:
    """If the link is lost then, the person may have come and not got in."""
    one = Hand()
    one.passes(55)
    one.reachable = False
    assert [IdleOver(used=False)] == one.passes(100)
    one.reachable = True
    assert [] == one.passes(49.5)
    assert 1 == len(one.passes(1))


@pytest.mark.parametrize("jump_s", [8 * 3600.0, -8 * 3600.0, 90.0])
def test_a_jump_of_the_clock_is_not_idleness(jump_s: float) -> None:
    """A machine that slept, or whose clock was set: a warning given before is taken back."""
    one = Hand()
    assert 1 == len(one.passes(59))
    assert [IdleOver(used=False)] == one.look(jump_s)
    assert [] == one.passes(49)


@pytest.mark.parametrize("state", [state for state in State if state not in (State.RUNNING, State.ENDED)])
def test_only_what_runs_is_idle(state: State) -> None:
    """Nothing else is ended for it."""
    assert [] == Hand(state=state).passes(6000)


def test_doubts_stop_the_count_and_another_run_begins_it_anew() -> None:
    """A service that does not answer for a while cannot be used; a job that was put back into the queue starts over."""
    one = Hand()
    running = one.session
    one.passes(40)
    one.session = replace(running, state=State.TUNNEL)
    assert [] == one.passes(600)
    one.session = running
    assert [] == one.passes(9.5)
    one.session = replace(running, state=State.WAIT_FOR_NODE)
    one.passes(1)
    one.session = running
    assert [] == one.passes(49)


def test_a_suspended_job_is_not_idle() -> None:
    """Nobody can use it."""
    one = Hand()
    assert one.session.job is not None
    one.session = replace(one.session, job=replace(one.session.job, phase=Phase.SUSPENDED))
    assert [] == one.passes(6000)


def test_it_says_when_it_is_due() -> None:
    """So that short times are kept, too."""
    one = Hand(after_s=100.0, warn_s=20.0)
    assert 80.0 == one.idleness.next_s([one.session])
    one.look(50.0)
    assert 30.0 == one.idleness.next_s([one.session])
    one.look(30.0)
    assert 5.0 == one.idleness.next_s([one.session])
    one.look(18.0)
    assert 2.0 == one.idleness.next_s([one.session])
    assert float("inf") == one.idleness.next_s([a_session(State.START)])


async def test_a_session_ends_in_order(virtual: VirtualClock, tmp_path: Path) -> None:
    """Warned a quarter of an hour before, told to go with its kill script, and over: idle."""
    async with world(virtual, tmp_path) as here:
        here.engine.idleness.policy = IdlePolicy(after_s=4 * 3600.0, warn_s=900.0)
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        begun = virtual.now()
        await anyio.sleep(4 * 3600 - 5)
        assert State.RUNNING is here.of(session).state
        await here.reaches(State.ENDED, [session], within_s=120.0)
        ended = here.of(session)
        assert (Outcome.IDLE, None, 1) == (ended.outcome, ended.idle_ends_by, here.cluster.ran["cancel", session])
        warned = next(p for p in here.heard if isinstance(p.record.event, IdleWarned))
        assert 4 * 3600 - 900 <= warned.record.at - begun + 1 < 4 * 3600 - 900 + 120
        assert virtual.now() == pytest.approx(warned.session.idle_ends_by, abs=60)
        assert "nobody has used it for 3 h; it ends in 15 min unless somebody does" == tell(
            warned.record.event, warned.record.before, warned.record.after
        )


async def test_whoever_comes_keeps_it(virtual: VirtualClock, tmp_path: Path) -> None:
    """Bytes through its door; the story says so."""
    async with world(virtual, tmp_path) as here:
        here.engine.idleness.policy = IdlePolicy(after_s=3600.0, warn_s=600.0)
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        await anyio.sleep(3200)
        assert here.of(session).idle_ends_by is not None
        door = tunnel_of(here.standing._works[session].tunnel)
        door._count(100, 2000)
        await anyio.sleep(60)
        assert here.of(session).idle_ends_by is None
        await anyio.sleep(3000 - 60)
        assert State.RUNNING is here.of(session).state
        assert [True] == [p.record.event.used for p in here.heard if isinstance(p.record.event, IdleOver)]


def tunnel_of(tunnel: Tunnel | None) -> Tunnel:
    """A door that is there."""
    assert tunnel is not None
    return tunnel


async def test_a_link_that_is_down_keeps_it(virtual: VirtualClock, tmp_path: Path) -> None:
    """As long as it is: nobody can come then."""
    connector = ScriptedConnector()
    async with world(virtual, tmp_path, connector=connector) as here:
        connector.behind = here.cluster
        here.engine.idleness.policy = IdlePolicy(after_s=3600.0, warn_s=600.0)
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        assert here.keeper is not None
        here.keeper.logout()
        await anyio.sleep(24 * 3600)
        assert State.RUNNING is here.of(session).state


async def test_a_restarted_daemon_counts_anew(virtual: VirtualClock, tmp_path: Path) -> None:
    """And takes back what was announced, because nobody could come while it was down."""
    running = a_session(State.RUNNING, idle_ends_by=virtual.now() + 60)
    async with world(virtual, tmp_path) as here:
        here.engine.idleness.policy = IdlePolicy(after_s=3600.0, warn_s=600.0)
        here.engine.restore([running], {})
        assert (State.TUNNEL, None) == (here.of(running.id).state, here.of(running.id).idle_ends_by)
