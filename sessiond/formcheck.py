"""What the command line says of forms without a daemon: everything is read from the files that are here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sessiond import paths
from sessiond.api import formview, wire_forms
from sessiond.client_http import ClientError
from sessiond.config.beside import description
from sessiond.config.catalogue import START, Catalogue, folders
from sessiond.config.load import load
from sessiond.config.values import is_name
from sessiond.config.workflows import FOLDER, read_file, wrong_beside
from sessiond.core.errors import ConfigError, SessiondError, printable


def named(name: str) -> wire_forms.Workflow:
    """The form that is called so in the folders of services. Raises ClientError."""
    catalogue, warnings = _catalogue()
    try:
        found = formview.of_catalogue(catalogue.workflow(name), catalogue)
    except SessiondError as error:
        raise ClientError(error.code, error.message, error.hint) from None
    found["warnings"] += warnings
    return found


def in_file(name: str) -> wire_forms.Workflow:
    """The form in a file, wherever it lies; in a service's folder, it is for that service. Raises ClientError."""
    path = Path(name)
    try:
        path.stat()
    except (OSError, ValueError) as error:
        code = "not-found" if isinstance(error, FileNotFoundError) else "refused"
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ClientError(code, f"{printable(name, 300)} cannot be read: {reason}") from None
    catalogue, warnings = _catalogue()
    form = read_file(path, printable(name, 300))
    folder = path.absolute().parent
    folder = folder.parent if folder.name == FOLDER else folder
    if (folder / START).exists():
        # Who writes services may keep them anywhere: the form is held against those that it lies among.
        catalogue = replace(catalogue, services={**Catalogue.read([folder.parent]).services, **catalogue.services})
    around = folder.name if folder.name in catalogue.services else ""
    found = formview.of_form(form, catalogue, path=name, folder=around)
    found["description"] = description(path.with_suffix(".md"))[0] or found["description"]
    if not is_name(path.stem):
        warnings.append(f"{form.file}:1: a workflow's name is made of letters, digits, dots, dashes and underscores")
    found["warnings"] += [*wrong_beside(path, form.file), *warnings]
    return found


def _catalogue() -> tuple[Catalogue, list[str]]:
    """The services that are here, and what is not known of them."""
    warnings: list[str] = []
    more: tuple[Path, ...] = ()
    file = paths.config_file()
    try:
        more = load(file).daemon.services_dirs
    except ConfigError:
        warnings.append(
            f"{file.name}:1: it has problems, so the folders of services that it may name were not looked at"
        )
    return Catalogue.read(folders(more)), warnings
