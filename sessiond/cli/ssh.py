"""``sessionctl ssh``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import live_name_argument
from sessiond.client import ClientError

if TYPE_CHECKING:
    from sessiond.api.wire import SshAccess


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@live_name_argument
@click.argument("words", metavar="[COMMAND]...", nargs=-1, type=click.UNPROCESSED)
def command(name: str, words: tuple[str, ...]) -> int:
    """Open a shell on a session's node, or run COMMAND there; on this machine in the session's folder."""
    client = connect(start=False)
    access = client.ssh(name)
    if access["cluster"] == "local":
        _here(access, words)
    if client.session(access["id"])["link"]["state"] == "needs-login":
        # Through ssh this would come as a broken connection.
        raise ClientError("needs-login", f"{access['cluster']} needs a login", f"sessionctl login {access['cluster']}")
    _there(access, words)


def _here(access: SshAccess, words: tuple[str, ...]) -> NoReturn:
    """The user's own shell, which gets a command as ssh would give it: one text."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    try:
        os.chdir(access["folder"])
        os.execvp(shell, [shell, "-c", " ".join(words)] if words else [shell])  # noqa: S606 - the user's own shell, as login(1) would start it
    except OSError as error:
        what = error.filename or shell
        raise ClientError("failed", f"no shell can be opened: {what}: {error.strerror}") from None


def _there(access: SshAccess, words: tuple[str, ...]) -> NoReturn:
    from sessiond.cli.openssh import settings

    options = [part for key, value in settings(access, access["id"]) for part in ("-o", f"{key}={value}")]
    # What ~/.ssh/config forwards for the login node has its ports taken already, or is not meant for a node.
    options += ["-o", "ClearAllForwardings=yes"]
    argv = ["ssh", *options, "--", access["host"] or "", *words]
    try:
        os.execvp("ssh", argv)  # noqa: S606 - no shell is wanted: the words are as they are
    except OSError as error:
        raise ClientError("failed", f"ssh cannot be run: {error.strerror}", "install OpenSSH's client") from None
