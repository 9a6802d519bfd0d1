"""A look at a login node: under every shell, with every scheduler's answer, and with replies that are none."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.command import Command, Completed
from sessiond.core.errors import Unreadable
from sessiond.schedulers.check import Finding, Grade, look, read_look

from .machine import Machine

NOW = 1_790_000_000.0
OURS, STRAY = "sd-k3f9q2m7x0ab", "sd-k3f9q2m7x0cd"


def reply(*records: str, noise: str = "", rc: int = 0) -> Completed:
    """What the script says, a record a string with ``|`` between its fields."""
    body = "".join("\x1e" + record.replace("|", "\x1f") for record in records)
    return Completed(rc=rc, stdout=f"{noise}\x1esessiond{body}\x1eend\n".encode(), stderr=b"")


def good(**changed: str) -> list[str]:
    """The records of a cluster where all is well, but for what is ``changed`` (empty: left out)."""
    records = {
        "now": f"now|{NOW:.0f}",
        "missing": "missing|",
        "workdir": "workdir|/home/me",
        "written": "written|0||/home/me",
        "free": "free|4194304|srv:/home|/home|nfs4",
        "linger": "linger|yes",
        "sbatch": "version|sbatch|slurm 22.05.8",
        "squeue": "version|squeue|slurm 22.05.8",
        "scancel": "version|scancel|slurm 22.05.8",
        "scontrol": "version|scontrol|slurm 22.05.8",
        "sacct": "version|sacct|slurm 22.05.8",
        "queue": "asked|queue|0|4711 other",
        "accounting": "asked|accounting|0|",
        "job": f"job|4711|{OURS}",
    } | changed
    return [record for record in records.values() if record]


def read(done: Completed, *, scheduler: str = "slurm", proved_shared: bool = False) -> dict[str, Finding]:
    """The findings by what they are about."""
    found = read_look(
        done, scheduler=scheduler, ours={OURS}, asked_at=NOW - 1, answered_at=NOW + 1, proved_shared=proved_shared
    )
    return {one.what: one for one in found}


def test_a_cluster_where_all_is_well() -> None:
    """Everything is fine, and nothing needs a remedy."""
    found = read(reply(*good()))
    assert {Grade.OK} == {one.grade for one in found.values()}
    assert {""} == {one.remedy for one in found.values()}
    names = ["shell", "clock", "tools", "scheduler", "queue", "accounting", "strays", "workdir", "space", "shared"]
    assert [*names, "linger"] == list(found)
    assert "slurm 22.05.8" in found["scheduler"].text


@pytest.mark.parametrize(
    ("changed", "what", "grade", "words"),
    [
        ({"now": f"now|{NOW - 59:.0f}"}, "clock", Grade.OK, "58 s"),
        ({"now": f"now|{NOW + 90:.0f}"}, "clock", Grade.WARN, "89 s ahead of"),
        ({"now": f"now|{NOW - 7200:.0f}"}, "clock", Grade.WARN, "7199 s behind"),
        ({"missing": "missing|flock base64"}, "tools", Grade.BAD, "flock base64"),
        ({"missing": "missing|flock"}, "tools", Grade.WARN, "flock"),
        ({"sbatch": "version|sbatch|"}, "scheduler", Grade.BAD, "sbatch"),
        ({"squeue": ""}, "scheduler", Grade.BAD, "squeue"),
        ({"queue": "asked|queue|124|"}, "queue", Grade.BAD, "did not answer within 15 s"),
        ({"queue": "asked|queue|1|slurm_load_jobs error: x"}, "queue", Grade.BAD, "slurm_load_jobs error: x"),
        ({"queue": "asked|queue|1|"}, "queue", Grade.BAD, "status 1"),
        (
            {"accounting": "asked|accounting|1|Slurm accounting storage is disabled"},
            "accounting",
            Grade.WARN,
            "accounting is off",
        ),
        ({"sacct": "", "accounting": ""}, "accounting", Grade.WARN, "there is no sacct"),
        ({"accounting": "asked|accounting|124|"}, "accounting", Grade.WARN, "did not answer"),
        ({"job": f"job|4712|{STRAY}"}, "strays", Grade.WARN, "4712"),
        ({"job": "job|4712|sd-somebody"}, "strays", Grade.OK, ""),
        (
            {"written": "written|1|head: write error: Disk quota exceeded|/home/me"},
            "workdir",
            Grade.BAD,
            "/home/me cannot be written: Disk quota exceeded",
        ),
        (
            {"written": "written|2|sh: 197: cannot create //.sessiond-check.7: Permission denied|/"},
            "workdir",
            Grade.BAD,
            "/home/me is not there and cannot be made: / cannot be written: Permission denied",
        ),
        ({"written": "written|1||/home/me"}, "workdir", Grade.BAD, "/home/me cannot be written: status 1"),
        ({"free": "free|1024|srv:/home|/home|nfs4"}, "space", Grade.BAD, "1 MiB"),
        ({"free": "free|102400|srv:/home|/home|nfs4"}, "space", Grade.WARN, "100 MiB"),
        ({"free": "free|4194304|/dev/sda1|/|ext4"}, "shared", Grade.WARN, "cannot be told (ext4 at /)"),
        ({"free": "free|4194304|tmpfs|/tmp|tmpfs"}, "shared", Grade.WARN, "do not see"),
        ({"free": "free|4194304|x|/x|"}, "shared", Grade.WARN, "unknown file system"),
        ({"linger": "linger|no"}, "linger", Grade.WARN, "may be ended"),
        ({"linger": "linger|unknown"}, "linger", Grade.OK, "cannot be told"),
    ],
)
def test_what_is_wrong(changed: dict[str, str], what: str, grade: Grade, words: str) -> None:
    """Each thing has its grade and its words; a thing that is wrong has a remedy."""
    found = read(reply(*good(**changed)))[what]
    assert (grade, True) == (found.grade, words in found.text), found
    assert grade is Grade.OK or found.remedy


def test_a_stray_names_what_ends_it() -> None:
    """And never a word that is no job's number."""
    found = read(reply(*good(job=f"job|4712|{STRAY}"), f"job|47;rm|{STRAY}"))["strays"]
    assert (True, False) == ("scancel 4712" in found.remedy, "rm" in found.remedy)


