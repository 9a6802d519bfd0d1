"""What existing service folders rely on: variables, files, functions and prefixes, in every mode."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sessiond.core.spec import Mode
from tests.prelude.conftest import MakeTrial

EVERYWHERE = [
    "resource_id",
    "resource_name",
    "resource_status",
    "resource_namespace",
    "resource_type",
    "resource_workdir",
    "resource_publicIp",
    "resource_privateIp",
    "resource_username",
    "resource_ports",
    "resource_jobdir",
    "resource_ssh_config_path",
    "resource_ssh_usercontainer_port",
    "nports",
    "jobschedulertype",
    "job_number",
    "workflow_name",
    "job_name",
    "pw_job_dir",
    "openPort",
    "sshcmd",
    "service_name",
    "PW_JOB_PATH",
    "USER_CONTAINER_HOST",
    "servicePort",
    "sshusercontainer",
]
"""Variables that have a value in every session."""
SCHEDULED = ("submit_cmd", "cancel_cmd", "status_cmd")


def environment(text: str) -> dict[str, str]:
    """What `env -0` printed."""
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


@pytest.mark.parametrize("mode", Mode)
def test_variables_of_every_mode(trial: MakeTrial, mode: Mode) -> None:
    """All of the contract's variables reach what the template starts, and are none of them empty."""
    one = trial("env -0 >seen\n", mode=mode)
    assert 0 == one.run(SESSIOND_NODE="n1", SLURM_SUBMIT_HOST="login7" if mode is Mode.SLURM else "")
    seen = environment((one.folder / "seen").read_text())
    wanted = [*EVERYWHERE, *(SCHEDULED if mode in (Mode.SLURM, Mode.PBS) else ())]
    assert [] == [name for name in wanted if not seen.get(name)]
    assert "00007" == seen["job_number"]
    assert ("login7" if mode is Mode.SLURM else "127.0.0.1") == seen["resource_privateIp"]
    assert [] == [name for name in SCHEDULED if name in seen and name not in wanted]


@pytest.mark.parametrize("mode", Mode)
def test_functions_and_files_of_every_mode(trial: MakeTrial, mode: Mode) -> None:
    """Another port and nothing but it; port and pid in files; notify.sh below pw_job_dir; the folder as it is."""
    one = trial(
        'findAvailablePort >other; [ "$$" = "$(cat "${job_number}.pid")" ] && pwd -P >here\n'
        '[ "$servicePort" = "$(cat service.port)" ] && ${sshusercontainer} ${pw_job_dir}/utils/notify.sh\n'
        'bash -c "set -e; displayErrorMessage no"; sleep 600; echo not reached\n',
        mode=mode,
    )
    assert 1 == one.run(SESSIOND_NODE="n1")
    assert (one.folder / "other").read_text().strip().isdigit()
    assert f"{one.folder.resolve()}\n" == (one.folder / "here").read_text()
    assert (one.folder / "notified").read_text().startswith("at=")
    assert "no\n" == (one.folder / "failure").read_text()
    assert "not reached" not in one.log()


def test_words_for_the_workspace_are_given_to_a_shell(trial: MakeTrial, tmp_path: Path) -> None:
    """As ssh does it: one word that is a command line, or several; nothing to read; in the home folder."""
    one = trial(
        '${sshusercontainer} "${pw_job_dir}/utils/notify.sh Running"; [ -e notified ] && echo one\n'
        "${sshusercontainer} echo a \\; echo b; ${sshusercontainer} pwd; ${sshusercontainer} cat; echo $?\n"
    )
    assert 0 == one.run(HOME=str(tmp_path))
    assert ["one", "a", "b", str(tmp_path), "0"] == one.log().splitlines()


