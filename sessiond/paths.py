"""Where things live. The daemon and sessionctl must agree on it, so both ask here; stdlib only."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

SOCKET_PATH_LIMIT = 107
"""The longest path a Unix socket can have on Linux: ``sun_path`` holds 108 bytes with its final NUL (unix(7))."""


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get("HOME") or Path.home())


def _base(env: Mapping[str, str], variable: str, default: str) -> Path:
    """An XDG base directory; relative values are ignored, as the specification asks."""
    value = env.get(variable, "")
    return Path(value) if value.startswith("/") else _home(env) / default


def config_file(env: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: ``SESSIOND_CONFIG``, else ``$XDG_CONFIG_HOME/sessiond/config.toml``."""
    given = env.get("SESSIOND_CONFIG")
    return Path(given).absolute() if given else _base(env, "XDG_CONFIG_HOME", ".config") / "sessiond" / "config.toml"


def user_services_dir(env: Mapping[str, str] = os.environ) -> Path:
    """The user's own services: ``$XDG_CONFIG_HOME/sessiond/services``."""
    return _base(env, "XDG_CONFIG_HOME", ".config") / "sessiond" / "services"


def user_units_dir(env: Mapping[str, str] = os.environ) -> Path:
    """The user's own units of systemd: ``$XDG_CONFIG_HOME/systemd/user``."""
    return _base(env, "XDG_CONFIG_HOME", ".config") / "systemd" / "user"


def state_dir(env: Mapping[str, str] = os.environ) -> Path:
    """The state folder: ``SESSIOND_STATE_DIR``, else ``$XDG_STATE_HOME/sessiond/<hostname>``.

    It is per host because login nodes share a home directory and SQLite's write-ahead log does not work across hosts.
    """
    given = env.get("SESSIOND_STATE_DIR")
    if given:
        return Path(given).absolute()
    return _base(env, "XDG_STATE_HOME", ".local/state") / "sessiond" / (socket.gethostname() or "localhost")


def socket_path(env: Mapping[str, str] = os.environ) -> Path:
    """The control socket: ``SESSIOND_SOCKET``, else in ``$XDG_RUNTIME_DIR``, else below the state folder.

    A runtime directory that does not exist or is not ours (after ``su``, say) is passed over.
    """
    given = env.get("SESSIOND_SOCKET")
    if given:
        return Path(given).absolute()
    runtime = env.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and _is_own_dir(Path(runtime)):
        return Path(runtime) / "sessiond" / "api.sock"
    return state_dir(env) / "run" / "api.sock"


def daemon_log(env: Mapping[str, str] = os.environ) -> Path:
    """Where the log of a daemon goes that sessionctl started itself."""
    return state_dir(env) / "daemon.log"


def data_dir(kind: str) -> Path:
    """A folder of data that comes with sessiond: ``services`` or ``systemd``, in a checkout or an installed wheel."""
    package = Path(__file__).parent
    installed = package / "_data" / kind
    return installed if installed.is_dir() else package.parent / kind


def _is_own_dir(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
