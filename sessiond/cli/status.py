"""``sessionctl status``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from sessiond import __version__
from sessiond.cli.launch import connect
from sessiond.cli.options import json_option
from sessiond.cli.output import ago, clock, columns, hanging, paint, safe, say, say_json, span
from sessiond.client import ClientError, NoDaemon

_SCHEDULERS = ("slurm", "pbs")
_TIMED = ("backoff", "connecting")
_STATES: Final = {
    "render": "preparing",
    "submit": "submitting",
    "reconcile": "finding out",
    "abandon": "stopping",
    "wait-for-node": "in the queue",
    "start": "starting",
    "tunnel": "connecting",
    "verify": "checking",
    "kill": "stopping",
}
"""States in the dashboard's words."""

if TYPE_CHECKING:
    from sessiond.api.wire_clusters import Cluster
    from sessiond.api.wire_daemon import Status


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
    for key, value in (*rows, *(("warning", warning) for warning in status["warnings"])):
        first, *more = hanging(f"{key.ljust(size)}  {safe(value)}", columns(sys.stdout), size + 2)
        say(paint(key.ljust(size), "attention" if key == "warning" else "strong") + first[size:])
        for line in more:
            say(line)
    return 0


def _facts(status: Status) -> list[tuple[str, str]]:
    version = status["version"]
    other = "" if version == __version__ else f" (sessionctl is {__version__}: restart the daemon)"
    counted: dict[str, int] = {}
    for state, count in status["sessions"].items():
        counted[_STATES.get(state, state)] = counted.get(_STATES.get(state, state), 0) + count
    counts = ", ".join(f"{count} {word}" for word, count in counted.items() if count)
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
    age = cluster["observed_age_s"]
    host = cluster["host"] if cluster["host"] != cluster["name"] else ""
    kind = cluster["scheduler"] if cluster["scheduler"] in _SCHEDULERS else ""
    what = f" ({' at '.join(filter(None, (kind, host)))})" if kind or host else ""
    # How long it is unreachable is in the phrase already.
    lasts = link["since"] and link["state"] not in _TIMED and cluster["name"] != "local"
    since = f", for {ago(link['since'])}" if lasts else ""
    seen = f"; looked at {span(age)} ago" if age is not None else ""
    return f"{link['phrase']}{what}{since}{seen}"
