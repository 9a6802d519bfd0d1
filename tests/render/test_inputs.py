"""Values reach a shell as they are, whatever they hold; names that could do harm do not."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessiond.core.errors import SpecError
from sessiond.core.spec import Mode
from sessiond.render.inputs import check_name, inputs_sh, secrets_sh, variables
from sessiond.render.quote import word
from tests.render.sample import session

HOSTILE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60) | st.sampled_from(
    ["$(touch /tmp/pwned)", "`id`", "'; id; '", '"$HOME"', "a\nb\n", "\\", "!!", "~", "*", "\r", "--", "%s", "\x1b[0m"]
)


def through_bash(script: bytes, names: list[str]) -> list[str]:
    """What a child process of a shell that ran ``script`` finds in its environment under ``names``."""
    ask = "\n".join(f"printf '%s\\0' \"${name}\"" for name in names)
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", script.decode() + f"\nbash -c {word(ask)}"],
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().split("\0")[:-1]


@settings(max_examples=60, deadline=None)
@given(st.lists(HOSTILE, min_size=1, max_size=8))
def test_values_survive_a_real_shell(values: list[str]) -> None:
    """Any value, through inputs.sh and secrets.sh and a real bash, comes out as it went in."""
    named = {f"v{n}": value for n, value in enumerate(values)}
    assert values == through_bash(inputs_sh(session(params=named)), list(named))
    assert values == through_bash(secrets_sh(session(secrets=named)), list(named))


@given(HOSTILE)
def test_a_word_is_one_word(text: str) -> None:
    """Outside its single quotes a word holds nothing but escaped single quotes."""
    assert [""] * 2 == word(text).replace("'\\''", "").split("'")[::2]


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_no_variable_can_hold_is_refused(value: str) -> None:
    """NUL and lone surrogates are refused before a file is written."""
    with pytest.raises(SpecError):
        inputs_sh(session(params={"x": value}))


@pytest.mark.parametrize("name", ["service_notebook_dir", "servicePort", "service_load_env", "x", "_x", "PYTHONPATH"])
def test_names_people_may_set(name: str) -> None:
    """Ordinary names pass, and a form may fix the port its service listens on."""
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "openPort",
        "job_number",
        "pw_job_dir",
        "PATH",
        "LD_PRELOAD",
        "BASH_ENV",
        "IFS",
        "SESSIOND_TAG",
        "sessiond_base",
        "resource_jobdir",
        "_",
        "UID",
        "service_token",
        "SLURM_JOB_ID",
        "PBS_JOBID",
        "BASH_FUNC_x",
        "PS4",
        "ENV",
    ],
)
def test_reserved_names(name: str) -> None:
    """Names that steer the shell, the linker, the scheduler or the session are refused by name."""
    with pytest.raises(SpecError, match=name):
        check_name(name)


@pytest.mark.parametrize("name", ["", "1x", "a b", "a=b", "a\n", "é", "x;id", "a.b", "$(id)"])
def test_names_that_are_no_identifiers(name: str) -> None:
    """What is no identifier is refused by check_name and can be in no file."""
    with pytest.raises(SpecError):
        check_name(name)
    with pytest.raises(SpecError):
        inputs_sh(session(params={name: "x"}))
    with pytest.raises(SpecError):
        secrets_sh(session(secrets={name: "x"}))


def test_own_values_win_and_the_table_is_complete() -> None:
    """A form cannot give another value to what sessiond sets; all names of the contract are there."""
    seen = variables(session(params={"openPort": "1", "service_bin": "b"}))
    assert "51234" == seen["openPort"]
    assert "b" == seen["service_bin"]
    expected = {
        "resource_name": "local",
        "resource_jobdir": "/home/ada/sessiond/0123456789ab",
        "resource_workdir": "/home/ada",
        "resource_publicIp": "ada@localhost",
        "resource_privateIp": "127.0.0.1",
        "resource_username": "ada",
        "resource_ports": "51234",
        "jobschedulertype": "CONTROLLER",
        "job_number": "00007",
        "job_name": "trial-00007",
        "workflow_name": "trial",
        "service_name": "trial",
        "pw_job_dir": "/home/ada/sessiond/0123456789ab",
        "sessiond_base": "/me/51234",
        "resource_type": "existing",
        "resource_ssh_config_path": "~/.ssh/config",
    }
    assert expected == {name: seen[name] for name in expected}
    assert "s3cret" not in seen.values()
    assert "submit_cmd" not in seen


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.CONTROLLER, ["existing", "ada@login.example", "127.0.0.1", "CONTROLLER", "", "", ""]),
        (Mode.SLURM, ["slurmshv2", "ada@login.example", "login.example", "SLURM", "sbatch", "scancel", "squeue"]),
        (Mode.PBS, ["slurmshv2", "ada@login.example", "login.example", "PBS", "qsub", "qdel", "qstat"]),
    ],
)
def test_what_a_cluster_is_called(mode: Mode, expected: list[str]) -> None:
    """Its login node with the account there, and the scheduler's commands, under the names of existing templates."""
    one = session(mode=mode)
    seen = variables(replace(one, spec=replace(one.spec, host="login.example")))
    names = ["resource_type", "resource_publicIp", "resource_privateIp", "jobschedulertype"]
    assert expected == [seen.get(name, "") for name in (*names, "submit_cmd", "cancel_cmd", "status_cmd")]


def test_sshcmd_runs_its_words_here() -> None:
    """The command prefix for the login node runs on this machine, with ssh's way of joining words."""
    script = (
        inputs_sh(session()) + b"x=$($sshcmd echo 'a b; echo c'); y=$(echo 'echo d' | ${sshcmd} 'bash -s'); export x y"
    )
    assert ["a b\nc", "d"] == through_bash(script, ["x", "y"])
