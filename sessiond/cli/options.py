"""What several verbs take: ``--json``, session names with their completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from sessiond.api.wire_forms import WorkflowParam
    from sessiond.client import Client

F = TypeVar("F", bound="Callable[..., Any]")

_ONES_OF_THE_CLUSTER: Final = ["="]
"""In the place of a parameter's values: the partitions or queues of the cluster on the line. No value begins so."""


def json_option(function: F) -> F:
    """``--json``: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, also for an error.")(function)


def name_argument(function: F) -> F:
    """One session."""
    return click.argument("name", shell_complete=complete_sessions)(function)


def live_name_argument(function: F) -> F:
    """One session, of which completion offers those that have not ended."""
    return click.argument("name", shell_complete=_complete_live)(function)


def _complete_live(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _sessions(incomplete, True)


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

    names, given = _typed(context)
    if not names:
        return []
    key, equals, _ = incomplete.partition("=")
    try:
        client = connect(start=False, timeout_s=2)
        fields = _fields(client, names[0])
        if not equals:
            taken = {value.partition("=")[0] for option in parameter.opts for value in given.get(option, ())}
            words = [(f"{field}=", about) for field, about, _ in fields if field not in taken]
        else:
            known = [values for field, _, values in fields if field == key]
            if _ONES_OF_THE_CLUSTER in known or (not known and key in ("partition", "queue")):
                offered = _partitions(client, given.get("--on", [""])[-1])
            else:
                offered = [(value, "") for values in known for value in values]
            words = [(f"{key}={value}", about) for value, about in offered]
    except ClientError:
        return []
    return [CompletionItem(word, help=safe(about) or None) for word, about in words if _offers(word, incomplete)]


def _partitions(client: Client, cluster: str) -> list[tuple[str, str]]:
    """A cluster's partitions or queues with what they are, as far as they are known by now: nobody waits for them."""
    return [(one["name"], one["text"]) for one in client.partitions(cluster)["partitions"]] if cluster else []


def _typed(context: click.Context) -> tuple[list[str], dict[str, list[str]]]:
    """The arguments on the line that are no options, and the values of those that have one, by option.

    click itself has none of them where the last option on the line still lacks its value, which is what is completed.
    """
    line = iter(context.find_root().obj or ())
    plain: list[str] = []
    values: dict[str, list[str]] = {}
    takes_value = {name for one in context.command.params for name in one.opts if not getattr(one, "is_flag", True)}
    for word in line:
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", "")
        if not option:
            plain.append(word)
        elif option in takes_value:
            values.setdefault(option, []).append(value if equals else next(line, ""))
    return plain[1:], values


def _fields(client: Client, name: str) -> list[tuple[str, str, list[str]]]:
    """What can be set: names, words about them, and the values they can have where these are known."""
    from sessiond.client import ClientError

    try:
        service = client.service(name)
    except ClientError as error:
        if error.code != "not-found":
            raise
        fields = [one for one in client.workflow(name)["params"] if one["type"] not in ("hidden", "resource")]
        return [(one["name"], one["label"], _values(one)) for one in fields]
    return [
        (one["name"], one["label"], ["true", "false"] if one["type"] == "boolean" else one["options"])
        for one in service["params"]
    ]


def _values(param: WorkflowParam) -> list[str]:
    if param["type"] == "boolean":
        return ["true", "false"]
    if param["type"] == "text" and param.get("asks") == "partition":
        return _ONES_OF_THE_CLUSTER
    return [one["value"] for one in param["options"]]


def complete_clusters(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the places where sessions can run, with how it stands with the way there."""
    return _clusters(incomplete)


def complete_links(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The same without this machine, to which nobody logs in."""
    return [one for one in _clusters(incomplete) if one.value != "local"]


def _clusters(incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from sessiond.cli.launch import connect
    from sessiond.cli.output import safe
    from sessiond.client import ClientError

    try:
        found = connect(start=False, timeout_s=2).clusters()
    except ClientError:
        return []
    return [
        CompletionItem(one["name"], help=safe(one["link"]["phrase"]))
        for one in found
        if _offers(one["name"], incomplete)
    ]


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