def test_strays_are_not_spoken_of_where_nobody_was_seen() -> None:
    """A scheduler that does not answer proves nothing about its jobs."""
    assert "strays" not in read(reply(*good(queue="asked|queue|1|down", job="")))


def test_a_session_that_wrote_from_a_node_proves_a_shared_folder() -> None:
    """Whatever the file system is called."""
    local = reply(*good(free="free|4194304|/dev/sda1|/|ext4"))
    assert Grade.OK is read(local, proved_shared=True)["shared"].grade


def test_without_a_scheduler() -> None:
    """Nothing is said about jobs and what they see."""
    assert {"shell", "clock", "tools", "workdir", "space", "linger"} == set(read(reply(*good()), scheduler="none"))


def test_a_shell_that_prints() -> None:
    """What comes before the reply is told, made harmless."""
    found = read(reply(*good(), noise="Welcome to \x1b[31mfrontier\x07\n"))["shell"]
    assert (Grade.WARN, True) == (found.grade, "Welcome to [31mfrontier" in found.text)


def test_a_reply_that_is_cut_off_is_unreadable() -> None:
    """Every beginning of one."""
    whole = reply(*good()).stdout
    for length in range(len(whole)):
        with pytest.raises(Unreadable):
            read(Completed(rc=0, stdout=whole[:length], stderr=b""))


@pytest.mark.parametrize(
    "changed", [{"now": ""}, {"now": "now|soon"}, {"now": "now|1|2"}, {"linger": ""}, {"written": "written|0|"}]
)
def test_a_reply_without_what_it_must_have_is_unreadable(changed: dict[str, str]) -> None:
    """Rather than half a checklist that looks whole."""
    with pytest.raises(Unreadable):
        read(reply(*good(**changed)))


@given(st.binary(max_size=300))
def test_garbage_is_unreadable(garbage: bytes) -> None:
    """Whatever bytes come."""
    with pytest.raises(Unreadable):
        read(Completed(rc=0, stdout=b"\x1esessiond\x1e" + garbage + b"\x1eend\n", stderr=garbage))


def tool(machine: Machine, name: str, text: str) -> None:
    """A program on the machine's PATH."""
    path = machine.bin / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)


def hasty(command: Command, question: str) -> Command:
    """The same look, which waits for the answer to a question that begins like this one for a second only."""
    assert 1 == command.stdin.count(b'bound 15 "$@"')
    bound = f'bound "$(case "$*" in ("{question}"*) echo 1 ;; (*) echo 15 ;; esac)" "$@"'
    return replace(command, stdin=command.stdin.replace(b'bound 15 "$@"', bound.encode()))


