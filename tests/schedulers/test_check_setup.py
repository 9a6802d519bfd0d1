"""A cluster's `setup` lines, tried on its login node as a session's script would run them."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from sessiond.core.command import Completed
from sessiond.schedulers.check import Finding, Grade, look, read_look

from .machine import Machine


def read(done: Completed) -> Finding | None:
    """What was found about `setup`, if anything."""
    now = time.time()
    found = read_look(done, scheduler="none", ours=set(), asked_at=now - 60, answered_at=now + 60, proved_shared=False)
    return next((one for one in found if one.what == "setup"), None)


def tried(machine: Machine, setup: str) -> Finding:
    """What is said of ``setup``, which gets a second instead of fifteen."""
    command = look("~", "none", setup)
    assert 1 == command.stdin.count(b"timeout -k 1 15 bash")
    finding = read(machine.run(replace(command, stdin=command.stdin.replace(b"-k 1 15 bash", b"-k 1 1 bash"))))
    assert finding is not None
    return finding


@pytest.mark.parametrize("setup", ["", "\n", "  \n\t\n"])
def test_no_lines_are_not_spoken_of(machine: Machine, setup: str) -> None:
    """Most clusters need none."""
    assert read(machine.run(look("~", "none", setup))) is None


@pytest.mark.parametrize(
    "setup",
    [
        "export X=1",
        "# nothing but a remark",
        "echo 'welcome, and a quote \" of its own'",
        "set -u; shopt -s extglob\ncase a in +(a)) true ;; esac",
        "[[ a == a ]] && function f { :; } && f <(true)",
        "false",
        "trap 'exit 3' EXIT",
        "read -r answer; true",
        "(exit 4)",
    ],
)
def test_lines_that_do(machine: Machine, setup: str) -> None:
    """They are bash's, may print and may end with any status; nobody answers what they ask."""
    assert Finding(what="setup", grade=Grade.OK, text="the lines of `setup` run there without a complaint") == tried(
        machine, setup
    )


@pytest.mark.parametrize(
    ("setup", "grade", "words"),
    [
        ("modul load python", Grade.WARN, "complain: line 1: modul: command not found"),
        (". /etc/profile.d/nobody.sh\ncd /nowhere", Grade.WARN, "complain: line 1: /etc/profile.d/nobody.sh: No such"),
        ("if true; then\n", Grade.BAD, "bash cannot read the lines of `setup`: line 2: syntax error"),
        ('export X="1\n', Grade.BAD, "bash cannot read the lines of `setup`: line 1: unexpected EOF"),
        ("exit 3", Grade.BAD, "end the shell, with status 3"),
        ("set -e\ncd /nowhere\n", Grade.BAD, "end the shell, with status 1: line 2: cd: /nowhere: No such file"),
        ("exec true", Grade.BAD, "end the shell, with status 0"),
        ("sleep 100", Grade.BAD, "do not come to an end there: given up after 15 s"),
    ],
)
def test_lines_that_do_not(machine: Machine, setup: str, grade: Grade, words: str) -> None:
    """What bash says of them is told, without the name of the file that it was given."""
    found = tried(machine, setup)
    assert (grade, True) == (found.grade, words in found.text), found
    assert found.remedy
    assert "/dev/fd" not in found.text


def test_what_the_lines_leave_running_is_not_waited_for(machine: Machine) -> None:
    """An agent in the background holds their output open for as long as it lives."""
    gate = machine.root / "gate"
    found = tried(machine, f"mkfifo {gate}; {{ read -r x < {gate}; }} &\n")
    assert Grade.OK is found.grade
    gate.write_text("go\n")  # it waits for a reader: the background process was alive
