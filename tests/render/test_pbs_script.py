"""The whole script of a job of PBS, in OpenPBS's form and in Torque's: its text, and where it begins."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sessiond.render.pbs_directives import job_scripts

from .sample import pbs_session as asking

GOLDEN = Path(__file__).parent / "golden"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


def scripts() -> dict[str, bytes]:
    """The scripts of a job that asks for everything."""
    made = asking(
        "-l place=excl",
        "-v 'A=one, two'",
        walltime_s=7200,
        partition="gpu",
        account="abc123",
        nodes=2,
        cpus=8,
        memory="16G",
        gpus="2",
    )
    return job_scripts(made, ("bash", "pbs_run.sh", made.tag, "300", "60", "7200"))


@pytest.mark.parametrize("name", ["job.sh", "job_torque.sh"])
def test_golden(name: str) -> None:
    """The rendered text is the one in golden/. To accept a change, run with SESSIOND_GOLDEN=write and read the diff."""
    made = scripts()[name]
    golden = GOLDEN / f"pbs_{name}"
    if os.environ.get("SESSIOND_GOLDEN") == "write":
        golden.write_bytes(made)
    assert golden.read_bytes() == made


@pytest.mark.parametrize("folder", ["/home/ada/sessiond/0123456789ab", "~/sessiond/0123456789ab", "/home/it's/a b"])
def test_shellcheck_and_bash_accept_the_scripts(tmp_path: Path, folder: str) -> None:
    """Wherever the session's folder is."""
    made = asking("-v A='one two'", nodes=2)
    made = replace(made, spec=replace(made.spec, jobdir=folder))
    paths = []
    for name, content in job_scripts(made, ("bash", "it's")).items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
        subprocess.run(["bash", "-n", paths[-1]], check=True)
    done = subprocess.run([SHELLCHECK, *paths], capture_output=True, text=True, check=False)
    assert "" == done.stdout + done.stderr


def test_script_begins_in_the_session_s_folder(tmp_path: Path) -> None:
    """In its own, else where qsub was called; without any it ends, and says so."""
    own, submitted = tmp_path / "sessiond" / "0123456789ab", tmp_path / "submitted"
    made = replace(asking(), spec=replace(asking().spec, jobdir=str(own)))
    script = job_scripts(made, ("sh", "-c", "pwd"))["job.sh"]

    def run(**environ: str) -> int:
        path = {"PATH": os.environ["PATH"]}
        return subprocess.run(
            ["bash"], input=script, env=path | environ, cwd=tmp_path, check=False, stderr=subprocess.DEVNULL
        ).returncode

    assert (66, 66) == (run(), run(PBS_O_WORKDIR=str(submitted)))
    submitted.mkdir()
    assert 66 == run(PBS_O_WORKDIR=str(submitted))
    (submitted / "session.sh").write_text("true\n")
    assert 0 == run(PBS_O_WORKDIR=str(submitted))
    assert f"{submitted}\n" == (submitted / "logs.out").read_text()
    own.mkdir(parents=True)
    (own / "session.sh").write_text("true\n")
    assert 0 == run(PBS_O_WORKDIR=str(submitted))
    assert f"{own}\n" == (own / "logs.out").read_text()
