"""What OpenSSH is told so that it reaches a session through the daemon's connection.

The destination is the cluster's login node as config.toml names it, so that everything ``~/.ssh/config`` says about
it holds (user, keys, agent), but for the way there, which is ours.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from typing import TYPE_CHECKING, Final

from sessiond import paths

if TYPE_CHECKING:
    from sessiond.api.wire import SshAccess

_NODE_PORT: Final = 22
_TAKEN_OVER: Final = frozenset(
    {"user", "identityfile", "identitiesonly", "identityagent", "certificatefile", "userknownhostsfile", "hostkeyalias"}
)
"""What the login node's part of ~/.ssh/config says that a session's own block has to repeat."""


def this_program() -> list[str]:
    """The words that run this very sessionctl from anywhere."""
    called = sys.argv[0]
    if os.path.basename(called) == "sessionctl":  # noqa: PTH119 - pathlib takes 5 ms to load
        found = shutil.which(called)
        if found is not None:
            return [os.path.abspath(found)]  # noqa: PTH100 - as above
    return [sys.executable, "-m", "sessiond.cli.main"]


def _words(*args: str) -> str:
    """A command for the configuration: for a shell to split, and with no percent sign that OpenSSH would expand."""
    called = ["env", f"SESSIOND_SOCKET={paths.socket_path()}", *this_program(), *args]
    return " ".join(shlex.quote(word).replace("%", "%%") for word in called)


def settings(access: SshAccess, name: str) -> list[tuple[str, str]]:
    """The options that lead ``ssh`` to a session, in the order in which they must be said; the first of each counts."""
    found = [
        ("ProxyCommand", _words("proxy", name) + " %p"),
        ("ProxyUseFdpass", "no"),
        # A connection that is shared with the login node would end up there.
        ("ControlMaster", "no"),
        ("ControlPath", "none"),
        # Nobody resolves a node's name here.
        ("CheckHostIP", "no"),
    ]
    node = access["node"]
    if node is not None:
        found += [("HostKeyAlias", node), ("Port", str(_NODE_PORT))]
        if access["host_keys"]:
            # Since OpenSSH 8.5; older ones ask about the key. A file would have to be kept as nodes come and go.
            found += [
                ("IgnoreUnknown", "KnownHostsCommand"),
                ("KnownHostsCommand", "/usr/bin/" + _words("ssh-config", "--host-keys", name)),
            ]
    elif access["port"] is not None:
        found.append(("Port", str(access["port"])))
    if access["user"]:
        found.append(("User", access["user"]))
    found += [("IdentityFile", _quoted(path)) for path in access["identity_files"]]
    if access["known_hosts"]:
        found.append(("UserKnownHostsFile", _quoted(access["known_hosts"])))
    return found


def known_hosts(access: SshAccess) -> list[str]:
    """The lines of a known_hosts file for a session's node."""
    return [f"{access['node']} {key}" for key in access["host_keys"] if access["node"] is not None]


def inherited(access: SshAccess) -> list[tuple[str, str]]:
    """What ~/.ssh/config says about a cluster's login node, for a block under another name."""
    host = access["host"]
    if host is None:
        return []
    own, usual = _resolved(host), _resolved(host, "-F", "none")
    said = {key.lower() for key, _ in settings(access, access["name"])}
    found = [(key, value) for key, value in own if key in _TAKEN_OVER - said and (key, value) not in usual]
    if access["node"] is None and "hostkeyalias" not in dict(own):
        found.append(("hostkeyalias", _known_as(dict(own), access["port"])))
    return found


def _known_as(resolved: dict[str, str], port: int | None) -> str:
    """What a login node is called in known_hosts (ssh_config(5): a port other than 22 is part of the name)."""
    name, at = resolved.get("hostname", ""), str(port or resolved.get("port", "22"))
    return name if at == "22" else f"[{name}]:{at}"


def _resolved(host: str, *options: str) -> list[tuple[str, str]]:
    """What OpenSSH makes of ``host`` (ssh(1), -G), keys in small letters; nothing where it cannot be asked."""
    import subprocess

    try:
        done = subprocess.run(
            ["ssh", *options, "-G", "--", host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    pairs = (line.partition(" ") for line in done.stdout.splitlines())
    return [(key, value) for key, _, value in pairs if value]


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
