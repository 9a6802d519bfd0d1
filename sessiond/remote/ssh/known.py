"""The host keys that may be trusted: the user's and the system's known_hosts files, with file and line of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

SSH_PORT = 22
_SYSTEM = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_USER = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry, and where it stands."""

    file: str
    number: int
    entry: asyncssh.SSHKnownHosts
    marked: str = ""
    """Its marker, "revoked" or "cert-authority", or empty."""


class KnownHosts:
    """The entries of several files. asyncssh calls it to learn which keys a host may show.

    A name counts, never an address: a key that is known for the address alone says nothing about the name, as in
    OpenSSH since 8.5 (CheckHostIP no). Entries that cannot be read are passed over, as ssh does.
    """

    def __init__(self, lines: Sequence[Line], files: Sequence[str]) -> None:
        self._lines = lines
        self.files = files
        """The files that were looked into, the one that `ssh` adds to first."""

    @classmethod
    def read(cls, files: Iterable[str], extra: Sequence[str] = ()) -> KnownHosts:
        """Read ``files`` (an absent one is empty) and the ``extra`` lines. Blocks. Raises OSError."""
        paths = [str(Path(name).expanduser()) for name in files]
        lines: list[Line] = []
        for path in paths:
            try:
                text = Path(path).read_text(encoding="utf-8", errors="replace")
            except (FileNotFoundError, NotADirectoryError):
                continue
            lines += _entries(path, text.splitlines())
        lines += _entries("", extra)
        return cls(lines, paths)

    def __call__(
        self, host: str, addr: str, port: int | None
    ) -> tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]:
        """The keys of ``host``, those of its certificate authorities, and the revoked ones."""
        trusted: list[asyncssh.SSHKey] = []
        authorities: list[asyncssh.SSHKey] = []
        revoked: list[asyncssh.SSHKey] = []
        for exact in (port, None) if port else (None,):
            for line in self._lines:
                keys, signers, bad = _match(line, host, exact)
                trusted += keys
                authorities += signers
                revoked += bad
            if trusted or authorities:
                break
        return trusted, authorities, revoked

    def of(self, host: str, port: int) -> list[Line]:
        """The entries for ``host``, those for its port before those without one."""
        ports = (port, None) if port != SSH_PORT else (None,)
        found = [line for exact in ports for line in self._lines if any(_match(line, host, exact))]
        return list({id(line): line for line in found}.values())


def user_files(configured: Sequence[str] | None) -> tuple[str, ...]:
    """The user's files: those that are ``configured``, where any are."""
    return _USER if configured is None else tuple(name for name in configured if name.lower() != "none")


def system_files(configured: Sequence[str] | None) -> tuple[str, ...]:
    """The system's files: those that are ``configured``, where any are."""
    return _SYSTEM if configured is None else tuple(name for name in configured if name.lower() != "none")


def bracketed(host: str, port: int) -> str:
    """A host as known_hosts writes it."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


def _match(
    line: Line, host: str, port: int | None
) -> tuple[Sequence[asyncssh.SSHKey], Sequence[asyncssh.SSHKey], Sequence[asyncssh.SSHKey]]:
    name = bracketed(host.lower(), port or SSH_PORT)
    found = line.entry.match(name, "", None)
    return found[0], found[1], found[2]


def _entries(file: str, lines: Iterable[str]) -> list[Line]:
    found = []
    for number, text in enumerate(lines, 1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        try:
            entry = asyncssh.SSHKnownHosts(text)
        except ValueError:
            continue
        marked = text.split(None, 1)[0][1:] if text.lstrip().startswith("@") else ""
        found.append(Line(file=file, number=number, entry=entry, marked=marked))
    return found
