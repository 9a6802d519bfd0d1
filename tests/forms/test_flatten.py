"""The rules of names and values, each by an example, and values through a real shell."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessiond.forms.fill import Answers, fill
from sessiond.forms.flatten import Flat, Where, directive, flatten
from sessiond.forms.model import Form
from sessiond.render.inputs import inputs_sh, secrets_sh
from tests.forms.samples import form, sample
from tests.render.sample import session
from tests.render.test_inputs import HOSTILE, through_bash

WHERE = Where(user="ada", workspace_user="lovelace", workdir="~/work/", number="00007")
RESOURCE = {"name": ("frontier",), "provider": ("existing",)}
GOLDEN = Path(__file__).parent / "golden"


def flat(found: Form, scheduler: str = "", where: Where = WHERE, **given: str) -> Flat:
    """A form's variables, with what is given under its flat name."""
    return flatten(found, fill(found, Answers(given=given, resource=RESOURCE)), where, scheduler)


def seen(found: Flat, *names: str) -> list[str]:
    """What a child process of a template finds in variables of a form."""
    made = session(params=found.params, secrets=found.secrets)
    made = replace(made, spec=replace(made.spec, authored=found.authored))
    return through_bash(b"HOME=/h\n" + inputs_sh(made) + secrets_sh(made), list(names))


@pytest.mark.parametrize(("name", "scheduler"), [("notebook", "SLURM"), ("notebook", "PBS"), ("later", "SLURM")])
def test_whole_forms(name: str, scheduler: str) -> None:
    """All variables in their order, and all directives, as files: `UPDATE_GOLDEN=1` writes them anew."""
    found = flat(sample(name), scheduler.lower(), jobschedulertype=scheduler)
    made = session(params=found.params, secrets=found.secrets)
    made = replace(made, spec=replace(made.spec, authored=found.authored))
    ours = set(inputs_sh(session()).decode().splitlines())
    lines = [line for line in inputs_sh(made).decode().splitlines() if line not in ours]
    text = "\n".join([*lines, *secrets_sh(made).decode().splitlines(), *(f"# {one}" for one in found.directives), ""])
    file = GOLDEN / f"{name}.{scheduler.lower()}.sh"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert file.read_text() == text


def test_names() -> None:
    """section_param, also deeper; a resource's section, conditionals and whens have no say; other resources neither."""
    found = flat(sample("later"))
    assert {"service_inner_depth", "service_name", "jobschedulertype", "p1"} <= found.params.keys()
    assert not {name for name in found.params if "pwrl" in name or "cond_" in name or "resource" in name}
    two = form(
        '<section name="pwrl_host"><param name="a" type="hidden" value="1"/></section>'
        '<section name="pwrl_other"><param name="b" type="hidden" value="2"/></section>'
        '<param name="pwrl_plain" type="hidden" value="3"/>'
    )
    assert {"a": "1", "pwrl_plain": "3"} == flat(two).params


def test_the_resource_comes_first_and_of_two_the_later_counts() -> None:
    """Two spellings are one variable. A person's word goes before a default, wherever it stands."""
    found = form(
        '<param name="service_bin" type="text" value="top"/>'
        '<section name="service"><param name="bin" type="text" value="inner"/></section>'
        '<section name="pwrl_host"><param name="z" type="hidden" value="z"/></section>'
    )
    assert [("z", "z"), ("service_bin", "inner")] == list(flat(found).params.items())
    values = fill(found, Answers(given={"service_bin": "x"}))
    assert "x" == flatten(found, values, WHERE).params["service_bin"]


def test_branches_of_one_name() -> None:
    """The value is that of the branch that is there, on every scheduler."""
    for scheduler, text in (("SLURM", "--exclusive; --gpus-per-node=1;;"), ("PBS", "-l walltime=00:20:00")):
        assert text == flat(sample("notebook"), jobschedulertype=scheduler).params["scheduler_directives"]
    assert "scheduler_directives" not in flat(sample("notebook"), jobschedulertype="CONTROLLER").params


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        ("_sch__dd_partition_e_", "--partition="),
        ("_sch__dd_cpus_d_per_d_task_e_", "--cpus-per-task="),
        ("_sch__dd_mem_d_per_d_cpu_e_", "--mem-per-cpu="),
        ("_sch__d_q___", "-q "),
        ("_sch__dd_get_d_user_d_env", "--get-user-env"),
        ("service_x", ""),
    ],
)
def test_how_directives_are_spelled(variable: str, line: str) -> None:
    """The replacements, in their order."""
    assert line == directive(variable)


