"""``sessionctl uninstall``: what `install` did, undone."""

from __future__ import annotations

import click

from sessiond import paths
from sessiond.cli import manager, units
from sessiond.cli.install import agree
from sessiond.cli.output import safe, say
from sessiond.client import ClientError


@click.command()
@click.option("--force", is_flag=True, help="Remove units that were edited, without asking.")
def command(force: bool) -> int:
    """Take the daemon out of systemd's hands: stop it, and remove the units that `install` has written.

    Sessions go on, and the state is kept. A unit that was edited is removed only if you say so.
    """
    folder = units.folder()
    found = [folder / name for name in units.UNITS if units.kind(folder / name) is not units.Kind.MISSING]
    if not found:
        say(f"there is no unit of sessiond in {safe(folder)}")
        return 0
    agree(found, "remove", force=force)
    silent = manager.reachable()
    if not silent:
        manager.systemctl("disable", "--quiet", "--now", *(file.name for file in found))
    try:
        for file in found:
            file.unlink()
            say(f"{safe(file)} is removed")
        # What "disable" has done already, where somebody answered. Links to nothing are not found by their whole path.
        for wants in folder.glob("*.wants"):
            for link in (wants / file.name for file in found):
                link.unlink(missing_ok=True)
    except OSError as error:
        raise ClientError("failed", f"{error.filename} cannot be removed: {error.strerror}") from None
    if silent:
        say(f"No systemd of yours answers here ({safe(silent)}): a daemon that it keeps stays until it ends.", err=True)
    else:
        manager.systemctl("daemon-reload")
    for name in units.UNITS:
        if (folder / f"{name}.d").is_dir():
            say(f"{safe(folder / f'{name}.d')} is yours, and stays", err=True)
    say(f"Sessions go on. Their state is kept in {safe(paths.state_dir())}")
    say("The next sessionctl that needs the daemon starts it by itself.")
    return 0
