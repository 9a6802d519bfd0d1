"""``qstat -F json``, as cJSON prints it, and with what qstat takes for a number."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable

from .attributes import VERSION, variables
from .full import Thing, said

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")
# Texts whatever they look like.
_TEXTS = frozenset({"Job_Name", "Account_Name", "project", "queue", "server", "Job_Owner", "Submit_arguments"})

Tree = dict[str, "str | Tree"]
"""Objects in objects; a leaf is a value as it is to be printed."""


def envelope(server: str, kind: str, things: Iterable[Thing]) -> str:
    """What ``qstat -f -F json`` prints; ``kind`` is ``Jobs``, ``Queue`` or ``Server``, left out where there is none."""
    tree: Tree = {
        "timestamp": str(int(time.time())),
        "pbs_version": json.dumps(VERSION),
        "pbs_server": _text(server),
    }
    found: Tree = {name: thing(attributes) for name, attributes in things}
    if found:
        tree[kind] = found
    return _printed(tree, 1) + "\n"


def thing(attributes: Iterable[tuple[str, str]]) -> Tree:
    """One job's, queue's or server's object."""
    tree: Tree = {}
    for key, value in attributes:
        name, _, resource = key.partition(".")
        if name == "Variable_List":
            tree[name] = {each: _variable(text) for each, text in variables(value)}
        elif resource:
            inner = tree.setdefault(name, {})
            assert isinstance(inner, dict)
            inner[resource] = _leaf(key, value)
        else:
            tree[name] = _leaf(key, value)
    return tree


def _leaf(key: str, value: str) -> str:
    shown = said(key, value)
    return _text(shown) if key in _TEXTS else _value(shown)


def _variable(text: str) -> str:
    # only here a word becomes a truth value
    return text if text in ("true", "false") else _value(text)


def _value(text: str) -> str:
    """A number where the whole text is one: ``007`` is 7, ``1e5`` is 100000."""
    if not _NUMBER.match(text):
        return _text(text)
    number = float(text)
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else f"{number:.15g}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _printed(tree: Tree, depth: int) -> str:
    tabs = "\t" * depth
    lines = [
        f"{tabs}{_text(key)}:\t{value if isinstance(value, str) else _printed(value, depth + 1)}"
        for key, value in tree.items()
    ]
    # an object without anything in it still takes two lines
    return (
        "{\n"
        + "".join(f"{line},\n" for line in lines[:-1])
        + "".join(f"{line}\n" for line in lines[-1:])
        + ("\t" * (depth - 1) + "}")
    )
