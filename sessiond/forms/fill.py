"""A form filled in: which parameters are there, what their values are, and whose words those are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum, auto

from sessiond.core.errors import SpecError, printable
from sessiond.forms.model import BETWEEN, Condition, Form, IsOneOf, IsTrue, Kind, Option, Param, ResourceIs, in_words

VALUE_LIMIT = 64 * 1024
"""The longest value in characters: Linux refuses one environment string of more than 128 KiB (execve(2))."""

_REPLACE = "_replace_with_"
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), "true"),
    **dict.fromkeys(("false", "no", "off", "0"), "false"),
}


class Written(Enum):
    """Whose words a value is."""

    AUTHOR = auto()
    """The form's author's: shell text that stands between double quotes."""
    PERSON = auto()
    """The person's: data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A parameter's value; ``given`` if a person gave it, now or earlier."""

    param: Param
    text: str
    written: Written
    given: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a form is filled in with. Parameters are called by any of their names.

    ``given`` are what the person says now; ``usual`` layers of values that stand behind it, the first before the next,
    each used where it is asked for and fits; ``set`` values that nobody but us decides, by variable; ``resource`` the
    cluster's attributes, each with all that it may be called.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    usual: Sequence[Mapping[str, str]] = ()
    set: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def fill(form: Form, answers: Answers) -> tuple[Value, ...]:
    """The form's values in its order, those that are not asked for left out.

    Raises SpecError with every problem, a line each.
    """
    try:
        return _Filling(form, answers).values()
    except RecursionError:
        raise SpecError("the form's conditions depend on each other over too many steps") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A parameter that people are asked for just now: what is in it, and which choices it has."""

    param: Param
    text: str
    options: tuple[Option, ...]


def look(form: Form, answers: Answers) -> tuple[tuple[Field, ...], tuple[str, ...]]:
    """A form while it is filled in: the fields that are there with these answers, and all that is wrong so far."""
    try:
        return _Filling(form, answers).look()
    except RecursionError:
        return (), ("the form's conditions depend on each other over too many steps",)


class _Filling:
    def __init__(self, form: Form, answers: Answers) -> None:
        self._form = form
        self._answers = answers
        self._problems: list[str] = []
        self._given: dict[int, tuple[str, str]] = {}
        self._shown: dict[int, bool | None] = {}
        self._values: dict[int, Value | None] = {}

    def values(self) -> tuple[Value, ...]:
        """All of them. Raises SpecError."""
        unknown = self._take()
        found = [self._value(param) for param in self._form.params if self._is_shown(param)]
        self._misplaced()
        if self._problems:
            listed = ", ".join(dict.fromkeys(p.dotted for p in self._form.params if _is_asked(p)))
            hint = f"It asks for: {listed or 'nothing'}." if unknown else "`sessionctl workflow show` has the form."
            raise SpecError("\n".join(dict.fromkeys(self._problems)), hint=hint)
        return tuple(found)

    def look(self) -> tuple[tuple[Field, ...], tuple[str, ...]]:
        """What a person sees of it, and the problems."""
        self._take()
        found = tuple(
            Field(param=param, text=self._value(param).text, options=tuple(self._offered(param)))
            for param in self._form.params
            if _is_asked(param) and self._is_shown(param)
        )
        self._misplaced()
        return found, tuple(dict.fromkeys(self._problems))

    def _take(self) -> bool:
        """Give what was given to the parameters it is for; whether some is for none."""
        unknown = False
        for name, text in self._answers.given.items():
            params = self._form.called(name)
            asked = [param for param in params if _is_asked(param)]
            for param in asked:
                earlier = self._given.get(id(param))
                if earlier is not None:
                    self._problems.append(f"{param.dotted} is given twice, as {earlier[0]} and as {name}")
                self._given[id(param)] = (name, text)
            if not params:
                unknown = True
                known = sorted({name for param in self._form.params if _is_asked(param) for name in param.names})
                near = get_close_matches(name, known, n=1)
                like = f", did you mean {near[0]}?" if near else ""
                self._problems.append(f"the form does not ask for {printable(name)}{like}")
            elif not asked and any(param.kind is Kind.RESOURCE for param in params):
                self._problems.append(f"{printable(name)} is the cluster: say it with --on")
            elif not asked and all(param.default != text for param in params):
                self._problems.append(f"{printable(name)} is fixed by this workflow")
        return unknown

    def _misplaced(self) -> None:
        """Complain about what was given and is not asked for."""
        for name in self._answers.given:
            asked = [param for param in self._form.called(name) if _is_asked(param)]
            if asked and not any(self._is_shown(param) for param in asked):
                why = "; or where ".join(dict.fromkeys(" and ".join(map(in_words, p.when)) for p in asked))
                self._problems.append(f"{printable(name)} is asked for only where {why}")

    # What is there.

    def _is_shown(self, param: Param) -> bool:
        key = id(param)
        if key not in self._shown:
            self._shown[key] = None
            self._shown[key] = all(map(self._holds, param.when))
        return self._shown[key] or False

    def _holds(self, condition: Condition) -> bool:
        match condition:
            case ResourceIs(attribute=attribute, values=values):
                return any(name in values for name in self._answers.resource.get(attribute, ()))
            case IsTrue(ref=ref):
                return any(self._value(param).text == "true" for param in self._there(ref))
            case IsOneOf(ref=ref, values=values):
                return any(_matches(self._value(param), values) for param in self._there(ref))

    def _there(self, ref: str) -> Iterator[Param]:
        return (param for param in self._form.at(ref) if self._is_shown(param))

    # Values.

    def _value(self, param: Param) -> Value:
        key = id(param)
        if key not in self._values:
            self._values[key] = None
            self._values[key] = self._referred(self._chosen(param))
        found = self._values[key]
        # a form that goes in circles was refused; this is for values that name each other
        return found if found is not None else Value(param=param, text="", written=Written.PERSON)

    def _chosen(self, param: Param) -> Value:
        fixed = self._answers.set.get(param.variable)
        if fixed is not None:
            return Value(param=param, text=fixed, written=Written.PERSON)
        if param.kind is Kind.RESOURCE:
            name = next(iter(self._answers.resource.get("name", ())), "")
            return Value(param=param, text=name, written=Written.PERSON)
        if not _is_asked(param):
            return Value(param=param, text=param.default, written=Written.AUTHOR)
        options = self._offered(param)
        given = self._given.get(id(param))
        if given is not None and not (given[1] == "" and param.kind in (Kind.INTEGER, Kind.BOOLEAN)):
            text, expected = _checked(param, given[1], options)
            if expected and self._is_shown(param):
                got = "" if param.secret else f', got "{printable(given[1])}"'
                self._problems.append(f"{param.dotted}: expected {expected}{got}")
            return self._required(self._given_value(param, text))
        for usual in self._usual(param):
            text, expected = _checked(param, usual, options)
            if not expected:
                return self._given_value(param, text)
        return self._required(Value(param=param, text=self._default(param, options), written=Written.AUTHOR))

    def _given_value(self, param: Param, text: str) -> Value:
        # An option is its author's words, whoever chooses it; and so is a default that was left as it stands.
        own = param.kind is Kind.SELECT or text == param.default
        return Value(param=param, text=text, written=Written.AUTHOR if own else Written.PERSON, given=True)

    def _usual(self, param: Param) -> Iterator[str]:
        for layer in self._answers.usual:
            yield from (layer[name] for name in (param.dotted, *sorted(param.names)) if name in layer)

    def _required(self, value: Value) -> Value:
        param = value.param
        if not value.text and param.required and self._is_shown(param):
            self._problems.append(f"{param.dotted} is missing" + (f": {param.label}" if param.label else ""))
        return value

    def _default(self, param: Param, options: Sequence[Option]) -> str:
        """What a person finds in the field: of a select that has no such option, its first one."""
        if param.kind is not Kind.SELECT or param.multiple or any(one.value == param.default for one in options):
            return param.default
        marked = [one.value for one in options if one.selected]
        return (marked or [one.value for one in options] or [""])[0]

    def _offered(self, param: Param) -> list[Option]:
        found = [one for one in param.options if all(map(self._holds, one.when))]
        if param.choices is not None:
            for other in self._there(param.choices.ref):
                value = self._value(other)
                keys = [key for key in param.choices.by_value if _matches(value, (key,))]
                found += [one for key in keys for one in param.choices.by_value[key]]
        return found

    def _referred(self, value: Value) -> Value:
        """``_replace_with_section.param`` is the value of that parameter."""
        if value.given or not value.text.startswith(_REPLACE):
            return value
        for other in self._there(value.text.removeprefix(_REPLACE).strip()):
            theirs = self._value(other)
            return Value(param=value.param, text=theirs.text, written=theirs.written, given=theirs.given)
        return Value(param=value.param, text="", written=Written.AUTHOR)


