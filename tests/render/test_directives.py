"""What is asked of Slurm, line by line, and what is refused to be asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.errors import SpecError
from sessiond.core.session import Session
from sessiond.core.spec import Resources
from sessiond.render.directives import lead_s
from sessiond.render.slurm_directives import directives, job_script

from .sample import session

OURS = [
    "--job-name=sd-0123456789ab",
    "--comment=0123456789ab",
    "--output=logs.out",
    "--open-mode=append",
]


def asking(**resources: object) -> Session:
    """A session that asks for these resources."""
    fresh = session()
    return replace(fresh, spec=replace(fresh.spec, resources=replace(Resources(), **resources)))  # type: ignore[arg-type]


def test_everything_that_can_be_asked() -> None:
    """Each resource has its directive; a person's own come first, so that ours count."""
    all_of_it = asking(
        walltime_s=90061,
        partition="gpu,short",
        account="abc123",
        qos="high",
        nodes=2,
        tasks=4,
        cpus=8,
        memory="16g",
        gpus="a100:2",
        extra=("#SBATCH --constraint=fast&big", "  -x node7 "),
    )
    assert [
        "--constraint=fast&big",
        "-x node7",
        "--time=25:01:01",
        "--partition=gpu,short",
        "--account=abc123",
        "--qos=high",
        "--nodes=2",
        "--ntasks=4",
        "--cpus-per-task=8",
        "--mem=16G",
        "--gres=gpu:a100:2",
        *OURS,
        "--signal=B:USR2@60",
    ] == list(directives(all_of_it))


def test_nothing_asked_leaves_it_to_the_cluster() -> None:
    """Only what makes the job ours."""
    assert [*OURS, "--signal=B:USR2@60"] == list(directives(asking()))


@pytest.mark.parametrize(("walltime_s", "lead"), [(None, 60), (60, 15), (120, 30), (240, 60), (86400, 60), (1, 1)])
def test_short_walltimes_have_a_short_notice(walltime_s: int | None, lead: int) -> None:
    """A minute, but never more than a quarter of it all."""
    assert lead == lead_s(Resources(walltime_s=walltime_s))


@pytest.mark.parametrize(
    "resources",
    [
        {"walltime_s": 0},
        {"partition": "a b"},
        {"partition": "a\n#SBATCH --uid=root"},
        {"account": "-x"},
        {"qos": "$(id)"},
        {"nodes": 0},
        {"cpus": -1},
        {"tasks": 10**9},
        {"memory": "lots"},
        {"memory": "16 G"},
        {"gpus": "0"},
        {"gpus": "a100:2:x"},
        {"extra": ("--constraint=a\n--uid=0",)},
        {"extra": ("--constraint=a\x00",)},
        {"extra": ("--constraint=a\u2028b",)},
        {"extra": ("echo hello",)},
        {"extra": ("",)},
    ],
)
def test_what_is_no_directive_is_refused(resources: dict[str, object]) -> None:
    """Line breaks, control characters and nonsense, with a word what would be right."""
    with pytest.raises(SpecError):
        list(directives(asking(**resources)))


@pytest.mark.parametrize(
    "extra", ["--array=0-3", "-a 0-3", "-a0-3", "--wait", "-W", "-M mars", "--clusters=mars", "--test-only"]
)
def test_directives_that_break_a_session_are_refused(extra: str) -> None:
    """An array, another cluster, waiting for the end: each with its reason."""
    with pytest.raises(SpecError, match="cannot be used"):
        list(directives(asking(extra=(extra,))))


@given(st.text(max_size=60))
def test_directives_are_lines(extra: str) -> None:
    """Whatever a person writes is one line of comment, or refused."""
    try:
        lines = list(directives(asking(extra=(extra,))))
    except SpecError:
        return
    text = job_script(asking(extra=(extra,)), ("bash",)).decode()
    assert 6 == len(lines)
    assert ["#SBATCH " + one for one in lines] == text.split("\n")[1:7]


def test_script_ends_in_its_command() -> None:
    """Quoted for the shell, and in the shell's place."""
    script = job_script(asking(), ("bash", "it's"))
    assert script.startswith(b"#!/bin/bash\n#SBATCH ")
    assert script.endswith(b"exec 'bash' 'it'\\''s'\n")
