"""Forms as the API shows them, and as `workflow check` does without a daemon."""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.api import wire, wire_forms
from sessiond.config.beside import BadPicture
from sessiond.config.catalogue import Catalogue
from sessiond.config.workflows import WorkflowFile, wrong_beside
from sessiond.core.errors import printable
from sessiond.forms.asks import asks
from sessiond.forms.model import Condition, Form, Option, Param, in_words


def of_catalogue(file: WorkflowFile, catalogue: Catalogue) -> wire_forms.Workflow:
    """A form that is in a service's folder."""
    form = file.read()
    found = of_form(form, catalogue, path=str(file.path), name=file.name, folder=file.folder)
    found["description"] = file.description() or found["description"]
    found["warnings"] += wrong_beside(file.path, f"{file.name}.xml")
    if picture_of(file, form, catalogue) is not None:
        found["thumbnail"] = f"{wire.API}/workflows/{file.name}/thumbnail"
    return found


def picture_of(file: WorkflowFile, form: Form, catalogue: Catalogue) -> bytes | None:
    """Its own picture, else that of the service which it starts, else that of the one in whose folder it is."""
    services = (catalogue.services.get(name) for name in (form.service, file.folder))
    for has in (file, *services):
        try:
            found = None if has is None else has.picture()
        except BadPicture:
            continue
        if found is not None:
            return found
    return None


def of_form(form: Form, catalogue: Catalogue, *, path: str, name: str = "", folder: str = "") -> wire_forms.Workflow:
    """A form, wherever its file is. ``folder`` is the service that it is for where it names none."""
    service = form.service or folder
    problems, warnings = list(form.problems), list(form.warnings)
    if form.params and not service:
        warnings.append(f"{form.file}:1: it names no service; it can be used in a service's folder")
    elif not form.problems and service not in catalogue.services:
        problems.append(f"{form.file}:1: there is no service {printable(service)}, which it is for")
    stem = name.rpartition("/")[2]
    return {
        "name": name,
        "title": form.title or stem.replace("_", " ").replace("-", " "),
        "description": form.description,
        "service": service,
        "file": path,
        "params": [_param(param) for param in form.params],
        "thumbnail": "",
        "problems": problems,
        "warnings": warnings,
        "last": {},
    }


def _param(param: Param) -> wire_forms.WorkflowParam:
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
        "asks": asks(param.variable),
    }


def _dependent(param: Param) -> list[wire_forms.WorkflowOption]:
    if param.choices is None:
        return []
    return [
        {"value": one.value, "label": one.label, "when": f"{param.choices.ref} is {value}"}
        for value, options in param.choices.by_value.items()
        for one in options
    ]


def _option(option: Option, when: Sequence[Condition]) -> wire_forms.WorkflowOption:
    return {"value": option.value, "label": option.label or option.value, "when": _words(when)}


def _words(when: Sequence[Condition]) -> str:
    return " and ".join(map(in_words, when))
