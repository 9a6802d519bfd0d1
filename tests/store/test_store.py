"""The store's calls, on a real file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sessiond.core import machine
from sessiond.core.actions import FindJob, Stage, Submit
from sessiond.core.errors import Bug, Conflict, NotFound, StateError, StateFull
from sessiond.core.events import Staged, StopRequested
from sessiond.core.ids import ActionId, SessionId
from sessiond.core.session import Problem, State
from sessiond.store.codec import UnknownEvent
from sessiond.store.store import ActionPhase, OpenAction, Store

from .samples import SECRET, SERVICE, dump, life, ordered, session


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store in an empty folder."""
    opened = Store.open(tmp_path)
    yield opened
    opened.close()


def reopened(store: Store, folder: Path) -> Store:
    """The store as the next daemon finds it."""
    store.close()
    return Store.open(folder)


def test_an_empty_store(store: Store) -> None:
    """There is nothing in a new one."""
    loaded = store.load()
    assert loaded.sessions == ()
    assert loaded.actions == {}
    assert loaded.last_seq == 0
    assert store.records() == []


def test_a_step_is_found_again(store: Store, tmp_path: Path) -> None:
    """After a commit, the next daemon has the session, its record, and the action as intended."""
    born = machine.create(session())
    assert store.commit(born, at=1001.0) == 1
    store = reopened(store, tmp_path)
    loaded = store.load()
    assert loaded.sessions == (born.after,)
    assert loaded.last_seq == 1
    waiting = OpenAction(
        id=ordered(born), session=born.after.id, action=Stage(), phase=ActionPhase.INTENDED, at=1001.0, started=None
    )
    assert loaded.actions == {born.after.id: (waiting,)}
    (stored,) = store.records()
    assert (stored.seq, stored.record) == (1, born.record)
    store.close()


def test_the_journal_follows(store: Store) -> None:
    """Started, answered, withdrawn: load shows what is open, in order, and history all that was ordered."""
    born = machine.create(session())
    store.commit(born, at=1.0)
    store.action_started(ordered(born), 2.0)
    (action,) = store.load().actions[born.after.id]
    assert (action.phase, action.started) == (ActionPhase.STARTED, 2.0)
    submit = machine.step(born.after, Staged(), 3.0)
    store.commit(submit, at=3.0, done=ordered(born))
    store.action_started(ordered(submit), 4.0)
    stop = machine.step(submit.after, StopRequested(), 5.0)
    store.commit(stop, at=5.0)
    journal = store.load().actions[born.after.id]
    assert [(one.action, one.phase) for one in journal] == [
        (Submit(attempt=1), ActionPhase.STARTED),
        (FindJob(attempt=1), ActionPhase.INTENDED),
    ]
    store.action_done(ordered(submit), 6.0)
    store.action_started(ordered(stop), 7.0)
    store.action_started(ordered(stop), 8.0)
    (left,) = store.load().actions[born.after.id]
    assert (left.id, left.started) == (ordered(stop), 8.0)
    assert [one.record.actions for one in store.records()] == [
        step.record.actions for step in (born, submit, stop) if step.record is not None
    ]


def test_a_whole_life(store: Store, tmp_path: Path) -> None:
    """From birth to removal; at the end nothing of the session is left but the numbers it used."""
    for call in life():
        call(store)
    loaded = store.load()
    assert (loaded.sessions, loaded.actions, loaded.last_seq) == ((), {}, 6)
    rows = dump(tmp_path)
    assert {table: rows[table] for table in ("session", "launch", "service", "record", "action")} == {
        "session": [],
        "launch": [],
        "service": [],
        "record": [],
        "action": [],
    }
    assert store.commit(machine.create(session(2)), at=1.0) == 7
    assert store.next_number() == 2


@pytest.mark.parametrize("version", [0, 2, 7])
def test_a_step_must_follow(store: Store, tmp_path: Path, version: int) -> None:
    """A step from a version that is not the stored one changes nothing."""
    born = machine.create(session())
    store.commit(born, at=1.0)
    before = dump(tmp_path)
    submit = machine.step(born.after, Staged(), 2.0)
    wrong = replace(submit, after=replace(submit.after, version=version))
    with pytest.raises(Bug, match=f"version {version} of session"):
        store.commit(wrong, at=2.0, done=ordered(born))
    assert dump(tmp_path) == before
    store.commit(submit, at=2.0, done=ordered(born))
    assert store.load().sessions == (submit.after,)


