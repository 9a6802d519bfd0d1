"""A request for a workflow: its form is filled in, and what comes of it is a session of the service it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sessiond.core.errors import Refused, SpecError, printable
from sessiond.core.spec import Mode, Resources
from sessiond.forms import asks
from sessiond.forms.fill import Answers, Field, Value, fill, look
from sessiond.forms.flatten import Where, flatten
from sessiond.forms.model import SCHEDULER, Form, Kind, Param
from sessiond.render.inputs import is_ours, resource_type
from sessiond.runtime.resources import NAMES, resources

_WORDS: Mapping[Mode, tuple[str, ...]] = {
    Mode.LOCAL: ("CONTROLLER", "LOCAL"),
    Mode.CONTROLLER: ("CONTROLLER",),
    Mode.SLURM: ("SLURM",),
    Mode.PBS: ("PBS",),
}
"""What forms call a mode."""
_PORT = "servicePort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a workflow is to run: the cluster's name, its modes (the usual one first), its defaults, whose accounts."""

    cluster: str
    modes: tuple[Mode, ...]
    defaults: Mapping[str, str]
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person wants of a workflow: ``mode`` empty for the form's own choice."""

    name: str
    mode: str
    settings: Mapping[str, str]
    remembered: Mapping[str, str]
    time: str
    directives: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A filled form: the service, the mode, the variables, and what is asked of the scheduler.

    Of the variables in ``authored`` the values are shell text between double quotes.
    """

    service: str
    mode: Mode
    params: Mapping[str, str]
    secrets: Mapping[str, str]
    resources: Resources
    authored: tuple[str, ...]


def filled(form: Form, wanted: Wanted, site: Site) -> Filled:
    """Fill the form in. Raises SpecError with every problem of the values, a line each; Refused for a bad form."""
    if form.problems:
        raise Refused("\n".join(form.problems), hint="Correct the file.", code="bad-service")
    settings = dict(wanted.settings)
    mode, word = _mode(form, wanted, site, _taken(form, settings))
    scheduled = mode in (Mode.SLURM, Mode.PBS)
    wishes = {name: settings.pop(name) for name in sorted(settings) if name in NAMES and not form.called(name)}
    if wishes and not scheduled:
        raise SpecError(
            f"--set {min(wishes)}: mode {mode} has no scheduler that could be asked for it",
            hint="use --time" if "time" in wishes else "leave it out",
        )
    if scheduled:
        said = {_same(name) for name in wishes}
        again = {name: value for name, value in wanted.remembered.items() if name in NAMES and not form.called(name)}
        wishes |= {name: value for name, value in again.items() if _same(name) not in said}
    values = _with_all_problems(
        lambda: fill(
            form,
            Answers(
                given=settings,
                usual=(wanted.remembered, _defaults(form, site)),
                set={} if word is None else {SCHEDULER: word},
                resource=_resource(site),
            ),
        ),
        lambda: resources(wishes, time=wanted.time, directives=wanted.directives),
    )
    flat = flatten(form, values, site.where, mode.value if scheduled else "")
    asked = _asked(flat.directives, mode)
    usual = {
        name: value
        for name, value in site.defaults.items()
        if scheduled and name in NAMES and _same(name) not in asked and _same(name) not in map(_same, wishes)
    }
    found = resources({**usual, **wishes}, time=wanted.time, directives=wanted.directives, usual=usual.keys())
    return Filled(
        service=flat.service,
        mode=mode,
        params=with_port({name: text for name, text in flat.params.items() if not is_ours(name)}),
        secrets={name: text for name, text in flat.secrets.items() if not is_ours(name)},
        resources=replace(found, extra=(*flat.directives, *found.extra)),
        authored=flat.authored,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A form while it is filled in: ``mode`` is None where what was said about it cannot be."""

    mode: Mode | None
    fields: tuple[Field, ...]
    problems: tuple[str, ...]


def seen(form: Form, wanted: Wanted, site: Site) -> Sight:
    """What a person sees of the form with these values: how it can run is narrowed to what the cluster has."""
    settings = dict(wanted.settings)
    word: str | None = _taken(form, settings)
    wrong: tuple[str, ...] = ()
    mode: Mode | None = None
    try:
        mode, word = _mode(form, wanted, site, word or "")
    except SpecError as error:
        wrong = (error.message,)
    fields, problems = look(
        form,
        Answers(
            given={name: text for name, text in settings.items() if name not in NAMES or form.called(name)},
            usual=(wanted.remembered, _defaults(form, site)),
            set={SCHEDULER: word} if word else {},
            resource=_resource(site),
        ),
    )
    words = [word for one in site.modes for word in _WORDS[one]]
    return Sight(
        mode=mode,
        fields=tuple(
            replace(one, options=tuple(o for o in one.options if o.value in words))
            if one.param.variable == SCHEDULER and one.options
            else one
            for one in fields
        ),
        problems=(*wrong, *problems),
    )


