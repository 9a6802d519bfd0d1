"""What lies beside a form or a service for people: a description in Markdown, a picture."""

from __future__ import annotations

import stat
import struct
from pathlib import Path

PICTURE = "thumbnail.png"
"""A service's picture, in its folder."""

_TEXT_LIMIT = 16 * 1024
"""The longest description in bytes: it is a paragraph or two, and all forms are listed at once."""
_PICTURE_LIMIT = 64 * 1024
"""The largest picture in bytes; those that come with sessiond have less than a fortieth."""
_EDGE_LIMIT = 512
"""The longest side of one, in pixels: a small file can stand for a picture that fills a browser's memory."""
_PNG = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">8sI4sII")


class BadPicture(ValueError):
    """A file that is no picture for a page; its text says why."""


def description(path: Path) -> tuple[str, str]:
    """The text beside a form, empty where there is none, and what is wrong with it, usually nothing."""
    try:
        data = _read(path, _TEXT_LIMIT + 1)
    except FileNotFoundError:
        return "", ""
    except (OSError, ValueError) as error:
        return "", _reason(error)
    wrong = f"it has more than {_TEXT_LIMIT >> 10} KiB: the rest is left out" if len(data) > _TEXT_LIMIT else ""
    text = data[:_TEXT_LIMIT].decode("utf-8", "ignore" if wrong else "replace")
    return text.replace("\r\n", "\n").replace("\0", "").strip(), wrong


def picture(path: Path) -> bytes | None:
    """The PNG at ``path``; None where there is no file. Raises BadPicture for what is none or is too large."""
    try:
        data = _read(path, _PICTURE_LIMIT + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadPicture(_reason(error)) from None
    if len(data) > _PICTURE_LIMIT:
        raise BadPicture(f"it has more than {_PICTURE_LIMIT >> 10} KiB")
    if len(data) < _HEAD.size:
        raise BadPicture("it is no PNG")
    magic, size, chunk, width, height = _HEAD.unpack_from(data)
    if (magic, size, chunk) != (_PNG, 13, b"IHDR"):
        raise BadPicture("it is no PNG")
    if not (0 < width <= _EDGE_LIMIT and 0 < height <= _EDGE_LIMIT):
        raise BadPicture(f"it has {width} by {height} pixels; at most {_EDGE_LIMIT} by {_EDGE_LIMIT} are shown")
    return data


def _read(path: Path, size: int) -> bytes:
    # asked before it is opened: opening a named pipe would hold the daemon until somebody writes to it
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is not an ordinary file")
    with path.open("rb") as file:
        return file.read(size)


def _reason(error: OSError | ValueError) -> str:
    return f"it cannot be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
