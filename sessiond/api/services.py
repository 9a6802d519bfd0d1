"""``/v1/services``: what can be started without a form, and the pictures of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from aiohttp import web
from anyio import to_thread

from sessiond.api import wire, wire_forms
from sessiond.api.memory import Memory
from sessiond.api.pictures import picture_answer
from sessiond.api.service import Desk
from sessiond.config.beside import BadPicture
from sessiond.config.catalogue import Catalogue, Entry
from sessiond.config.values import file_text
from sessiond.core.errors import NotFound, printable


class ServiceRoutes:
    """The handlers of everything below ``/v1/services``."""

    def __init__(self, desk: Desk, memory: Memory) -> None:
        self._desk = desk
        self._memory = memory

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes."""
        router.add_get("/v1/services", self.list_all)
        router.add_get("/v1/services/{name}", self.show)
        router.add_get("/v1/services/{name}/thumbnail", self.picture)

    async def list_all(self, _request: web.Request) -> web.Response:
        """What can be started, and what cannot and why."""
        catalogue = self._desk.catalogue()
        forms = await to_thread.run_sync(_forms, catalogue)
        return web.json_response([self._view(entry, forms[entry.name]) for entry in catalogue.services.values()])

    async def show(self, request: web.Request) -> web.Response:
        """One service."""
        catalogue = self._desk.catalogue()
        entry = catalogue.entry(request.match_info["name"])
        forms = await to_thread.run_sync(_forms, catalogue)
        return web.json_response(self._view(entry, forms[entry.name]))

    async def picture(self, request: web.Request) -> web.Response:
        """The picture of one."""
        entry = self._desk.catalogue().entry(request.match_info["name"])
        try:
            return picture_answer(entry.picture(), entry.name)
        except BadPicture as error:
            raise NotFound(f"the picture of {printable(entry.name)} cannot be used: {error}") from None

    def _view(self, entry: Entry, forms: Sequence[str]) -> wire_forms.Service:
        """A service as the API shows it; a parameter that is secret has no default to show."""
        last = self._memory.last(entry.name)
        return {
            "name": entry.name,
            "title": entry.title,
            "description": entry.description,
            "folder": file_text(str(entry.folder)),
            "params": [
                {
                    "name": p.name,
                    "label": p.label,
                    "help": p.help,
                    "type": p.type,
                    "default": "" if p.secret else p.default,
                    "options": list(p.options),
                    "required": p.required,
                    "secret": p.secret,
                }
                for p in entry.params
            ],
            "workflows": list(forms),
            "thumbnail": f"{wire.API}/services/{entry.name}/thumbnail" if _has_picture(entry) else "",
            "problems": list(entry.problems),
            "last": {} if last is None else last.settings,
        }


def _forms(catalogue: Catalogue) -> Mapping[str, list[str]]:
    """The names of the forms that start each service."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for file in catalogue.workflows.values():
        found[file.read().service or file.folder].append(file.name)
    return found


def _has_picture(entry: Entry) -> bool:
    try:
        return entry.picture() is not None
    except BadPicture:
        return False
