"""A bundle for a support desk: one archive, readable by its owner alone, that takes no other file's place unasked."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sessiond.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

STDOUT = "-"


def write(target: str, name: str, files: Mapping[str, str], *, force: bool) -> None:
    """Write ``files``, by their path, as one .tar.gz to the file ``target``, or to standard output where it is ``-``.

    Raises ClientError where the file is there already and ``force`` does not say that it may be replaced, or where it
    cannot be written.
    """
    content = _archive(name, files)
    if target == STDOUT:
        if sys.stdout.isatty():
            raise ClientError(
                "bad-request", "an archive is nothing for a terminal", "name a file, or send it to a pipe"
            )
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    path = Path(target)
    try:
        if force:
            aside = path.with_name(f".{path.name}.{os.getpid()}")
            _create(aside, content)
            aside.replace(path)
        else:
            _create(path, content)
    except FileExistsError:
        raise ClientError("refused", f"{target} is there already", "choose another name, or --force") from None
    except OSError as error:
        raise ClientError("refused", f"{target} cannot be written: {error.strerror}", "name another file") from None


def _create(path: Path, content: bytes) -> None:
    """A new file, whole or not at all."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _archive(name: str, files: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    now = int(time.time())
    folder = "sessiond-" + "".join(char if char.isalnum() or char in "._-" else "_" for char in name)
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, text in sorted(files.items()):
            content = text.encode(errors="replace")
            member = tarfile.TarInfo(f"{folder}/{path}")
            member.size, member.mode, member.mtime = len(content), 0o600, now
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()
