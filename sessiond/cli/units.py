"""The units of systemd as they are installed: ours, with a first line that tells whether somebody has edited them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
import sysconfig
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sessiond import paths
from sessiond.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

UNITS: Final = ("sessiond.socket", "sessiond.service")

_MARK: Final = "# Written by `sessionctl install`, which replaces this file unless it was edited: sha256 "
_LARGEST: Final = 1 << 20


class Kind(Enum):
    """What lies where a unit of ours belongs."""

    MISSING = "missing"
    OURS = "ours"
    """As some version of sessiond wrote it."""
    EDITED = "edited"
    """Edited, or of somebody else: a link to another place, or to /dev/null, too."""


def folder() -> Path:
    """Where a person's own units lie (systemd.unit(5))."""
    return paths.user_units_dir()


def rendered(program: Path) -> dict[str, str]:
    """Each unit's text for this installation, whose daemon is ``program``."""
    shipped = paths.data_dir("systemd")
    found = {}
    for name in UNITS:
        text = (shipped / name).read_text(encoding="utf-8")
        start = f"ExecStart={quoted(program)}"
        text = re.sub(r"^ExecStart=.*$", lambda _: start, text, flags=re.MULTILINE)  # noqa: B023 - used at once
        found[name] = f"{_MARK}{_digest(text)}\n{text}"
    return found


def kind(path: Path) -> Kind:
    """What ``path`` is. Raises ClientError where it cannot be read."""
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            return Kind.EDITED
        with path.open("rb") as file:
            content = file.read(_LARGEST)
    except FileNotFoundError:
        return Kind.MISSING
    except OSError as error:
        raise ClientError("failed", f"{path} cannot be read: {error.strerror}", f"`ls -ld {path}`") from None
    first, _, rest = content.partition(b"\n")
    if first == f"{_MARK}{hashlib.sha256(rest).hexdigest()}".encode():
        return Kind.OURS
    # Copied by hand, as the first version's instructions had it.
    shipped = (paths.data_dir("systemd") / path.name).read_bytes()
    return Kind.OURS if content == shipped else Kind.EDITED


def write(path: Path, text: str) -> None:
    """Put a unit in place: all of it or nothing. Raises ClientError."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        new.chmod(0o644)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise ClientError("failed", f"{path} cannot be written: {error.strerror}", f"`ls -ld {path.parent}`") from None


def program(environ: Mapping[str, str] = os.environ) -> Path:
    """This installation's daemon: the ``sessiond`` beside the sessionctl that runs. Raises ClientError.

    Links are kept where they lead into this very installation: pipx's in ~/.local/bin and a site's ``current`` outlive
    an upgrade.
    """
    called = Path(sys.argv[0]).absolute()
    beside = called.with_name("sessiond")
    real = called.resolve()
    if _is_program(beside) and beside.resolve().parent == real.parent:
        return beside
    for candidate in (real.with_name("sessiond"), Path(sysconfig.get_path("scripts"), "sessiond")):
        if _is_program(candidate):
            return candidate
    raise ClientError(
        "failed",
        "this sessionctl is not installed: there is no sessiond beside it for systemd to start",
        "install it, for example with pipx, and use that one",
    )


def quoted(path: Path) -> str:
    """A path as ExecStart= takes it: specifiers and quotes mean nothing (systemd.unit(5), systemd.service(5))."""
    text = str(path)
    if not text.isprintable():
        raise ClientError(
            "failed", f"systemd cannot be told a path with such characters: {text!r}", "install sessiond elsewhere"
        )
    text = text.replace("%", "%%")
    if re.fullmatch(r"[\w/.%+@:,=-]+", text, re.ASCII):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
