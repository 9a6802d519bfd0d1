"""The table: total, every rule usable, and the documentation is its picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessiond.core.machine import ImpossibleEvent, step
from sessiond.core.session import State
from sessiond.core.table import ANSWERS, DEADLINES, EVENTS, IGNORED, TABLE, WANTS
from tests.core.builders import NOW, a_session, an_event
from tests.core.states_doc import states_markdown

DOC = Path(__file__).parents[2] / "docs" / "states.md"
CELLS = [(state, kind) for state in State for kind in EVENTS]


@pytest.mark.parametrize(("state", "kind"), CELLS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_every_cell_is_a_rule_or_ignored_or_impossible(state: State, kind: type) -> None:
    """A rule leads where it says; the ignored changes nothing; the impossible raises and changes nothing."""
    session = a_session(state)
    event = an_event(kind)
    rule = TABLE[state].get(kind)
    if rule is not None:
        done = step(session, event, NOW + 1)
        assert rule.to is done.after.state
        ordered = [type(o.action) for o in done.record.actions] if done.record is not None else []
        assert ([rule.do] if rule.do is not None else []) == ordered
    elif kind in IGNORED[state]:
        done = step(session, event, NOW + 1)
        assert session == done.after
        assert done.record is None
    else:
        with pytest.raises(ImpossibleEvent, match=state.value):
            step(session, event, NOW + 1)


def test_the_table_counts_what_the_design_counted() -> None:
    """308 cells: 79 rules, 16 ignored, the rest impossible. A change of these figures is a change of the design."""
    rules = sum(len(TABLE[s]) for s in State)
    ignored = sum(len(IGNORED[s]) for s in State)
    assert (308, 79, 16) == (len(CELLS), rules, ignored)


def test_every_action_can_be_answered_wherever_it_can_be_current() -> None:
    """Each state that orders an action, or is entered with one, has a place for all of its answers."""
    for state in State:
        for rule in TABLE[state].values():
            if rule.do is None:
                continue
            for answer in ANSWERS[rule.do]:
                assert answer in TABLE[rule.to], f"{rule.do.__name__} -> {answer.__name__} in {rule.to}"


def test_what_lasts_by_design_has_no_deadline() -> None:
    """ABANDON must not be given up, and a job that works is the user's for as long as it lives."""
    assert not {State.ABANDON, State.TUNNEL, State.RUNNING, State.ENDED} & set(DEADLINES)
    assert set(State) == set(WANTS)


def test_the_documented_states_are_those_of_the_table() -> None:
    """docs/states.md is generated; `make docs` writes it anew."""
    assert states_markdown() == DOC.read_text()
