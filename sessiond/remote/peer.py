"""Whose process is at the other end of a loopback connection, by the kernel's tables of TCP sockets.

Loopback TCP is open to every user of the machine, and TCP has no peer credentials. The tables in ``/proc/net``
(proc(5); read on Linux 5.10 to 6.18) name for every socket its addresses, its state and the uid that made it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import anyio.to_thread

from sessiond.remote import sockdiag

Address = tuple[str, int]
"""A numeric host and a port."""

_TABLES = {4: Path("/proc/net/tcp"), 6: Path("/proc/net/tcp6")}
_LISTEN = "0A"
_MAPPED = 0xFFFF << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One socket of a table; addresses as the table writes them, ``state`` two hexadecimal digits."""

    local: str
    remote: str
    state: str
    uid: int


def encode(host: IPv4Address | IPv6Address, port: int) -> str:
    """An address as the tables write it: each 32-bit word in the machine's byte order, then the port."""
    packed = host.packed
    words = (packed[i : i + 4] for i in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"


def rows(table: str, local: str) -> Iterator[Row]:
    """The sockets of ``table`` whose local address is ``local``. Lines that cannot be read are passed over.

    Sockets without an inode are left out: no process holds them (not yet accepted, orphaned, TIME_WAIT), and the
    kernel shows root as their user.
    """
    mark = f" {local} "
    for line in table.splitlines():
        if mark not in line:
            continue
        fields = line.split()
        if len(fields) < 10 or fields[1] != local or not fields[7].isdigit() or fields[9] == "0":
            continue
        yield Row(local=local, remote=fields[2], state=fields[3], uid=int(fields[7]))


def find_listener(table: str, host: IPv4Address | IPv6Address, port: int) -> int | None:
    """The uid of the socket that listens on exactly this address in ``table``."""
    return next((row.uid for row in rows(table, encode(host, port)) if row.state == _LISTEN), None)


def find_connected(
    table: str, local: tuple[IPv4Address | IPv6Address, int], remote: tuple[IPv4Address | IPv6Address, int]
) -> int | None:
    """The uid of the socket in ``table`` that is connected from ``local`` to ``remote``."""
    other = encode(*remote)
    return next((row.uid for row in rows(table, encode(*local)) if row.remote == other), None)


def listener_uid(host: str, port: int) -> int | None:
    """The uid whose socket takes connections to ``host``:``port`` on this machine; None where none was found.

    An address of its own is preferred to the wildcard, IPv4 to IPv6, as the kernel does. Reads /proc: call it in a
    worker thread where thousands of sockets are likely. Raises ValueError where ``host`` is no numeric address.
    """
    address = ip_address(host)
    return _twice(lambda: _listener_uid(address, port))


def peer_uid(local_addr: Address, peer_addr: Address) -> int | None:
    """The uid of the process that connected from ``peer_addr`` to our ``local_addr``; None where none was found.

    A peer that closed its socket already is not found. Raises ValueError where a host is no numeric address.
    """
    ours = ip_address(local_addr[0]), local_addr[1]
    theirs = ip_address(peer_addr[0]), peer_addr[1]
    return _twice(lambda: _peer_uid(ours, theirs))


class _Tables:
    """The tables, each read when first asked for. One that cannot be read is empty: nothing is found in it."""

    def __init__(self) -> None:
        self._read: dict[int, str] = {}

    def __getitem__(self, version: int) -> str:
        if version not in self._read:
            try:
                self._read[version] = _TABLES[version].read_text("ascii", "replace")
            except OSError:
                self._read[version] = ""
        return self._read[version]


def _listener_uid(host: IPv4Address | IPv6Address, port: int) -> int | None:
    tables = _Tables()
    places: list[IPv4Address | IPv6Address] = [host]
    if host.version == 4:
        places += [IPv4Address(0), _mapped(host)]
    places.append(IPv6Address(0))
    found = (find_listener(tables[place.version], place, port) for place in places)
    return next((uid for uid in found if uid is not None), None)


def _peer_uid(ours: tuple[IPv4Address | IPv6Address, int], theirs: tuple[IPv4Address | IPv6Address, int]) -> int | None:
    tables = _Tables()
    uid = find_connected(tables[theirs[0].version], theirs, ours)
    if uid is None and theirs[0].version == 4:
        # A program that connects to ::ffff:127.0.0.1 is seen by us as IPv4 but listed among the IPv6 sockets.
        uid = find_connected(tables[6], (_mapped(theirs[0]), theirs[1]), (_mapped(ours[0]), ours[1]))
    return uid


def _mapped(host: IPv4Address | IPv6Address) -> IPv6Address:
    return IPv6Address(_MAPPED | int(host))


async def owner_of_listener(host: str, port: int) -> int | None:
    """`listener_uid`, without blocking: the kernel is asked for the one socket, its tables only where that fails."""
    found = sockdiag.uid_of((ip_address(host), port), None)
    return found if found is not None else await anyio.to_thread.run_sync(listener_uid, host, port)


async def owner_of_peer(local_addr: Address, peer_addr: Address) -> int | None:
    """`peer_uid`, without blocking, in the same way."""
    theirs, ours = (ip_address(peer_addr[0]), peer_addr[1]), (ip_address(local_addr[0]), local_addr[1])
    found = sockdiag.uid_of(theirs, ours)
    return found if found is not None else await anyio.to_thread.run_sync(peer_uid, local_addr, peer_addr)


def _twice(look: Callable[[], int | None]) -> int | None:
    """Look again where nothing was found: the kernel hands a table out in pages, and a row can fall between two."""
    found = look()
    return look() if found is None else found
