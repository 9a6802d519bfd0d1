"""Why a service on a compute node cannot be reached, in one sentence. Pure."""

from __future__ import annotations

from sessiond.core.errors import NotSent, RemoteError
from sessiond.core.session import Endpoint
from sessiond.remote.ssh.opening import CannotOpen, Why
from sessiond.remote.ssh.route import Route

_NOBODY_LISTENS = "The service may not listen yet, or listens elsewhere."
_BOTH_FAILED = "Let the service listen on the node's own address, or allow ssh to your nodes."


class NodeRefused(NotSent):
    """No SSH connection to a node. It is not tried again for a while."""


def where(endpoint: Endpoint) -> str:
    """An endpoint as people read it."""
    return f"{endpoint.path} on {endpoint.host}" if endpoint.path else f"{endpoint.host}:{endpoint.port}"


_DIRECTLY = {
    Why.REFUSED: "{where} refused the connection from the login node",
    Why.NO_ROUTE: "the login node has no route to {where}",
    Why.UNKNOWN_NAME: "the login node does not know the name {host}",
    Why.PROHIBITED: "the login node does not allow a connection to {where}",
    Why.NO_ANSWER: "{where} did not answer the login node",
}


def in_one_sentence(endpoint: Endpoint, refusals: dict[Route, RemoteError]) -> NotSent:
    """What all that was tried came to, with one hint."""
    direct, jump = refusals.get(Route.DIRECT), refusals.get(Route.JUMP)
    named = where(endpoint)
    said: list[str] = []
    both = [error.why for error in (direct, jump) if isinstance(error, CannotOpen)]
    if both == [Why.REFUSED, Why.REFUSED]:
        message = f"nothing listens at {named}: neither the login node nor the node itself can connect to it"
        return CannotOpen(message, Why.REFUSED, hint=_NOBODY_LISTENS)
    if isinstance(direct, CannotOpen):
        words = _DIRECTLY.get(direct.why, "the login node could not open {where}")
        said.append(words.format(where=named, host=endpoint.host))
    elif direct is not None:
        said.append(direct.message)
    if isinstance(jump, CannotOpen):
        said.append(f"{named} cannot be opened on the node itself: {jump.why.value}")
    elif jump is not None:
        said.append(jump.message)
    refused = next((error for error in (jump, direct) if isinstance(error, CannotOpen)), None)
    if direct is not None and isinstance(jump, NodeRefused):
        hint = _BOTH_FAILED
    elif isinstance(jump, NodeRefused):
        hint = jump.hint
    elif refused is not None:
        hint = refused.hint or (_NOBODY_LISTENS if refused.why is Why.REFUSED else "")
    else:
        hint = ""
    message = ", and ".join(said)
    return NotSent(message, hint=hint) if refused is None else CannotOpen(message, refused.why, hint=hint)
