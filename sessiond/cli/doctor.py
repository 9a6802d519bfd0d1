"""``sessionctl doctor``: each thing that can be wrong is one function below; it works without the daemon, too."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from sessiond import __version__, paths
from sessiond.cli import manager, units
from sessiond.cli.launch import connect
from sessiond.cli.open import can_open
from sessiond.cli.options import complete_clusters, json_option
from sessiond.cli.output import paint, safe, say, say_json
from sessiond.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SCARCE: Final = 256 << 20
"""Free bytes below which a person should know; a full disk ends the recording of sessions."""
_FULL: Final = 16 << 20

_CLUSTER_S: Final = 600.0
"""How long the check of a cluster may take: each part of it has an end of its own."""

_LOOKS: Final = {"ok": "ok", "note": "dim", "warning": "attention", "wrong": "error"}

_UNIT_FOLDERS: Final = (
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
)


class Finding(NamedTuple):
    """What one check found. ``state`` is ok, note, warning or wrong; ``remedy`` may be empty."""

    check: str
    state: str
    text: str
    remedy: str = ""


@click.command()
@click.argument("cluster", required=False, shell_complete=complete_clusters)
@json_option
def command(cluster: str | None, as_json: bool) -> int:
    """Check everything that can be wrong here, or with one CLUSTER, and say the remedy. Status 1 where something is."""
    found = [finding for check in CHECKS for finding in check()] if cluster is None else of_cluster(cluster)
    if as_json:
        say_json([finding._asdict() for finding in found])
    else:
        size = max(len(finding.check) for finding in found)
        for finding in found:
            mark = paint(finding.state.ljust(7), _LOOKS[finding.state])
            say(f"{mark}  {finding.check.ljust(size)}  {safe(finding.text)}")
            if finding.remedy:
                say(f"{' ' * (11 + size)}{safe(finding.remedy)}")
    return 1 if any(finding.state == "wrong" for finding in found) else 0


def daemon() -> Iterator[Finding]:
    """It answers, in the same version; and what it has to say itself."""
    try:
        status = connect(start=False, timeout_s=10).status()
    except ClientError as error:
        if error.code == "no-daemon" and error.message == "sessiond is not running":
            yield Finding("daemon", "note", "sessiond is not running", "any command that needs it starts it")
        else:
            yield Finding("daemon", "wrong", error.message, error.hint)
        return
    if status["version"] == __version__:
        yield Finding("daemon", "ok", f"sessiond {status['version']} answers (pid {status['pid']})")
    else:
        yield Finding(
            "daemon",
            "warning",
            f"sessiond is version {status['version']}, sessionctl is {__version__}",
            f"restart it: `systemctl --user restart sessiond`, or `kill {status['pid']}`; sessions go on meanwhile",
        )
    for warning in status["warnings"]:
        yield Finding("daemon", "warning", warning)


def of_cluster(name: str) -> list[Finding]:
    """Everything that the daemon finds on a cluster. Raises ClientError where there is no such cluster."""
    states = {"ok": "ok", "warn": "warning", "bad": "wrong"}
    found = connect(timeout_s=_CLUSTER_S).check(name)
    return [Finding(one["what"], states[one["ok"]], one["finding"], one["remedy"]) for one in found]


def clusters() -> Iterator[Finding]:
    """The state of each cluster's connection; none is made for that."""
    try:
        found = connect(start=False, timeout_s=10).clusters()
    except ClientError:
        return  # the daemon's own line says it
    states = {"ok": "ok", "busy": "note", "attention": "warning", "error": "wrong"}
    for one in found:
        if one["name"] != "local":
            link = one["link"]
            text = f"cluster {one['name']}: {link['phrase']} ({one['host']})"
            more = f"`sessionctl doctor {one['name']}` checks all of it"
            remedy = link["next"] if link["severity"] in ("attention", "error") else ""
            yield Finding("cluster", states[link["severity"]], text, "; ".join(filter(None, (remedy, more))))


