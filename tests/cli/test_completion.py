"""The Tab key: scripts for three shells, names from the daemon, and silence without one."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import CLUSTERS
from tests.cli.conftest import Ctl

BASH = shutil.which("bash")


def complete(ctl: Ctl, shell: str, line: str) -> list[str]:
    """What ``shell`` is told for the last word of ``line``."""
    words = line.split(" ")
    word = str(len(words) - 1) if shell != "fish" else words[-1]
    done = ctl(_SESSIONCTL_COMPLETE=f"{shell}_complete", COMP_WORDS=line, COMP_CWORD=word)
    assert (done.status, done.err) == (0, "")
    return [line for line in done.out.splitlines() if line]


def test_verbs(ctl: Ctl) -> None:
    """Verbs need no daemon."""
    assert sorted(complete(ctl, "bash", "sessionctl st")) == ["plain,start", "plain,status", "plain,stop"]


def test_sessions(ctl: Ctl, canned: Canned) -> None:
    """Sessions by name: all, or only those the verb can do something to; never a name that could break the shell."""
    assert complete(ctl, "bash", "sessionctl why ") == ["plain,jl", "plain,simulation-of-the-north-sea", "plain,lost"]
    assert complete(ctl, "bash", "sessionctl stop ") == ["plain,jl", "plain,simulation-of-the-north-sea"]
    assert complete(ctl, "bash", "sessionctl stop jl ") == ["plain,simulation-of-the-north-sea"]
    assert complete(ctl, "bash", "sessionctl rm ") == ["plain,lost"]
    assert complete(ctl, "bash", "sessionctl why lo") == ["plain,lost"]


def test_services_and_clusters(ctl: Ctl, canned: Canned) -> None:
    """Services that can be started, the places, and the choices of an option."""
    startable = ["plain,jupyterlab-host", "plain,jupyterlab-host/general"]
    assert complete(ctl, "bash", "sessionctl start ") == startable
    places = [f"plain,{one['name']}" for one in CLUSTERS]
    assert complete(ctl, "bash", "sessionctl start --on ") == places
    assert complete(ctl, "bash", "sessionctl doctor ") == places
    assert complete(ctl, "bash", "sessionctl start --mode s") == ["plain,slurm"]


def test_descriptions(ctl: Ctl, canned: Canned) -> None:
    """zsh and fish are told what a session does, too."""
    assert complete(ctl, "zsh", "sessionctl why lo") == ["plain", "lost", "failed: the service ended with status 1"]
    assert complete(ctl, "fish", "sessionctl why lo") == ["plain,lost\tfailed: the service ended with status 1"]


def test_no_daemon_is_started(ctl: Ctl) -> None:
    """Without a daemon there are no names, no words, and still no daemon."""
    assert complete(ctl, "bash", "sessionctl why ") == []
    assert not ctl.state.exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(ctl: Ctl, shell: str) -> None:
    """A script is printed, and the shell itself can read it where it is there."""
    done = ctl("completion", shell)
    assert (done.status, f"_SESSIONCTL_COMPLETE={shell}_complete" in done.out) == (0, True)
    if program := shutil.which(shell):
        assert subprocess.run([program, "-n"], input=done.out.encode(), check=False).returncode == 0


@pytest.mark.skipif(BASH is None, reason="there is no bash here")
def test_in_bash(ctl: Ctl, canned: Canned) -> None:
    """The script, run by a real bash, offers the names."""
    assert BASH is not None
    program = ctl.home / "bin" / "sessionctl"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom sessiond.cli.main import main\nmain()\n")
    program.chmod(0o700)
    script = ctl("completion", "bash").out + (
        "\nCOMP_WORDS=(sessionctl stop j); COMP_CWORD=2; COMPREPLY=()\n"
        '_sessionctl_completion sessionctl j stop; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        [BASH, "--norc", "-c", script],
        env=ctl.env | {"PATH": f"{program.parent}:{ctl.env['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("jl\n", "")
