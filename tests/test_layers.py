"""The layers hold: who may import whom, which names are for which layer, and nothing goes in circles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sessiond

PACKAGE = Path(sessiond.__file__).parent
STDLIB = sys.stdlib_module_names
LANGUAGE = frozenset({"__future__", "collections", "dataclasses", "enum", "functools", "math", "re", "types", "typing"})

# The words of the API.
WIRE = frozenset(f"sessiond.api.{name}" for name in ("wire", "wire_clusters", "wire_daemon", "wire_forms"))

# What each part may import beyond itself. "stdlib" is all of it, but what IMPURE and UNSTRUCTURED take away again.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "core": frozenset({"zlib"}),
    "render": frozenset({"sessiond.core", "stdlib"}),
    "forms": frozenset({"sessiond.core", "sessiond.render.inputs", "sessiond.render.quote", "stdlib"}),
    "schedulers": frozenset({"sessiond.core", "sessiond.render.quote", "stdlib"})
    | {f"sessiond.render.{name}" for name in ("directives", "slurm_directives", "pbs_directives")},
    "config": frozenset({"sessiond.core", "sessiond.forms", "sessiond.paths", "stdlib"}),
    "store": frozenset({"sessiond.core", "sessiond.failpoint", "msgspec", "stdlib"}),
    "remote": frozenset({"sessiond.core", "anyio", "asyncssh", "cryptography", "structlog", "tenacity", "stdlib"}),
    "runtime": frozenset(
        {
            "sessiond.core",
            "sessiond.forms",
            "sessiond.render",
            "sessiond.schedulers.dialect",
            "sessiond.schedulers.watch",
        }
        | {"sessiond.config.catalogue"}
        | {"sessiond.remote.transport", "sessiond.remote.retry", "sessiond.failpoint", "anyio", "structlog", "stdlib"}
        | {"sessiond.schedulers.check"}
    ),
    "api": frozenset(
        {f"sessiond.{part}" for part in ("core", "forms", "render", "config", "store", "schedulers.dialect")}
        | {"sessiond.remote.transport", "sessiond.runtime", "sessiond.paths", "sessiond.__version__"}
        | {"anyio", "structlog", "msgspec", "aiohttp", "multidict", "yarl", "stdlib"}
    ),
    "assembly": frozenset(
        {f"sessiond.{part}" for part in ("core", "config", "remote", "runtime", "schedulers", "store")}
        | {"anyio", "structlog", "stdlib"}
    ),
    "logs": frozenset({"sessiond.api.views", "sessiond.runtime.bus", "structlog", "stdlib"}),
    "daemon": frozenset({"sessiond", "anyio", "structlog", "aiohttp", "stdlib"}),
    "client_http": frozenset({"stdlib"}),
    "client": frozenset(WIRE | {"sessiond.client_http", "sessiond.paths", "sessiond.__version__", "stdlib"}),
    # What is read from files without a daemon; formview holds no part of the daemon, and no library.
    "formcheck": frozenset(
        {f"sessiond.{part}" for part in ("core", "config", "api.formview", "client_http", "paths")} | WIRE | {"stdlib"}
    ),
    "configcheck": frozenset({"sessiond.core", "sessiond.config", "stdlib"}),
    "cli": frozenset(
        WIRE
        | {"sessiond.client", "sessiond.configcheck", "sessiond.formcheck", "sessiond.paths", "sessiond.__version__"}
        | {"click", "rich", "stdlib"}
    ),
    "paths": frozenset({"stdlib"}),
    "limits": frozenset({"stdlib"}),
    "failpoint": frozenset({"stdlib"}),
    "systemd": frozenset({"stdlib"}),
    "__init__": frozenset(),
    "main": frozenset({"sessiond.core", "sessiond.daemon", "sessiond.logs", "sessiond.paths", "sessiond.__version__"})
    | {"anyio", "stdlib"},
    "__main__": frozenset({"sessiond.main"}),
}
PURE = frozenset({"core", "forms", "render", "schedulers"})
IMPURE = frozenset({"asyncio", "time", "random", "os", "logging", "structlog", "sqlite3", "socket", "subprocess"})
UNSTRUCTURED = frozenset({"asyncio", "asyncssh"})
CATCHES_ALL = frozenset({"runtime/guard.py", "api/app.py", "daemon.py"})
HEAVY = frozenset({"asyncio", "anyio", "aiohttp", "msgspec", "structlog", "rich", "asyncssh"})


def imported(tree: ast.AST) -> Iterator[str]:
    """The dotted names a module imports, those of members included, since a member may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names)


def allowed(name: str, part: str) -> bool:
    """Whether a module of ``part`` may import ``name``."""
    top, granted = name.split(".")[0], MAY_IMPORT[part]
    if (part in PURE and top in IMPURE) or (part in PURE | {"runtime"} and top in UNSTRUCTURED):
        return False
    if f"{name}.".startswith(f"sessiond.{part}.") or any(f"{name}.".startswith(f"{g}.") for g in granted):
        return True
    return top in LANGUAGE or ("stdlib" in granted and top in STDLIB)


