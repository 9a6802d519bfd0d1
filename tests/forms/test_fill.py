"""What is asked for, what a person may say, and everything that is refused in words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sessiond.core.errors import SpecError
from sessiond.forms.fill import Answers, Written, fill
from tests.forms.samples import form, sample

RESOURCE = {"name": ("frontier",), "provider": ("existing",)}


def filled(name: str, **given: str) -> dict[str, str]:
    """The values of a sample by ``section__param``, with what is given written the same way."""
    said = {key.replace("__", ".", 1): value for key, value in given.items()}
    return {value.param.dotted: value.text for value in fill(sample(name), Answers(given=said, resource=RESOURCE))}


def refused(inputs: str, given: Mapping[str, str]) -> list[str]:
    """Why a form with these inputs does not take these values."""
    with pytest.raises(SpecError) as error:
        fill(form(inputs), Answers(given=given))
    return error.value.message.splitlines()


def test_defaults_and_what_is_there() -> None:
    """Only the branch that is chosen has values; hidden ones are in it as they stand."""
    found = filled("notebook")
    assert {"frontier", "CONTROLLER"} == {found["pwrl_host.resource"], found["pwrl_host.jobschedulertype"]}
    assert ("false", "module load jupyter", "true") == (
        found["service.conda_install"],
        found["service.load_env"],
        found["advanced_options.stream"],
    )
    assert "none" == found["advanced_options.kind"]
    assert not {name for name in found if "_sch_" in name or "conda_env" in name or "yaml" in name}
    slurm = filled("notebook", pwrl_host__jobschedulertype="SLURM", service__conda_install="Yes")
    assert ("8G", "1", "base") == (
        slurm["pwrl_host._sch__dd_mem_d_per_d_cpu_e_"],
        slurm["pwrl_host._sch__dd_cpus_d_per_d_task_e_"],
        slurm["service.conda_env"],
    )
    assert "pwrl_host._sch__d_q___" not in slurm


@pytest.mark.parametrize("name", ["service.notebook_dir", "service_notebook_dir"])
def test_names(name: str) -> None:
    """Dotted or flat, with the resource's section or without."""
    values = fill(sample("notebook"), Answers(given={name: "/x", "jobschedulertype": "SLURM"}))
    assert {"/x", "SLURM"} <= {value.text for value in values}
    assert [Written.PERSON] == [value.written for value in values if value.text == "/x"]


def test_everything_wrong_at_once() -> None:
    """Ranges, options, what is not asked for, what is fixed, what is missing, and names that are none."""
    with pytest.raises(SpecError) as error:
        fill(
            sample("notebook"),
            Answers(
                given={
                    "pwrl_host.jobschedulertype": "SLURM",
                    "_sch__dd_cpus_d_per_d_task_e_": "11",
                    "service.conda_install": "perhaps",
                    "advanced_options.kind": "other",
                    "advanced_options_yaml": "a: 1",
                    "service.notebok_dir": "x",
                    "service.bin": "x",
                    "pwrl_host.resource": "mars",
                    "pwrl_host._sch__d_q___": "work",
                    "service_password": "a\0b",
                }
            ),
        )
    assert {
        'pwrl_host._sch__dd_cpus_d_per_d_task_e_: expected a whole number from 1 up to 10, got "11"',
        'service.conda_install: expected true or false, got "perhaps"',
        'advanced_options.kind: expected one of none, yes_yaml, got "other"',
        "advanced_options_yaml is asked for only where advanced_options.kind is yes_yaml",
        "the form does not ask for service.notebok_dir, did you mean service.notebook_dir?",
        "service.bin is fixed by this workflow",
        "pwrl_host.resource is the cluster: say it with --on",
        "pwrl_host._sch__d_q___ is asked for only where pwrl_host.jobschedulertype is PBS",
        "service.password: expected a text without NUL characters",
    } == set(error.value.message.splitlines())
    assert "It asks for: service.password" in error.value.hint


def test_required_and_given_twice() -> None:
    """`optional='false'` and `required` want a value; an integer does unless it is optional."""
    inputs = (
        '<param name="a" type="text" optional="false" label="A"/><param name="b" type="text" required="true"/>'
        '<param name="n" type="integer"/><param name="m" type="integer" optional="true"/><param name="t" type="text"/>'
    )
    assert ["a is missing: A", "b is missing", "n is missing"] == refused(inputs, {})
    twice = refused('<section name="s"><param name="a" type="text"/></section>', {"s.a": "1", "s_a": "2"})
    assert ["s.a is given twice, as s.a and as s_a"] == twice


