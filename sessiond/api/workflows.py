"""``/v1/workflows``: the forms in front of services, their pictures, and the check of a form's file."""

from __future__ import annotations

import base64
import binascii

import msgspec
from aiohttp import web
from anyio import to_thread

from sessiond.api import formview, wire_forms
from sessiond.api.bodies import body_of
from sessiond.api.memory import Memory
from sessiond.api.pictures import picture_answer
from sessiond.api.service import Desk
from sessiond.config.catalogue import Catalogue
from sessiond.config.workflows import WorkflowFile
from sessiond.core.errors import SpecError, printable
from sessiond.forms.xml import read_form
from sessiond.runtime.resources import NAMES


class CheckBody(msgspec.Struct, forbid_unknown_fields=True):
    """`wire_forms.CheckWorkflow`, checked."""

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
        router.add_get("/v1/workflows/{name}/thumbnail", self.picture)
        router.add_get("/v1/workflows/{service}/{form}", self.show)
        router.add_get("/v1/workflows/{service}/{form}/thumbnail", self.picture)
        router.add_post("/v1/workflows/check", self.check)

    async def list_all(self, _request: web.Request) -> web.Response:
        """Every form, also those that cannot be used."""
        catalogue = self._desk.catalogue()
        # A millisecond a form: dozens of them would hold up everybody else.
        found = await to_thread.run_sync(
            lambda: [formview.of_catalogue(file, catalogue) for file in catalogue.workflows.values()]
        )
        return web.json_response([self._remembered(view) for view in found])

    async def show(self, request: web.Request) -> web.Response:
        """One form."""
        file, catalogue = self._file("/".join(request.match_info.values()))
        return web.json_response(self._remembered(formview.of_catalogue(file, catalogue)))

    async def picture(self, request: web.Request) -> web.Response:
        """A form's picture; the form of a service that is itself called so goes before it."""
        parts = [*request.match_info.values()]
        catalogue = self._desk.catalogue()
        if "/".join([*parts, "thumbnail"]) in catalogue.workflows:
            file, catalogue = self._file("/".join([*parts, "thumbnail"]))
            return web.json_response(self._remembered(formview.of_catalogue(file, catalogue)))
        file, catalogue = self._file("/".join(parts))
        return picture_answer(formview.picture_of(file, file.read(), catalogue), file.name)

    def _file(self, name: str) -> tuple[WorkflowFile, Catalogue]:
        catalogue = self._desk.catalogue()
        return catalogue.workflow(name), catalogue

    def _remembered(self, view: wire_forms.Workflow) -> wire_forms.Workflow:
        last = self._memory.last(view["name"])
        if last is not None:
            # what the form asked for once and does not now is not taken either
            known = {param["name"]: param["secret"] for param in view["params"]}
            view["last"] = {
                name: value for name, value in last.settings.items() if name in NAMES or not known.get(name, True)
            }
        return view

    async def check(self, request: web.Request) -> web.Response:
        """What is in a file, and what is wrong with it."""
        body = await body_of(request, CheckBody)
        try:
            data = base64.b64decode(body.content, validate=True)
        except (binascii.Error, ValueError):
            raise SpecError("content: expected a file in base 64") from None
        form = read_form(printable(body.file, 300), data)
        return web.json_response(formview.of_form(form, self._desk.catalogue(), path=body.file))
