"""The command ``sessiond``: what it takes, where its things are, and in which words it says that it cannot run."""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from sessiond import __version__, logs, paths
from sessiond.core.errors import ConfigError, SessiondError
from sessiond.daemon import Places, serve


def main(argv: Sequence[str] | None = None) -> None:
    """The command ``sessiond``: run in the foreground until told to stop. Exits 0, or with a sentence and 1 or 2."""
    options = _options(argv)
    faulthandler.enable()  # a watchdog's SIGABRT leaves a traceback
    for number in (signal.SIGINT, signal.SIGQUIT):
        # Started in the background of a script we ignore them, and so would every session: no shell can undo that,
        # and notebooks interrupt kernels with the first.
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    logs.configure(options.log)
    places = Places(
        config_file=Path(options.config).absolute() if options.config else paths.config_file(),
        state_dir=paths.state_dir(),
        socket_path=paths.socket_path(),
    )
    try:
        anyio.run(serve, places)
    except* SessiondError as group:
        raise SystemExit(_refusal(group)) from None


def arguments() -> argparse.ArgumentParser:
    """What the command ``sessiond`` takes."""
    parser = argparse.ArgumentParser(
        prog="sessiond", description="Runs and keeps interactive sessions; sessionctl is how one speaks to it."
    )
    parser.add_argument(
        "--config", metavar="FILE", help="the configuration (default: $XDG_CONFIG_HOME/sessiond/config.toml)"
    )
    parser.add_argument(
        "--log",
        choices=("auto", "json", "console"),
        default=os.environ.get("SESSIOND_LOG") or "auto",
        help="how to write the log on stderr (default: text on a terminal, else JSON)",
    )
    parser.add_argument("--version", action="version", version=f"sessiond {__version__}", help="print the version")
    return parser


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = arguments()
    options = parser.parse_args(argv)
    if options.log not in ("auto", "json", "console"):
        parser.error(f'SESSIOND_LOG: expected auto, json or console, got "{options.log[:40]}"')
    return options


def _refusal(group: BaseExceptionGroup[SessiondError]) -> int:
    """Say why the daemon cannot run, in plain lines whatever the log's style: 2 for the configuration, else 1."""
    status = 1
    for error in _leaves(group):
        for line in error.message.splitlines():
            print(f"sessiond: {line}", file=sys.stderr)  # noqa: T201
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)  # noqa: T201
        if isinstance(error, ConfigError):
            status = 2
    return status


def _leaves(group: BaseExceptionGroup[SessiondError]) -> list[SessiondError]:
    found: list[SessiondError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
