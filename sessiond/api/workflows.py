"""``/v1/workflows``: the forms in front of services, and the check of a form's file."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec
from aiohttp import web

from sessiond.api import wire
from sessiond.api.memory import Memory
from sessiond.api.service import Desk
from sessiond.config.catalogue import Catalogue
from sessiond.config.workflows import WorkflowFile
from sessiond.core.errors import SpecError, printable
from sessiond.forms.model import Condition, Form, Option, Param, in_words
from sessiond.forms.xml import read_form
from sessiond.runtime.resources import NAMES


class CheckBody(msgspec.Struct, forbid_unknown_fields=True):
    """`wire.CheckWorkflow`, checked."""

    file: str
    content: str


class WorkflowRoutes:
    """The handlers of everything below ``/v1/workflows``."""

    def __init__(self, desk: Desk, memory: Memory) -> None:
        self._desk = desk
        self._memory = memory

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes."""
        router.add_get("/v1/workflows", self.list_all)
        router.add_get("/v1/workflows/{name}", self.show)
        router.add_get("/v1/workflows/{service}/{form}", self.show)
        router.add_post("/v1/workflows/check", self.check)

    async def list_all(self, _request: web.Request) -> web.Response:
        """Every form, also those that cannot be used."""
        catalogue = self._desk.catalogue()
        return web.json_response([self._view(file, catalogue) for file in catalogue.workflows.values()])

    async def show(self, request: web.Request) -> web.Response:
        """One form."""
        catalogue = self._desk.catalogue()
        file = catalogue.workflow("/".join(request.match_info.values()))
        return web.json_response(self._view(file, catalogue))

    def _view(self, file: WorkflowFile, catalogue: Catalogue) -> wire.Workflow:
        form = file.read()
        found = workflow_view(form, catalogue, name=file.name, folder=file.folder, path=str(file.path))
        last = self._memory.last(file.name)
        if last is not None:
            # what the form asked for once and does not now is not taken either
            found["last"] = {name: value for name, value in last.settings.items() if form.called(name) or name in NAMES}
        return found

    async def check(self, request: web.Request) -> web.Response:
        """What is in a file, and what is wrong with it."""
        body = msgspec.json.decode(await request.read(), type=CheckBody)
        try:
            data = base64.b64decode(body.content, validate=True)
        except (binascii.Error, ValueError):
            raise SpecError("content: expected a file in base 64") from None
        form = read_form(printable(body.file, 300), data)
        return web.json_response(workflow_view(form, self._desk.catalogue(), path=body.file))


def workflow_view(form: Form, catalogue: Catalogue, *, path: str, name: str = "", folder: str = "") -> wire.Workflow:
    """A form as the API shows it."""
    service = form.service or folder
    problems = list(form.problems)
    warnings = list(form.warnings)
    if form.params and not service:
        warnings.append(f"{form.file}:1: it names no service; it can be used in a service's folder")
    elif not form.problems and service not in catalogue.services:
        problems.append(f"{form.file}:1: there is no service {printable(service)}, which it is for")
    stem = name.rpartition("/")[2]
    return {
        "name": name,
        "title": form.title or (stem.replace("_", " ").replace("-", " ") if stem else ""),
        "description": form.description,
        "service": service,
        "file": path,
        "params": [_param(param) for param in form.params],
        "problems": problems,
        "warnings": warnings,
        "last": {},
    }


def _param(param: Param) -> wire.WorkflowParam:
    return {
        "name": param.dotted,
        "variable": param.variable,
        "section": param.section,
        "label": param.label,
        "help": param.help,
        "type": param.kind.value,
        "default": "" if param.secret else param.default,
        "options": [*(_option(one, one.when) for one in param.options), *_dependent(param)],
        "min": param.min,
        "max": param.max,
        "multiple": param.multiple,
        "required": param.required,
        "secret": param.secret,
        "when": _words(param.when),
    }


def _dependent(param: Param) -> list[wire.WorkflowOption]:
    if param.choices is None:
        return []
    return [
        {"value": one.value, "label": one.label, "when": f"{param.choices.ref} is {value}"}
        for value, options in param.choices.by_value.items()
        for one in options
    ]


def _option(option: Option, when: Sequence[Condition]) -> wire.WorkflowOption:
    return {"value": option.value, "label": option.label or option.value, "when": _words(when)}


def _words(when: Sequence[Condition]) -> str:
    return " and ".join(map(in_words, when))
