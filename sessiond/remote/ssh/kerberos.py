"""Kerberos, where the ssh configuration asks for it: the host's ticket is fetched before asyncssh needs it.

libkrb5 asks the realm's KDC over the network and blocks: 27 s for one KDC that takes what is sent and says nothing (MIT
Kerberos 1.20, measured). asyncssh 2.24 does that in the event loop's own executor, where a handful of them keep every
look-up of a name waiting, and the loop's end waits for them all. Here it is done in a thread of its own, which nobody
waits for long; afterwards the ticket is in the cache, and asyncssh's part is local.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass

import anyio
import asyncssh
from asyncssh import gss

from sessiond.core.errors import printable

ANSWER_S = 5.0
"""How long a realm has to answer; without it the host is tried by the other ways."""
AT_ONCE = 8
"""So many questions to realms may be under way. Each that is not answered keeps its thread until libkrb5 gives up."""

_NO_CREDENTIALS = 7
_EXPIRED = 11
"""Routine errors of GSS-API (RFC 2744, section 3.9.1), which stand in bits 16 to 23 of its major status."""
_TICKET_EXPIRED = -1765328352 % (1 << 32)
_KDC_UNREACHABLE = -1765328228 % (1 << 32)
"""KRB5KRB_AP_ERR_TKT_EXPIRED and KRB5_KDC_UNREACH of MIT Kerberos, as gssapi shows a minor status: unsigned."""

_asking = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kerberos:
    """What Kerberos can do for one connection. Without ``asked`` the configuration does not want it.

    ``problem`` says why there is no ticket for the host, "" where there is one, and ``remedy`` what to do about it.
    ``lapsed``: the remedy is a new ticket, which only the user can get.
    """

    asked: bool = False
    problem: str = ""
    remedy: str = ""
    lapsed: bool = False


NOT_ASKED = Kerberos()
_NONE = Kerberos(asked=True, problem="there is no Kerberos ticket", remedy="Run `kinit`", lapsed=True)
_OVER = Kerberos(asked=True, problem="your Kerberos ticket has expired", remedy="Run `kinit`", lapsed=True)
_SILENT = Kerberos(asked=True, problem="the Kerberos server (KDC) did not answer", remedy="Check your network (a VPN?)")
_NOT_INSTALLED = Kerberos(
    asked=True,
    problem="Kerberos cannot be used: the Python package gssapi is not installed",
    remedy="Your ssh configuration says GSSAPIAuthentication yes, for which sessiond needs the package gssapi: "
    "`pip install 'sessiond[kerberos]'` where sessiond is installed, then start it anew",
)


async def prepare(options: asyncssh.SSHClientConnectionOptions) -> Kerberos:
    """Have the ticket for the host of ``options`` in the cache, or take Kerberos out of them. Takes `ANSWER_S` at most.

    `sessiond.remote.ssh.settings.resolve` has set a ``gss_host`` other than None where the configuration asks for it.
    """
    if options.gss_host is None:
        return NOT_ASKED
    found = await _fetch(options) if gss.gss_available else _NOT_INSTALLED
    if found.problem:
        options.update(gss_host=None)
    return found


async def _fetch(options: asyncssh.SSHClientConnectionOptions) -> Kerberos:
    """`_ask` in a thread that nothing waits for, not even the interpreter's end."""
    if not _asking.acquire(blocking=False):
        return _SILENT
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Kerberos] = loop.create_future()

    def tell(found: Kerberos) -> None:
        if not answer.done():
            answer.set_result(found)

    def work() -> None:
        try:
            found = _ask(options.host, delegate=options.gss_delegate_creds)
        finally:
            _asking.release()
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=work, name=f"kerberos {options.host}", daemon=True).start()
    with anyio.move_on_after(ANSWER_S):
        return await answer
    return _SILENT


def _ask(host: str, *, delegate: bool) -> Kerberos:
    """Begin a security context, as asyncssh will; this gets the ticket for ``host`` into the cache. Blocks."""
    try:
        gss.GSSClient(host, None, delegate).step()  # type: ignore[attr-defined]
    except gss.GSSError as error:  # type: ignore[attr-defined]
        return _meaning(error.maj_code >> 16 & 0xFF, error.min_code, str(error))
    return Kerberos(asked=True)


def _meaning(major: int, minor: int, said: str) -> Kerberos:
    if major == _EXPIRED or minor == _TICKET_EXPIRED:
        return _OVER
    if major == _NO_CREDENTIALS:
        return _NONE
    if minor == _KDC_UNREACHABLE:
        return _SILENT
    # "Major (N): ..., Minor (N): what it is about"
    words = printable(said.rpartition("): ")[2], 200)
    return Kerberos(
        asked=True,
        problem=f"Kerberos says: {words}",
        remedy="See what `kvno host/NAME` says, with the host's full name",
    )
