"""From a cluster's settings and ``~/.ssh/config`` to what asyncssh needs to reach one host."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import asyncssh
from asyncssh.encryption import get_default_encryption_algs

from sessiond.core.errors import LinkError
from sessiond.remote.ssh import keys
from sessiond.remote.ssh.client import Client
from sessiond.remote.ssh.known import KnownHosts, system_files, user_files

KEEPALIVE_S = 15.0
KEEPALIVE_COUNT = 3
FASTEST_CIPHER = "aes128-gcm@openssh.com"
"""Half again as fast as asyncssh's first choice (measured: 343 against 228 MB/s)."""

_NO_CONFIG = "/dev/null"


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """How a cluster's login node is reached. What is None or empty is taken from ``config_file``.

    ``cluster`` is its name, for hints. ``attended``: a person is needed for every login, so without one none is tried.
    ``route``: "auto", "direct" or "jump", how its compute nodes are reached.
    """

    cluster: str
    host: str
    user: str | None = None
    port: int | None = None
    jump: str | None = None
    identity_files: tuple[str, ...] = ()
    known_hosts: str | None = None
    attended: bool = False
    route: str = "auto"
    max_sessions: int = 10
    config_file: str = "~/.ssh/config"
    connect_s: float = 20.0
    login_s: float = 120.0
    """How long a person has for the answers, from the first question on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One host on the way, as the user names it."""

    host: str
    user: str | None = None
    port: int | None = None
    jump: str | None = None
    role: str = "login"
    """"login", "jump" or "node"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One host on the way, with all that is needed to connect to it."""

    target: Target
    options: asyncssh.SSHClientConnectionOptions
    known: KnownHosts
    jump: str | None
    """The hosts to go through, as ProxyJump writes them."""
    problems: tuple[str, ...]
    """What is wrong with its key files."""
    ssh: str
    """The command that reaches it from a shell, the way we would."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        host = self.target.host
        return f"the jump host {host}" if self.target.role == "jump" else host

    @property
    def known_as(self) -> str:
        """What known_hosts calls it."""
        return (self.options.host_key_alias or self.options.host).lower()


def login_target(settings: SshSettings) -> Target:
    """The login node."""
    return Target(host=settings.host, user=settings.user, port=settings.port, jump=settings.jump)


def jump_targets(jump: str) -> list[Target]:
    """The hosts of a ProxyJump, the first one first. Raises LinkError for what is none."""
    return [_jump_target(spec.strip().removeprefix("ssh://")) for spec in jump.split(",")]


def _jump_target(spec: str) -> Target:
    user, _, place = spec.rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        port = port.removeprefix(":")
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    if not host or (port and not (port.isascii() and port.isdigit())):
        raise LinkError(
            f"{spec!r} is no jump host", hint="ProxyJump is [user@]host[:port], several with commas.", code="ssh-config"
        )
    return Target(host=host, user=user or None, port=int(port) if port else None, role="jump")


def resolve(
    settings: SshSettings,
    target: Target,
    client: Client,
    opened: keys.Opened,
    trusted: Sequence[str] = (),
) -> Hop:
    """Read the configuration, the keys and the known hosts for ``target``; blocks, and may run what it names.

    ``trusted``: more lines of known_hosts. Raises LinkError with the code "ssh-config" for what cannot be used.
    """
    path = Path(settings.config_file).expanduser()
    config = str(path) if path.exists() else _NO_CONFIG
    try:
        first = _options(target, config, client_keys=None)
        listed = first.config.get
        certificates = cast("list[str]", listed("CertificateFile", []))
        configured = cast("list[str] | None", listed("IdentityFile"))
        files = _identity_files(settings, target, configured)
        found = keys.read(files, certificates, opened, client.passphrase, named=files is not keys.USUAL)
        known = _known(settings, first, trusted)
        client.nameless = list(found.nameless)
        options = _options(
            target,
            config,
            client_factory=lambda: client,
            client_keys=list(found.pairs),
            client_certs=[],
            agent_identities=[pair.public_data for pair in found.pairs] if listed("IdentitiesOnly") else None,
            known_hosts=known,
            server_host_key_algs=_host_key_algs(first, known, target),
            # ssh's own default is no (ssh_config(5)), asyncssh's is yes.
            gss_host=() if listed("GSSAPIAuthentication", False) else None,
        )
    except asyncssh.ConfigParseError as error:
        raise LinkError(
            f"your ssh configuration has an error: {error}", hint="Correct it.", code="ssh-config"
        ) from error
    except (ValueError, OSError) as error:
        raise LinkError(
            f"your ssh configuration for {target.host} cannot be used: {error}",
            hint=f"Look into {settings.config_file} and the files it names.",
            code="ssh-config",
        ) from error
    jump = target.jump or (cast("str | None", first.tunnel) if target.role != "node" else None)
    return Hop(
        target=target,
        options=options,
        known=known,
        jump=None if jump is None or jump.lower() == "none" else jump,
        problems=found.problems,
        ssh=_by_hand(settings, target, first, known),
    )


def _options(target: Target, config: str, **more: Any) -> asyncssh.SSHClientConnectionOptions:
    given: dict[str, Any] = {
        "config": [config],
        "host": target.host,
        "canonicalize_hostname": False,
        "connect_timeout": None,
        "login_timeout": 0,
        "keepalive_interval": KEEPALIVE_S,
        "keepalive_count_max": KEEPALIVE_COUNT - 1,  # asyncssh counts the first silence too
        "agent_forwarding": False,
        "x11_forwarding": False,
        "request_pty": False,
        "command": None,
        "env": None,
        "send_env": None,
        "x509_trusted_certs": None,
        "x509_trusted_cert_paths": (),
        # A key exchange by Kerberos needs no host key, and then none is checked (asyncssh 2.24 does it by default).
        "gss_kex": False,
    }
    if target.user is not None:
        given["username"] = target.user
    if target.port is not None:
        given["port"] = target.port
    options = asyncssh.SSHClientConnectionOptions(**given, **more)
    if options.config.has_match_final():
        options.update(reload=True, final=True)
    if options.config.get("Ciphers") is None:
        usual = [name.decode() for name in get_default_encryption_algs()]
        ciphers = [FASTEST_CIPHER, *(name for name in usual if name != FASTEST_CIPHER)]
        options.update(encryption_algs=ciphers)
    return options


def _identity_files(settings: SshSettings, target: Target, configured: Sequence[str] | None) -> Sequence[str]:
    """Those of the cluster, which its jump hosts are offered too where the user names none for them."""
    if settings.identity_files and (target.role != "jump" or not configured):
        return settings.identity_files
    return keys.USUAL if configured is None else configured


def _known(settings: SshSettings, options: asyncssh.SSHClientConnectionOptions, trusted: Sequence[str]) -> KnownHosts:
    get = options.config.get
    user = user_files(cast("list[str] | None", get("UserKnownHostsFile")))
    if settings.known_hosts is not None:
        user = (settings.known_hosts,)
    files = (*user, *system_files(cast("list[str] | None", get("GlobalKnownHostsFile"))))
    return KnownHosts.read([_expanded(name, options) for name in files], trusted)


def _expanded(name: str, options: asyncssh.SSHClientConnectionOptions) -> str:
    """The tokens that UserKnownHostsFile knows (ssh_config(5)); asyncssh expands none there."""
    tokens: Mapping[str, str] = {
        "%%": "%",
        "%d": str(Path.home()),
        "%h": options.host,
        "%n": options.orig_host,
        "%p": str(options.port),
        "%r": options.username,
        "%u": getpass.getuser(),
        "%k": options.host_key_alias or options.host,
    }
    parts = name.split("%%")
    for token, value in tokens.items():
        parts = [part.replace(token, value) for part in parts]
    return "%".join(parts)


def _host_key_algs(first: asyncssh.SSHClientConnectionOptions, known: KnownHosts, target: Target) -> Any:
    """Ask for keys of the kinds that are known, then for all others, so that a host with a new kind shows its key."""
    if target.role == "node" or first.config.get("HostKeyAlgorithms") is not None:
        return ()
    name = (first.host_key_alias or first.host).lower()
    trusted, authorities, _ = known(name, "", first.port if first.port != 22 else None)
    kinds = [alg.decode() for key in trusted for alg in key.sig_algorithms]
    certified = [alg.decode() for alg in asyncssh.public_key.get_default_certificate_algs()]
    plain = [alg.decode() for alg in asyncssh.public_key.get_default_public_key_algs()]
    order = [*certified, *kinds, *plain] if authorities else [*kinds, *plain]
    return list(dict.fromkeys(order))


def _by_hand(
    settings: SshSettings, target: Target, options: asyncssh.SSHClientConnectionOptions, known: KnownHosts
) -> str:
    words = ["ssh"]
    if settings.config_file != "~/.ssh/config":
        words += ["-F", str(Path(settings.config_file).expanduser())]
    if settings.known_hosts is not None:
        words += ["-o", f"UserKnownHostsFile={known.files[0]}"]
    if target.jump:
        words += ["-J", target.jump]
    if target.port is not None:
        words += ["-p", str(target.port)]
    words.append(f"{target.user}@{target.host}" if target.user else target.host)
    return shlex.join(words)
