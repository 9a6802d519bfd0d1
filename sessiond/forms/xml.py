"""A workflow's XML as a `Form`, with every problem it has.

The forms of the family that is read here were written over years and for several engines, so three generations of
conditions stand side by side: ``<conditional>`` with ``<when>``, ``depends_on`` with ``show_if``, and JSON in either.
Unknown attributes mean nothing. Unknown elements are warned about: what is in them is not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType

from sessiond.forms import loose
from sessiond.forms.lint import problems_of, warnings_of
from sessiond.forms.listed import as_text, options_in, several
from sessiond.forms.model import (
    BETWEEN,
    Choices,
    Condition,
    Form,
    IsOneOf,
    IsTrue,
    Kind,
    Option,
    Param,
    ResourceIs,
    is_secret,
    untagged,
)
from sessiond.forms.old import host_line, renewed
from sessiond.forms.tree import BadXml, Node, parse

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_KINDS = {
    "text": Kind.TEXT,
    "password": Kind.TEXT,
    "hidden": Kind.HIDDEN,
    "select": Kind.SELECT,
    "boolean": Kind.BOOLEAN,
    "integer": Kind.INTEGER,
    "textarea": Kind.TEXTAREA,
    "computeresource": Kind.RESOURCE,
}
_TRUE = frozenset({"true", "yes", "1", "on"})
_PLAIN = frozenset({"command", "cancel", "outputs", "description", "help", "inputs", "thumbnail"})
_PARAMS_LIMIT = 500
"""How many parameters a form may have; real ones have a dozen."""
_OPTIONS_LIMIT = 2000
"""How many options one of them may have."""
_GUESSES = 20
"""For how many unknown references the nearest known one is looked for."""
_NO_TITLE = frozenset({"", "na", "n/a"})


def read_form(file: str, data: bytes) -> Form:
    """The form that ``data`` is; ``file`` names it in messages. Never raises: what is wrong is in ``problems``."""
    try:
        root = parse(data)
    except BadXml as error:
        return Form(file=file, problems=(f"{file}:{error.line}: {error.what}",))
    return _Reader(file).read(root)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a form an element stands."""

    path: tuple[str, ...] = ()
    title: str = ""
    when: tuple[Condition, ...] = ()


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[tuple[int, str]] = []
        self._warnings: list[tuple[int, str]] = []
        self._params: list[Param] = []

    def read(self, root: Node) -> Form:
        """Everything that is in the document."""
        inputs = list(root.all("inputs"))
        if root.tag != "tool":
            self._wrong(root, f"a form begins with <tool>, not with <{root.tag[:40]}>")
        elif not inputs:
            self._wrong(root, "it has no <inputs>: there is nothing to fill in")
        for child in root.children if root.tag == "tool" else ():
            if child.tag not in _PLAIN:
                self._ignored(child)
        for part in inputs if root.tag == "tool" else ():
            self._walk(part, _Place())
        if len(self._params) > _PARAMS_LIMIT:
            # told before anything is compared with anything else
            what = f"it has more than {_PARAMS_LIMIT} parameters"
            return Form(file=self._file, problems=self._told([*self._problems, (root.line, what)]))
        if (line := host_line(self._params)) is not None:
            self._warnings.append(
                (line, "the section of the resource should be called pwrl_host; host is taken for it")
            )
            self._params = renewed(self._params)
        known = {param.spelled for param in self._params} | {param.dotted for param in self._params}
        params = tuple(self._settled(param, known) for param in self._params)
        self._problems += problems_of(params)
        self._warnings += warnings_of(params)
        return Form(
            file=self._file,
            title=_title(root),
            description=next((node.text for node in root.all("description")), ""),
            params=params,
            problems=self._told(self._problems),
            warnings=self._told(self._warnings),
        )

    def _told(self, found: list[tuple[int, str]]) -> tuple[str, ...]:
        return tuple(f"{self._file}:{line}: {what}" for line, what in sorted(found, key=lambda one: one[0]))

    def _wrong(self, node: Node, what: str) -> None:
        self._problems.append((node.line, what))

    def _ignored(self, node: Node) -> None:
        self._warnings.append((node.line, f"<{node.tag[:40]}> is not known here, and what is in it is not asked for"))

    # Elements.

    def _walk(self, parent: Node, place: _Place) -> None:
        for node in parent.children:
            match node.tag:
                case "param":
                    self._param(node, place)
                case "section":
                    self._section(node, place)
                case "conditional":
                    self._conditional(node, place)
                case _:
                    self._ignored(node)

    def _section(self, node: Node, place: _Place) -> None:
        name = (node.get("name") or "").strip()
        if not _NAME.fullmatch(name):
            self._wrong(node, f"a section needs a name of letters, digits and underscores, not {name[:60]!r}")
            return
        title = node.get("title") or node.get("label") or name
        when = (*place.when, *self._conditions(node))
        self._walk(node, _Place((*place.path, name), title, when))

    def _conditional(self, node: Node, place: _Place) -> None:
        """``<conditional>`` and ``<when>`` are no level of their own: their parameters are the section's."""
        params = list(node.all("param"))
        for child in node.children:
            if child.tag not in ("param", "when"):
                self._ignored(child)
        for param in params:
            self._param(param, place)
        name = untagged((params[0].get("name") or "").strip()) if params else ""
        if not name:
            self._wrong(node, "a <conditional> begins with the <param> that it depends on")
            return
        ref = ".".join((*place.path, name))
        for when in node.all("when"):
            value = when.get("value")
            if value is None:
                self._wrong(when, "a <when> needs a value")
                continue
            condition = IsOneOf(ref=ref, values=(value,))
            self._walk(when, _Place(place.path, place.title, (*place.when, condition)))

    def _param(self, node: Node, place: _Place) -> None:
        spelled = (node.get("name") or "").strip()
        name = untagged(spelled)
        if not _NAME.fullmatch(name):
            self._wrong(node, f"a parameter needs a name of letters, digits and underscores, not {spelled[:60]!r}")
            return
        kind = self._kind(node)
        options, choices = self._options(node)
        if sum(map(len, (options, *(choices.by_value.values() if choices is not None else ())))) > _OPTIONS_LIMIT:
            self._wrong(node, f"{name} has more than {_OPTIONS_LIMIT} options")
            options, choices = (), None
        param = Param(
            path=(*place.path, name),
            spelled=".".join((*place.path, spelled)),
            kind=kind,
            line=node.line,
            label=node.get("label") or "",
            help=node.get("help") or "",
            section=place.title,
            default=node.get("value") or "",
            options=options if kind is Kind.SELECT else (),
            choices=choices if kind is Kind.SELECT else None,
            multiple=_is_true(node.get("multiple")),
            required=_is_required(kind, node),
            secret=is_secret(name) or (node.get("type") or "").lower() == "password",
            min=self._bound(node, "min"),
            max=self._bound(node, "max"),
            yes=node.get("truevalue") or "true",
            no=node.get("falsevalue") or "false",
            when=(*place.when, *self._conditions(node)),
        )
        self._params.append(_with_default(param, node))

    def _kind(self, node: Node) -> Kind:
        given = (node.get("type") or "").strip()
        found = _KINDS.get(given.lower())
        if found is not None:
            return found
        if re.fullmatch(r"dynamic\w*dropdown", given, re.IGNORECASE):
            return Kind.DROPDOWN
        self._warnings.append((node.line, f"type {given[:40]!r} is not known here: it is taken as text"))
        return Kind.TEXT

    def _bound(self, node: Node, name: str) -> int | None:
        text = (node.get(name) or "").strip()
        if not text or _INTEGER.fullmatch(text):
            return int(text) if text else None
        self._wrong(node, f"{name} must be a whole number, not {text[:40]!r}")
        return None

    # Options.

    def _options(self, node: Node) -> tuple[tuple[Option, ...], Choices | None]:
        written = tuple(
            Option(
                value=option.text if (value := option.get("value")) is None else value,
                label=option.text,
                selected=_is_true(option.get("selected")),
                when=tuple(self._conditions(option)),
            )
            for option in node.all("option")
        )
        text = node.get("options")
        if not text:
            return written, None
        try:
            found = loose.loads(text)
            if isinstance(found, dict):
                by_value = {as_text(key): options_in(options) for key, options in found.items()}
                ref = (node.get("depends_on") or "").strip()
                if not ref:
                    self._wrong(node, "its options depend on another parameter: depends_on must say on which")
                return written, Choices(ref=ref, by_value=MappingProxyType(by_value))
            return (*written, *options_in(found)), None
        except (ValueError, RecursionError):
            self._wrong(node, 'options must be JSON: [{"value": ..., "label": ...}], or an object of such lists')
            return written, None

    # Conditions.

    def _conditions(self, node: Node) -> Iterator[Condition]:
        depends, show = (node.get("depends_on") or "").strip(), (node.get("show_if") or "").strip()
        if not show:
            return
        if show.startswith("{"):
            yield from self._json_conditions(node, show)
        elif depends:
            yield IsOneOf(ref=depends, values=several(show))
        else:
            yield IsTrue(ref=show)

    def _json_conditions(self, node: Node, show: str) -> Iterator[Condition]:
        try:
            found = loose.loads(show)
        except (ValueError, RecursionError):
            self._wrong(node, 'show_if looks like JSON and is none; expected {"section.param": "value"}')
            return
        for ref, values in found.items() if isinstance(found, dict) else ():
            listed = values if isinstance(values, list) else [values]
            yield IsOneOf(ref=ref.strip(), values=tuple(map(as_text, listed)))

    def _settled(self, param: Param, known: set[str]) -> Param:
        """The same with its references made whole, now that all parameters are known."""
        choices = param.choices
        if choices is not None and choices.ref:
            ref = self._reference(param, choices.ref, known)
            choices = replace(choices, ref=ref or choices.ref)
        return replace(
            param,
            when=tuple(self._found(param, condition, known) for condition in param.when),
            options=tuple(
                replace(option, when=tuple(self._found(param, condition, known) for condition in option.when))
                for option in param.options
            ),
            choices=choices,
        )

    def _found(self, param: Param, condition: Condition, known: set[str]) -> Condition:
        if isinstance(condition, ResourceIs):
            return condition
        head, _, attribute = condition.ref.rpartition(".")
        if isinstance(condition, IsOneOf) and condition.ref not in known:
            for one in self._params:
                if one.kind is Kind.RESOURCE and one.dotted == head:
                    return ResourceIs(attribute=attribute, values=condition.values)
        if isinstance(condition, IsTrue) and (meant := self._meant(param, condition.ref, known)) is not None:
            return meant
        ref = self._reference(param, condition.ref, known)
        return condition if ref is None else replace(condition, ref=ref)

    def _meant(self, param: Param, text: str, known: set[str]) -> Condition | None:
        """What ``show_if`` without ``depends_on`` means where it is no parameter's name but one select's option.

        Some forms of the family have that, and were in use for years.
        """
        if "." in text or text in known or ".".join((*param.path[:-1], text)) in known:
            return None
        offers = [one for one in self._params if any(option.value == text for option in one.all_options())]
        near = [one for one in offers if one.path[:-1] == param.path[:-1]] or offers
        if len({one.dotted for one in near}) != 1 or near[0].dotted == param.dotted:
            return None
        other = near[0].dotted
        what = f"{param.dotted}: show_if names no parameter; it is taken for depends_on {other!r}, show_if {text!r}"
        self._warnings.append((param.line, what))
        return IsOneOf(ref=other, values=(text,))

    def _reference(self, param: Param, ref: str, known: set[str]) -> str | None:
        """What ``ref`` in ``param`` names: a whole path, or a neighbour's name. None, and a problem, where nothing."""
        near = ".".join((*param.path[:-1], ref))
        for one in (ref, near):
            if one in known:
                return one
        guess = len(self._problems) < _GUESSES
        like = get_close_matches(ref[:80], sorted(known), n=1) if guess else []
        more = f"; did you mean {like[0]}?" if like else ""
        self._problems.append(
            (param.line, f"{param.dotted} depends on {ref[:80]!r}, which the form does not have{more}")
        )
        return None


