"""Why a host could not be reached or does not let us in, in one sentence, with what to do about it."""

from __future__ import annotations

import errno
import shlex
import socket

import asyncssh

from sessiond.core.errors import (
    AuthDenied,
    HostDown,
    HostKeyRefused,
    HostRefused,
    LinkError,
    NeedsLogin,
    printable,
)
from sessiond.remote.ssh.client import Client
from sessiond.remote.ssh.known import Line, bracketed
from sessiond.remote.ssh.opening import CannotOpen, Why
from sessiond.remote.ssh.settings import Hop

_DOWN = {
    errno.ETIMEDOUT: "did not answer",
    errno.EHOSTUNREACH: "cannot be reached: no route to host",
    errno.ENETUNREACH: "cannot be reached: network unreachable",
    errno.EHOSTDOWN: "is down",
}
_THROUGH = {
    Why.REFUSED: (HostRefused, "refuses SSH connections"),
    Why.NO_ROUTE: (HostDown, "cannot be reached: no route to host"),
    Why.UNKNOWN_NAME: (HostDown, "is not a known host name there"),
    Why.PROHIBITED: (HostRefused, "cannot be reached: the jump host forbids it"),
    Why.NO_ANSWER: (HostDown, "did not answer"),
}
_TOO_MANY = 2
_IS_IT_UP = "Check the host name and your network (a VPN?); it is tried again."
_BUSY = "The machine may be restarting, or busy (MaxStartups in its sshd_config); it is tried again."


def refusal(error: Exception, hop: Hop, client: Client, cluster: str) -> LinkError:
    """What ``error``, which connecting to ``hop`` ended with, means."""
    match error:
        case LinkError():
            return error
        case CannotOpen():
            kind, words = _THROUGH.get(error.why, (HostDown, f"cannot be reached: {error.message}"))
            return kind(f"{hop.name} {words} (asked from the host before it)", hint=error.hint or _IS_IT_UP)
        case asyncssh.HostKeyNotVerifiable():
            return _host_key(error, hop, client)
        case asyncssh.PermissionDenied():
            return _denied(hop, client, cluster)
        case asyncssh.KeyExchangeFailed():
            hint = f"See what `{hop.ssh} -v` says; an old server may need KexAlgorithms or HostKeyAlgorithms for it."
            return HostRefused(f"{hop.name} and we share no way to speak: {_said(error)}", hint=hint)
        case asyncssh.DisconnectError() if error.code == _TOO_MANY and client.reached and "many auth" in error.reason:
            return AuthDenied(
                f"{hop.name} was offered too many keys before the right one",
                hint="Name the right one with IdentityFile and set IdentitiesOnly yes in your ssh configuration.",
            )
        case asyncssh.DisconnectError():
            return _cut(error, hop, client, cluster)
        case socket.gaierror():
            return HostDown(f"{hop.name}: {error.strerror or 'unknown host name'}", hint=_IS_IT_UP)
        case ConnectionRefusedError():
            return HostRefused(
                f"{hop.name} refuses connections: nothing listens on port {hop.options.port}", hint=_BUSY
            )
        case ConnectionResetError() | BrokenPipeError():
            return _cut(error, hop, client, cluster)
        case OSError():
            words = _DOWN.get(_errno(error), f"cannot be reached: {_said(error)}")
            return HostDown(f"{hop.name} {words}", hint=_IS_IT_UP)
        case _:
            return HostRefused(f"{hop.name} did not let us in: {_said(error)}", hint=f"See what `{hop.ssh} -v` says.")


def timed_out(hop: Hop, client: Client, cluster: str, seconds: float) -> LinkError:
    """Nothing came of it in time."""
    if client.answers or client.authenticated:
        return NeedsLogin(f"{hop.name} did not let you in within {seconds:g} s", hint=_login(cluster))
    if client.reached:
        return HostDown(f"{hop.name} took the connection and said nothing for {seconds:g} s", hint=_IS_IT_UP)
    return HostDown(f"{hop.name} did not answer within {seconds:g} s", hint=_IS_IT_UP)


def unanswered(hop: Hop, cluster: str, seconds: float) -> LinkError:
    """A person was asked and did not answer."""
    return NeedsLogin(f"the questions of {hop.name} were not answered within {seconds:g} s", hint=_login(cluster))


def never_unattended(hop_name: str, cluster: str) -> LinkError:
    """The configuration says that a person is needed."""
    return NeedsLogin(f"{hop_name} lets you in only with answers of your own", hint=_login(cluster))


def ending(error: Exception | None, silent_s: float) -> str:
    """Why an open connection ended."""
    match error:
        case None:
            return "closed by the host"
        case asyncssh.ConnectionLost() if "keepalive" in error.reason:
            return f"no answer for {silent_s:g} s"
        # Which of the two depends on whether anything was under way.
        case asyncssh.ConnectionLost() | ConnectionError():
            return "the connection was cut"
        case asyncssh.DisconnectError():
            return f"closed by the host: {printable(error.reason, 200)}"
        case _:
            return f"the connection was cut: {_said(error)}"


