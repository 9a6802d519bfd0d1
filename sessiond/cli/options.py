"""What several verbs take: ``--json``, session names with their completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

F = TypeVar("F", bound="Callable[..., Any]")


def json_option(function: F) -> F:
    """``--json``: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, also for an error.")(function)


def name_argument(function: F) -> F:
    """One session."""
    return click.argument("name", shell_complete=complete_sessions)(function)


def names_argument(*, required: bool, live: bool | None = None) -> Callable[[F], F]:
    """Some sessions; ``live`` narrows what completion offers to those that run, or to those that have ended."""

    def offer(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        taken = context.params.get("names") or ()
        found = _sessions(incomplete, live)
        return [one for one in found if one.value not in taken]

    return click.argument("names", nargs=-1, required=required, metavar="NAME...", shell_complete=offer)


def complete_sessions(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of all sessions, with what they do."""
    return _sessions(incomplete, None)


def complete_services(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of what can be started."""
    from click.shell_completion import CompletionItem

    from sessiond.cli.launch import connect
    from sessiond.cli.output import safe
    from sessiond.client import ClientError

    try:
        found = connect(start=False, timeout_s=2).services()
    except ClientError:
        return []
    return [
        CompletionItem(one["name"], help=safe(one["title"]))
        for one in found
        if not one["problems"] and _offers(one["name"], incomplete)
    ]


def complete_workflows(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of forms; files are the shell's own to complete."""
    return _workflows(incomplete, usable=False)


def _workflows(incomplete: str, *, usable: bool) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from sessiond.cli.launch import connect
    from sessiond.cli.output import safe
    from sessiond.client import ClientError

    try:
        found = connect(start=False, timeout_s=2).workflows()
    except ClientError:
        return []
    return [
        CompletionItem(one["name"], help=safe(one["title"]))
        for one in found
        if not (usable and one["problems"]) and _offers(one["name"], incomplete)
    ]


def complete_what_starts(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Services, then forms, those that can be started."""
    return [*complete_services(context, parameter, incomplete), *_workflows(incomplete, usable=True)]


def complete_clusters(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the places where sessions can run."""
    from click.shell_completion import CompletionItem

    from sessiond.cli.launch import connect
    from sessiond.client import ClientError

    try:
        found = connect(start=False, timeout_s=2).clusters()
    except ClientError:
        return []
    return [CompletionItem(one["name"]) for one in found if _offers(one["name"], incomplete)]


def _sessions(incomplete: str, live: bool | None) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from sessiond.cli.launch import connect
    from sessiond.cli.output import safe
    from sessiond.client import ClientError

    try:
        # A shell waits for this: no daemon is started, none is waited for.
        found = connect(start=False, timeout_s=2).sessions(all=live is not True)
    except ClientError:
        return []
    return [
        CompletionItem(one["name"], help=safe(one["phrase"]))
        for one in found
        if (live is None or (one["state"] != "ended") is live) and _offers(one["name"], incomplete)
    ]


def _offers(name: str, incomplete: str) -> bool:
    """Shells get plain words only: click's protocol is a line of text each."""
    return name.isprintable() and "," not in name and " " not in name and name.startswith(incomplete)