def test_a_step_of_an_unknown_session(store: Store) -> None:
    """Only a first record makes a session."""
    with pytest.raises(Bug, match="does not follow"):
        store.commit(machine.step(session(), Staged(), 2.0), at=2.0)
    assert store.load().sessions == ()


def test_the_same_birth_twice(store: Store) -> None:
    """A session is made once, also under another name."""
    born = machine.create(session())
    store.commit(born, at=1.0)
    with pytest.raises(Bug, match="refuses"):
        store.commit(replace(born, after=replace(born.after, name="other")), at=1.0)
    assert store.load().sessions == (born.after,)


@pytest.mark.parametrize(
    ("done", "withdrawn"), [("000000000001.9", []), (None, ["000000000001.0", "000000000001.0"]), (None, ["nobody.0"])]
)
def test_answers_to_nothing(store: Store, tmp_path: Path, done: str | None, withdrawn: list[str]) -> None:
    """An action that is not open cannot be closed; the whole step is refused."""
    born = machine.create(session())
    store.commit(born, at=1.0)
    before = dump(tmp_path)
    with pytest.raises(Bug, match="not open in the journal"):
        store.commit(
            machine.step(born.after, Staged(), 2.0),
            at=2.0,
            done=None if done is None else ActionId(done),
            withdrawn=[ActionId(one) for one in withdrawn],
        )
    assert dump(tmp_path) == before


def test_a_closed_action_stays_closed(store: Store) -> None:
    """Done is done."""
    born = machine.create(session())
    store.commit(born, at=1.0)
    store.action_done(ordered(born), 2.0)
    for late in (store.action_done, store.action_started):
        with pytest.raises(Bug, match="not open in the journal"):
            late(ordered(born), 3.0)
    with pytest.raises(Bug, match="not open in the journal"):
        store.action_started(ActionId("nobody.1"), 3.0)


def test_a_step_without_a_record(store: Store) -> None:
    """What changed nothing is not written."""
    with pytest.raises(Bug, match="nothing to be written"):
        store.commit(machine.Step(after=session()), at=1.0)


def test_names(store: Store) -> None:
    """A name belongs to one living session; once that is over it is free."""
    born = machine.create(session(1, name="lab"))
    store.commit(born, at=1.0)
    with pytest.raises(Conflict, match="already a session named 'lab'") as caught:
        store.commit(machine.create(session(2, name="lab")), at=2.0)
    assert caught.value.hint
    store.commit(machine.step(born.after, StopRequested(), 3.0), at=3.0, withdrawn=[ordered(born)])
    store.commit(machine.create(session(2, name="lab")), at=4.0)
    assert [one.state for one in store.load().sessions] == [State.ENDED, State.RENDER]


def test_records_since(store: Store) -> None:
    """History by number, of all or of one, oldest first, so many at a time."""
    for number in (1, 2):
        store.commit(machine.create(session(number)), at=1.0)
    for number in (1, 2):
        store.commit(machine.step(session(number), Staged(), 2.0), at=2.0)
    two = session(2).id
    assert [stored.seq for stored in store.records()] == [1, 2, 3, 4]
    assert [stored.seq for stored in store.records(since_seq=2)] == [3, 4]
    assert [stored.seq for stored in store.records(limit=3)] == [1, 2, 3]
    assert [stored.seq for stored in store.records(session=two)] == [2, 4]
    assert [stored.seq for stored in store.records(since_seq=2, session=two, limit=1)] == [4]


def test_history_of_another_time(store: Store, tmp_path: Path) -> None:
    """A record whose event this version does not know is shown, not stumbled over."""
    store.commit(machine.create(session()), at=1.0)
    with sqlite3.connect(tmp_path / "state.db") as other:
        other.execute("""UPDATE record SET event = 'Sang', doc = '{"v":1,"event":{"kind":"Sang"}}'""")
    other.close()
    (stored,) = store.records()
    assert isinstance(stored.record.event, UnknownEvent)
    assert (stored.record.event.kind, stored.record.actions) == ("Sang", ())
    assert len(store.load().sessions) == 1


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("UPDATE session SET doc = '{}'", "session 000000000001"),
        ("UPDATE launch SET doc = 'x'", "session 000000000001"),
        ("UPDATE service SET doc = '[]'", "service "),
        ("DELETE FROM launch", "session 000000000001"),
        ('UPDATE action SET doc = \'{"kind":"Fly"}\'', "action 000000000001.0"),
    ],
)
def test_a_document_that_cannot_be_read(store: Store, tmp_path: Path, damage: str, what: str) -> None:
    """What decides what happens next is not passed over: the row and the file are named."""
    store.commit(machine.create(session()), at=1.0)
    with sqlite3.connect(tmp_path / "state.db") as other:
        other.execute(damage)
    other.close()
    with pytest.raises(StateError, match=f"^{what}.* in {tmp_path}/state.db cannot be read: ") as caught:
        store.load()
    assert caught.value.hint


