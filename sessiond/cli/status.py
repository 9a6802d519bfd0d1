"""``sessionctl status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sessiond import __version__
from sessiond.cli.launch import connect
from sessiond.cli.options import json_option
from sessiond.cli.output import ago, clock, paint, safe, say, say_json, span
from sessiond.client import ClientError, NoDaemon

if TYPE_CHECKING:
    from sessiond.api.wire import Cluster, Status


@click.command()
@json_option
def command(as_json: bool) -> int:
    """Show the daemon in one screen. It is not started for that."""
    client = connect(start=False)
    try:
        status = client.status()
    except NoDaemon as error:
        hint = "`sessionctl ls` starts it, as does every command that needs it"
        raise ClientError(error.code, error.message, hint if "not running" in error.message else error.hint) from None
    if as_json:
        say_json(status)
        return 0
    rows = _facts(status)
    size = max(len(key) for key, _ in rows)
    for key, value in rows:
        say(f"{paint(key.ljust(size), 'strong')}  {safe(value)}")
    for warning in status["warnings"]:
        say(f"{paint('warning'.ljust(size), 'attention')}  {safe(warning)}")
    return 0


def _facts(status: Status) -> list[tuple[str, str]]:
    version = status["version"]
    other = "" if version == __version__ else f" (sessionctl is {__version__}: restart the daemon)"
    counts = ", ".join(f"{count} {state}" for state, count in status["sessions"].items() if count)
    return [
        ("sessiond", f"{version}, pid {status['pid']}{other}"),
        ("started", f"{clock(status['started'])} ({ago(status['started'])} ago)"),
        ("sessions", counts or "none"),
        *((f"cluster {cluster['name']}", _about(cluster)) for cluster in status["clusters"]),
        ("gateway", status["gateway"] or "off"),
        ("state", status["state_dir"]),
        ("socket", status["socket"]),
        ("config", status["config"]),
    ]


def _about(cluster: Cluster) -> str:
    link = cluster["link"]
    since = f" since {clock(link['since'])}" if link["since"] else ""
    age = cluster["observed_age_s"]
    seen = f", observed {span(age)} ago" if age is not None else ""
    host = f" ({cluster['host']})" if cluster["host"] and cluster["host"] != cluster["name"] else ""
    return f"{link['phrase']}{since}{seen}, {cluster['scheduler']}{host}"
