"""Line numbers of keys, held against tomllib's own idea of which keys there are."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessiond.config.lines import Key, key_lines, line_of

TRICKY = '''\
# [not.a.table]
top = "a # not a comment"   # key = 1
multi = """
[inner]
fake = 1 \\""" still inside """"
literal = \'\'\'
[also.fake]
\'\'\'\'
[a."quoted \\"key\\"".b]   # header
x.y.z = 1
"x".w = [1,
  # between
  [2,
   "]"], { k = "}", m = { n = 1 } },
]
when = 1979-05-27 07:32:00
[[list]]
n = 1
[list.sub]
deep = true
[[list]]
n = 2
[[list.more]]
q = 1
[a]
late = 0x1F
'''


def test_every_line_of_a_tricky_file() -> None:
    """Comments, strings, multi-line arrays, dotted and quoted keys, inline tables, and arrays of tables."""
    lines = key_lines(TRICKY)
    q = 'quoted "key"'
    expected: dict[Key, int] = {
        ("top",): 2,
        ("multi",): 3,
        ("literal",): 6,
        ("a",): 25,
        ("a", q): 9,
        ("a", q, "b"): 9,
        ("a", q, "b", "x"): 10,
        ("a", q, "b", "x", "y"): 10,
        ("a", q, "b", "x", "y", "z"): 10,
        ("a", q, "b", "x", "w"): 11,
        ("a", q, "b", "x", "w", 0): 11,
        ("a", q, "b", "x", "w", 1): 13,
        ("a", q, "b", "x", "w", 1, 0): 13,
        ("a", q, "b", "x", "w", 1, 1): 14,
        ("a", q, "b", "x", "w", 2): 14,
        ("a", q, "b", "x", "w", 2, "k"): 14,
        ("a", q, "b", "x", "w", 2, "m"): 14,
        ("a", q, "b", "x", "w", 2, "m", "n"): 14,
        ("a", q, "b", "when"): 16,
        ("list",): 17,
        ("list", 0): 17,
        ("list", 0, "n"): 18,
        ("list", 0, "sub"): 19,
        ("list", 0, "sub", "deep"): 20,
        ("list", 1): 21,
        ("list", 1, "n"): 22,
        ("list", 1, "more"): 23,
        ("list", 1, "more", 0): 23,
        ("list", 1, "more", 0, "q"): 24,
        ("a", "late"): 26,
    }
    assert expected == lines
    assert set(_keys(tomllib.loads(TRICKY))) == set(lines)


def test_windows_line_ends_count_once() -> None:
    """CR LF is one line end, as it is for tomllib."""
    assert {("a",): 1, ("b",): 3} == key_lines("a = 1\r\n\r\nb = 2\r\n")


@pytest.mark.parametrize(
    ("key", "line"),
    [(("a", "b"), 2), (("a", "missing"), 1), (("a", "b", "missing", 3), 2), (("nowhere",), 1), ((), 1)],
)
def test_a_missing_key_has_the_line_of_its_table(key: Key, line: int) -> None:
    """What is missing is reported where it should have been."""
    assert line == line_of(key_lines("[a]\nb = 1\n"), key)


_names = st.text(alphabet="ab.#\"' =[é\n", max_size=4)
_scalars = st.one_of(
    st.integers(-9, 9), st.booleans(), st.text(alphabet="a\"'#\n\\]},[= ", max_size=8), st.sampled_from([1.5, 1e9])
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=3)),
    max_leaves=8,
)


@settings(database=None, deadline=None)
@given(st.dictionaries(_names, _values, max_size=4), st.booleans())
def test_it_finds_the_keys_tomllib_finds(values: dict[str, object], as_tables: bool) -> None:
    """Whatever a valid file looks like, the walk over it sees exactly the keys the parser sees."""
    text = _document(values, as_tables)
    parsed = tomllib.loads(text)
    assert values == parsed
    assert set(_keys(parsed)) == set(key_lines(text))


def _document(values: dict[str, object], as_tables: bool) -> str:
    tables = {name: value for name, value in values.items() if as_tables and isinstance(value, dict)}
    plain = [f"{_quote(name)} = {_toml(value)} # c" for name, value in values.items() if name not in tables]
    for name, table in tables.items():
        plain.append(f"[ {_quote(name)} ] # '")
        plain += [f"{_quote(key)}={_toml(value)}" for key, value in table.items()]
    return "\n".join(plain)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str() if "'" not in value and "\n" not in value:
            return f"'{value}'"
        case str() if len(value) % 2 and not value.startswith("\n") and '"""' not in value:
            return '"""' + value.replace("\\", "\\\\") + '"""'
        case str():
            return _quote(value)
        case list():
            return "[ # ]\n" + ",\n".join(map(_toml, value)) + "\n]"
        case dict():
            return "{" + ", ".join(f"{_quote(key)} = {_toml(item)}" for key, item in value.items()) + "}"
        case _:
            return str(value)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _keys(value: object, path: Key = ()) -> Iterator[Key]:
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for name, inner in items:
        yield (*path, name)
        yield from _keys(inner, (*path, name))
