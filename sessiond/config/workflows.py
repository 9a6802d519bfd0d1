"""The input forms in service folders: found by their names, read when somebody wants one."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sessiond.config.beside import BadPicture, description, picture
from sessiond.config.values import is_name
from sessiond.core.errors import printable
from sessiond.forms.model import Form
from sessiond.forms.tree import SIZE_LIMIT
from sessiond.forms.xml import read_form

FOLDER = "workflows"
"""Where in a service's folder its forms are."""

_ROOT = b"<tool"
_HEAD = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFile:
    """A form's file. ``folder`` is the name of the service folder it is in, ``stem`` its own without ``.xml``."""

    folder: str
    stem: str
    path: Path

    @property
    def name(self) -> str:
        """What it is called everywhere: ``folder/stem``."""
        return f"{self.folder}/{self.stem}"

    def read(self) -> Form:
        """The form as it is now. Never raises: what is wrong is in its ``problems``."""
        return read_file(self.path, f"{self.name}.xml")

    def description(self) -> str:
        """The text of the file beside it that ends in ``.md``; empty where there is none."""
        return description(self.path.with_suffix(".md"))[0]

    def picture(self) -> bytes | None:
        """The picture beside it; None where there is none. Raises BadPicture."""
        return picture(self.path.with_suffix(".png"))


def wrong_beside(path: Path, shown: str) -> list[str]:
    """What cannot be used of the files beside the form at ``path``, whose name is ``shown`` in messages."""
    found = []
    _, wrong = description(path.with_suffix(".md"))
    if wrong:
        found.append(f"{shown.removesuffix('.xml')}.md:1: {wrong}")
    try:
        picture(path.with_suffix(".png"))
    except BadPicture as error:
        found.append(f"{shown.removesuffix('.xml')}.png:1: {error}")
    return found


def read_file(path: Path, shown: str) -> Form:
    """The form in the file at ``path``, called ``shown`` in messages."""
    try:
        # asked before it is opened: opening a named pipe would hold the daemon until somebody writes to it
        if not stat.S_ISREG(path.stat().st_mode):
            return Form(file=shown, problems=(f"{shown}:1: it is not an ordinary file",))
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        return Form(file=shown, problems=(f"{shown}:1: it cannot be read: {error.strerror or error}",))
    return read_form(shown, data)


def workflow_files(folder: Path) -> Iterator[WorkflowFile]:
    """The forms of a service's folder: all XML in ``workflows/``, and beside the scripts what looks like a form."""
    for path in [*_xml(folder / FOLDER), *(path for path in _xml(folder) if _looks_like_a_form(path))]:
        if is_name(path.stem):
            yield WorkflowFile(folder=folder.name, stem=path.stem, path=path)


def skipped(folder: Path) -> Iterator[str]:
    """What is wrong with the names of files that would be forms."""
    for path in _xml(folder / FOLDER):
        if not is_name(path.stem):
            yield (
                f"{folder.name}/{FOLDER}/{printable(path.name)}: a workflow's name is made of letters, digits, dots, "
                "dashes and underscores"
            )


def _xml(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".xml" and not path.name.startswith("."))
    except OSError:
        return []


def _looks_like_a_form(path: Path) -> bool:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return _ROOT in file.read(_HEAD)
    except OSError:
        return False