def _is_asked(param: Param) -> bool:
    """Whether people are asked for it."""
    return param.kind not in (Kind.HIDDEN, Kind.RESOURCE)


def _matches(value: Value, wanted: Sequence[str]) -> bool:
    """Whether a value is one of those a condition names; a boolean has two names for each of its own."""
    if value.param.kind is not Kind.BOOLEAN:
        return value.text in wanted
    own = value.param.yes if value.text == "true" else value.param.no
    return any(one == own or one.lower() == value.text for one in wanted)


def _checked(param: Param, text: str, options: Sequence[Option]) -> tuple[str, str]:
    """A person's ``text`` in its normal form and nothing, or as it is and what was expected instead."""
    if "\0" in text:
        return text, "a text without NUL characters"
    if len(text) > VALUE_LIMIT:
        return text, f"at most {VALUE_LIMIT} characters"
    match param.kind:
        case Kind.SELECT:
            return _checked_option(param, text, [one.value for one in options])
        case Kind.BOOLEAN:
            own = {param.yes.lower(): "true", param.no.lower(): "false"}
            normal = (own | _BOOLEANS).get(text.strip().lower(), "")
            return (normal, "") if normal else (text, "true or false")
        case Kind.INTEGER:
            number = int(text) if _INTEGER.fullmatch(text.strip()) else None
            low, high = param.min, param.max
            if number is None or (low is not None and number < low) or (high is not None and number > high):
                lower = f" from {low}" if low is not None else ""
                upper = f" up to {high}" if high is not None else ""
                return text, f"a whole number{lower}{upper}"
            return str(number), ""
        case _:
            return text, ""


def _checked_option(param: Param, text: str, values: Sequence[str]) -> tuple[str, str]:
    expected = f"one of {', '.join(values) or 'no options at all'}"
    if text in values:
        return text, ""
    if not param.multiple:
        return text, expected
    chosen = [part for part in text.replace(BETWEEN, ",").split(",") if part]
    return (BETWEEN.join(chosen), "") if set(chosen) <= set(values) else (text, f"some, with commas, of {expected[7:]}")
