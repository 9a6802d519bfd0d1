"""config.toml -> Config, or every problem in it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from sessiond.config import values
from sessiond.config.model import (
    LOCAL,
    NAMED_HOSTS,
    ClusterConfig,
    Config,
    DaemonConfig,
    Gateway,
    IdleConfig,
    Login,
    NotifyConfig,
    PortRange,
    Route,
    Scheduler,
    Ssh,
    this_machine,
)
from sessiond.config.reader import Document, Table, Wrong, read_text
from sessiond.core.errors import ConfigError
from sessiond.core.ids import ClusterName

HINT_AT_START = "Correct the file; the next command starts sessiond."
_HINT = "The file was not applied; correct it and run `sessionctl reload`."


def load(path: Path, *, hint: str = _HINT) -> Config:
    """Read ``path``; a file that does not exist means every default.

    Raises ConfigError with every problem of the file, one line each, and ``hint``.
    """
    try:
        found = read_text(path)
        if found is None:
            return Config()
        return _read(Document(path.name, found), path.absolute().parent)
    except ConfigError as error:
        raise ConfigError(error.problems, hint=hint) from None


def _read(document: Document, base: Path) -> Config:
    top = document.top()
    warnings: list[str] = []
    config = Config(
        daemon=_daemon(top.table("daemon"), base, warnings),
        notify=_notify(top.table("notify")),
        idle=_idle(top.table("idle")),
        clusters=_clusters(top.table("clusters")),
    )
    top.close()
    if document.problems:
        raise ConfigError(document.problems)
    return replace(config, warnings=(*warnings, *_without_effect(config, document)))


def _daemon(table: Table, base: Path, warnings: list[str]) -> DaemonConfig:
    ports = table.read("ports", values.port_range, None)
    address = table.read("gateway", values.loopback_address, (Gateway().host, Gateway().port))
    own_origins = table.read("own_origins", values.boolean, False)
    folders = tuple(
        # a relative folder is one beside the file that names it: the daemon's own working directory is nobody's choice
        base / Path(folder).expanduser()
        for folder in table.read("services_dirs", _folders, ())
    )
    table.close()
    for n, folder in enumerate(folders):
        if not folder.is_dir():
            warnings.append(
                f"{table.document.where((*table.key, 'services_dirs', n))}: there is no folder {folder} at the moment"
            )
    return DaemonConfig(
        gateway=Gateway(host=address[0], port=address[1]) if address else None,
        own_origins=own_origins,
        ports=PortRange(first=ports[0], last=ports[1]) if ports else PortRange(),
        services_dirs=folders,
    )


def _folders(value: object) -> tuple[str, ...]:
    found = values.lines_of_text(value)
    for n, text in enumerate(found):
        if not text:
            raise Wrong("the path of a folder", at=(n,), value=text)
        try:
            Path(text).expanduser()
        except RuntimeError:
            raise Wrong("the home of a user known here", at=(n,), value=text) from None
    return found


def _notify(table: Table) -> NotifyConfig:
    command = table.read("command", _command, ())
    table.close()
    return NotifyConfig(command=command)


def _command(value: object) -> tuple[str, ...]:
    found = values.lines_of_text(value)
    if found and not found[0].strip():
        raise Wrong("the name of a program", at=(0,), value=found[0])
    return found


def _idle(table: Table) -> IdleConfig:
    default = IdleConfig()
    before = len(table.document.problems)
    after = table.read("after", values.duration(example="4h"), default.after_s)
    warn = table.read("warn", values.duration(example="15m"), default.warn_s)
    both_read = len(table.document.problems) == before
    table.close()
    if both_read and 0 < after <= warn:
        text = f'a time to warn that is shorter than idle.after = "{values.duration_text(after)}"'
        table.problem("warn", f'expected {text}, got "{values.duration_text(warn)}"')
    return IdleConfig(after_s=after, warn_s=warn)


def _clusters(table: Table) -> Mapping[ClusterName, ClusterConfig]:
    found = {LOCAL: this_machine()}
    for name, cluster in table.tables():
        if name == LOCAL:
            found[LOCAL] = _local(cluster)
        elif values.is_name(name):
            found[ClusterName(name)] = _remote(ClusterName(name), cluster)
        else:
            table.problem(name, "a cluster's name is made of letters, digits, dots, dashes and underscores, 64 at most")
    return MappingProxyType(found)


def _local(table: Table) -> ClusterConfig:
    cluster = _common(table, this_machine())
    table.close()
    return cluster


def _remote(name: ClusterName, table: Table) -> ClusterConfig:
    if "host" not in table:
        table.problem(
            "host", 'missing, expected a name, an address or a Host of ~/.ssh/config such as "frontier-login"'
        )
    default = Ssh(host=table.read("host", values.host, ""))
    ssh = replace(
        default,
        user=table.read("user", values.word(example="alice"), default.user),
        port=table.read("port", values.integer(1, values.LAST_PORT), default.port),
        jump=table.read("jump", values.word(example="alice@gate.example.org"), default.jump),
        identity_files=table.read("identity_files", values.lines_of_text, default.identity_files),
        known_hosts=table.read("known_hosts", values.line, default.known_hosts),
        login=table.read("login", values.choice(Login), default.login),
        route=table.read("route", values.choice(Route), default.route),
        max_sessions=table.read("max_sessions", values.integer(1, 1000), default.max_sessions),
    )
    cluster = _common(table, ClusterConfig(name=name, transport=ssh))
    cluster = replace(
        cluster,
        scheduler=table.read("scheduler", values.choice(Scheduler), cluster.scheduler),
        poll_s=table.read("poll", values.duration(example="15s", at_least_s=1, at_most_s=3600), cluster.poll_s),
    )
    table.close()
    return cluster


def _common(table: Table, default: ClusterConfig) -> ClusterConfig:
    """The keys that this machine and every other cluster have."""
    return replace(
        default,
        workdir=table.read("workdir", values.folder, default.workdir),
        setup=table.read("setup", values.text, default.setup),
        defaults=_defaults(table.table("defaults")),
    )


def _defaults(table: Table) -> Mapping[str, str]:
    """Form values under the names templates see: ``host.partition`` and ``partition`` in a table ``host`` are one."""
    found: dict[str, str] = {}
    pending: list[tuple[str, Table]] = [("", table)]
    while pending:
        prefix, here = pending.pop()
        for name, value in here.values.items():
            flat = prefix + name.replace(".", "_")
            if isinstance(value, dict):
                pending.append((f"{flat}_", here.table(name)))
            elif not values.is_identifier(flat):
                here.problem(name, "expected a name of letters, digits and underscores (dots become underscores)")
            elif flat in found:
                here.problem(name, f"{flat} has two values")
            else:
                found[flat] = here.read(name, _form_value, "")
    return MappingProxyType(found)


def _form_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() <= 64:
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str) and "\0" not in value:
        return value
    raise Wrong("a text, a number, true or false")


def _without_effect(config: Config, document: Document) -> list[str]:
    """A sentence for each thing that was understood and does nothing: no option does nothing in silence."""
    found: list[tuple[tuple[str, ...], str]] = []
    if not config.idle.after_s and config.idle != IdleConfig():
        found.append((("idle", "warn"), "has no effect: idle sessions are not ended"))
    gateway = config.daemon.gateway
    if config.daemon.own_origins and (gateway is None or gateway.host not in NAMED_HOSTS):
        why = "the gateway is off" if gateway is None else f"names below localhost do not lead to {gateway.host}"
        found.append((("daemon", "own_origins"), f"has no effect: {why}"))
    return [f"{document.where(key)}: {text}" for key, text in found]