def _resource(site: Site) -> Mapping[str, tuple[str, ...]]:
    """What conditions may ask about the cluster. A machine of one's own with a batch scheduler has had two names."""
    kinds = dict.fromkeys((*map(resource_type, site.modes), "existing"))
    return {"name": (site.cluster,), "provider": tuple(kinds), "type": tuple(kinds)}


def _with_all_problems(fill_in: Callable[[], tuple[Value, ...]], ask: Callable[[], object]) -> tuple[Value, ...]:
    """The form's values, if what is asked of the scheduler can be asked. Raises SpecError for both at once."""
    errors: list[SpecError] = []
    try:
        values = fill_in()
    except SpecError as error:
        errors.append(error)
    try:
        ask()
    except SpecError as error:
        errors.append(error)
    if errors:
        raise SpecError("\n".join(error.message for error in errors), hint=errors[0].hint)
    return values


# The mode.


def _taken(form: Form, settings: dict[str, str]) -> str:
    """What the person says in the form's own word about the mode, taken out of ``settings``."""
    names = [name for name in settings if any(param.variable == SCHEDULER for param in form.called(name))]
    return [settings.pop(name) for name in names][-1] if names else ""


def _mode(form: Form, wanted: Wanted, site: Site, word: str) -> tuple[Mode, str | None]:
    """How the session runs, and what the form calls that; None where the form has nothing to say about it."""
    params = [param for param in form.params if param.variable == SCHEDULER]
    if not params:
        return (Mode(wanted.mode) if wanted.mode else site.modes[0]), None
    words = _offered(params)
    if wanted.mode:
        mode = Mode(wanted.mode)
        fits = [one for one in _WORDS[mode] if one in words]
        if not fits or word not in ("", *fits):
            other = f", but {SCHEDULER} was set to {printable(word)}" if fits else f"; it has {', '.join(words)}"
            raise SpecError(f"--mode {mode}: not with the workflow {wanted.name}{other}", hint="leave one of them out")
        return mode, word or fits[0]
    if word and word not in words:
        raise SpecError(
            f'{params[0].dotted}: expected one of {", ".join(words)}, got "{printable(word)}"',
            hint="`sessionctl workflow show` has the form.",
        )
    choice = [word] if word else list(dict.fromkeys(param.default for param in params))
    # A field shows its default, but a person here would choose what this cluster has.
    choice += [] if word or all(param.kind is Kind.HIDDEN for param in params) else words
    for one in choice:
        for mode in site.modes:
            if one in _WORDS[mode]:
                return mode, one
    raise SpecError(
        f"the workflow {wanted.name} runs as {' or '.join(dict.fromkeys(choice))}, and {site.cluster} has mode "
        f"{' or '.join(site.modes)} only",
        hint="choose another cluster with --on",
    )


def _offered(params: list[Param]) -> list[str]:
    found = [text for one in params for text in ([o.value for o in one.all_options()] or [one.default])]
    return list(dict.fromkeys(found))


# What is asked of the scheduler.


def _same(name: str) -> str:
    return "partition" if name == "queue" else name


def _asked(directives: tuple[str, ...], mode: Mode) -> frozenset[str]:
    """What directives ask for, in the words of a cluster's defaults."""
    known = asks.SLURM if mode is Mode.SLURM else asks.PBS
    options = [line.replace("=", " ").split()[0] for line in directives]
    time = {"time"} if mode is Mode.PBS and any("walltime=" in line for line in directives) else set()
    return frozenset({known[one] for one in options if one in known} | time)


def _defaults(form: Form, site: Site) -> Mapping[str, str]:
    """A cluster's defaults, those of its scheduler also under the names that the form has for them."""
    found = dict(site.defaults)
    for param in form.params:
        name = asks.usual_name(param.variable)
        for one in (name, "queue" if name == "partition" else ""):
            if one in site.defaults:
                found[param.dotted] = site.defaults[one]
    return found


def with_port(params: dict[str, str]) -> dict[str, str]:
    """``params`` with the service's port under the name that scripts know: a form may fix it in any section."""
    found = [text for name, text in params.items() if name.endswith(f"_{_PORT}") and text]
    return {**params, _PORT: found[0]} if found and not params.get(_PORT) else params
