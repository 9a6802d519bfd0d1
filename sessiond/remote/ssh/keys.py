"""The private keys a host is offered; one that is encrypted is opened only where the host would accept it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread
import asyncssh
from asyncssh.packet import SSHPacket
from asyncssh.public_key import decode_ssh_public_key, load_keypairs

from sessiond.core.errors import AuthDenied

USUAL = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa", "~/.ssh/id_ed25519_sk", "~/.ssh/id_ecdsa_sk")
TRIES = 3
"""How often a person may mistype a passphrase; no server hears of it."""

_MAGIC = b"openssh-key-v1\0"

AskPassphrase = Callable[[str, bool], Awaitable[str | None]]
"""Ask for the passphrase of a file (again, where the flag is set); None where nobody is there to be asked."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The encrypted keys that a person has opened, by file; kept as long as the connection they were opened for."""

    keys: dict[str, asyncssh.SSHKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What there is to offer. ``problems``: a sentence about each file that could not be used."""

    pairs: tuple[asyncssh.SSHKeyPair, ...] = ()
    nameless: tuple[str, ...] = ()
    """Encrypted files whose public half is nowhere to be found: they must be opened before they can be offered."""
    problems: tuple[str, ...] = ()


class LockedKey(asyncssh.SSHKeyPair):
    """A key pair whose private half is encrypted; it is opened when a host has accepted its public half."""

    _key_type = "local"

    def __init__(
        self,
        path: str,
        public: asyncssh.SSHKey,
        certificate: asyncssh.SSHCertificate | None,
        opened: Opened,
        ask: AskPassphrase,
    ) -> None:
        super().__init__(
            public.algorithm,
            public.algorithm,
            public.sig_algorithms,
            public.sig_algorithms,
            public.public_data,
            path,
            certificate,
        )
        self._path = path
        self._opened = opened
        self._ask = ask

    async def sign_async(self, data: bytes) -> bytes:
        """Sign as asyncssh asks for. Raises ValueError where the key stays locked: the next one is tried then."""
        key = await unlock(self._path, self._opened, self._ask)
        if key is None:
            raise ValueError("the key is encrypted")
        return key.sign(data, self.sig_algorithm)


async def unlock(path: str, opened: Opened, ask: AskPassphrase) -> asyncssh.SSHKey | None:
    """The key in ``path``, once a person has given its passphrase; None where nobody does.

    Raises AuthDenied where it cannot be opened with any passphrase.
    """
    for attempt in range(TRIES):
        if path in opened.keys:
            return opened.keys[path]
        passphrase = await ask(path, attempt > 0)
        if passphrase is None:
            return None
        try:
            opened.keys[path] = await anyio.to_thread.run_sync(asyncssh.read_private_key, path, passphrase)
        except asyncssh.KeyEncryptionError as error:
            if "requires" in str(error):  # a cipher, or the bcrypt module, that is not installed here
                raise AuthDenied(f"{path} cannot be opened: {error}", hint="Add the key to your agent.") from error
        except (asyncssh.KeyImportError, OSError):
            continue
    return opened.keys.get(path)


def read(files: Iterable[str], certificates: Sequence[str], opened: Opened, ask: AskPassphrase, *, named: bool) -> Keys:
    """Read the key ``files`` and the ``certificates`` beside them. Blocks.

    An absent file is passed over, but where the user ``named`` it that is one of the problems.
    """
    pairs: list[asyncssh.SSHKeyPair] = []
    nameless: list[str] = []
    problems: list[str] = []
    more = _certificates(certificates, problems)
    for name in files:
        path = str(Path(name).expanduser())
        try:
            data = Path(path).read_bytes()
        except FileNotFoundError:
            if named:
                problems.append(f"{name} does not exist")
            continue
        except OSError as error:
            problems.append(f"{name}: {error.strerror or error}")
            continue
        try:
            if path in opened.keys:
                pairs += load_keypairs([opened.keys[path]], None, _for(path, opened.keys[path], more))
            elif is_encrypted(data):
                public = public_half(path, data)
                if public is None:
                    nameless.append(path)
                else:
                    fitting = (*_for(path, public, more), None)
                    pairs += [LockedKey(path, public, certificate, opened, ask) for certificate in fitting]
            else:
                pairs += load_keypairs([path], None, list(more.values()))
        except (ValueError, OSError) as error:
            problems.append(f"{name}: {_why(error)}")
    return Keys(pairs=tuple(pairs), nameless=tuple(nameless), problems=tuple(problems))


def is_encrypted(data: bytes) -> bool:
    """Whether a private key file has to be opened with a passphrase."""
    blob = _openssh(data)
    if blob is None:
        return b"ENCRYPTED" in data
    return SSHPacket(blob).get_string() != b"none"


def public_half(path: str, data: bytes) -> asyncssh.SSHKey | None:
    """The public key of an encrypted file: from the file itself in OpenSSH's format, else from the one beside it."""
    blob = _openssh(data)
    try:
        if blob is not None:
            packet = SSHPacket(blob)
            for _ in ("cipher", "derivation", "its options"):
                packet.get_string()
            packet.get_uint32()
            return decode_ssh_public_key(packet.get_string())
        return asyncssh.read_public_key(f"{path}.pub")
    except (ValueError, OSError, asyncssh.Error):
        return None


def _openssh(data: bytes) -> bytes | None:
    """The content of a private key file in OpenSSH's own format (PROTOCOL.key), after its magic; None for others."""
    _, head, rest = data.partition(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    if not head:
        return None
    try:
        blob = base64.b64decode(rest.partition(b"-----")[0])
    except binascii.Error:
        return None
    return blob.removeprefix(_MAGIC) if blob.startswith(_MAGIC) else None


def _for(
    path: str, key: asyncssh.SSHKey, more: Mapping[bytes, asyncssh.SSHCertificate]
) -> list[asyncssh.SSHCertificate]:
    """The certificate of the key in ``path``, if there is one: the one beside it, or of those named."""
    try:
        return [asyncssh.read_certificate(f"{path}-cert.pub")]
    except (ValueError, OSError):
        named = more.get(key.public_data)
        return [] if named is None else [named]


def _certificates(files: Sequence[str], problems: list[str]) -> dict[bytes, asyncssh.SSHCertificate]:
    found: dict[bytes, asyncssh.SSHCertificate] = {}
    for name in files:
        try:
            certificate = asyncssh.read_certificate(str(Path(name).expanduser()))
        except (ValueError, OSError) as error:
            problems.append(f"{name}: {_why(error)}")
        else:
            found[certificate.key.public_data] = certificate
    return found


def _why(error: ValueError | OSError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