def test_files_of_the_workspace_are_copied_here(trial: MakeTrial, tmp_path: Path) -> None:
    """What templates fetch of their own folder is here; what is not is said; other copies are the program's."""
    there = tmp_path / "bin" / "scp"
    there.parent.mkdir()
    there.write_text('#!/bin/sh\necho "program: $*"\n')
    there.chmod(0o755)
    (tmp_path / "at home").write_text("home\n")
    one = trial(
        "options='-o StrictHostKeyChecking=no -q -P 22'\n"
        "mkdir -p service/conf && echo one >service/conf/one.yaml\n"
        "scp ${options} usercontainer:${pw_job_dir}/${service_name}/conf/one.yaml two.yaml && cat two.yaml\n"
        'bash -c "scp -rp ${USER_CONTAINER_HOST}:${service_name}/conf three" && cat three/one.yaml\n'
        "scp 'me@usercontainer:at home' . && cat 'at home'\n"
        "scp two.yaml usercontainer:four.yaml && cat ~/four.yaml\n"
        "scp usercontainer:/no/such.tgz . 2>&1; echo $?\n"
        "scp -r elsewhere:a b\n"
    )
    assert 0 == one.run(HOME=str(tmp_path), PATH=f"{there.parent}:{os.environ['PATH']}")
    *copied, refused, status, other = one.log().splitlines()
    assert ["one", "one", "home", "one"] == copied
    assert refused.startswith("scp: /no/such.tgz is not on ")
    assert ("1", "program: -r elsewhere:a b") == (status, other)


def test_nothing_is_copied_to_a_workspace_that_is_elsewhere(trial: MakeTrial, tmp_path: Path) -> None:
    """From a cluster there is no way back: a copy that stayed there would pass for one that had arrived."""
    one = trial("resource_id=frontier; echo one >two; scp two usercontainer:three 2>&1; echo $?\n", mode=Mode.SLURM)
    assert 0 == one.run(HOME=str(tmp_path), SESSIOND_NODE="n1")
    refused, status = one.log().splitlines()
    assert refused.startswith("scp: there is no way back to the workspace from ")
    assert ("1", False) == (status, (tmp_path / "three").exists())


def kill(one: MakeTrial, template: str, tmp_path: Path, *, status: int = 0) -> str:
    """Run a session's kill script, with an ssh on the PATH that says what it was asked; what that and it printed."""
    there = tmp_path / "bin" / "ssh"
    there.parent.mkdir()
    there.write_text('#!/bin/sh\necho "ssh: $*"\ncat\n')
    there.chmod(0o755)
    made = one("true\n", kill=template, mode=Mode.SLURM)
    done = subprocess.run(
        ["bash", made.folder / "kill.sh"],
        env={"PATH": f"{there.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert (status, "") == (done.returncode, done.stderr)
    return done.stdout


def test_a_kill_template_s_ssh_to_its_own_host_stays_here(trial: MakeTrial, tmp_path: Path) -> None:
    """A script for the login node, which ends things on this node by way of ssh, runs here; also in children."""
    template = (
        "echo 'echo \"$0 $PWD\"; exit 3' >inner.sh\n"
        "echo \"ssh -o StrictHostKeyChecking=no $(hostname) 'bash -s' < $PWD/inner.sh\" >service-kill.sh\n"
        'bash ./service-kill.sh; echo "status $?"\n'
        "ssh \"'$(hostname)'\" true 2>&1 | head -n 1; ssh -N -f me@localhost; ssh localhost echo here\n"
    )
    printed = kill(trial, template, tmp_path).splitlines()
    assert [f"bash {tmp_path}", "status 3"] == printed[:2]
    assert ["here"] == printed[-1:]


def test_a_kill_template_s_ssh_to_elsewhere_asks_nobody(trial: MakeTrial, tmp_path: Path) -> None:
    """It is ssh, which must not wait for a password; a kill template that fails says so."""
    printed = kill(trial, "echo in | ssh -p 22 other.example 'bash -s'\nexit 7\n", tmp_path, status=7)
    assert "ssh: -o BatchMode=yes -o ConnectTimeout=10 -p 22 other.example bash -s\nin\n" == printed
