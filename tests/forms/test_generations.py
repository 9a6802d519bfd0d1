"""What forms of other years have otherwise: all of it is read, and means what it meant."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.errors import SpecError
from sessiond.forms import loose
from sessiond.forms.fill import Answers, fill
from sessiond.forms.flatten import Where, flatten
from sessiond.forms.model import Form, IsOneOf
from sessiond.forms.xml import read_form
from tests.forms.samples import form, sample

WHERE = Where(user="ada", workspace_user="lovelace", workdir="/work", number="00007")


def params(found: Form, scheduler: str = "", provider: str = "existing", **given: str) -> dict[str, str]:
    """A filled form's variables."""
    values = fill(found, Answers(given=given, resource={"name": ("frontier",), "provider": (provider,)}))
    return dict(flatten(found, values, WHERE, scheduler).params)


def test_the_first_forms() -> None:
    """`_pw_` before names, `host` and `service_sec` as sections, names that repeat their section."""
    found = sample("first")
    assert ("", "desk", ()) == (found.title, found.service, found.problems)
    assert ["the section of the resource should be called pwrl_host; host is taken for it"] == [
        line.partition(": ")[2] for line in found.warnings
    ]
    assert {"service_image": "plain", "service_bin": "view"} == {
        name: text for name, text in params(found).items() if name not in ("service_name", "jobschedulertype")
    }
    values = fill(found, Answers(given={"jobschedulertype": "SLURM", "service_sec._pw_image": "large"}))
    flat = flatten(found, values, WHERE, "slurm")
    assert (("--nodes=1", "--exclusive"), "large") == (flat.directives, flat.params["service_image"])
    values = fill(found, Answers(given={"pwrl_host.jobschedulertype": "PBS"}))
    assert ("-l nodes=1",) == flatten(found, values, WHERE, "pbs").directives


def test_a_section_that_is_called_host_by_chance() -> None:
    """Beside a resource's section, or with nothing of one in it, it is a section like others."""
    ours = '<section name="host"><param name="a" type="hidden" value="1"/></section>'
    resource = '<section name="pwrl_host"><param name="jobschedulertype" type="hidden" value="SLURM"/></section>'
    for inputs in (ours, ours.replace('"a"', '"jobschedulertype"') + resource):
        (name, *_) = [name for name in params(form(inputs)) if name.startswith("host_")]
        assert name in ("host_a", "host_jobschedulertype")


@pytest.mark.parametrize(
    "options",
    [
        "[{'label': 'It', 'value': 'a'},\n  {'label': 'That', 'value': 'b'}]",
        "[{label: 'It', value: 'a'}, {label: 'That', value: 'b',},]",
        "['a', 'b']",
        "[&quot;a&quot;, 'b']",
    ],
)
def test_options_in_other_quotes(options: str) -> None:
    """Single quotes, bare keys and a comma too many are no problem."""
    found = form(f'<param name="p" type="select" value="b" options="{options}"/>')
    assert ["a", "b"] == [option.value for option in found.params[0].options]
    assert {"p": "b"} == params(found)


def test_conditions_in_other_quotes() -> None:
    """Also as an object, with lists in it."""
    inputs = (
        '<param name="b" type="boolean" checked="True"/><param name="x" type="text" value="1" '
        "show_if=\"{'b': True, 'c': ['1', '2']}\"/><param name='c' type='text' value='2'/>"
    )
    assert {"b": "true", "x": "1", "c": "2"} == params(form(inputs))
    assert {"b": "false", "c": "2"} == params(form(inputs), b="no")


WORDS = st.text().filter(lambda text: "\\" not in repr(text))


@given(st.recursive(st.none() | st.booleans() | st.integers() | WORDS, lambda inner: st.lists(inner, max_size=3)))
def test_python_is_read_as_it_was_meant(value: object) -> None:
    """Lists, words and numbers as Python writes them."""
    assert value == loose.loads(repr(value))


@given(st.text(alphabet="{}[]'\",:\\ aTrue1n", max_size=40))
def test_what_is_no_json(text: str) -> None:
    """It is refused with ValueError, or it is some."""
    with contextlib.suppress(ValueError):
        json.dumps(loose.loads(text))


