"""Sessions, launch specifications, events and actions as JSON documents, and back.

Every document is an object with its format's version in ``v``. Readers pass over keys they do not know and take the
default of those they miss. Events and actions carry their class's name in ``kind``; in history, a kind that is no
longer known is read as `UnknownEvent` or `UnknownAction`: what happened cannot be refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any, TypeVar, get_type_hints

import msgspec

from sessiond.core import actions as action_module
from sessiond.core import events as event_module
from sessiond.core.actions import Action
from sessiond.core.errors import StateError
from sessiond.core.events import Event
from sessiond.core.ids import ActionId
from sessiond.core.lane import Ordered
from sessiond.core.session import Session
from sessiond.core.spec import LaunchSpec, ServiceSpec

VERSION = 1
"""The format of the documents written here."""

_T = TypeVar("_T")


class BadDocument(StateError):
    """A document that is not what its place says it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(Event):
    """An event of history whose kind or facts this version does not know; ``facts`` is its document as it was."""

    kind: str
    facts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownAction(Action):
    """An action of history whose kind or facts this version does not know; ``facts`` is its document as it was."""

    kind: str
    facts: str


# Sessions. The launch specification and the service folder have documents of their own: they are written once,
# and a folder is shared by all sessions of it, while the rest is written again with every transition.


def dump_session(session: Session) -> str:
    """A session without its launch specification."""
    return _text(_plain(session, leave_out="spec"))


def load_session(doc: str, spec: LaunchSpec) -> Session:
    """The session of ``doc`` with its ``spec``. Raises BadDocument."""
    return _build(Session, _object(doc), spec=spec)


def dump_launch(spec: LaunchSpec) -> str:
    """A launch specification without its service folder. Secrets are in it: it belongs in a private file only."""
    return _text(_plain(spec, leave_out="service"))


def load_launch(doc: str, service: ServiceSpec) -> LaunchSpec:
    """The launch specification of ``doc`` with its ``service``. Raises BadDocument."""
    return _build(LaunchSpec, _object(doc), service=service)


def dump_service(service: ServiceSpec) -> tuple[str, str]:
    """A service folder's document, the files' bytes in base 64, and the digest that names it."""
    doc = _text(_plain(service))
    return hashlib.sha256(doc.encode()).hexdigest(), doc


def load_service(doc: str) -> ServiceSpec:
    """The service folder of ``doc``. Raises BadDocument."""
    return _build(ServiceSpec, _object(doc))


# The journal: what it holds is still to be done, so it must be understood.


def dump_action(action: Action) -> str:
    """An action."""
    return _text(_tagged(action))


def load_action(doc: str) -> Action:
    """The action of ``doc``. Raises BadDocument, also for an unknown kind."""
    return _action(_object(doc))


# History.


def dump_record(event: Event, orders: tuple[Ordered, ...]) -> str:
    """What a record says beyond its columns: the event and what was ordered."""
    ordered = [{"id": order.id, "action": _tagged(order.action)} for order in orders]
    return _text({"v": VERSION, "event": _tagged(event), "actions": ordered})


def load_record(doc: str) -> tuple[Event, tuple[Ordered, ...]]:
    """The event and the orders of a record's document. Raises BadDocument where it is not JSON of that shape."""
    raw = _object(doc)
    event, orders = raw.get("event"), raw.get("actions", [])
    if not isinstance(event, dict) or not isinstance(orders, list):
        raise BadDocument("a record without an event")
    return _event_of_history(event), tuple(_order_of_history(order) for order in orders if isinstance(order, dict))


def _event_of_history(raw: dict[str, Any]) -> Event:
    try:
        return _event(raw)
    except BadDocument:
        return UnknownEvent(kind=str(raw.get("kind", "")), facts=_text(raw))


def _order_of_history(raw: dict[str, Any]) -> Ordered:
    told = raw.get("action")
    facts: dict[str, Any] = told if isinstance(told, dict) else {}
    try:
        action = _action(facts)
    except BadDocument:
        action = UnknownAction(kind=str(facts.get("kind", "")), facts=_text(facts))
    return Ordered(ActionId(str(raw.get("id", ""))), action)


# How it is done.


def _text(value: Mapping[str, Any]) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=_hook).decode()
    except UnicodeEncodeError:
        # A scheduler's or a service's words can hold bytes that are not text (lone surrogates in Python). A daemon
        # that could not write them down would stop at them; a mark in their place is what people would see anyway.
        plain = msgspec.to_builtins(value, enc_hook=_hook)
        return msgspec.json.encode(_without_surrogates(plain)).decode()


def _hook(value: object) -> object:
    """What msgspec does not know: a mapping that is no dict."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in a document")


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_surrogates(item) for item in value]
        case _:
            return value


def _plain(value: Any, *, leave_out: str = "") -> dict[str, Any]:
    """A dataclass as an object with the format's version. One level: msgspec does what is inside."""
    return {"v": VERSION} | {f.name: getattr(value, f.name) for f in fields(value) if f.name != leave_out}


def _tagged(value: Event | Action) -> dict[str, Any]:
    if isinstance(value, UnknownEvent | UnknownAction):
        return _object(value.facts)
    return {"kind": type(value).__name__} | _plain(value)


def _object(doc: str) -> dict[str, Any]:
    try:
        raw = msgspec.json.decode(doc)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadDocument(f"not a JSON document: {error}") from error
    if not isinstance(raw, dict):
        raise BadDocument("not a JSON object")
    return raw


def _event(raw: dict[str, Any]) -> Event:
    kind = raw.get("kind")
    if kind not in _EVENTS:
        raise BadDocument(f"unknown event {kind!r}")
    return _build(_EVENTS[kind], raw)


def _action(raw: dict[str, Any]) -> Action:
    kind = raw.get("kind")
    if kind not in _ACTIONS:
        raise BadDocument(f"unknown action {kind!r}")
    return _build(_ACTIONS[kind], raw)


def _build(cls: type[_T], raw: Mapping[str, Any], **given: object) -> _T:
    """A dataclass from an object; ``given`` are fields that come from elsewhere."""
    version = raw.get("v", VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise BadDocument(f"format {version!r} is newer than {VERSION}, the newest known")
    values = dict(given)
    try:
        for name, kind in _hints(cls).items():
            if name in raw and name not in given:
                values[name] = msgspec.convert(raw[name], kind)
        return cls(**values)
    except (msgspec.ValidationError, TypeError) as error:
        raise BadDocument(f"not a {cls.__name__}: {error}") from error


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields; worked out once, for it is slow."""
    if cls not in _HINTS:
        hints = get_type_hints(cls)
        _HINTS[cls] = {f.name: hints[f.name] for f in fields(cls)}
    return _HINTS[cls]


def _kinds(base: type[_T], module: ModuleType) -> dict[Any, type[_T]]:
    """The classes below ``base`` that ``module`` defines, by name."""
    found = (item for item in vars(module).values() if isinstance(item, type))
    return {cls.__name__: cls for cls in found if issubclass(cls, base) and cls is not base}


_EVENTS = _kinds(Event, event_module)
_ACTIONS = _kinds(Action, action_module)
