"""Where a request is going: which session's door, and what of the path its service sees."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sessiond.core.spec import Prefix

_TARGET = re.compile(r"/(me|sme)/([1-9][0-9]{0,4})(?=[/?]|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A raw request target, cut: ``/<root>/<open_port>`` and then ``rest``, which keeps every byte as it came.

    ``rest`` is empty or begins with ``/`` or ``?``; it includes the query. ``root`` is ``me`` or ``sme``, and empty
    where the whole target is the service's, at an origin of its own.
    """

    root: str
    open_port: int
    rest: str

    @property
    def public(self) -> str:
        """What stands before the service's own paths, without a slash at its end."""
        return f"/{self.root}/{self.open_port}" if self.root else ""

    @property
    def bare(self) -> bool:
        """Whether the slash after the port is missing, without which relative links of the service go astray."""
        return not self.rest.startswith("/")

    def on(self, root: str) -> str:
        """The same place below another root."""
        return f"/{root}/{self.open_port}"

    def rest_of(self, raw: str) -> str:
        """``rest`` as it is in ``raw``, the target of the whole request."""
        found = parse(raw)
        return raw.removeprefix("/") if found is None else found.rest

    def upstream(self, prefix: Prefix) -> str:
        """The request target the service gets."""
        return self.rest if prefix is Prefix.STRIP else self.public + self.rest


def parse(raw: str) -> Target | None:
    """Cut a raw request target as aiohttp gives it; None where it names no door.

    The path is not normalised: what ``..``, ``//`` or ``%2F`` mean is the service's business, and the door is the
    one named first whatever follows.
    """
    match = _TARGET.match(raw)
    if match is None:
        return None
    return Target(root=match[1], open_port=int(match[2]), rest=raw[match.end() :])


def on_this_host(path: str) -> str:
    """``path`` as a ``Location`` names it: with two slashes at its beginning it would be the name of another host.

    Browsers take a backslash for a slash. Where the reference is resolved the dot goes again (RFC 3986, 5.2.4).
    """
    return f"/.{path}" if path[1:2] in ("/", "\\") else path
