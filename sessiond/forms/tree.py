"""XML from anybody as a small tree that knows its lines, or the reason why not.

The parser is the standard library's expat, used directly. `xml.etree` has no line numbers, and a problem without its
line helps nobody; defusedxml wraps `xml.etree`, so it has none either, and what it adds is to refuse document types and
entities, which is one handler here. Refusing every document type refuses all entities with it: those that grow
(expat itself bounds them only from 2.4.1 on; RHEL 9 has 2.5, RHEL 8 has 2.2) and those that name files or addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

SIZE_LIMIT = 1 << 20
"""The largest form that is read, in bytes; real ones have up to some twenty thousand."""
DEPTH_LIMIT = 32
"""How deep elements may be nested; real forms have seven levels."""
NODES_LIMIT = 20_000
"""How many elements a form may have."""


class BadXml(ValueError):
    """A file that is no XML, or XML that is not read: ``line`` (from 1) and what is wrong there."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(slots=True, kw_only=True)
class Node:
    """An element: where it begins, what is in it."""

    tag: str
    line: int
    attributes: Mapping[str, str]
    children: list[Node] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its own text, with blanks and new lines made one blank each."""
        return " ".join("".join(self.parts).split())

    def all(self, *tags: str) -> Iterator[Node]:
        """Its children of these kinds."""
        return (child for child in self.children if child.tag in tags)

    def get(self, name: str) -> str | None:
        """An attribute, or None."""
        return self.attributes.get(name)


def parse(data: bytes) -> Node:
    """The root of a document. Raises BadXml."""
    if len(data) > SIZE_LIMIT:
        raise BadXml(1, f"it has more than {SIZE_LIMIT >> 20} MiB: no form is that large")
    builder = _Builder()
    try:
        builder.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BadXml(error.lineno, f"it is not well-formed XML: {expat.ErrorString(error.code)}") from None
    except (ValueError, LookupError) as error:
        if isinstance(error, BadXml):
            raise
        # pyexpat asks Python for encodings that expat does not know, and Python raises what its codecs raise.
        raise BadXml(1, "its encoding is not one that is read: use UTF-8") from None
    if builder.root is None:  # expat itself refuses a document without a root
        raise BadXml(1, "it is empty")
    return builder.root


class _Builder:
    """What the parser calls."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._count = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _refuse(self, what: str) -> NoReturn:
        raise BadXml(self.parser.CurrentLineNumber, what)

    def _doctype(self, *_: object) -> None:
        self._refuse("it has a document type (<!DOCTYPE), which may define entities: remove it")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > NODES_LIMIT:
            self._refuse(f"it has more than {NODES_LIMIT} elements")
        if len(self._open) == DEPTH_LIMIT:
            self._refuse(f"its elements are nested more than {DEPTH_LIMIT} deep")
        node = Node(tag=tag, line=self.parser.CurrentLineNumber, attributes=attributes)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def _end(self, _tag: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].parts.append(text)