def _title(root: Node) -> str:
    """What the tool is called, if that is a name: many a form has its id there, or nothing."""
    name = (root.get("name") or "").strip()
    is_id = name == (root.get("id") or "").strip() and re.search(r"[._]", name) is not None and " " not in name
    return "" if is_id or name.lower() in _NO_TITLE else name


def _with_default(param: Param, node: Node) -> Param:
    """The same with the default that its kind has, in its normal form."""
    match param.kind:
        case Kind.BOOLEAN:
            text = node.get("checked") or node.get("value") or ""
            return replace(param, default="true" if _is_true(text) or text == param.yes != "true" else "false")
        case Kind.SELECT:
            marked = [option.value for option in param.all_options() if option.selected]
            given = node.get("value")
            if given is None:
                return replace(param, default=BETWEEN.join(marked if param.multiple else marked[:1]))
            return replace(param, default=_joined(given, param) if param.multiple else given)
        case Kind.TEXTAREA:
            inner = "".join(node.parts).strip("\n")
            return replace(param, default=param.default or (inner if inner.strip() else ""))
        case _:
            return param


def _joined(text: str, param: Param) -> str:
    """Several values, which may be written with commas, as the one text that they are."""
    parts = [part.strip() for part in text.split(",")]
    return BETWEEN.join(parts) if {option.value for option in param.all_options()}.issuperset(parts) else text


def _is_required(kind: Kind, node: Node) -> bool:
    optional = (node.get("optional") or "").strip().lower()
    # An empty text is a text; an empty number is none.
    return _is_true(node.get("required")) or optional == "false" or (kind is Kind.INTEGER and not _is_true(optional))


def _is_true(text: str | None) -> bool:
    return (text or "").strip().lower() in _TRUE