def forbidden(tree: ast.AST, path: str, part: str) -> Iterator[str]:
    """What a module does that no module of its part may do."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr="now" | "utcnow" | "today" as name, value=ast.Name(id="datetime" | "date")):
                if part in PURE:
                    yield f"{path}:{node.lineno} asks the clock: {name}"
            case ast.Attribute(attr="create_task" | "ensure_future") | ast.Name(id="create_task" | "ensure_future"):
                yield f"{path}:{node.lineno} starts a task without a parent"
            case ast.ExceptHandler(type=None):
                yield f"{path}:{node.lineno} has a bare except"
            case ast.ExceptHandler(type=ast.expr() as caught) if "Exception" in _names(caught):
                if path not in CATCHES_ALL:
                    yield f"{path}:{node.lineno} catches Exception"


def _names(caught: ast.expr) -> set[str]:
    parts = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return {part.id for part in parts if isinstance(part, ast.Name)}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The modules that import each other in a circle: those left when all that import nothing left are taken away."""
    left = dict(graph)
    while free := [module for module, uses in left.items() if not uses & left.keys()]:
        for module in free:
            del left[module]
    while tops := [module for module in left if not any(module in uses for uses in left.values())]:
        for module in tops:
            del left[module]
    return sorted(left)


def breaches(root: Path) -> list[str]:
    """Everything below ``root`` that breaks the layers."""
    found: list[str] = []
    graph: dict[str, set[str]] = {}
    files = {".".join(("sessiond", *path.relative_to(root).with_suffix("").parts)): path for path in root.rglob("*.py")}
    for module, path in sorted(files.items()):
        relative = path.relative_to(root).as_posix()
        part = module.split(".")[1]
        if part not in MAY_IMPORT:
            found.append(f"{relative} belongs to no layer")
            continue
        tree = ast.parse(path.read_text())
        names = sorted(set(imported(tree)))
        found += [f"{relative} must not import {name}" for name in names if not allowed(name, part)]
        found += forbidden(tree, relative, part)
        graph[module] = {known for name in names for known in (name, name.rpartition(".")[0]) if known in files}
    return found + [f"{module} is part of a circle" for module in circles(graph)]


def test_the_layers_hold() -> None:
    """Nobody imports upwards, nobody uses what is not for their layer, nothing goes in circles."""
    assert [] == breaches(PACKAGE)


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("core/bad.py", "import time", "core/bad.py must not import time"),
        ("core/bad.py", "from sessiond.runtime import engine", "core/bad.py must not import sessiond.runtime.engine"),
        ("core/bad.py", "from os import path", "core/bad.py must not import os.path"),
        ("render/bad.py", "import socket", "render/bad.py must not import socket"),
        ("render/bad.py", "x = datetime.now()", "render/bad.py:1 asks the clock: now"),
        ("runtime/bad.py", "def f():\n    import asyncio", "runtime/bad.py must not import asyncio"),
        ("runtime/bad.py", "from sessiond.store import store", "runtime/bad.py must not import sessiond.store.store"),
        ("api/bad.py", "loop.create_task(x)", "api/bad.py:1 starts a task without a parent"),
        ("cli/bad.py", "from sessiond.core.ids import x", "cli/bad.py must not import sessiond.core.ids.x"),
        ("runtime/bad.py", "try: pass\nexcept Exception: pass", "runtime/bad.py:2 catches Exception"),
        ("runtime/bad.py", "try: pass\nexcept (OSError, Exception): pass", "runtime/bad.py:2 catches Exception"),
        ("runtime/bad.py", "try: pass\nexcept: pass", "runtime/bad.py:2 has a bare except"),
        ("core/bad.py", "from sessiond.core import bad", "sessiond.core.bad is part of a circle"),
        ("core/bad.py", "from .. import daemon", "core/bad.py must not import ..None.daemon"),
        ("elsewhere/bad.py", "", "elsewhere/bad.py belongs to no layer"),
    ],
)
def test_the_checker_can_fail(tmp_path: Path, path: str, text: str, complaint: str) -> None:
    """A module that does the forbidden thing is found, and it alone."""
    for name, content in (
        (path, text),
        ("core/good.py", "import re"),
        ("runtime/guard.py", "try: pass\nexcept Exception: 0"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert [complaint] == breaches(tmp_path)


def test_a_circle_of_three_is_found_without_those_that_look_at_it() -> None:
    """Neither what it uses nor what uses it is blamed."""
    graph = {"a": {"b"}, "b": {"c"}, "c": {"d", "z"}, "d": {"b"}, "z": set()}
    assert ["b", "c", "d"] == circles(graph)


def test_the_command_line_loads_nothing_heavy() -> None:
    """It has to answer the Tab key; and where it checks a file without a daemon, it brings none of its libraries."""
    for module in ("sessiond.cli.main", "sessiond.configcheck", "sessiond.formcheck"):
        code = f"import {module}, sys; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert set() == HEAVY & set(done.stdout.split())
        assert module in done.stdout.split()
    assert "sessiond.forms.xml" in done.stdout.split()
