"""What a person said the last time they started a service or a workflow, for those who want it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import structlog

from sessiond.config.catalogue import Catalogue
from sessiond.core.errors import SpecError, StateError, printable
from sessiond.core.session import Session
from sessiond.forms.model import Form, is_secret
from sessiond.runtime.folders import Folders
from sessiond.runtime.launch import Request
from sessiond.runtime.resources import behind
from sessiond.store.store import Store

log = structlog.get_logger(__name__)

_LARGEST = 256 * 1024
"""More than so many bytes are not remembered."""
_SCHEDULER = "jobschedulertype"
_INPUTS = "inputs.json"
_INPUTS_BYTES = 1 << 20


class Last(msgspec.Struct, frozen=True):
    """What was said, without secrets. ``cluster`` and ``mode`` are empty where nothing was."""

    cluster: str = ""
    mode: str = ""
    time: str = ""
    directives: tuple[str, ...] = ()
    max_wait_s: float | None = None
    settings: dict[str, str] = {}


class Memory:
    """One document for each workflow and service, in the state database, and one for each session, in its folder."""

    def __init__(self, store: Store, catalogue: Callable[[], Catalogue], folders: Folders) -> None:
        self._store = store
        self._catalogue = catalogue
        self._folders = folders

    def last(self, name: str) -> Last | None:
        """What was said of the workflow or service whose whole name this is; None if nothing is remembered."""
        text = self._store.fact(_key(name))
        return None if text is None else _read(text)

    def of(self, session: Session) -> Last | None:
        """What was said when a session was started; None if it is not remembered."""
        return _read(self._folders.read(session.id, _INPUTS, _INPUTS_BYTES) or b"")

    def recalled(self, request: Request) -> Request:
        """The request with what was said the last time behind it, if it asks for that.

        What goes with a cluster (mode, directives, the longest wait) is not taken to another one. Raises SpecError
        where nothing is remembered, NotFound, Conflict.
        """
        if not request.again:
            return request
        catalogue = self._catalogue()
        known = catalogue.is_workflow(request.service)
        last = self.last(catalogue.workflow(request.service).name if known else request.service)
        if last is None:
            if not known:
                catalogue.entry(request.service)
            raise SpecError(
                f"--again: {printable(request.service)} was not started before",
                hint="leave it out; what is given now is remembered for the next time",
            )
        here = request.cluster in ("", last.cluster)
        spoken = [value.lower() for name, value in request.settings.items() if _is_scheduler(name)]
        mode = last.mode if here and not spoken else ""
        same = here and {request.mode, *spoken} <= {"", last.mode}
        return replace(
            request,
            cluster=request.cluster or last.cluster,
            mode=request.mode or mode,
            time=request.time or last.time,
            directives=request.directives or (last.directives if same else ()),
            max_wait_s=request.max_wait_s or (last.max_wait_s if same else None),
            remembered=last.settings,
        )

    def keep(self, request: Request, session: Session) -> None:
        """Remember what was said for a session that was begun. A full disk is no reason to refuse the session."""
        name = session.spec.workflow
        said = request.mode or any(_is_scheduler(key) for key in request.settings)
        last = Last(
            cluster=session.spec.cluster,
            mode=session.spec.mode.value if said else "",
            time=request.time,
            directives=request.directives,
            max_wait_s=request.max_wait_s,
            settings=behind(request.remembered, self._settings(request, session)),
        )
        text = msgspec.json.encode(last).decode()
        try:
            if len(text) <= _LARGEST:
                self._store.set_fact(_key(name), text)
                self._folders.write(session.id, _INPUTS, text.encode())
        except (StateError, OSError) as error:
            log.warning("what was said is not remembered", workflow=name, reason=str(error))

    def _settings(self, request: Request, session: Session) -> dict[str, str]:
        """What was given, by ``section.param`` where there is a form, without secrets and what the mode says."""
        file = self._catalogue().workflows.get(session.spec.workflow)
        form = Form(file="") if file is None else file.read()
        found: dict[str, str] = {}
        for key, value in request.settings.items():
            params = form.called(key)
            flat = params[0].variable if params else key.replace(".", "_")
            if not (is_secret(flat) or flat in session.spec.secrets or _is_scheduler(flat)):
                found[params[0].dotted if params else flat] = value
        return found


def _read(text: str | bytes) -> Last | None:
    try:
        return msgspec.json.decode(text, type=Last)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _key(name: str) -> str:
    return f"last said of {name}"


def _is_scheduler(name: str) -> bool:
    return name.replace(".", "_").endswith(_SCHEDULER)
