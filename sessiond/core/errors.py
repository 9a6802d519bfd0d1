"""The project's errors, cut by what they leave true.

The first question about a failed remote command is *was it sent?*, because that is what the state machine must
know: `NotSent` proves that nothing happened, `AnswerLost` that something may have, `Answered` that it did.
"""

from __future__ import annotations


def printable(text: str, limit: int = 80) -> str:
    """Somebody's text, fit to be shown back: no control characters, and not too much of it."""
    return "".join(c if c.isprintable() else "?" for c in text[:limit])


class SessiondError(Exception):
    """An error with a stable ``code``, one sentence for people, and a hint what to do (may be empty)."""

    code = "error"

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code:
            self.code = code


class Refused(SessiondError):
    """The user's request cannot be done; nothing was changed."""

    code = "refused"


class SpecError(Refused):
    """A value in the request is not acceptable."""

    code = "bad-request"


class NotFound(Refused):
    """There is no such session, service or cluster."""

    code = "not-found"


class Conflict(Refused):
    """The request contradicts the present state (a name already taken, a session not ended)."""

    code = "conflict"


class TooMany(Refused):
    """A limit is reached: no free port, too many sessions."""

    code = "too-many"


class ConfigError(Refused):
    """A configuration file has problems; ``problems`` holds one line for each, with file, line and key."""

    code = "config"

    def __init__(self, problems: tuple[str, ...], *, hint: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = problems


class StateError(SessiondError):
    """The state folder or database cannot be used."""

    code = "state"


class StateFull(StateError):
    """The state database cannot be written just now (disk full, quota, read-only); nothing was lost."""

    code = "state-full"


class RemoteError(SessiondError):
    """Something between us and an answer."""

    code = "remote"


class NotSent(RemoteError):
    """Proved: the command did not start."""

    code = "not-sent"


class PortTaken(NotSent):
    """A port cannot be listened on: another program does."""

    code = "port-taken"


class LinkError(NotSent):
    """The cluster's login node cannot be reached, or does not let us in: nothing was sent."""

    code = "link-down"


class HostDown(LinkError):
    """No answer from the host, no such host, or no way to it."""

    code = "host-down"


class HostRefused(LinkError):
    """The host is there and nothing accepts SSH connections, or what does closed them at once."""

    code = "host-refused"


class AuthDenied(LinkError):
    """The host knows us not: no key, no answer was good enough."""

    code = "auth-denied"


class NeedsLogin(LinkError):
    """The host asks for what only a person can give: a password, a code, a passphrase, a ticket."""

    code = "needs-login"


class HostKeyRefused(LinkError):
    """The host's key is unknown, changed or revoked. Never tried again before a person has looked."""

    code = "host-key"


class AnswerLost(RemoteError):
    """The command may have run; its answer is not known."""

    code = "answer-lost"


class Answered(RemoteError):
    """The command ran and its answer is not what was hoped for."""

    code = "answered"


class Unreadable(Answered):
    """An answer that is cut off, malformed, or not from the program we asked."""

    code = "unreadable"


class Bug(SessiondError):
    """sessiond contradicts itself."""

    code = "bug"
