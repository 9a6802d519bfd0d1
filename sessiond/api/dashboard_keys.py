"""Who may use the dashboard: a link opens it once, and what the page then holds keeps it open.

Nothing of it is stored. Another program that gets the page's port once the daemon has ended would be told what the page
holds, and by then that must open nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import sha256

LINK_S = 120.0
"""How long a link can be used."""

UNUSED_S = 86400.0
"""After so long without a request a page is forgotten; an open one asks more often than that."""

_MOST = 64
"""So many links and so many pages are known; the oldest goes first."""


class Keys:
    """The links that were given out, and the pages that were let in. ``now`` is a clock that never goes back.

    Both are kept as digests, so that finding one takes the same time for all that are wrong.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._links: dict[bytes, float] = {}
        self._pages: dict[bytes, float] = {}

    def link(self) -> str:
        """What opens the dashboard once, within `LINK_S`."""
        key = secrets.token_urlsafe(32)
        _put(self._links, _digest(key), self._now() + LINK_S)
        return key

    def enter(self, key: str) -> str | None:
        """What the page that shows ``key`` is known by from now on; None where the link was used or is too old."""
        until = self._links.pop(_digest(key), None)
        if until is None or self._now() > until:
            return None
        token = secrets.token_urlsafe(32)
        _put(self._pages, _digest(token), self._now() + UNUSED_S)
        return token

    def opens(self, token: str) -> bool:
        """Whether a page was let in that is known by ``token``; it is known longer for having asked."""
        digest = _digest(token)
        until = self._pages.pop(digest, None)
        if until is None or self._now() > until:
            return False
        _put(self._pages, digest, self._now() + UNUSED_S)
        return True

    def leave(self, token: str) -> None:
        """Forget a page."""
        self._pages.pop(_digest(token), None)


def _put(known: dict[bytes, float], digest: bytes, until: float) -> None:
    known[digest] = until
    while len(known) > _MOST:
        del known[next(iter(known))]


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