def test_hidden_values_may_be_repeated() -> None:
    """Saying what a hidden parameter has anyway is no mistake: a filled form may be sent whole."""
    assert "notebook" == filled("notebook", service__name="notebook")["service.name"]


def test_dynamic_options_and_dropdowns() -> None:
    """Options follow the value they depend on; what was asked of a cluster is any text here."""
    assert "CONTROLLER" == filled("later")["pwrl_host.jobschedulertype"]
    job = filled(
        "later", pwrl_host__jobschedulertype="SLURM", pwrl_host___sch__dd_partition_e_="gpu", service_inner_depth="3"
    )
    assert ("gpu", "3") == (job["pwrl_host._sch__dd_partition_e_"], job["service.inner.depth"])
    with pytest.raises(SpecError, match="expected one of CONTROLLER, got"):
        filled("later", pwrl_host__jobschedulertype="SLURM", service__conda_install="true")


def test_options_that_are_not_always_offered_and_several_of_them() -> None:
    """An option's own condition; some of them, with commas; joined as lists are."""
    assert "red___green" == filled("later", service__colours="red,green")["service.colours"]
    assert "" == filled("later")["service.colours"]
    with pytest.raises(SpecError, match="some, with commas, of red, green"):
        filled("later", service__colours="red,blue")
    assert "blue" == filled("later", service__colours="blue", service__conda_install="1")["service.colours"]


def test_tags_and_replacements() -> None:
    """`_tag_x` is no part of a name; `_replace_with_` is another parameter's value."""
    found = filled("later", service__size="large")
    assert ("cloud", "large") == (found["p1"], found["service.copy"])


def test_booleans_by_any_of_their_names() -> None:
    """true and false, yes and no, and what the form calls them; conditions know both."""
    inputs = (
        '<param name="b" type="boolean" truevalue="With" falsevalue="Without"/>'
        '<param name="x" type="text" value="1" depends_on="b" show_if="With"/>'
        '<param name="y" type="text" value="1" depends_on="b" show_if="true"/>'
        '<param name="z" type="text" value="1" depends_on="b" show_if="Without"/>'
    )
    for said, there in (("with", "xy"), ("on", "xy"), ("0", "z"), ("False", "z"), ("", "z")):
        values = fill(form(inputs), Answers(given={"b": said}))
        assert there == "".join(value.param.dotted for value in values[1:])


def test_values_behind_those_that_are_given() -> None:
    """Of several layers the first that fits; what is not asked for, or hidden, or does not fit, is passed over."""
    inputs = (
        '<param name="n" type="integer" value="1" max="9"/><param name="h" type="hidden" value="h"/>'
        '<param name="s" type="text" value="s" depends_on="n" show_if="4"/>'
    )
    usual = ({"n": "10", "h": "x"}, {"n": "4", "s": "behind"}, {"n": "5"})
    assert ["4", "h", "behind"] == [value.text for value in fill(form(inputs), Answers(usual=usual))]
    assert ["7", "h"] == [value.text for value in fill(form(inputs), Answers(given={"n": "7"}, usual=usual))]


def test_whose_words_they_are() -> None:
    """Options and defaults are the author's, also where a person chose or left them."""
    inputs = (
        '<param name="o" type="select"><option value="$HOME"/><option value="b"/></param>'
        '<param name="t" type="text" value="$HOME"/>'
    )
    for given, written in (
        ({}, [Written.AUTHOR, Written.AUTHOR]),
        ({"o": "b", "t": "$HOME"}, [Written.AUTHOR, Written.AUTHOR]),
        ({"t": "$HOME/x"}, [Written.AUTHOR, Written.PERSON]),
    ):
        assert written == [value.written for value in fill(form(inputs), Answers(given=given))]


def test_conditions_without_end() -> None:
    """A chain that is too long to follow is told."""
    chain = "".join(f'<param name="p{n}" type="text" value="x" depends_on="p{n + 1}" show_if="x"/>' for n in range(499))
    assert refused(f'{chain}<param name="p499" type="text" value="x"/>', {}) == [
        "the form's conditions depend on each other over too many steps"
    ]