def look_at(machine: Machine, workdir: str, setup: str = "", *, hang: str = "") -> dict[str, Finding]:
    """Look at this machine as a cluster with Slurm, which does not answer the question ``hang``."""
    asked_at = time.time()
    command = look(workdir, "slurm", setup)
    done = machine.run(hasty(command, hang) if hang else command)
    found = read_look(
        done, scheduler="slurm", ours={OURS}, asked_at=asked_at, answered_at=time.time(), proved_shared=False
    )
    return {one.what: one for one in found}


def test_the_script_sees_a_scheduler(machine: Machine) -> None:
    """Its commands, its queue with a job that nobody claims, and that accounting is off."""
    for name in ("sbatch", "scancel", "scontrol"):
        tool(machine, name, "echo slurm 22.05.8")
    jobs = f"echo '1 {OURS}'; echo '2 {STRAY}'; echo '3 somebody else'"
    tool(machine, "squeue", f'[ "$1" = --version ] && echo slurm 22.05.8 || {{ {jobs}; }}')
    tool(machine, "sacct", '[ "$1" = --version ] || { echo "Slurm accounting storage is disabled" >&2; exit 1; }')
    found = look_at(machine, "~")
    assert {"scheduler": Grade.OK, "queue": Grade.OK, "accounting": Grade.WARN, "strays": Grade.WARN} == {
        what: found[what].grade for what in ("scheduler", "queue", "accounting", "strays")
    }
    assert "slurm 22.05.8" in found["scheduler"].text
    assert "scancel 2" in found["strays"].remedy
    assert "accounting is off" == found["accounting"].text
    assert Grade.OK is found["clock"].grade


def test_the_script_sees_a_scheduler_in_trouble(machine: Machine) -> None:
    """Its own last words are told."""
    for name in ("sbatch", "scancel", "scontrol", "sacct"):
        tool(machine, name, "echo x")
    tool(machine, "squeue", "echo first; echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1")
    found = look_at(machine, "~")
    assert (Grade.BAD, True) == (
        found["queue"].grade,
        "slurm_load_jobs error: Unable to contact" in found["queue"].text,
    )
    assert "strays" not in found


def test_the_script_sees_a_scheduler_that_hangs(machine: Machine) -> None:
    """A controller that is suspended never answers; timeout(1)'s status for it is not the same everywhere."""
    for name in ("sbatch", "scancel", "scontrol", "sacct"):
        tool(machine, name, "echo slurm 22.05.8")
    tool(machine, "squeue", '[ "$1" != --version ] || exit 0\nexec sleep 600')
    found = look_at(machine, "~", hang="squeue ")
    assert (Grade.BAD, "the scheduler did not answer within 15 s") == (found["queue"].grade, found["queue"].text)
    assert "strays" not in found


@pytest.mark.parametrize(
    "setup", ["", "export PATH=$HOME/slurm:$PATH\n", "source ~/b slurm\n", "if\n", "exit 3", "false", "echo noise"]
)
def test_setup_is_put_before(machine: Machine, setup: str) -> None:
    """It can bring the scheduler's commands along, also in what bash alone understands; lines that fail end nothing."""
    (machine.root / "slurm").mkdir()
    (machine.root / "b").write_text('function b { PATH=~/$1:$PATH; }; b "$1"\n')
    for name in ("sbatch", "scancel", "scontrol", "squeue"):
        (machine.root / "slurm" / name).write_text("#!/bin/sh\necho slurm 99\n")
        (machine.root / "slurm" / name).chmod(0o700)
    found = look_at(machine, "~", setup)
    assert ("slurm 99" in found["scheduler"].text) is setup.startswith(("export", "source"))


@pytest.mark.parametrize("workdir", ["~", "~/not/yet there", "", "relative/one"])
def test_the_script_tries_the_folder(machine: Machine, workdir: str) -> None:
    """Or the nearest above it that there is; and leaves nothing behind."""
    before = sorted(machine.root.iterdir())
    found = look_at(machine, workdir)
    assert Grade.OK is found["workdir"].grade
    assert found["workdir"].text.startswith(f"{machine.root}" if workdir != "relative/one" else "relative")
    assert "MiB free at" in found["space"].text
    assert before == sorted(machine.root.iterdir())


def test_a_folder_that_cannot_be_written(machine: Machine) -> None:
    """The system's own reason is told."""
    found = look_at(machine, "/proc/1")
    assert Grade.BAD is found["workdir"].grade
    assert "/proc/1 cannot be written: " in found["workdir"].text
    assert "sessiond-check" not in found["workdir"].text
    missing = look_at(machine, "/proc/1/scratch/alice")["workdir"]
    assert "/proc/1/scratch/alice is not there and cannot be made: /proc/1 cannot be written: " in missing.text
    assert "make room" not in missing.remedy