def test_a_record_that_cannot_be_read(store: Store, tmp_path: Path) -> None:
    """A state that never was is no history."""
    store.commit(machine.create(session()), at=1.0)
    with sqlite3.connect(tmp_path / "state.db") as other:
        other.execute("UPDATE record SET after = 'flying'")
    other.close()
    with pytest.raises(StateError, match="record 1 in "):
        store.records()


def test_remove(store: Store, tmp_path: Path) -> None:
    """A session goes with all that is its own; what others use stays."""
    for number in (1, 2):
        store.commit(machine.create(session(number)), at=1.0)
    store.remove(session(1).id)
    assert store.load().sessions == (session(2),)
    assert [stored.record.session for stored in store.records()] == [session(2).id]
    assert len(dump(tmp_path)["service"]) == 1
    with pytest.raises(NotFound, match="there is no session 000000000001"):
        store.remove(SessionId("000000000001"))
    store.commit(machine.create(session(1)), at=2.0)
    assert store.load().sessions == (session(1), session(2))


def test_one_folder_for_all(store: Store, tmp_path: Path) -> None:
    """Sessions of one service share its folder, in the file and in memory; another version of it is another."""
    other = replace(SERVICE, title="Another")
    for number, service in ((1, SERVICE), (2, SERVICE), (3, other)):
        store.commit(machine.create(session(number, service=service)), at=1.0)
    assert len(dump(tmp_path)["service"]) == 2
    store = reopened(store, tmp_path)
    one, two, three = store.load().sessions
    assert one.spec.service is two.spec.service
    assert (one.spec.service, three.spec.service) == (SERVICE, other)
    store.close()


def test_a_changed_specification_is_kept(store: Store, tmp_path: Path) -> None:
    """The specification is written once, but should a step bring another, that one is what the next daemon finds."""
    born = machine.create(session())
    store.commit(born, at=1.0)
    store = reopened(store, tmp_path)
    (found,) = store.load().sessions
    submit = machine.step(replace(found, spec=replace(found.spec, setup="module load x")), Staged(), 2.0)
    store.commit(submit, at=2.0)
    store = reopened(store, tmp_path)
    (changed,) = store.load().sessions
    assert changed.spec.setup == "module load x"
    store.close()


def test_numbers_and_facts(store: Store, tmp_path: Path) -> None:
    """Session numbers go on after a restart; a fact is the last one set."""
    assert [store.next_number(), store.next_number()] == [1, 2]
    assert store.fact("gateway") is None
    store.set_fact("gateway", "one")
    store.set_fact("gateway", "two")
    store = reopened(store, tmp_path)
    assert store.next_number() == 3
    assert store.fact("gateway") == "two"
    store.close()


def test_secrets_lie_in_one_place(store: Store, tmp_path: Path) -> None:
    """A secret is in the launch specification of its session and in no other row."""
    for call in life()[:-1]:
        call(store)
    holding = {table for table, rows in dump(tmp_path).items() if any(SECRET in str(row) for row in rows)}
    assert holding == {"launch"}


def test_somebody_else_is_writing(store: Store, tmp_path: Path) -> None:
    """While another program holds the file, a step is refused for now; then it goes through."""
    born = machine.create(session())
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateFull, match="cannot be written just now") as caught:
        store.commit(born, at=1.0)
    assert "nothing was lost" in caught.value.hint
    other.execute("ROLLBACK")
    other.close()
    store.commit(born, at=1.0)
    assert store.load().sessions == (born.after,)


def test_what_does_not_fit_is_not_written(store: Store) -> None:
    """Numbers beyond 64 bits and names that are no text are refused as a whole; the store goes on."""
    for wrong in (replace(session(), version=2**70), replace(session(), name="\udcff")):
        with pytest.raises(Bug, match="refuses"):
            store.commit(machine.create(wrong), at=1.0)
    troubled = replace(session(), problem=Problem(code="x", message="\udcff"))
    store.commit(machine.create(troubled), at=1.0)
    (found,) = store.load().sessions
    assert found.problem == Problem(code="x", message="\ufffd")


def test_a_closed_store(store: Store) -> None:
    """After close, a call says that the file cannot be used."""
    store.close()
    store.close()
    with pytest.raises(StateError, match="closed"):
        store.next_number()
    with pytest.raises(StateError, match="closed"):
        store.load()
