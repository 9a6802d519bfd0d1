"""Write the man pages from what the two programs say of themselves: ``python -m tests.docs.manpages FOLDER``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from sessiond import __version__
from sessiond.cli.main import root
from sessiond.main import arguments

_SIGNS = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", "|": r"|\:"}
"""What troff would take for something else, or print as a typographic sign (groff_man_style(7)).

A line may end after a bar.
"""

_ENVIRONMENT = (
    ("SESSIOND_CONFIG", "The configuration file."),
    ("SESSIOND_STATE_DIR", "The folder of the state database, of sessions' folders and of the daemon's log."),
    ("SESSIOND_SOCKET", "The control socket."),
)
_OF_THE_DAEMON = (
    *_ENVIRONMENT,
    ("SESSIOND_LOG", "How to write the log, as `--log` says it."),
    ("SESSIOND_ENVS", "Where services install the programs that they need."),
)
_OF_SESSIONCTL = (
    *_ENVIRONMENT,
    ("BROWSER", "What `open` and `start --open` call with a URL."),
    ("NO_COLOR", "Where it is set, nothing is coloured."),
)
_FILES = (
    ("~/.config/sessiond/config.toml", "The configuration. None is fine."),
    ("~/.config/sessiond/services/", "Your own services."),
    (
        "~/.local/state/sessiond/HOSTNAME/",
        "The state: database, sessions' folders, the log of a daemon started by hand.",
    ),
    (
        "$XDG_RUNTIME_DIR/sessiond/api.sock",
        "The control socket; without such a folder `run/api.sock` in the state folder.",
    ),
    ("~/.config/systemd/user/sessiond.service", "The unit that `sessionctl install` writes, beside `sessiond.socket`."),
)
_SIGNALS = (
    ("SIGTERM, SIGINT", "End in order. Sessions go on; the next daemon takes them up."),
    ("SIGHUP", "Read the configuration again, all of it or, where something in it is wrong, nothing."),
)
_DAEMON = """\
It keeps the state of every session in a database, holds one SSH connection to each cluster, and serves sessions' URLs
at `127.0.0.1`. It runs as you, for you, in the foreground; the first `sessionctl` that needs it starts it detached, and
`sessionctl install` has systemd start and keep it. It can be killed at any moment: sessions go on, and the next one
finds them again."""
_DAEMON_STATUS = (
    "0 after a signal to end; 1 where it cannot run; 2 where the configuration or the command line is wrong."
)


def pages() -> dict[str, str]:
    """Each page's text by the name of its file."""
    return {"sessionctl.1": "".join(_sessionctl()), "sessiond.1": "".join(_sessiond())}


def _sessionctl() -> Iterator[str]:
    context = click.Context(root, info_name="sessionctl")
    about = root.help or ""
    yield from _head("sessionctl", "start, look at and stop sessions of sessiond")
    yield _section("SYNOPSIS") + _usage(context)
    yield _section("DESCRIPTION") + _text(about)
    yield _section("OPTIONS") + _options(context) + _HELP + _section("COMMANDS")
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        yield from _verb(command, click.Context(command, info_name=name, parent=context))
    names, _, status = (root.epilog or "").partition(" Exit status: ")
    yield _section("NAMES") + _text(names)
    yield _section("EXIT STATUS") + _text(status)
    yield _section("ENVIRONMENT") + _list(_OF_SESSIONCTL)
    yield _section("FILES") + _list(_FILES)
    yield _section("SEE ALSO") + ".BR sessiond (1)\n"


def _verb(command: click.Command, context: click.Context) -> Iterator[str]:
    """A verb and, where it has some, its own verbs."""
    yield f".SS {_escaped(context.command_path)}\n{_usage(context)}{_text(command.help or '')}{_options(context)}"
    if command.epilog:
        yield _text(command.epilog)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _verb(inner, click.Context(inner, info_name=name, parent=context))


def _usage(context: click.Context) -> str:
    words = " ".join(context.command.collect_usage_pieces(context))
    return f".PP\n\\fB{_escaped(context.command_path)}\\fR {_escaped(words)}\n"


def _options(context: click.Context) -> str:
    """The options, without ``--help``, which all have."""
    found = [
        record
        for one in context.command.get_params(context)
        if isinstance(one, click.Option)
        and "--help" not in one.opts
        and (record := one.get_help_record(context)) is not None
    ]
    return _list(found)


_HELP = ".TP\n\\fB\\-h, \\-\\-help\\fR\nShow what the program, or the command before it, takes.\n"


def _sessiond() -> Iterator[str]:
    parser = arguments()
    yield from _head("sessiond", "run and keep interactive sessions")
    usage = " ".join(f"[{_escaped(_called(one))}]" for one in parser._actions if one.dest != "help")
    yield _section("SYNOPSIS") + f".PP\n\\fBsessiond\\fR {usage}\n"
    yield _section("DESCRIPTION") + _text(parser.description or "") + _text(_DAEMON)
    yield _section("OPTIONS") + _list([(_called(one), _sentence(one.help or "")) for one in parser._actions])
    yield _section("SIGNALS") + _list(_SIGNALS)
    yield _section("EXIT STATUS") + _text(_DAEMON_STATUS)
    yield _section("ENVIRONMENT") + _list(_OF_THE_DAEMON)
    yield _section("FILES") + _list(_FILES)
    yield _section("SEE ALSO") + ".BR sessionctl (1),\n.BR systemd.service (5)\n"


def _called(action: argparse.Action) -> str:
    value = f"{{{','.join(action.choices)}}}" if action.choices else action.metavar
    return ", ".join(action.option_strings) + (f" {value}" if value else "")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def _head(name: str, about: str) -> Iterator[str]:
    yield f'.\\" Made by `make docs`.\n.TH {name.upper()} 1 "" "sessiond {__version__}" "User Commands"\n'
    # neither hyphenated nor stretched: commands are to be copied
    yield f".nh\n.ad l\n{_section('NAME')}{name} \\- {_escaped(about)}\n"


def _section(name: str) -> str:
    return f".SH {name}\n"


def _list(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(f".TP\n\\fB{_escaped(what)}\\fR\n{_line(text)}\n" for what, text in rows)


def _text(text: str) -> str:
    """Paragraphs, as they are in a help text."""
    parts = (" ".join(part.replace("\b", "").split()) for part in text.split("\n\n"))
    return "".join(f".PP\n{_line(part)}\n" for part in parts if part)


def _line(text: str) -> str:
    """One line of input: what stands in backticks in bold."""
    parts = " ".join(text.split()).split("`")
    marked = "".join(f"\\fB{_escaped(part)}\\fR" if odd % 2 else _escaped(part) for odd, part in enumerate(parts))
    # a dot or a quote at the beginning would be a request
    return rf"\&{marked}" if marked.startswith((".", "'")) else marked


def _escaped(text: str) -> str:
    return "".join(_SIGNS.get(char, char) if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)


def main() -> None:
    """Write both."""
    for name, text in pages().items():
        Path(sys.argv[1], name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
