"""What is wrong, or looks wrong, in the parameters of a form taken together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sessiond.core.errors import SpecError
from sessiond.forms.model import LABEL, IsOneOf, IsTrue, Kind, Param, ResourceIs
from sessiond.render.inputs import is_reserved
from sessiond.render.quote import double


def problems_of(params: Sequence[Param]) -> Iterator[tuple[int, str]]:
    """Lines and what makes the form unusable there."""
    for param in params:
        if param.kind is Kind.SELECT and not any(True for _ in param.all_options()):
            yield param.line, f"{param.dotted} is a select without options"
        if param.min is not None and param.max is not None and param.min > param.max:
            yield param.line, f"{param.dotted}: min {param.min} is more than max {param.max}"
        elif param.kind is Kind.INTEGER and param.default:
            yield from _integer(param)
        if is_reserved(param.variable):
            yield param.line, f"{param.dotted}: {param.variable} is reserved; choose another name"
        yield from _shell(param)
    yield from _circles(params)


def _shell(param: Param) -> Iterator[tuple[int, str]]:
    """What no shell can read between double quotes, which is where an author's values stand."""
    for text in (param.default, *(option.value for option in param.all_options())):
        try:
            double(text)
        except SpecError as error:
            yield param.line, f"{param.dotted}: {error.message}"


def _integer(param: Param) -> Iterator[tuple[int, str]]:
    text = param.default.strip().removeprefix("+").removeprefix("-")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        yield param.line, f"{param.dotted}: its value must be a whole number, not {param.default[:40]!r}"
        return
    number = int(param.default)
    if (param.min is not None and number < param.min) or (param.max is not None and number > param.max):
        yield param.line, f"{param.dotted}: its value {number} is not between its min and its max"


def _circles(params: Sequence[Param]) -> Iterator[tuple[int, str]]:
    """Parameters whose being there depends on itself."""
    uses: dict[str, set[str]] = {}
    for param in params:
        refs = {one.ref for one in param.when if isinstance(one, IsOneOf | IsTrue)}
        refs |= {param.choices.ref} if param.choices is not None else set()
        uses.setdefault(param.dotted, set()).update(refs)
    left = dict(uses)
    while free := [name for name, refs in left.items() if not refs & left.keys()]:
        for name in free:
            del left[name]
    told: set[str] = set()
    for param in params:
        if param.dotted in left and param.dotted not in told:
            told.add(param.dotted)
            yield param.line, f"{param.dotted} depends on what depends on it"


def warnings_of(params: Sequence[Param]) -> Iterator[tuple[int, str]]:
    """Lines and what probably is not meant there."""
    yield from _twice(params)
    labels = [p.path[0] for p in params if len(p.path) > 1 and p.path[0].startswith(LABEL)]
    if labels and "pwrl_host" not in labels:
        first = next(p for p in params if p.path[0] == labels[0])
        yield first.line, f"the section of the resource should be called pwrl_host; {labels[0]} is taken for it"
    told: set[str] = set()
    for param in params:
        section = param.path[0]
        chosen = "pwrl_host" if "pwrl_host" in labels else next(iter(labels), "")
        if len(param.path) > 1 and section.startswith(LABEL) and section not in {chosen, *told}:
            told.add(section)
            yield param.line, f"{section} is about another resource: a session has one, and nothing of it is used"
        if len(param.path) > 1 and param.path[-1].startswith(f"{param.path[-2]}_"):
            short = param.path[-1].removeprefix(f"{param.path[-2]}_")
            yield param.line, f"{param.dotted} becomes {param.variable}; for {param.path[-1]} call it {short} here"
        offered = [option.value for option in param.all_options()]
        if offered and param.default not in ("", *offered) and not param.multiple:
            what = f"its value {param.default[:60]!r} is none of its options; the first of them counts"
            yield param.line, f"{param.dotted}: {what}"
        if "---" in param.default:
            yield param.line, f"{param.dotted}: --- once meant a blank; it is passed on as it is"


def _twice(params: Sequence[Param]) -> Iterator[tuple[int, str]]:
    seen: dict[str, list[Param]] = {}
    for param in params:
        earlier = [one for one in seen.get(param.variable, ()) if not _exclusive(one, param)]
        if earlier:
            also = f"also in line {earlier[-1].line}: where both are asked for, this one counts"
            yield param.line, f"{param.variable} is there twice, {also}"
        seen.setdefault(param.variable, []).append(param)


def _exclusive(one: Param, other: Param) -> bool:
    """Whether the two can never be there together."""
    mine, theirs = map(_asks, (one, other))
    return any(about == other and not values & others for about, values in mine for other, others in theirs)


def _asks(param: Param) -> list[tuple[str, frozenset[str]]]:
    """What each of its conditions looks at, and what it wants there."""
    found: list[tuple[str, frozenset[str]]] = []
    for when in param.when:
        match when:
            case IsOneOf(ref=ref, values=values):
                found.append((ref, frozenset(values)))
            case IsTrue(ref=ref):
                found.append((ref, frozenset({"true"})))
            case ResourceIs(attribute=attribute, values=values):
                found.append((f"the cluster's {attribute}", frozenset(values)))
    return found
