"""Which services may listen on the session's own port, openPort, and not on servicePort.

In the workspace existing folders were given openPort as their port, and some use nothing else. Only their text tells:
it names openPort other than in a path such as ``/me/${openPort}/``, where services that emit links need it.
"""

from __future__ import annotations

import re

from sessiond.core.spec import ServiceSpec

_SAYS_NOTHING = frozenset({"url.sh", "kill-template.sh", "service.toml", "controller.sh"})
_FOR_PEOPLE = (".md", ".xml", ".html", ".css", ".js", ".txt")
_COMMENT = re.compile(r"(?m)(^|[ \t])#.*$")
_IN_A_PATH = re.compile(r"\bs?me/\$\{?openPort\b")
_OPEN_PORT = re.compile(r"\bopenPort\b")
_SERVICE_PORT = re.compile(r"\bservicePort\b")
_OURS = re.compile(r"\b(?:SESSIOND_BIND|SESSIOND_LISTEN_SOCKET|sessiond_listen_socket)\b")
"""Who knows these knows where to listen."""
_WORDS = (b"openPort", b"servicePort", b"SESSIOND_", b"sessiond_listen_socket")
"""Without one of these a file has nothing to say, and need not be read as text."""


def may_take_open_port(service: ServiceSpec) -> bool:
    """Whether the service may listen on openPort."""
    return _read(service)[0]


def takes_open_port(service: ServiceSpec) -> bool:
    """Whether it can hardly listen on anything else."""
    may, other = _read(service)
    return may and not other


def _read(service: ServiceSpec) -> tuple[bool, bool]:
    """Whether its scripts name openPort as one that could be listened on, and whether they name servicePort."""
    text = "\n".join(
        _COMMENT.sub("", file.content.decode("utf-8", errors="replace"))
        for file in service.files
        if file.path not in _SAYS_NOTHING
        and not file.path.endswith(_FOR_PEOPLE)
        and any(word in file.content for word in _WORDS)
    )
    open_port = _OPEN_PORT.search(_IN_A_PATH.sub("", text)) is not None
    return open_port and _OURS.search(text) is None, _SERVICE_PORT.search(text) is not None
