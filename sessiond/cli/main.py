"""``sessionctl``: finds the verb, and turns what goes wrong into one sentence, a hint and an exit status.

Verbs are imported when they are used, and click alone is loaded before: 23 ms over a bare interpreter's 8 ms. argparse
would take 7 ms; click's completion of three shells and its suggestions for misspelt options are worth the difference
while ``ls --json`` as a whole stays below eight bare interpreters (bench/cli.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

import click

from sessiond import __version__
from sessiond.cli import streams

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from sessiond.client import ClientError

VERBS: Final[dict[str, str]] = {
    "start": "Start a session and follow it until it runs.",
    "plan": "Show what `start` would do; nothing is submitted.",
    "ls": "List sessions.",
    "show": "Show everything about a session.",
    "url": "Print a session's URL.",
    "open": "Open a session in the browser.",
    "dashboard": "Open the web page of all sessions.",
    "why": "Tell a session's story and what happens next.",
    "wait": "Wait until sessions run, or are in a given state.",
    "logs": "Print a session's own output.",
    "watch": "Print what happens, as it happens.",
    "stop": "Stop sessions.",
    "rm": "Forget ended sessions.",
    "extend": "Ask the scheduler for more walltime.",
    "ssh": "Open a shell, or run a command, where a session runs.",
    "proxy": "Carry stdin and stdout to a port of a session's node.",
    "ssh-config": "Print a configuration with which ssh, scp and editors reach sessions.",
    "services": "List what can be started.",
    "workflows": "List the forms in front of services.",
    "workflow": "Show a form, or everything that is wrong with its file.",
    "clusters": "List where sessions can run, and the links there.",
    "partitions": "List a cluster's partitions or queues.",
    "login": "Answer what a cluster asks, and connect to it.",
    "logout": "Drop the link to a cluster.",
    "status": "Show the daemon in one screen.",
    "reload": "Have the daemon read its configuration again.",
    "install": "Have systemd start the daemon, and keep it.",
    "uninstall": "Take the daemon out of systemd's hands; sessions go on.",
    "doctor": "Check everything that can be wrong, and say the remedy.",
    "version": "Print the versions of sessionctl and of the daemon.",
    "completion": "Print the completion script for a shell.",
}
"""Every verb with its one line of help. Each lives in the module of its name."""

_INTERRUPTED: Final = 130
_COMPLETE: Final = "_SESSIONCTL_COMPLETE"
"""Set by the completion scripts: which shell asks for what."""


class Verbs(click.Group):
    """A group whose commands are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        found: click.Command = import_module(f"sessiond.cli.{cmd_name.replace('-', '_')}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, VERBS, n=1)
            also = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no command {name!r}{also}", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in VERBS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="NAME is a session's name, its id, or a unique beginning of one. "
    "Exit status: 0 ok, 1 what was asked for failed, 2 usage, 3 not found, 4 needs a login, 5 no daemon, "
    "6 refused, 75 try again.",
)
@click.version_option(version=__version__, prog_name="sessionctl", message="%(prog)s %(version)s")
def root() -> None:
    """Interactive sessions on this machine and on clusters."""


def run(args: Sequence[str]) -> int:
    """Run one command line; returns its exit status."""
    from sessiond.client import ClientError

    if instruction := os.environ.get(_COMPLETE):
        from click.shell_completion import shell_complete

        import sessiond.cli.shells  # noqa: F401 - it tells click how the shells are spoken to

        return shell_complete(root, {}, "sessionctl", _COMPLETE, instruction)
    as_json = "--json" in args
    try:
        # Not root.main(): that turns Ctrl-C and a closed pipe into statuses of its own.
        with root.make_context("sessionctl", list(args) or ["--help"]) as context:
            done = root.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return _report(_usage(error, args), as_json)
    except ClientError as error:
        return _report(error, as_json)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return done if isinstance(done, int) else 0


def main() -> None:
    """The console script."""
    streams.prepare()
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough (`| head`).
        streams.let_go()
        status = 0
    except streams.NotWritten as error:
        status = _lost(error)
        streams.let_go()
    sys.exit(status)


def _usage(error: click.ClickException, args: Sequence[str]) -> ClientError:
    from sessiond.client import ClientError

    context = getattr(error, "ctx", None)
    # What lacks its value click does not say the command of.
    verb = " ".join(name for name in args[:1] if name in VERBS)
    where = context.command_path if context else f"sessionctl {verb}".rstrip()
    text = " ".join(error.format_message().split())
    return ClientError(
        "bad-request", text[:1].lower() + text[1:].removesuffix("."), f"`{where} --help` shows what it takes"
    )


def _lost(error: streams.NotWritten) -> int:
    from sessiond.client import ClientError

    hint = "make room where it goes" if error.is_full else ""
    return _report(ClientError("error", f"the output cannot be written: {error}", hint), as_json=False)


def _report(error: ClientError, as_json: bool) -> int:
    from sessiond.api.wire import EXIT_STATUS
    from sessiond.cli.output import say_error

    say_error(error, as_json=as_json)
    return EXIT_STATUS.get(error.code, 1)


if __name__ == "__main__":
    main()
