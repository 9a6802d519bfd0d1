"""service.toml: what a service folder says about itself. Every key is optional, and so is the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from sessiond.config import values
from sessiond.config.params import Param, ParamType
from sessiond.config.reader import Document, Table, Wrong
from sessiond.core.errors import ConfigError
from sessiond.core.spec import Prefix, Probe, Scheme


class ProbeKind(StrEnum):
    """How a service is asked whether it is ready."""

    HTTP = "http"
    TCP = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A service.toml. ``params`` None: no ``[params]`` at all, any variable may be set; empty: none may. ``scheme``
    None: nothing is said about it."""

    title: str = ""
    description: str = ""
    ready_within_s: float = 600.0
    prefix: Prefix = Prefix.STRIP
    scheme: Scheme | None = None
    probe: Probe = field(default_factory=Probe)
    params: Mapping[str, Param] | None = None


def parse_manifest(file: str, text: str) -> Manifest:
    """Parse a service.toml; raises ConfigError with every problem, one line each, beginning ``<file>:<line>``."""
    document = Document(file, text)
    top = document.top()
    manifest = Manifest(
        title=top.read("title", values.line, ""),
        description=top.read("description", values.line, ""),
        ready_within_s=top.read("ready_within", values.duration(example="10m", at_least_s=1), 600.0),
        prefix=top.read("prefix", values.choice(Prefix), Prefix.STRIP),
        scheme=top.read("scheme", values.choice(Scheme), None),
        probe=_probe(top.table("probe")),
        params=_params(top.table("params")) if "params" in top else None,
    )
    if "params" not in top:
        top.table("params")
    top.close()
    if document.problems:
        raise ConfigError(document.problems)
    return manifest


def _probe(table: Table) -> Probe:
    kind = table.read("kind", values.choice(ProbeKind), ProbeKind.HTTP)
    path = table.read("path", _probe_path, "")
    table.close()
    if path and kind is ProbeKind.TCP:
        table.problem("path", 'has no meaning with kind = "tcp": a connection has no path')
    return Probe(kind=kind.value, path=path)


def _probe_path(value: object) -> str:
    if isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value and value[:1] != "/":
        return value
    raise Wrong('a path below the root of the service, as it stands in a URL, such as "api/status"')


def _params(table: Table) -> Mapping[str, Param]:
    found: dict[str, Param] = {}
    for name, param in table.tables():
        if values.is_identifier(name):
            found[name] = _param(name, param)
        else:
            table.problem(name, "a parameter's name is a shell variable's: letters, digits and underscores")
    return MappingProxyType(found)


def _param(name: str, table: Table) -> Param:
    before = len(table.document.problems)
    param = Param(
        name=name,
        label=table.read("label", values.line, ""),
        help=table.read("help", values.text, ""),
        default=table.read("default", _default, ""),
        options=table.read("options", values.lines_of_text, ()),
        secret=table.read("secret", values.boolean, False),
        required=table.read("required", values.boolean, False),
        type=table.read("type", values.choice(ParamType), ParamType.TEXT),
        min=table.read("min", values.integer(), None),
        max=table.read("max", values.integer(), None),
    )
    table.close()
    if len(table.document.problems) == before:
        _consistent(param, table)
    return param


def _consistent(param: Param, table: Table) -> None:
    """What each value alone cannot show."""
    if param.type is not ParamType.TEXT and param.options:
        table.problem("options", f'are for type = "text", not "{param.type.value}"')
    for name, bound in (("min", param.min), ("max", param.max)):
        if bound is not None and param.type is not ParamType.INTEGER:
            table.problem(name, f'is for type = "integer", not "{param.type.value}"')
    if param.min is not None and param.max is not None and param.min > param.max:
        table.problem("min", f"expected at most max = {param.max}, got {param.min}")
    elif param.default:
        _, expected = param.check(param.default)
        if expected:
            table.problem("default", f"expected {expected}" + ("" if param.secret else f', got "{param.default[:60]}"'))


def _default(value: object) -> str:
    """A text; also a number or a truth value, which people write without quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() <= 64:
        return str(value)
    if isinstance(value, str) and "\0" not in value:
        return value
    raise Wrong("a text")