def test_free_directives() -> None:
    """`scheduler_directives` wins where it is there, even empty; else the scheduler's own; `;` divides them."""

    def lines(scheduler: str, *names: str) -> tuple[str, ...]:
        params = [f'<param name="{name}" type="hidden" value="{text}"/>' for name, _, text in map(_cut, names)]
        return flat(form("".join(params)), scheduler).directives

    assert ("--mem=1", "--exclusive") == lines("slurm", "scheduler_directives=--mem=1; ;; --exclusive ")
    both = ("scheduler_directives_slurm=--a", "scheduler_directives_pbs=-l b")
    assert (("--a",), ("-l b",), ()) == (lines("slurm", *both), lines("pbs", *both), lines("", *both))
    assert () == lines("slurm", "scheduler_directives=", *both)
    sch = ("_sch__dd_partition_e_=gpu", "_sch__dd_time_e_=", "_sch__d_q___=work")
    assert ("--a", "--partition=gpu", "-q work") == lines("slurm", *sch, *both)
    assert ("-l b", "-q work") == lines("pbs", *sch, *both)


def _cut(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def test_the_service() -> None:
    """`service_name`, however it is spelled; else the first variable whose name has it in it."""
    assert ["notebook", "desk"] == [flat(sample(name)).service for name in ("notebook", "later")]
    chooser = '<section name="advanced_options"><param name="service_name" type="select">{}</param></section>'
    found = form(chooser.format('<option value="turbo"/><option value="nice"/>'))
    assert ("turbo", "nice") == (flat(found).service, flat(found, advanced_options_service_name="nice").service)
    assert "" == flat(form('<param name="a" type="text"/>')).service


def test_placeholders() -> None:
    """All of them in one text, whoever wrote it; the home is the one there."""
    inputs = '<param name="a" type="text" value=""/><param name="b" type="hidden" value="\\${x} __WORKDIR__/__user__"/>'
    text = "__USER__ __PW_USER__ __WORKDIR__/__poolworkdir__ __HOME__ __job_number__ __other__ $x"
    found = flat(form(inputs), a=text)
    assert ["ada lovelace /h/work//h/work /h 00007 __other__ $x", "${x} /h/work/ada"] == seen(found, "a", "b")
    hostile = replace(WHERE, user="$(id)", workdir="/a b`c`")
    assert ["$(id)", "${x} /a b`c`/$(id)"] == seen(flat(form(inputs), where=hostile, a="__user__"), "a", "b")


def test_what_authors_rely_on() -> None:
    """Escaped quotes and dollars, the home, and quotes of their own, as between double quotes."""
    found = flat(sample("notebook"))
    assert ['term -- bash -c "tool --help; exec bash"', "/images/${USER}//h/x.sif", "/h/work/notes/ada"] == seen(
        found, "service_bin", "service_sif", "service_notebook_dir"
    )
    named = form(
        '<param name="a" type="hidden" value="$b/${openPort}/$resource_username"/>'
        '<param name="b" type="text" value=""/>'
    )
    assert ["it's/51234/ada"] == seen(flat(named, b="it's"), "a")


def test_new_lines() -> None:
    """Those of a textarea and of an author are told as \\n; those in a line of text stay."""
    inputs = (
        '<param name="a" type="textarea"/><param name="b" type="text"/><param name="c" type="hidden" value="1&#10;2"/>'
    )
    found = flat(form(inputs), a="x: 1\n  y: $2\n", b="p\nq")
    assert ["x: 1\\n  y: $2\\n", "p\nq", "1\\n2"] == seen(found, "a", "b", "c")


@settings(max_examples=60, deadline=None)
@given(HOSTILE, HOSTILE, st.sampled_from(["text", "dropdown"]))
def test_what_people_type_is_data(first: str, second: str, kind: str) -> None:
    """A shell gives back exactly what was typed, beside values of the author's, and secrets too."""
    kind = "dynamicXDropdown" if kind == "dropdown" else kind
    found = form(
        f'<param name="a" type="{kind}" value="$HOME"/><param name="password" type="text" value="x"/>'
        "<param name='c' type='hidden' value='\\\"c\\\" $HOME'/>"
    )
    made = flat(found, a=first, password=second)
    assert {"a", "c"} == made.params.keys()
    expected = ["/h" if first == "$HOME" else first, second, '"c" /h']
    assert expected == seen(made, "a", "password", "c")


@settings(max_examples=40, deadline=None)
@given(HOSTILE.filter(lambda text: "\n" not in text), HOSTILE.filter(lambda text: "\n" not in text))
def test_what_people_type_around_placeholders_is_data(before: str, after: str) -> None:
    """Also where the home there comes between: the rest is exactly itself."""
    found = flat(form('<param name="a" type="text" value="x"/>'), a=f"{before}__WORKDIR__{after}")
    assert [f"{before}/h/work{after}"] == seen(found, "a")
