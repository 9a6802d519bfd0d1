"""Who may come in through the gateway: a token opens a session once, a cookie keeps it open.

The gateway listens on loopback, where every user of the machine and every web page in the user's browser can knock.
The former are known by the kernel's word (`peers`): a browser takes a cookie to their ports of this address, too. A
token or cookie, and the checks of ``Host`` and ``Origin``, keep out the latter.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence

TOKEN_PARAMETER = "sessiond"  # noqa: S105 - a name, not a token
"""The query parameter that carries a token."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that only read (RFC 9110, section 9.2.1): a browser sends them across sites without asking."""

_COOKIE = re.compile(r"sessiond_[0-9]+\Z")
_HOST = re.compile(
    r"(?:127(?:\.[0-9]{1,3}){3}|localhost|([a-z0-9_.-]+)\.localhost|\[::1\])(?::([0-9]{1,5}))?\Z", re.IGNORECASE
)


class Doorkeeper:
    """Makes and checks the tokens and cookies of sessions; all follow from one ``secret``, so none needs storing."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def token(self, session_id: str) -> str:
        """What opens a session when it stands in its URL: 43 characters that need no quoting there."""
        return self._derive("token", session_id)

    def cookie(self, session_id: str) -> str:
        """What keeps a session open in a browser. It does not tell the token, nor the token it."""
        return self._derive("cookie", session_id)

    def has_token(self, session_id: str, offered: Iterable[str]) -> bool:
        """Whether one of ``offered`` is the session's token; takes the same time whatever is wrong with them."""
        return _any_equal(self.token(session_id), offered)

    def has_cookie(self, session_id: str, offered: Iterable[str]) -> bool:
        """Whether one of ``offered`` is the session's cookie."""
        return _any_equal(self.cookie(session_id), offered)

    def _derive(self, purpose: str, session_id: str) -> str:
        digest = hmac.digest(self._secret, f"{purpose}\0{session_id}".encode(), "sha256")
        return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def cookie_name(open_port: int) -> str:
    """The name of the cookie of the session at ``open_port``."""
    return f"sessiond_{open_port}"


def set_cookie(open_port: int, value: str, path: str) -> str:
    """A ``Set-Cookie`` value that keeps the session open below ``path``, until the browser is closed."""
    return f"{cookie_name(open_port)}={value}; HttpOnly; SameSite=Lax; Path={path}"


def is_own_cookie(name: str) -> bool:
    """Whether a cookie is the gateway's own: no service may see or set it."""
    return _COOKIE.match(name.strip()) is not None


def split_cookies(header: str) -> tuple[str, dict[str, list[str]]]:
    """Part a ``Cookie`` header into what the service may see, otherwise untouched, and our own cookies by name."""
    rest: list[str] = []
    own: dict[str, list[str]] = {}
    for part in header.split(";"):
        name, _, value = part.partition("=")
        if is_own_cookie(name):
            own.setdefault(name.strip(), []).append(value.strip())
        else:
            rest.append(part)
    return ";".join(rest).strip(), own


def split_tokens(target: str) -> tuple[str, list[str]]:
    """Part a raw request target into what the service may see, byte for byte, and the tokens its query carried."""
    path, mark, query = target.partition("?")
    parts = query.split("&")
    kept = [part for part in parts if part.partition("=")[0] != TOKEN_PARAMETER]
    if len(kept) == len(parts):
        return target, []
    tokens = [part.partition("=")[2] for part in parts if part.partition("=")[0] == TOKEN_PARAMETER]
    return (path + mark + "&".join(kept) if kept else path), tokens


def is_own_host(hosts: Sequence[str], port: int) -> bool:
    """Whether a request's ``Host`` headers are one loopback name with our port.

    A page of some other site whose name was made to resolve to 127.0.0.1 (DNS rebinding) still sends that name.
    """
    return own_host(hosts, port) is not None


def own_host(hosts: Sequence[str], port: int) -> str | None:
    """What stands before ``.localhost`` in such a name, in small letters; empty for all others, None for a foreign one.

    Names below localhost are this machine's (RFC 6761, section 6.3), and each is an origin of its own.
    """
    if len(hosts) != 1 or (match := _HOST.match(hosts[0])) is None or int(match[2] or 80) != port:
        return None
    return (match[1] or "").lower()


def is_own_origin(origins: Sequence[str], host: str) -> bool:
    """Whether a request's ``Origin`` headers say that it comes from a page of ours, or from no page at all."""
    return all(origin.lower() == f"http://{host}".lower() for origin in origins)


def _any_equal(secret: str, offered: Iterable[str]) -> bool:
    found = False
    for value in offered:
        found |= hmac.compare_digest(secret.encode(), value.encode("utf-8", "surrogateescape"))
    return found
