"""What a new configuration changes, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from sessiond.config.model import ClusterConfig, Config, Gateway, Local, PortRange, Ssh
from sessiond.config.values import duration_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """``changed`` holds from the reload on (for sessions started from then on), ``restart`` after a restart only."""

    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


def diff(old: Config, new: Config, begun: Config | None = None) -> Changes:
    """Compare two configurations; values that may be long or private (setup, defaults) are named, not shown.

    ``begun`` is the one with which the daemon began, ``old`` if not given: what needs a restart is still as in it.
    """
    has, wants = (begun or old).daemon, new.daemon
    restart: list[str] = []
    if has.gateway != wants.gateway:
        restart.append(f"daemon.gateway: {_gateway(has.gateway)} -> {_gateway(wants.gateway)}")
    if has.ports != wants.ports:
        restart.append(f"daemon.ports: {_ports(has.ports)} -> {_ports(wants.ports)}")
    return Changes(changed=tuple(_at_once(old, new)), restart=tuple(restart))


def _at_once(old: Config, new: Config) -> Iterator[str]:
    if old.daemon.own_origins != new.daemon.own_origins:
        yield f"daemon.own_origins: {_truth(old.daemon.own_origins)} -> {_truth(new.daemon.own_origins)}"
    for folder in old.daemon.services_dirs:
        if folder not in new.daemon.services_dirs:
            yield f"daemon.services_dirs: {folder} removed"
    for folder in new.daemon.services_dirs:
        if folder not in old.daemon.services_dirs:
            yield f"daemon.services_dirs: {folder} added"
    if old.daemon.services_dirs != new.daemon.services_dirs and set(old.daemon.services_dirs) == set(
        new.daemon.services_dirs
    ):
        yield "daemon.services_dirs: another order"
    if old.notify != new.notify:
        yield "notify.command changed"
    if old.idle.after_s != new.idle.after_s:
        yield f"idle.after: {duration_text(old.idle.after_s)} -> {duration_text(new.idle.after_s)}"
    if old.idle.warn_s != new.idle.warn_s:
        yield f"idle.warn: {duration_text(old.idle.warn_s)} -> {duration_text(new.idle.warn_s)}"
    for name in sorted({*old.clusters, *new.clusters}):
        before, after = old.clusters.get(name), new.clusters.get(name)
        if before is None:
            yield f"clusters.{name} added"
        elif after is None:
            yield f"clusters.{name} removed"
        elif before != after:
            yield f"clusters.{name}: {', '.join(_differing(before, after))} changed"


def _differing(before: ClusterConfig, after: ClusterConfig) -> Iterator[str]:
    """The keys, as config.toml spells them, in which two settings of one cluster differ."""
    for field in fields(ClusterConfig):
        if field.name != "transport" and getattr(before, field.name) != getattr(after, field.name):
            yield field.name.removesuffix("_s")
    match before.transport, after.transport:
        case Ssh() as one, Ssh() as other:
            yield from (field.name for field in fields(Ssh) if getattr(one, field.name) != getattr(other, field.name))
        case Local(), Local():
            pass


def _truth(value: object) -> str:
    return "true" if value else "false"


def _gateway(gateway: Gateway | None) -> str:
    if gateway is None:
        return "off"
    return f"[{gateway.host}]:{gateway.port}" if ":" in gateway.host else f"{gateway.host}:{gateway.port}"


def _ports(ports: PortRange) -> str:
    return f"{ports.first}-{ports.last}"
