"""Documents: what is written is read back, and what a later or an earlier version wrote is read as far as it goes."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core import actions as action_module
from sessiond.core import events as event_module
from sessiond.core.actions import Action, CancelJob, Submit
from sessiond.core.events import Event, Staged, StageDelayed, Submitted
from sessiond.core.ids import ActionId, JobId
from sessiond.core.lane import Ordered
from sessiond.core.session import Problem, Session
from sessiond.core.spec import LaunchSpec, ServiceSpec
from sessiond.store import codec
from tests.core.steady import steady

from .samples import SECRET, SERVICE, session


def anything(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type as the core's dataclasses use it; every field is drawn, also those with defaults."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*(anything(argument) for argument in arguments))
    if origin is tuple:
        return st.lists(anything(arguments[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(anything(arguments[0]), anything(arguments[1]), max_size=3)
    if isinstance(hint, typing.NewType):
        return anything(hint.__supertype__)
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if hint is int:
        return st.integers(min_value=-(2**63), max_value=2**63 - 1)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{f.name: anything(hints[f.name]) for f in fields(hint)})
    drawn: st.SearchStrategy[Any] = st.from_type(hint)
    return drawn


def kinds(module: types.ModuleType, base: type) -> list[type]:
    """The subclasses of ``base`` in ``module``."""
    found = (item for item in vars(module).values() if isinstance(item, type))
    return [cls for cls in found if issubclass(cls, base) and cls is not base]


EVENTS = st.one_of(*(anything(cls) for cls in kinds(event_module, Event)))
ACTIONS = st.one_of(*(anything(cls) for cls in kinds(action_module, Action)))


@steady
@given(anything(Session))
def test_a_session_comes_back(before: Session) -> None:
    """A session, its launch specification and its service folder survive being written and read."""
    digest, service_doc = codec.dump_service(before.spec.service)
    service = codec.load_service(service_doc)
    spec = codec.load_launch(codec.dump_launch(before.spec), service)
    assert before == codec.load_session(codec.dump_session(before), spec)
    assert (digest, service_doc) == codec.dump_service(service)


@steady
@given(EVENTS, st.lists(ACTIONS, max_size=2))
def test_history_comes_back(event: Event, actions: list[Action]) -> None:
    """Every kind of event and action survives in a record."""
    orders = tuple(Ordered(ActionId(f"k3f9q2m7x0ab.{index}"), action) for index, action in enumerate(actions))
    assert (event, orders) == codec.load_record(codec.dump_record(event, orders))


@steady
@given(ACTIONS)
def test_the_journal_comes_back(action: Action) -> None:
    """Every kind of action survives in the journal."""
    assert action == codec.load_action(codec.dump_action(action))


def test_documents_are_small_and_know_no_secret() -> None:
    """The session's own document, rewritten with every transition, has neither the folder nor secrets in it."""
    doc = codec.dump_session(session())
    assert SECRET not in doc
    assert len(doc) < 600
    assert SECRET not in codec.dump_service(SERVICE)[1]
    assert SERVICE.files[0].path not in codec.dump_launch(session().spec)


def edited(doc: str, **changes: object) -> str:
    """A document with keys added, or taken away where the value is None."""
    raw = json.loads(doc) | changes
    return json.dumps({key: value for key, value in raw.items() if value is not None})


