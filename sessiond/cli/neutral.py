"""A stream of bytes made harmless for a terminal."""

from __future__ import annotations

import codecs
import re
from typing import Final

from sessiond.cli.output import safe

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]{0,32}m")
_BEGUN: Final = re.compile(r"\x1b(\[[0-9;]{0,32})?\Z")
_PARTS: Final = re.compile(r"\x1b\[[0-9;]{0,32}m|[\n\t\r]|[^\x00-\x1f]+|[\x00-\x1f]", re.DOTALL)


class Neutral:
    """Lets text, newlines, tabs, carriage returns and colours (SGR, ECMA-48) through; shows the rest as escapes.

    Characters and colours may be split between two pieces.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._coloured = False

    def feed(self, data: bytes) -> bytes:
        """What of ``data``, and of what was held back before, can be shown now."""
        text = self._held + self._decoder.decode(data)
        begun = _BEGUN.search(text)
        self._held = text[begun.start() :] if begun else ""
        return self._shown(text[: begun.start()] if begun else text)

    def end(self) -> bytes:
        """The rest, and the terminal's own colours again."""
        rest = self._shown(self._held + self._decoder.decode(b"", final=True))
        self._held = ""
        return rest + (b"\x1b[0m" if self._coloured else b"")

    def _shown(self, text: str) -> bytes:
        return "".join(map(self._part, _PARTS.findall(text))).encode("utf-8", "replace")

    def _part(self, part: str) -> str:
        if _COLOUR.fullmatch(part):
            self._coloured = True
            return part
        return part if part in "\n\t\r" else safe(part)
