"""Forms are read as they are found in the wild, and what is no form is refused with its lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.forms.model import IsOneOf, IsTrue, Kind, ResourceIs, in_words
from sessiond.forms.tree import DEPTH_LIMIT, NODES_LIMIT, SIZE_LIMIT
from sessiond.forms.xml import read_form
from tests.forms.samples import FOLDER, form, sample


@pytest.mark.parametrize("name", ["notebook", "later", "odd"])
def test_what_exists_can_be_used(name: str) -> None:
    """All generations of forms are read without a problem."""
    assert () == sample(name).problems


def test_a_form_in_full() -> None:
    """Title, service, sections, kinds, bounds, conditions: what the file says."""
    found = sample("notebook")
    assert ("Notebook", "A notebook on a node or on the login node.", "notebook", "pwrl_host", ()) == (
        found.title,
        found.description,
        found.service,
        found.label,
        found.warnings,
    )
    (cpus,) = found.at("pwrl_host._sch__dd_cpus_d_per_d_task_e_")
    assert (Kind.INTEGER, 1, 10, "1", "Where", True) == (
        cpus.kind,
        cpus.min,
        cpus.max,
        cpus.default,
        cpus.section,
        cpus.required,
    )
    assert (IsOneOf(ref="pwrl_host.jobschedulertype", values=("SLURM",)),) == cpus.when
    (scheduler,) = found.called("jobschedulertype")
    assert ("CONTROLLER", [("CONTROLLER", "On the login node"), ("SLURM", "In a job of Slurm")]) == (
        scheduler.default,
        [(one.value, one.label) for one in scheduler.options[:2]],
    )
    assert [("service_password", True), ("service_notebook_dir", False)] == [
        (param.variable, param.secret) for param in found.params[1:3]
    ]


def test_three_styles_of_conditions() -> None:
    """<when>, depends_on with show_if, show_if alone, JSON, and attributes of the cluster."""
    found = sample("later")
    conditions = {param.spelled: param.when for param in found.params}
    assert (IsOneOf(ref="pwrl_host.jobschedulertype", values=("SLURM",)),) == conditions[
        "pwrl_host._sch__dd_partition_e_"
    ]
    assert (IsTrue(ref="service.conda_install"),) == conditions["service.conda_sh"]
    assert (ResourceIs(attribute="provider", values=("existing", "other")),) == conditions["p1_tag_cloud"]
    assert ["the cluster's provider is lab"] == list(map(in_words, conditions["p1_tag_lab"]))
    assert ["p1", "p1"] == [param.variable for param in found.params if param.path[-1] == "p1"]
    assert {Kind.DROPDOWN} == {param.kind for param in found.params if "account" in param.dotted}


def test_conditions_in_conditions_and_sections() -> None:
    """All of them have to hold; a section's own count for what is in it."""
    found = form(
        '<param name="a" type="boolean"/><section name="s" show_if="a"><conditional name="c">'
        '<param name="b" type="select"><option value="x"/></param>'
        '<when value="x"><param name="d" type="text" depends_on="b" show_if=\'["x", "y"]\'/>'
        "</when></conditional></section>"
    )
    (deep,) = found.at("s.d")
    assert ["a is true", "s.b is x", "s.b is x or y"] == list(map(in_words, deep.when))


def test_what_is_odd_is_warned_about() -> None:
    """Mistakes of the past are told with their lines and do not stop a form."""
    assert (FOLDER.parent / "golden" / "odd.txt").read_text().splitlines() == list(sample("odd").warnings)


def test_every_problem_at_once() -> None:
    """A form with a dozen mistakes gets a dozen lines, in the order of the file."""
    assert (FOLDER.parent / "golden" / "wrong.txt").read_text().splitlines() == list(sample("wrong").problems)