def test_unknown_and_missing_fields() -> None:
    """A key of a later version is passed over; one of those with defaults may be missing, as may the version."""
    one = session()
    doc = edited(codec.dump_session(one), colour="blue", retries=None, v=None)
    assert one == codec.load_session(doc, one.spec)
    launch = edited(codec.dump_launch(one.spec), nice=7, setup=None)
    assert one.spec == codec.load_launch(launch, SERVICE)
    folder = edited(codec.dump_service(SERVICE)[1], icon="x", prefix=None)
    assert codec.load_service(folder) == SERVICE
    raw = json.loads(codec.dump_action(CancelJob(force=True))) | {"softly": True}
    del raw["force"]
    assert CancelJob() == codec.load_action(json.dumps(raw))


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "Teleported", "v": 1, "where": "n042"},
        {"kind": "Submitted", "v": 1},
        {"kind": "Submitted", "v": 1, "job": 7},
        {"kind": "Submitted", "v": 99, "job": "7"},
        {"kind": ["Submitted"]},
        {},
    ],
)
def test_history_that_is_not_understood_is_kept(event: dict[str, object]) -> None:
    """An event of another time is read as what it says it was, and written again as it was."""
    if not isinstance(event.get("kind", ""), str):
        event = {"kind": str(event["kind"])}
    doc = json.dumps({"v": 1, "event": event, "actions": [{"id": "x.1", "action": {"kind": "Fly", "to": "moon"}}]})
    read, orders = codec.load_record(doc)
    assert isinstance(read, codec.UnknownEvent)
    assert read.kind == event.get("kind", "")
    assert isinstance(orders[0].action, codec.UnknownAction)
    assert (orders[0].id, orders[0].action.kind) == ("x.1", "Fly")
    assert json.loads(codec.dump_record(read, orders)) == json.loads(doc)


@pytest.mark.parametrize("doc", ["", "[]", "7", "{", '{"v":1}', '{"v":"one"}', '{"v":2,"id":"x"}', '{"id":5}'])
def test_documents_that_cannot_be_read(doc: str) -> None:
    """What decides what happens next is refused with a reason where it cannot be understood."""
    with pytest.raises(codec.BadDocument):
        codec.load_session(doc, session().spec)
    with pytest.raises(codec.BadDocument):
        codec.load_action(doc)
    with pytest.raises(codec.BadDocument):
        codec.load_record(doc)


def test_an_action_of_another_time_is_not_guessed() -> None:
    """The journal is still to be done: an unknown action in it is refused, not skipped."""
    with pytest.raises(codec.BadDocument, match="unknown action 'Fly'"):
        codec.load_action('{"kind":"Fly"}')


def test_words_that_are_not_text() -> None:
    """Bytes that are no text (as surrogates) are marked; the rest of the document stays as it is."""
    told = Problem(code="x", message="bad \udcff byte, \ud83d\ude00 and é", hint="\udc80")
    event, _ = codec.load_record(codec.dump_record(StageDelayed(problem=told), ()))
    assert event == StageDelayed(problem=replace(told, message="bad \ufffd byte, \U0001f600 and é", hint="\ufffd"))


def test_mappings_that_are_no_dict() -> None:
    """Parameters may come in any mapping."""
    spec = replace(session().spec, params=MappingProxyType({"a": "b"}))
    assert codec.load_launch(codec.dump_launch(spec), SERVICE).params == {"a": "b"}


def test_what_has_no_place_in_a_document() -> None:
    """A value of a type that cannot be written is our own mistake, and is not written as something else."""
    spec = replace(session().spec, params={"a": typing.cast("str", object())})
    with pytest.raises(TypeError, match="object has no place in a document"):
        codec.dump_launch(spec)


def test_kinds_are_class_names() -> None:
    """The stored names are part of the format: these must never change."""
    assert json.loads(codec.dump_action(Submit(attempt=2))) == {"kind": "Submit", "v": 1, "attempt": 2}
    doc = json.loads(codec.dump_record(Submitted(job=JobId("4711")), ()))
    assert doc == {"v": 1, "event": {"kind": "Submitted", "v": 1, "job": "4711"}, "actions": []}
    assert json.loads(codec.dump_record(Staged(), ()))["event"] == {"kind": "Staged", "v": 1}


def test_types_of_folders() -> None:
    """The two parts that are stored apart are of the types that a session is put together from."""
    assert isinstance(session().spec, LaunchSpec)
    assert isinstance(session().spec.service, ServiceSpec)
