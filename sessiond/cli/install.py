"""``sessionctl install``: the daemon in the hands of the person's systemd."""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Final

import click

from sessiond import paths
from sessiond.cli import manager, units
from sessiond.cli.output import safe, say
from sessiond.client import Client, ClientError, NoDaemon

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_STOP_S: Final = 45.0
"""How long a daemon may take to end: what is being submitted is finished first."""

_NOT_PASSED: Final = ("SESSIOND_CONFIG", "SESSIOND_STATE_DIR", "SESSIOND_SOCKET", "SESSIOND_ENVS")


@click.command()
@click.option("--force", is_flag=True, help="Replace units that were edited, without asking.")
def command(force: bool) -> int:
    """Have systemd start the daemon at login, and again whenever it ends.

    Writes the units sessiond.socket and sessiond.service, for this installation, and starts them. A unit that was
    edited is replaced only if you say so. Repeat it after an upgrade, or after sessiond was moved. What runs goes on.
    """
    manager.require()
    new = units.rendered(units.program())
    folder = units.folder()
    changed = [name for name, text in new.items() if not _is(folder / name, text)]
    agree([folder / name for name in changed], "replace", force=force)
    for name in changed:
        units.write(folder / name, new[name])
        say(f"{safe(folder / name)} is written")
    _put_to_work(changed=bool(changed))
    lingers = manager.lingers()
    if changed:
        when = "with the machine" if lingers else "at login"
        say(f"systemd keeps sessiond: it starts {when}, and again whenever it ends")
    else:
        say("systemd keeps sessiond; nothing had to be changed")
    for line in _notes(lingers):
        say(line, err=True)
    return 0


def agree(files: Sequence[Path], verb: str, *, force: bool) -> None:
    """Raise ClientError unless every edited one of ``files`` may be lost."""
    edited = [file for file in files if units.kind(file) is units.Kind.EDITED]
    if force or not edited:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ClientError(
            "refused",
            f"{' and '.join(map(str, edited))} {'was' if len(edited) == 1 else 'were'} edited; nothing was done",
            f"--force will {verb} it all the same; what you add with `systemctl --user edit sessiond` is kept",
        )
    for file in edited:
        sys.stderr.write(f"{safe(file)} was edited. {verb.capitalize()} it all the same? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise ClientError("refused", f"{file} stays as it is; nothing was done")


def _is(path: Path, text: str) -> bool:
    """Whether a unit is in place already."""
    if units.kind(path) is not units.Kind.OURS:
        return False
    return path.read_bytes() == text.encode()


def _put_to_work(*, changed: bool) -> None:
    """Enable both units, and start what does not run; what runs with other units is started anew."""
    if changed:
        manager.systemctl("daemon-reload")
    # enabling the service enables its socket
    manager.systemctl("enable", "--quiet", "sessiond.service")
    _take_over()
    manager.systemctl("restart" if changed else "start", *units.UNITS)


def _take_over() -> None:
    """End a daemon that was started by hand: it holds the state, and systemd's own could not start beside it."""
    if manager.show("sessiond.socket", "ActiveState") == "active":
        return  # systemd's own socket, and asking it would start the service
    plain = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED}
    # where one listens that was started with a runtime folder, and where one without, as by cron
    for env in (plain, {name: value for name, value in plain.items() if name != "XDG_RUNTIME_DIR"}):
        try:
            pid = Client(paths.socket_path(env), timeout_s=10).status()["pid"]
        except NoDaemon:
            continue
        if not _ended(pid):
            raise ClientError(
                "busy", f"the sessiond that was started by hand (pid {pid}) does not end", "try again in a minute"
            )
        say(f"the sessiond that was started by hand (pid {pid}) has ended; sessions go on")


def _ended(pid: int) -> bool:
    """Tell a daemon to end; whether it has in time."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(watched, signal.SIGTERM)
        return bool(select.select([watched], [], [], _STOP_S)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(watched)


def _notes(lingers: bool | None) -> list[str]:
    """What a person should know besides."""
    found = []
    if lingers is False:
        found.append("sessiond and its sessions end with your last login, unless you say: loginctl enable-linger")
    elif lingers is None:
        found.append("If sessions end when you log out: loginctl enable-linger")
    unseen = [name for name in _NOT_PASSED if os.environ.get(name)]
    if unseen:
        found.append(
            f"systemd's sessiond does not see this shell's {' and '.join(unseen)}: "
            "give it Environment= lines with `systemctl --user edit sessiond`"
        )
    return found
