"""The services that can be started: one folder each, the user's own over those that come with sessiond."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from sessiond import paths
from sessiond.config import params as _params
from sessiond.config.beside import PICTURE, picture
from sessiond.config.manifest import Manifest, parse_manifest
from sessiond.config.params import Param, ParamType
from sessiond.config.reader import nearest, read_text
from sessiond.config.values import file_text, is_name
from sessiond.config.workflows import FOLDER, WorkflowFile, skipped, workflow_files
from sessiond.core.errors import ConfigError, Conflict, NotFound, Refused, SpecError
from sessiond.core.spec import Prefix, Probe, Scheme, ServiceFile, ServiceSpec

FILES_LIMIT = 1000
"""How many files a service folder may hold."""
BYTES_LIMIT = 16 << 20
"""How many bytes they may have together: all of it travels to the execution host and into the state database."""

START = "start-template.sh"
MANIFEST = "service.toml"

_HTTPS = frozenset({"nicedcv"})
"""Existing service folders that speak https and have no service.toml to say so: people know them by their names."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NEVER = frozenset({".git", "__pycache__"})
_FOR_PEOPLE = ("README", "thumbnail", FOLDER)

_FEW = 8
"""So many names can be taken in at a glance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A service folder in the catalogue; one with ``problems`` cannot be started, and they say why."""

    name: str
    folder: Path
    manifest: Manifest = field(default_factory=Manifest)
    problems: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What people call it; the folder's name if it has no title."""
        return self.manifest.title or self.name

    @property
    def description(self) -> str:
        """One sentence, or empty."""
        return self.manifest.description

    @property
    def params(self) -> tuple[Param, ...]:
        """The parameters it declares."""
        return tuple((self.manifest.params or {}).values())

    @property
    def prefix(self) -> Prefix:
        """What the gateway does with ``/me/<openPort>``."""
        return self.manifest.prefix

    @property
    def scheme(self) -> Scheme:
        """What the service speaks."""
        return self.manifest.scheme or (Scheme.HTTPS if self.name in _HTTPS else Scheme.HTTP)

    @property
    def probe(self) -> Probe:
        """How the service is asked whether it is ready."""
        return self.manifest.probe

    @property
    def ready_within_s(self) -> float:
        """How long it may take to answer, in seconds."""
        return self.manifest.ready_within_s

    def picture(self) -> bytes | None:
        """Its picture; None where it has none. Raises BadPicture."""
        return picture(self.folder / PICTURE)


