"""What several verbs take: ``--json``, session names with their completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from sessiond.client import Client

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


def complete_values(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``KEY=`` for what the service or form named before it takes, and after that the values which it can have."""
    from click.shell_completion import CompletionItem

    from sessiond.cli.launch import connect
    from sessiond.cli.output import safe
    from sessiond.client import ClientError

    names, said = _typed(context, parameter)
    if not names:
        return []
    try:
        fields = _fields(connect(start=False, timeout_s=2), names[0])
    except ClientError:
        return []
    key, equals, _ = incomplete.partition("=")
    if not equals:
        taken = {value.partition("=")[0] for value in said}
        words = [(f"{field}=", about) for field, about, _ in fields if field not in taken]
    else:
        words = [(f"{key}={value}", "") for field, _, values in fields if field == key for value in values]
    return [CompletionItem(word, help=safe(about) or None) for word, about in words if _offers(word, incomplete)]


def _typed(context: click.Context, parameter: click.Parameter) -> tuple[list[str], list[str]]:
    """The arguments on the line that are no options, and the values of ``parameter``.

    click itself has none of them where the last option on the line still lacks its value, which is what is completed.
    """
    line = iter(context.find_root().obj or ())
    plain: list[str] = []
    values: list[str] = []
    takes_value = {name for one in context.command.params for name in one.opts if not getattr(one, "is_flag", True)}
    for word in line:
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", "")
        if not option:
            plain.append(word)
        elif option in takes_value:
            value = value if equals else next(line, "")
            values += [value] if option in parameter.opts else []
    return plain[1:], values


def _fields(client: Client, name: str) -> list[tuple[str, str, list[str]]]:
    """What can be set: names, words about them, and the values they can have where these are known."""
    from sessiond.client import ClientError

    yes_no = ["true", "false"]
    try:
        service = client.service(name)
    except ClientError as error:
        if error.code != "not-found":
            raise
        fields = [one for one in client.workflow(name)["params"] if one["type"] not in ("hidden", "resource")]
        return [
            (one["name"], one["label"], yes_no if one["type"] == "boolean" else [o["value"] for o in one["options"]])
            for one in fields
        ]
    return [
        (one["name"], one["label"], yes_no if one["type"] == "boolean" else one["options"]) for one in service["params"]
    ]


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