def test_a_long_text_that_is_no_json_is_refused_in_a_moment() -> None:
    """Each character is looked at once."""
    begun = time.process_time()
    for piece in ("'\\'", '"', "\\'", "a'", "{'a':"):
        with pytest.raises((ValueError, RecursionError)):
            loose.loads(piece * (500_000 // len(piece)) + "'")
    assert time.process_time() - begun < 20


def test_show_if_alone_with_an_option() -> None:
    """`show_if="SLURM"` without `depends_on`: the one select that has it is meant, and it is said."""
    how = '<param name="how" type="select"><option value="LOGIN"/><option value="SLURM"/></param>'
    queue = '<param name="queue" type="select" show_if="SLURM"><option value="q"/></param>'
    found = form(f'<section name="s">{how}{queue}</section>')
    assert (IsOneOf(ref="s.how", values=("SLURM",)),) == found.params[1].when
    assert "s.queue: show_if names no parameter; it is taken for depends_on 's.how'" in found.warnings[0]
    assert [["s_how"], ["s_how", "s_queue"]] == [[*params(found)], [*params(found, s_how="SLURM")]]
    for others in (how + how.replace('"how"', '"also"'), ""):
        text = f'<tool><inputs><section name="s">{others}{queue}</section></inputs></tool>'
        (problem,) = read_form("form.xml", text.encode()).problems
        assert "s.queue depends on 'SLURM', which the form does not have" in problem


def test_a_default_that_is_no_option() -> None:
    """A person would see the first option; so does who fills it in here."""
    found = form('<param name="p" type="select" value="c"><option value="a"/><option value="b"/></param>')
    assert {"p": "a"} == params(found)
    assert ("form.xml:2: p: its value 'c' is none of its options; the first of them counts",) == found.warnings


def test_branches_that_never_meet_are_not_warned_about() -> None:
    """One name for two kinds of clusters, or for both values of a boolean."""
    kinds = ("cloud", "existing")
    cloud, lab = (f"show_if='{json.dumps({'pwrl_host.resource.provider': [kind]})}'" for kind in kinds)
    found = form(
        '<section name="pwrl_host"><param name="resource" type="computeResource"/>'
        f'<param name="p_tag_cloud" type="text" value="1" {cloud}/>'
        f'<param name="p_tag_lab" type="text" value="2" {lab}/>'
        '</section><param name="b" type="boolean"/><param name="x" type="text" value="3" show_if="b"/>'
        '<param name="x" type="text" value="4" depends_on="b" show_if="false"/>'
    )
    assert () == found.warnings
    assert [("2", "4"), ("1", "4")] == [
        (seen["p"], seen["x"]) for seen in (params(found, provider=provider) for provider in ("existing", "cloud"))
    ]


def test_the_service_that_a_person_chose() -> None:
    """A choice goes before a name that is fixed elsewhere in the form."""
    fixed = '<param name="service_name" type="hidden" value="desk"/>'
    inner = '<section name="service"><param name="name" type="hidden" value="desk"/></section>'
    choice = (
        '<section name="advanced_options"><param name="service_name" type="select">'
        '<option value="desk"/><option value="nice"/></param></section>'
    )
    for inputs in (fixed + choice, inner + choice, choice + fixed):
        found = form(inputs)
        for said, service in (({}, "desk"), ({"advanced_options.service_name": "nice"}, "nice")):
            values = fill(found, Answers(given=said))
            assert service == flatten(found, values, WHERE).service


def test_several_options_from_the_start() -> None:
    """All that are marked, or a list with commas: one text, as if a person had chosen them."""
    options = '<option value="a" selected="true"/><option value="b"/><option value="c" selected="true"/>'
    for value, expected in (("", "a___c"), ('value="a, b"', "a___b"), ('value=""', ""), ('value="b"', "b")):
        found = form(f'<param name="p" type="select" multiple="true" {value}>{options}</param>')
        assert {"p": expected} == params(found)
    single = form(f'<param name="p" type="select">{options}</param>')
    assert {"p": "a"} == params(single)


def test_titles() -> None:
    """What is an id, or nothing, is no title."""
    for tool, title in (
        ('id="x" name="A desk"', "A desk"),
        ('id="desk" name="desk"', "desk"),
        ('id="NA" name="NA"', ""),
        ('id="Ada.x_y" name="Ada.x_y"', ""),
        ('id="1" name="v2.0 of it"', "v2.0 of it"),
        ("", ""),
    ):
        assert title == read_form("x.xml", f"<tool {tool}><inputs/></tool>".encode()).title


def test_names_that_are_reserved() -> None:
    """A form cannot give the shell's variables a value: its line says so, and it cannot be filled in."""
    text = '<tool><inputs>\n<param name="PATH" type="text"/></inputs></tool>'
    assert ("x.xml:2: PATH: PATH is reserved; choose another name",) == read_form("x.xml", text.encode()).problems


def test_a_textarea_and_an_integer_without_a_value() -> None:
    """Attributes may be absent: an optional number is then empty."""
    inputs = (
        '<param name="t" type="textarea">\n a: 1\n</param><param name="n" type="integer" optional="true" min="1"/>'
        '<param name="d" type="dynamicQOSDropdown" resource="r" account="a" partition="p" dependent="true"/>'
    )
    assert {"t": " a: 1", "n": "", "d": ""} == params(form(inputs))
    with pytest.raises(SpecError, match="n: expected a whole number from 1"):
        params(form(inputs), n="0")
