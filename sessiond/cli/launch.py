"""The way to the daemon: finds its socket, and starts it, once, where nothing answers."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

from sessiond import paths
from sessiond.cli.output import say
from sessiond.client import Client, ClientError, NoDaemon

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

_PATIENCE_S: Final = 15.0
"""How long a daemon may take from its start to its first answer."""

_WORDS: Final = 20
"""How many lines of a refusal are shown."""

_NOT_INHERITED: Final = ("SESSIOND_TAG", "SESSIOND_RUN")
"""Marks of the session we may be in. A daemon that carried them would be taken for a part of it."""

_MADE_ABSOLUTE: Final = ("SESSIOND_CONFIG", "SESSIOND_STATE_DIR", "SESSIOND_SOCKET")


def connect(*, start: bool = True, timeout_s: float = 60.0) -> Client:
    """The client for this user's daemon, which with ``start`` is started where nothing answers.

    Raises NoDaemon where it cannot be.
    """
    path = paths.socket_path()
    size = len(os.fsencode(path))
    if size > paths.SOCKET_PATH_LIMIT:
        raise NoDaemon(
            f"the socket's path has {size} bytes, and Unix allows {paths.SOCKET_PATH_LIMIT}: {path}",
            "set SESSIOND_SOCKET to a shorter path, in a folder that only you can enter",
        )
    client = Client(path, timeout_s=timeout_s)
    if start and not client.answers():
        launch(client, (sys.executable, "-m", "sessiond"))
    return client


def launch(client: Client, command: Sequence[str]) -> None:
    """Start the daemon with ``command``, detached, and wait until it answers. Of several callers one starts it.

    Raises NoDaemon with the daemon's own words where it refuses to run.
    """
    state = paths.state_dir()
    lock = _lock(state)
    try:
        if client.answers():
            return
        log = paths.daemon_log()
        mark, process = _spawn(command, log)
        deadline = time.monotonic() + _PATIENCE_S
        while not _ready(client):
            if (status := process.poll()) is not None:
                if client.answers():
                    # Another daemon of ours, systemd's perhaps, was first and sent this one away.
                    return
                raise _refused(status, log, mark)
            if time.monotonic() > deadline:
                raise NoDaemon(
                    f"sessiond was started (pid {process.pid}) but does not answer after {_PATIENCE_S:g} s",
                    f"its log: {log}",
                )
            time.sleep(0.05)
        say(f"sessiond was not running; started it (pid {process.pid}, log {log})", err=True)
    finally:
        os.close(lock)


def _lock(state: Path) -> int:
    import fcntl

    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        reason = error.strerror or str(error)
        raise NoDaemon(
            f"sessiond cannot run: its state folder {state} cannot be written to ({reason})",
            "set SESSIOND_STATE_DIR to a folder of your own on a local disk",
        ) from None
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _spawn(command: Sequence[str], log: Path) -> tuple[int, subprocess.Popen[bytes]]:
    """Start ``command`` detached; also where in the log its words will begin."""
    import subprocess

    environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    for name in _MADE_ABSOLUTE:
        if environment.get(name):
            environment[name] = os.path.abspath(environment[name])  # noqa: PTH100 - a string for an environment
    try:
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise NoDaemon(
            f"sessiond cannot run: its log {log} cannot be written ({error.strerror})",
            "set SESSIOND_STATE_DIR to a folder of your own on a local disk",
        ) from None
    try:
        mark = os.fstat(output).st_size
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=_home_of_code(),
            start_new_session=True,
        )
    except OSError as error:
        raise NoDaemon(f"sessiond cannot be started: {command[0]}: {error.strerror}") from None
    finally:
        os.close(output)
    return mark, process


def _home_of_code() -> str:
    """Where a daemon started by hand lives. ``python -m`` looks for modules there: never in a folder of the user's."""
    checkout = os.path.dirname(os.path.dirname(os.path.abspath(paths.__file__)))  # noqa: PTH100, PTH120 - a plain string
    return checkout if os.path.exists(f"{checkout}/pyproject.toml") else "/"  # noqa: PTH110 - as above


def _ready(client: Client) -> bool:
    try:
        Client(client.socket_path, timeout_s=2).status()
    except ClientError as error:
        return error.code != "no-daemon"
    return True


def _refused(status: int, log: Path, mark: int) -> NoDaemon:
    """What the daemon said last, in plain words; its structured lines are for the log's readers."""
    with log.open("rb") as file:
        file.seek(max(mark, log.stat().st_size - 65536))
        lines = file.read().decode("utf-8", "replace").splitlines()
    plain = [line for line in lines if line.strip() and not line.startswith("{")]
    said = next((number for number, line in enumerate(plain) if line.startswith("sessiond: ")), None)
    # Without a word of its own, it ended in a traceback or before its first line: the last lines say most.
    plain = [line.removeprefix("sessiond: ") for line in (plain[-3:] if said is None else plain[said:][:_WORDS])]
    how = f"exit status {status}" if status >= 0 else f"signal {-status}"
    if not plain:
        return NoDaemon(f"sessiond did not start ({how}), and did not say why", f"its log: {log}")
    return NoDaemon("sessiond did not start: " + "\n".join(plain), f"its log: {log}")
