"""From a person's request to a `Session`: everything is resolved and checked before anything is begun."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from sessiond.config.catalogue import Catalogue, left_out, resolve
from sessiond.core.errors import Conflict, NotFound, Refused, SpecError, printable
from sessiond.core.ids import ClusterName, SessionId, session_id
from sessiond.core.session import Session, State
from sessiond.core.spec import LaunchSpec, Listen, Mode, Resources, ServiceSpec
from sessiond.forms.flatten import Where
from sessiond.render.inputs import check_name, job_number
from sessiond.render.licence import about_licences, licence_of
from sessiond.runtime.resources import NAMES, QUEUE, behind, resources
from sessiond.runtime.workflow import Sight, Site, Wanted, filled, seen, with_port

LOCAL = ClusterName("local")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person asked for, as they typed it; ``service`` may be a workflow, and ``cluster`` is empty if not said.

    ``max_wait_s`` is how long the job may wait for its first node. ``remembered`` are values that stand behind
    ``settings`` and before a cluster's defaults; with ``again`` they are to be those of the last time.
    """

    service: str
    cluster: str = ""
    mode: str = ""
    name: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    directives: tuple[str, ...] = ()
    max_wait_s: float | None = None
    again: bool = False
    remembered: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A cluster as configured: where session folders go, what precedes every script, default values.

    ``modes`` are those a session can have there, the usual one first. ``listen`` says for each where a service is to
    listen. ``host`` is its login node, empty for this machine.
    """

    name: ClusterName
    modes: tuple[Mode, ...]
    workdir: str
    setup: str
    defaults: Mapping[str, str]
    user: str
    host: str = ""
    listen: Mapping[Mode, Listen] = field(default_factory=dict)


def place_of(request: Request, places: Mapping[ClusterName, Place]) -> Place:
    """The cluster that was asked for. Raises NotFound."""
    found = places.get(ClusterName(request.cluster or LOCAL))
    if found is None:
        raise NotFound(
            f"there is no cluster {printable(request.cluster)}",
            hint=f"Clusters: {', '.join(places)}; config.toml names them.",
        )
    return found


def mode_of(request: Request, place: Place) -> Mode:
    """How the session runs there. Raises SpecError for a mode that does not exist or does not fit the cluster."""
    if request.mode and request.mode not in list(Mode):
        raise SpecError(
            f'--mode: expected one of {", ".join(Mode)}, got "{printable(request.mode)}"',
            hint=f"on {place.name} it is {_either(place.modes)}",
        )
    mode = Mode(request.mode) if request.mode else place.modes[0]
    if mode not in place.modes:
        raise SpecError(
            f"--mode {mode}: {place.name} has mode {_either(place.modes)} only",
            hint="leave out --mode, or choose another cluster with --on",
        )
    if request.directives and mode not in SCHEDULED:
        raise SpecError(
            f"--directive: mode {mode} has no scheduler that could read directives",
            hint="leave it out, or use --time",
        )
    return mode


SCHEDULED = frozenset({Mode.SLURM, Mode.PBS})
"""The modes in which a scheduler starts the session."""


def _either(modes: Sequence[Mode]) -> str:
    return " or ".join(modes)


def name_for(request: Request, taken: Collection[str]) -> str:
    """The session's name: the one asked for, else the service's with the first free number.

    Raises SpecError, Conflict.
    """
    if request.name:
        if not _NAME.fullmatch(request.name):
            raise SpecError(
                f'--name: "{printable(request.name)}" is not a name',
                hint="up to 40 small letters, digits and hyphens, such as my-notebook",
            )
        if request.name in taken:
            raise Conflict(
                f"there is already a session called {request.name}",
                hint=f"choose another with --name, or stop it: sessionctl stop {request.name}",
            )
        return request.name
    base = re.sub(r"[^a-z0-9]+", "-", request.service.lower()).strip("-")[:34] or "session"
    numbered = (base if n == 1 else f"{base}-{n}" for n in range(1, len(taken) + 2))
    return next(name for name in numbered if name not in taken)


def launch_spec(
    request: Request,
    catalogue: Catalogue,
    place: Place,
    new_id: SessionId,
    *,
    number: int = 0,
    workspace_user: str = "",
) -> LaunchSpec:
    """Resolve a request. Raises NotFound, Conflict, SpecError (all problems of the values at once), Refused."""
    if re.search(r"\s", place.workdir):
        raise Refused(
            f'the folder for sessions has a blank in its name: "{printable(place.workdir)}"',
            hint=f"service scripts cannot cope with that; set workdir of [clusters.{place.name}] in config.toml",
        )
    if catalogue.is_workflow(request.service):
        found = _of_workflow(request, catalogue, place, number, workspace_user or place.user)
    else:
        found = _of_service(request, catalogue, place)
    return LaunchSpec(
        service=found.service,
        workflow=found.workflow,
        cluster=place.name,
        mode=found.mode,
        user=place.user,
        jobdir=str(PurePosixPath(place.workdir) / "sessiond" / new_id),
        host=place.host,
        params=found.params,
        secrets={"service_token": secrets.token_urlsafe(24), **found.secrets},
        resources=found.resources,
        setup=place.setup,
        listen=place.listen.get(found.mode, Listen.LOOPBACK),
        authored=found.authored,
        licence=licence_of(found.params),
        max_wait_s=_max_wait_s(request, found.mode),
    )


def _max_wait_s(request: Request, mode: Mode) -> float | None:
    if request.max_wait_s is not None and mode not in SCHEDULED:
        raise SpecError(f"--max-wait: mode {mode} has no queue to wait in", hint="leave it out")
    return request.max_wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resolved:
    """What a request comes to, wherever its values are from."""

    service: ServiceSpec
    workflow: str
    mode: Mode
    params: Mapping[str, str]
    secrets: Mapping[str, str]
    resources: Resources
    authored: tuple[str, ...] = ()


def _of_service(request: Request, catalogue: Catalogue, place: Place) -> _Resolved:
    mode = mode_of(request, place)
    service: ServiceSpec = catalogue.spec(request.service)
    for key in request.settings:
        check_name(key.replace(".", "_"))
    entry = catalogue.entry(request.service)
    own = {param.name for param in entry.params}
    known = behind(place.defaults, request.remembered)
    licences = about_licences(known, own.__contains__) | about_licences(request.settings, own.__contains__)
    known = {name: value for name, value in known.items() if name not in licences}
    usual = {n: v for n, v in known.items() if n not in QUEUE or not QUEUE & request.settings.keys()}
    wishes = {n: v for n, v in {**usual, **request.settings}.items() if n in NAMES and n not in own}
    if mode not in SCHEDULED:
        asked = sorted(wishes.keys() & request.settings.keys())
        if asked and entry.params:
            raise SpecError(
                f"--set {asked[0]}: mode {mode} has no scheduler that could be asked for it",
                hint="use --time" if asked[0] == "time" else "leave it out",
            )
        wishes = {}
    settings = {
        name: value
        for name, value in request.settings.items()
        if name not in wishes and name.replace(".", "_") not in licences
    }
    defaults = {name: value for name, value in known.items() if name in own or name not in NAMES}
    params, hidden = resolve(entry, settings, defaults)
    return _Resolved(
        service=service,
        workflow=request.service,
        mode=mode,
        params={**with_port(params), **licences},
        secrets=hidden,
        resources=resources(
            wishes,
            time=request.time,
            directives=request.directives,
            usual=wishes.keys() - request.settings.keys() - request.remembered.keys(),
        ),
    )


def _of_workflow(request: Request, catalogue: Catalogue, place: Place, number: int, workspace_user: str) -> _Resolved:
    file = catalogue.workflow(request.service)
    form = file.read()
    licences: dict[str, str] = {}
    for said in (place.defaults, request.remembered, request.settings):
        licences |= about_licences(said, lambda name: bool(form.called(name)))
    found = filled(form, _wanted(request, file.name, place, licences), _site(place, number, workspace_user))
    mode_of(replace(request, mode=found.mode.value), place)  # a directive that nobody would read
    name = found.service or file.folder
    if name not in catalogue.services:
        raise Refused(
            f"the workflow {file.name} is for the service {printable(name)}, which is not there",
            hint="`sessionctl services` lists what is.",
            code="bad-service",
        )
    service = catalogue.spec(name)
    usual, secret = left_out(catalogue.entry(name), {*found.params, *found.secrets})
    every = {**usual, **licences, **found.params, **found.secrets}
    apart = secret | found.secrets.keys()
    return _Resolved(
        service=service,
        workflow=file.name,
        mode=found.mode,
        params={name: text for name, text in every.items() if name not in apart},
        secrets={name: text for name, text in every.items() if name in apart},
        resources=found.resources,
        authored=found.authored,
    )


def _wanted(request: Request, name: str, place: Place, licences: Collection[str]) -> Wanted:
    return Wanted(
        name=name,
        mode=mode_of(replace(request, directives=()), place).value if request.mode else "",
        settings={name: text for name, text in request.settings.items() if name.replace(".", "_") not in licences},
        remembered=request.remembered,
        time=request.time,
        directives=request.directives,
    )


def _site(place: Place, number: int, workspace_user: str) -> Site:
    return Site(
        cluster=place.name,
        modes=place.modes,
        defaults=place.defaults,
        where=Where(user=place.user, workspace_user=workspace_user, workdir=place.workdir, number=job_number(number)),
    )


def form_seen(request: Request, catalogue: Catalogue, places: Mapping[ClusterName, Place]) -> Sight:
    """What a person sees of a form with the values of a request. Raises NotFound, Conflict, SpecError, Refused."""
    file = catalogue.workflow(request.service)
    form = file.read()
    if form.problems:
        raise Refused("\n".join(form.problems), hint="Correct the file.", code="bad-service")
    place = place_of(request, places)
    licences = about_licences(request.settings, lambda name: bool(form.called(name)))
    return seen(form, _wanted(request, file.name, place, licences), _site(place, 0, place.user))


def new_session(
    request: Request,
    catalogue: Catalogue,
    places: Mapping[ClusterName, Place],
    *,
    now: float,
    number: int,
    open_port: int,
    taken: Collection[str],
) -> Session:
    """A session in its first state, not yet known to anybody."""
    new_id = session_id(now, secrets.randbits(20))
    return Session(
        id=new_id,
        name=name_for(request, taken),
        number=number,
        spec=launch_spec(
            request,
            catalogue,
            place_of(request, places),
            new_id,
            number=number,
            workspace_user=places[LOCAL].user if LOCAL in places else "",
        ),
        open_port=open_port,
        created=now,
        state=State.RENDER,
        since=now,
    )