ENTITY = '<!DOCTYPE tool [<!ENTITY a "aaaaaaaaaa">]>\n'


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "x.xml:1: it is not well-formed XML: no element found"),
        (b"<tool>\n<inputs>\n</tool>", "x.xml:3: it is not well-formed XML: mismatched tag"),
        (b"<tool>&nbsp;</tool>", "x.xml:1: it is not well-formed XML: undefined entity"),
        (f"{ENTITY}<tool>&a;</tool>".encode(), "x.xml:1: it has a document type"),
        (
            b'<?xml version="1.0"?>\n<!DOCTYPE tool SYSTEM "file:///etc/passwd"><tool/>',
            "x.xml:2: it has a document type",
        ),
        (b"<tool><inputs>" + b"<a>" * DEPTH_LIMIT, f"x.xml:1: its elements are nested more than {DEPTH_LIMIT} deep"),
        (b"<tool>" + b"<a/>" * NODES_LIMIT, f"x.xml:1: it has more than {NODES_LIMIT} elements"),
        (b" " * (SIZE_LIMIT + 1), "x.xml:1: it has more than 1 MiB"),
        (b'<?xml version="1.0" encoding="rot13"?><tool/>', "x.xml:1: it"),
        (b'<?xml version="1.0" encoding="utf-7"?><tool/>', "x.xml:1: it"),
        (b'<?xml version="1.0" encoding="nonsense"?><tool/>', "x.xml:1: it"),
        (b'<?xml version="1.0" encoding="zlib"?><tool/>', "x.xml:1: it"),
        (b"<tool>\n\xff</tool>", "x.xml:2: it is not well-formed XML: not well-formed (invalid token)"),
        (b"\0", "x.xml:1: it is not well-formed XML"),
        (
            b"<tool><inputs>" + b'<param name="a" type="text"/>' * 501 + b"</inputs></tool>",
            "x.xml:1: it has more than 500",
        ),
        (b"<html/>", "x.xml:1: a form begins with <tool>, not with <html>"),
        (b"<tool/>", "x.xml:1: it has no <inputs>: there is nothing to fill in"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[:50]),
)
def test_what_is_no_form(data: bytes, problem: str) -> None:
    """Refused in one line, whatever it tries."""
    (told,) = read_form("x.xml", data).problems
    assert told.startswith(problem)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_encodings(encoding: str) -> None:
    """Files in the encodings that editors write."""
    param = '<param name="a" type="text" value="é"/>'
    text = f'<?xml version="1.0" encoding="{encoding}"?><tool><inputs>{param}</inputs></tool>'
    assert ["é"] == [param.default for param in read_form("x.xml", text.encode(encoding)).params]


_TAGS = ["<tool>", "</tool>", "<inputs>", "</inputs>", "<conditional>", "</conditional>", '<when value="x">', "</when>"]
_PARTS = [
    '<param name="a" type="select"',
    ' show_if="{"',
    ' options="[1]"',
    ' depends_on="a"',
    "/>",
    ">",
    "&",
    "<!DOCTYPE",
]
PIECES = st.sampled_from([*_TAGS, *_PARTS, "<!DOCTYPE a>", "\n"])


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=50))
def test_nothing_is_raised(text: str) -> None:
    """Whatever the file holds, there is a form, with parameters or with reasons."""
    found = read_form("x.xml", text.encode("utf-8", "surrogatepass"))
    assert found.problems or found.params or "<inputs" in text


def test_hostile_forms_are_read_in_a_moment() -> None:
    """Long chains of conditions, references to nothing, an option for every byte."""
    chain = "".join(f'<param name="p{n}" type="text" depends_on="p{n + 1}" show_if="x"/>' for n in range(499))
    (problem,) = read_form("x.xml", f"<tool><inputs>{chain}</inputs></tool>".encode()).problems
    assert "p498 depends on 'p499'" in problem
    lost = "".join(f'<param name="p{n}" type="text" depends_on="{"q" * 999}" show_if="x"/>' for n in range(499))
    assert 499 == len(read_form("x.xml", f"<tool><inputs>{lost}</inputs></tool>".encode()).problems)
    many = f'<param name="a" type="select" options="[{",".join("1" for _ in range(400_000))}]"/>'
    problems = read_form("x.xml", f"<tool><inputs>{many}</inputs></tool>".encode()).problems
    assert problems[0] == "x.xml:1: a has more than 2000 options"
