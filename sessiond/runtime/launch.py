"""From a person's request to a `Session`: everything is resolved and checked before anything is begun."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from sessiond.config.catalogue import Catalogue, resolve
from sessiond.core.errors import Conflict, NotFound, Refused, SpecError, printable
from sessiond.core.ids import ClusterName, SessionId, session_id
from sessiond.core.session import Session, State
from sessiond.core.spec import LaunchSpec, Mode, Resources, ServiceSpec
from sessiond.render.inputs import check_name

LOCAL = ClusterName("local")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_LONGEST_WALLTIME_S = 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person asked for, as they typed it."""

    service: str
    cluster: str = "local"
    mode: str = ""
    name: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    directives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The local cluster as configured: where session folders go, what precedes every script, default values.

    ``elsewhere`` are the other clusters that the configuration names.
    """

    workdir: str
    setup: str
    defaults: Mapping[str, str]
    user: str
    elsewhere: frozenset[str] = frozenset()


def walltime_s(text: str) -> int | None:
    """Seconds of ``[[HH:]MM:]SS``-like walltimes as schedulers write them: ``HH:MM:SS``, ``HH:MM``, or minutes.

    Empty means none. Raises SpecError.
    """
    if not text:
        return None
    wrong = SpecError(f'--time: expected HH:MM:SS, such as "02:00:00", got "{text}"', hint="a bare number is minutes")
    parts = text.split(":")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() and len(part) <= 6 for part in parts):
        raise wrong
    numbers = [int(part) for part in parts]
    if len(numbers) == 1:
        numbers = [0, numbers[0]]
    hours, minutes, seconds = [*numbers, 0][:3]
    total = hours * 3600 + minutes * 60 + seconds
    if total <= 0 or total > _LONGEST_WALLTIME_S or (len(parts) > 1 and minutes > 59) or seconds > 59:
        raise wrong
    return total


def mode_of(request: Request, elsewhere: Collection[str]) -> Mode:
    """Where the session runs. Raises NotFound, Refused or SpecError for a place that does not exist or fit the mode."""
    if request.cluster != LOCAL and request.cluster not in elsewhere:
        raise NotFound(
            f"there is no cluster {printable(request.cluster)}",
            hint=f"Clusters: {', '.join([LOCAL, *sorted(elsewhere)])}.",
        )
    if request.cluster != LOCAL:
        raise Refused(
            f"sessions on {request.cluster} are not possible yet: this version starts them on this machine only",
            hint="leave out --on, or say --on local",
        )
    try:
        mode = Mode(request.mode or Mode.LOCAL)
    except ValueError:
        raise SpecError(
            f'--mode: expected one of {", ".join(Mode)}, got "{request.mode}"', hint="on this machine it is local"
        ) from None
    if mode is not Mode.LOCAL:
        raise SpecError(f"--mode {mode}: this machine has mode local only", hint="leave out --mode")
    if request.directives:
        raise SpecError(
            "--directive: mode local has no scheduler that could read directives", hint="leave it out, or use --time"
        )
    return mode


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


def launch_spec(request: Request, catalogue: Catalogue, place: Place, new_id: SessionId) -> LaunchSpec:
    """Resolve a request. Raises NotFound, SpecError (all problems of the values at once), Refused."""
    mode = mode_of(request, place.elsewhere)
    service: ServiceSpec = catalogue.spec(request.service)
    for key in request.settings:
        check_name(key.replace(".", "_"))
    if re.search(r"\s", place.workdir):
        raise Refused(
            f'the folder for sessions has a blank in its name: "{printable(place.workdir)}"',
            hint="service scripts cannot cope with that; set workdir of [clusters.local] in config.toml",
        )
    params, hidden = resolve(catalogue.entry(request.service), request.settings, place.defaults)
    return LaunchSpec(
        service=service,
        workflow=request.service,
        cluster=LOCAL,
        mode=mode,
        user=place.user,
        jobdir=str(PurePosixPath(place.workdir) / "sessiond" / new_id),
        params=params,
        secrets={"service_token": secrets.token_urlsafe(24), **hidden},
        resources=Resources(walltime_s=walltime_s(request.time)),
        setup=place.setup,
    )


def new_session(
    request: Request,
    catalogue: Catalogue,
    place: Place,
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
        spec=launch_spec(request, catalogue, place, new_id),
        open_port=open_port,
        created=now,
        state=State.RENDER,
        since=now,
    )
