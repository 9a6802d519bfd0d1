"""A link that is not up, as the error of whoever needs it."""

from __future__ import annotations

from typing import Final

from sessiond.core.errors import AuthDenied, HostDown, HostKeyRefused, HostRefused, LinkError, NeedsLogin
from sessiond.core.link import Link, LinkState
from sessiond.core.status import then_login

_KINDS: Final[dict[str, type[LinkError]]] = {
    kind.code: kind for kind in (HostDown, HostRefused, AuthDenied, NeedsLogin, HostKeyRefused)
}
_BY_ITSELF: Final = "it is tried again by itself"


def link_error(link: Link) -> LinkError:
    """Why nothing can be sent over ``link`` now, with the remedy."""
    problem = link.problem
    why = f": {problem.message}" if problem is not None else ""
    hint = problem.hint if problem is not None else ""
    kind = _KINDS.get(problem.code, LinkError) if problem is not None else LinkError
    match link.state:
        case LinkState.NEEDS_LOGIN:
            needs = NeedsLogin if kind is LinkError else kind
            return needs(f"{link.name} needs a login{why}", hint=then_login(hint, link.name))
        case LinkState.AUTHENTICATING:
            return NeedsLogin(f"somebody is logging in to {link.name}", hint="it goes on when the login is done")
        case LinkState.BLOCKED:
            return kind(f"{link.name} is not trusted{why}", hint=then_login(hint, link.name))
        case LinkState.IDLE | LinkState.UP:
            return kind(f"{link.name} is not connected{why}", hint=_BY_ITSELF)
        case LinkState.CONNECTING if problem is None:
            return kind(f"{link.name} is still being connected to", hint=_BY_ITSELF)
        case _:
            return kind(f"{link.name} is unreachable{why}", hint=hint or _BY_ITSELF)