def _login(cluster: str) -> str:
    return f"Run `{_login_command(cluster)}`."


def _login_command(cluster: str) -> str:
    return f"sessionctl login {shlex.quote(cluster)}"


def _denied(hop: Hop, client: Client, cluster: str) -> LinkError:
    user = f"{hop.options.username}@{hop.target.host}"
    kerberos = client.kerberos
    then = f"{kerberos.remedy}, then `{_login_command(cluster)}`." if kerberos.problem else ""
    if client.wanted:
        why = f" ({kerberos.problem})" if kerberos.problem else ""
        return NeedsLogin(
            f"{hop.name} needs {client.wanted[0]}, which only you can give{why}", hint=then or _login(cluster)
        )
    if client.refused or client.answers:
        return AuthDenied(f"{hop.name} did not accept your answers", hint=f"Try again: {_login(cluster)}")
    by = " by " + hop.name if hop.target.role == "jump" else ""
    if kerberos.lapsed:
        return NeedsLogin(f"{user}: {kerberos.problem}, and no key was accepted{by}", hint=then)
    keys = (
        "Put your public key into ~/.ssh/authorized_keys there, or add the right key to your agent; "
        f"`{hop.ssh}` must work."
    )
    files = f" Not usable: {'; '.join(hop.problems)}." if hop.problems else ""
    if kerberos.problem:
        return AuthDenied(f"{user}: no key was accepted{by}, and {kerberos.problem}", hint=f"{then} Or: {keys}{files}")
    neither = "neither your Kerberos ticket nor a key" if kerberos.asked else "no key"
    return AuthDenied(f"{user}: {neither} was accepted{by}", hint=f"{keys}{files}")


def _cut(error: Exception, hop: Hop, client: Client, cluster: str) -> LinkError:
    if client.answers:
        return AuthDenied(f"{hop.name} closed the connection after your answers: {_said(error)}", hint=_login(cluster))
    if isinstance(error, asyncssh.ProtocolError | asyncssh.ProtocolNotSupported):
        return HostRefused(
            f"what listens on port {hop.options.port} of {hop.name} speaks no SSH that we know", hint=_BUSY
        )
    return HostRefused(f"{hop.name} closed the connection before it let us in: {_said(error)}", hint=_BUSY)


def _host_key(error: asyncssh.HostKeyNotVerifiable, hop: Hop, client: Client) -> LinkError:
    port = hop.options.port
    lines = hop.known.of(hop.known_as, port)
    name = bracketed(hop.known_as, port)
    print_ = f" (its key is {client.shown.get_algorithm()} {client.shown.get_fingerprint()})" if client.shown else ""
    if "revoked" in error.reason:
        where = _where([line for line in lines if line.marked == "revoked"])
        return HostKeyRefused(
            f"{hop.name} shows a host key that is revoked{where}",
            hint="Its key was declared stolen or lost: do not connect before those who run it say it has a new one.",
        )
    if client.shown is None:
        return HostKeyRefused(
            f"{hop.name} shows a host certificate that does not hold: {printable(error.reason, 200)}",
            hint="Ask those who run it for a new certificate.",
        )
    mine = [line for line in lines if line.marked != "revoked" and (line.marked == "") != client.signed]
    own = [line for line in mine if line.marked == ""]
    if own:
        removals = " && ".join(
            f"ssh-keygen -R {shlex.quote(_entry_name(line, hop))} -f {shlex.quote(file)}"
            for file, line in {line.file: line for line in own}.items()
        )
        return HostKeyRefused(
            f"the host key of {hop.name} has changed: it is not the one in{_where(own, '')}{print_}",
            hint="Somebody may be listening in. Ask those who run it whether the key was replaced; if it was, remove "
            f"the old one with `{removals}` and accept the new one with `{hop.ssh}`.",
        )
    if client.signed and mine:
        return HostKeyRefused(
            f"{hop.name} shows a host certificate of another authority than the one in{_where(mine, '')}{print_}",
            hint="Ask those who run it for their authority's present key, and correct that line.",
        )
    return HostKeyRefused(
        f"the host key of {hop.name} is not known{print_}",
        hint=f"Compare the fingerprint with the one its site publishes, and accept it once with `{hop.ssh}`; it is "
        f"looked for as {name} in {hop.known.files[0] if hop.known.files else 'no file'}.",
    )


def _entry_name(line: Line, hop: Hop) -> str:
    """What the line calls the host: with its port, or without although it has one."""
    name = bracketed(hop.known_as, hop.options.port)
    return name if any(line.entry.match(name, "", None)) else hop.known_as


def _where(lines: list[Line], before: str = " by") -> str:
    places = [f"{line.file}, line {line.number}" for line in lines if line.file]
    return f"{before} {' and '.join(places)}" if places else ""


def _errno(error: OSError) -> int:
    cause = error.__cause__
    return error.errno or (cause.errno or 0 if isinstance(cause, OSError) else 0)


def _said(error: Exception) -> str:
    match error:
        case asyncssh.Error():
            text = error.reason
        case OSError(strerror=str(text)):
            pass
        case _:
            text = str(error)
    return printable(text, 200) or type(error).__name__