def control_socket() -> Iterator[Finding]:
    """Nobody else can reach it."""
    path = paths.socket_path()
    size = len(os.fsencode(path))
    if size > paths.SOCKET_PATH_LIMIT:
        yield Finding(
            "socket",
            "wrong",
            f"{path} has {size} bytes, Unix allows {paths.SOCKET_PATH_LIMIT}",
            "set SESSIOND_SOCKET to a shorter path, in a folder that only you can enter",
        )
        return
    loose = [text for part, mode in ((path.parent, 0o700), (path, 0o600)) for text in _loose(part, mode)]
    for text, remedy in loose:
        yield Finding("socket", "wrong", text, remedy)
    if not loose:
        yield Finding("socket", "ok", f"{path}")


def state_folder() -> Iterator[Finding]:
    """It is ours alone, can be written to, and has room."""
    path = paths.state_dir()
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield Finding(
            "state",
            "wrong",
            f"{path} cannot be written to",
            "set SESSIOND_STATE_DIR to a folder of your own on a local disk",
        )
        return
    for text, remedy in _loose(path, 0o700):
        yield Finding("state", "wrong", text, remedy)
    disk = os.statvfs(place)
    free = disk.f_bavail * disk.f_frsize
    state = "wrong" if free < _FULL else "warning" if free < _SCARCE else "ok"
    remedy = "" if state == "ok" else "make room there, or `sessionctl rm` ended sessions"
    yield Finding("state", state, f"{path}, {_size(free)} free", remedy)


def _size(count: int) -> str:
    return f"{count >> 30} GiB" if count >= 10 << 30 else f"{count >> 20} MiB"


def configuration() -> Iterator[Finding]:
    """It can be read, and says what can be done: as a daemon would read it that starts now."""
    from sessiond.configcheck import problems

    path = paths.config_file()
    found = problems(path)
    for problem in found[:-1]:
        yield Finding("config", "wrong", problem)
    for problem in found[-1:]:
        remedy = f"correct it in {path}; a daemon that runs has its old one until `sessionctl reload`"
        yield Finding("config", "wrong", problem, remedy)
    if not found:
        yield Finding("config", "ok", f"{path}" if path.exists() else f"no {path}: this machine only")


def systemd() -> Iterator[Finding]:
    """The units are installed, and the user's manager outlives the login."""
    if not Path("/run/systemd/system").is_dir():
        yield Finding("systemd", "note", "systemd does not run here; sessiond lives until it is stopped or the host is")
        return
    own = units.folder()
    if not any((folder / "sessiond.socket").exists() for folder in (own, *map(Path, _UNIT_FOLDERS))):
        yield Finding(
            "systemd",
            "note",
            "sessiond.socket is not installed; sessiond is started by hand, and not again after a reboot",
            "sessionctl install",
        )
    else:
        yield Finding("systemd", "ok", "sessiond.socket is installed")
    lingers = manager.lingers()
    if lingers is None:
        yield Finding("linger", "warning", "whether your processes outlive your login cannot be found out")
    elif lingers:
        yield Finding("linger", "ok", "your processes outlive your login")
    else:
        yield Finding(
            "linger", "warning", "sessiond and its sessions may end when you log out", "loginctl enable-linger"
        )


def browser() -> Iterator[Finding]:
    """`sessionctl open` can do something."""
    if can_open():
        yield Finding("browser", "ok", "a browser can be opened from here")
    else:
        yield Finding("browser", "note", "no browser can be opened from here; `sessionctl open` prints the URL")


CHECKS: Final[tuple[Callable[[], Iterator[Finding]], ...]] = (
    daemon,
    control_socket,
    state_folder,
    configuration,
    systemd,
    browser,
    clusters,
)


def _loose(path: Path, mode: int) -> Iterator[tuple[str, str]]:
    """What is wrong with the owner and the mode of ``path``, where it exists."""
    try:
        found = path.lstat()
    except OSError:
        return
    if found.st_uid != os.geteuid():
        yield (
            f"{path} belongs to uid {found.st_uid}",
            "point SESSIOND_SOCKET or SESSIOND_STATE_DIR to a folder of your own",
        )
    elif stat.S_IMODE(found.st_mode) & 0o777 & ~mode:
        yield f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):o})", f"chmod {mode:o} {path}"
