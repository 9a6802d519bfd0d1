"""The standard streams as a command line needs them: always there, and honest about what could not be written."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, Final

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class NotWritten(Exception):
    """Standard output takes no more, and not because its reader has enough. ``is_full``: for want of room."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.is_full = error.errno in _FULL


class _Output(io.FileIO):
    """Standard output. That its reader has enough is passed on as it is."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            return self.refused(error, memoryview(data).nbytes)

    def refused(self, error: OSError, size: int) -> int:
        """That it cannot be written is told apart from everything else that a system refuses."""
        raise NotWritten(error) from None


class _Errors(_Output):
    """Standard error."""

    def refused(self, error: OSError, size: int) -> int:
        """Nobody can be told; the exit status says it all the same."""
        return size


def prepare() -> None:
    """Put the streams in order. One that is closed, as some programs start others, is /dev/null: else the next file
    that is opened would take its number. A terminal that cannot show a character gets a question mark."""
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    for name, kind in (("stdout", _Output), ("stderr", _Errors)):
        old: io.TextIOWrapper | None = getattr(sys, name)
        descriptor = old.fileno() if old is not None else os.open(os.devnull, os.O_WRONLY)
        raw = kind(descriptor, "w", closefd=False)
        encoding, lines = (old.encoding, old.line_buffering) if old is not None else ("utf-8", True)
        made = io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=lines)
        setattr(sys, name, made)


def let_go() -> None:
    """What standard output still holds is for nobody, and must not fail again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
