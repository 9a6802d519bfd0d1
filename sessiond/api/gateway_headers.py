"""Headers on their way through the gateway: which pass, which are ours to set, which end here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from multidict import CIMultiDict, MultiMapping

from sessiond.api.doorkeeper import is_own_cookie, split_cookies, split_tokens
from sessiond.api.gateway_target import Target, on_this_host
from sessiond.core.spec import Prefix

RawHeaders = Iterable[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers about one connection only (RFC 9110, section 7.6.1, and RFC 2616, section 13.5.1)."""

_CLAIMS = frozenset({"forwarded", "x-real-ip", "x-scheme"})
"""What a client may not say about itself; likewise everything that begins with ``x-forwarded-``."""

_ENDS_HERE = frozenset({"expect"})
"""The gateway itself tells a client to go on, once the service has taken the connection."""

_MUST_PASS = frozenset({"host", "content-length", "cookie", "set-cookie"})
"""Headers a ``Connection`` header cannot name away: framing and access depend on them."""

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_ABSOLUTE = re.compile(r"(https?)://([^/?#@:\[\]]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(?=[/?#]|\Z)", re.IGNORECASE)


def to_service(raw: RawHeaders, *, target: Target, prefix: Prefix, host: str, peer: str) -> CIMultiDict[str]:
    """The headers a service gets for a request: all but those about the connection, our cookies and a client's claims.

    The address of a page, in ``Referer``, is without our token, too: not all browsers are sent on to one without it.
    ``X-Forwarded-Prefix`` names what was taken off the path, so a service that sees the whole path gets none.
    """
    pairs = _text(raw)
    dropped = _per_connection(pairs)
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in pairs:
        low = name.lower()
        if low in dropped or low in _CLAIMS or low in _ENDS_HERE or low.startswith("x-forwarded-"):
            continue
        if low == "cookie":
            kept, _ = split_cookies(value)
            if kept:
                headers.add(name, kept)
        elif low == "referer":
            headers.add(name, split_tokens(value)[0])
        else:
            headers.add(name, value)
    headers["X-Forwarded-For"] = peer
    headers["X-Forwarded-Proto"] = "http"
    headers["X-Forwarded-Host"] = host
    if prefix is Prefix.STRIP and target.public:
        headers["X-Forwarded-Prefix"] = target.public
    return headers


def to_client(raw: RawHeaders, *, target: Target, prefix: Prefix, upstream: tuple[str, int]) -> CIMultiDict[str]:
    """The headers a client gets of a service's answer; a redirect to the service's own address comes back to us."""
    pairs = _text(raw)
    dropped = _per_connection(pairs)
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in pairs:
        low = name.lower()
        if low in dropped or (low == "set-cookie" and is_own_cookie(value.partition("=")[0])):
            continue
        headers.add(name, _public(value, target, prefix, upstream) if low == "location" else value)
    return headers


def wants_websocket(method: str, headers: MultiMapping[str]) -> bool:
    """Whether a request asks for a WebSocket (RFC 6455, section 4.1); other upgrades are not offered."""
    tokens = {token.strip().lower() for value in headers.getall("Connection", ()) for token in value.split(",")}
    return method == "GET" and "upgrade" in tokens and headers.get("Upgrade", "").strip().lower() == "websocket"


def _text(raw: RawHeaders) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), _decoded(value)) for name, value in raw]


def _decoded(value: bytes) -> str:
    """A header's text. Old servers write Latin-1; sent on as UTF-8, as today's browsers read it."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return spaced(text)


def spaced(text: str) -> str:
    """``text`` with spaces for control characters (RFC 9110, section 5.5), which aiohttp refuses to send."""
    return _CONTROLS.sub(" ", text)


def _per_connection(pairs: list[tuple[str, str]]) -> frozenset[str]:
    named = {
        token.strip().lower() for name, value in pairs if name.lower() == "connection" for token in value.split(",")
    }
    return _HOP_BY_HOP | (named - _MUST_PASS)


def _public(location: str, target: Target, prefix: Prefix, upstream: tuple[str, int]) -> str:
    match = _ABSOLUTE.match(location)
    if match is None:
        return location
    scheme, host, port = match[1].lower(), match[2].lower(), int(match[3] or 0)
    if (port or (443 if scheme == "https" else 80)) != upstream[1] or host not in _LOOPBACK | {upstream[0].lower()}:
        return location
    rest = location[match.end() :]
    if not rest.startswith("/"):
        rest = "/" + rest
    return on_this_host(target.public + rest if prefix is Prefix.STRIP else rest)