def folders(more: Sequence[Path]) -> tuple[Path, ...]:
    """Where services are: those that come with sessiond, those of the configuration, the user's own."""
    return (paths.data_dir("services"), *more, paths.user_services_dir())


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What was found. ``problems``: folders of services that could not be read.

    ``workflows`` are the forms' files by name; a form is read when it is wanted.
    """

    services: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    workflows: Mapping[str, WorkflowFile] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, dirs: Sequence[Path]) -> Catalogue:
        """Read folders of services, a later one over an earlier one; a folder that does not exist is empty.

        Names that begin with ``_`` or ``.`` are no services. A folder of a known service's name that holds forms and no
        service adds them to that service. Never raises: what is wrong with a folder is in its entry.
        """
        found: dict[str, Entry] = {}
        forms: dict[str, dict[str, WorkflowFile]] = {}
        problems: list[str] = []
        for parent in dirs:
            try:
                folders = sorted(path for path in parent.iterdir() if path.name[0] not in "_." and path.is_dir())
            except FileNotFoundError:
                continue
            except OSError as error:
                problems.append(f"{parent} cannot be read: {error.strerror or error}")
                continue
            for folder in folders:
                name = file_text(folder.name)
                if not (name in found and _is_of_forms_only(folder)):
                    found[name] = _entry(folder)
                    forms[name] = {}
                if name != folder.name:
                    continue
                # What lies in workflows/ goes before what lies beside the scripts.
                forms[name] |= {file.name: file for file in reversed([*workflow_files(folder)])}
                problems.extend(skipped(folder))
        workflows = {name: file for files in forms.values() for name, file in files.items()}
        return cls(
            services=MappingProxyType(dict(sorted(found.items()))),
            workflows=MappingProxyType(dict(sorted(workflows.items()))),
            problems=tuple(problems),
        )

    def workflow(self, name: str) -> WorkflowFile:
        """The form called ``name``: ``service/form``, or the form's part of it where only one form has that.

        Raises NotFound, Conflict.
        """
        found = self.workflows.get(name)
        alike = [file for file in self.workflows.values() if name == file.stem]
        if found is not None or len(alike) == 1:
            return found or alike[0]
        if alike:
            names = ", ".join(file.name for file in alike[:8])
            raise Conflict(f"{len(alike)} workflows are called {_short(name)}", hint=f"Say which: {names}.")
        near = nearest(name, (*self.workflows, *(file.stem for file in self.workflows.values())))
        raise NotFound(
            f"there is no workflow {_short(name)}",
            hint=f"Did you mean {near}?" if near else "`sessionctl workflows` lists them.",
        )

    def is_workflow(self, name: str) -> bool:
        """Whether ``name`` means a form, and not a service."""
        return name not in self.services and any(name in (file.name, file.stem) for file in self.workflows.values())

    def entry(self, name: str) -> Entry:
        """The service ``name``; raises NotFound with the nearest names as hint."""
        found = self.services.get(name)
        if found is None:
            known = tuple(self.services)
            near = nearest(name, (*known, *self.workflows, *(file.stem for file in self.workflows.values())))
            few = f"Services: {', '.join(known)}." if known else "No service was found; see `sessionctl services`."
            listed = few if len(known) <= _FEW else f"`sessionctl services` lists all {len(known)}."
            raise NotFound(
                f"there is no service {_short(name)}", hint=f"Did you mean {near}? {listed}" if near else listed
            )
        return found

    def spec(self, name: str) -> ServiceSpec:
        """The folder of service ``name`` as it is now, with every file in it.

        Raises NotFound if there is no such service; Refused with every problem, one line each, if it cannot be started.
        """
        folder = self.entry(name).folder
        # the folder is read anew, its service.toml too: what starts is what the files say now
        entry = _entry(folder)
        if entry.problems:
            raise Refused("\n".join(entry.problems), hint=f"Correct the files in {folder}.", code="bad-service")
        return ServiceSpec(
            name=name,
            title=entry.title,
            files=_files(name, folder),
            prefix=entry.prefix,
            scheme=entry.scheme,
            probe=entry.probe,
            ready_within_s=entry.ready_within_s,
        )


def resolve(
    entry: Entry, given: Mapping[str, str], defaults: Mapping[str, str] = _NOTHING
) -> tuple[dict[str, str], dict[str, str]]:
    """The variables of a session of this service, and apart from them the secret ones; see `params.resolve`.

    ``defaults`` are a cluster's (`ClusterConfig.defaults`): they stand between the person's and the service's own, and
    those that the service does not know are passed over, as they are for all services of the cluster.

    Raises SpecError with every problem, a line each.
    """
    known = entry.manifest.params
    spelled = {name.replace(".", "_") for name in given}
    fitting = {
        name: value for name, value in defaults.items() if name not in spelled and (known is None or name in known)
    }
    return _params.resolve(entry.name, known, fitting | dict(given))


def left_out(entry: Entry, given: Collection[str]) -> tuple[dict[str, str], frozenset[str]]:
    """Of the parameters that a service declares, those that are not ``given``, with their defaults; and which of all
    are secret.

    Raises SpecError for those that are required and have none.
    """
    missing = [param for param in entry.params if param.name not in given]
    lacking = [f"{param.name} is missing: {entry.name} needs it" for param in missing if _lacks(param)]
    if lacking:
        raise SpecError("\n".join(lacking), hint="The form should ask for it.")
    usual = {param.name: param.default or ("false" if param.type is ParamType.BOOLEAN else "") for param in missing}
    return usual, frozenset(param.name for param in entry.params if param.secret)


def _lacks(param: Param) -> bool:
    return param.required and not param.default


def _is_of_forms_only(folder: Path) -> bool:
    return (folder / FOLDER).is_dir() and not any((folder / name).exists() for name in (START, MANIFEST))


def _entry(folder: Path) -> Entry:
    name = file_text(folder.name)
    problems: list[str] = []
    manifest = Manifest()
    if not is_name(name):
        problems.append(f"{_short(name)}: a service's name is made of letters, digits, dots, dashes and underscores")
    try:
        if not stat.S_ISREG((folder / START).stat().st_mode):
            problems.append(f"{_short(name)}/{START} is not an ordinary file")
    except FileNotFoundError:
        problems.append(f"{_short(name)}/{START} is missing: it is the script that starts the service")
    except OSError as error:
        problems.append(f"{_short(name)}/{START} cannot be read: {error.strerror or error}")
    try:
        text = read_text(folder / MANIFEST)
        manifest = manifest if text is None else parse_manifest(f"{_short(name)}/{MANIFEST}", text)
    except ConfigError as error:
        problems.extend(error.problems)
    return Entry(name=name, folder=folder, manifest=manifest, problems=tuple(problems))


def _files(name: str, folder: Path) -> tuple[ServiceFile, ...]:
    """Every file of the folder that the execution host needs; raises Refused at the first that cannot be taken."""
    found: list[ServiceFile] = []
    left = BYTES_LIMIT
    try:
        root = folder.resolve(strict=True)
        for path in _walk(root, root):
            relative = path.relative_to(root).as_posix()
            if len(found) == FILES_LIMIT:
                raise Refused(f"{name}: more than {FILES_LIMIT} files", hint=_TOO_LARGE)
            file = _file(name, root, relative, left)
            left -= len(file.content)
            found.append(file)
    except OSError as error:
        raise Refused(f"{name}: {error.filename or folder} cannot be read: {error.strerror or error}") from None
    return tuple(found)


_TOO_LARGE = "A service folder holds scripts; let them fetch or unpack what is large on the execution host."


def _walk(root: Path, folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _NEVER or (folder == root and path.name.startswith(_FOR_PEOPLE)):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(root, path)
        else:
            yield path


def _file(name: str, root: Path, relative: str, left: int) -> ServiceFile:
    if not relative.isprintable():
        raise Refused(f"{name}: the file name {_short(relative)} has characters that cannot be printed")
    # not Path.resolve: it reports a circle of links by RuntimeError before Python 3.13
    target = Path(os.path.realpath(root / relative, strict=True))
    if not target.is_relative_to(root):
        raise Refused(f"{name}/{relative} is a link that leaves the folder", hint="Put a copy of the file there.")
    mode = target.stat().st_mode
    # asked before it is opened: opening a named pipe would hold the daemon until somebody writes to it
    if not stat.S_ISREG(mode):
        raise Refused(f"{name}/{relative} is neither a file nor a folder of its own")
    with target.open("rb") as file:
        content = file.read(left + 1)
    if len(content) > left:
        raise Refused(f"{name}: more than {BYTES_LIMIT >> 20} MiB", hint=_TOO_LARGE)
    return ServiceFile(path=relative, content=content, executable=bool(mode & stat.S_IXUSR))


def _short(text: str) -> str:
    """A name from outside, fit for a message."""
    return text if text.isprintable() and len(text) <= 64 else ascii(text[:64])
