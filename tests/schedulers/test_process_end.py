"""Ending sessions: the kill script, the signals, what is cleaned up, what is forgotten."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sessiond.core.errors import SpecError
from sessiond.core.events import CancelDelayed, CancelSent
from sessiond.core.ids import JobId
from sessiond.core.session import Outcome, Session
from sessiond.schedulers import common
from sessiond.schedulers.process import Process
from tests.processes import stats

from .machine import PROLOGUE, SLEEP, Machine, alive, eventually, folder, gone, job_of, pid_of, start_of, with_job

KILL_SCRIPT = b'echo "killed $SESSIOND_RUN" >>kills\n'


def pids_noted(session: Session, name: str) -> list[int]:
    """The pids the session's script wrote into a file."""
    file = folder(session) / name
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def cancelled(machine: Machine, session: Session, *, force: bool = False, dialect: Process | None = None) -> float:
    """Cancel the session, which must leave nothing; returns the seconds it took."""
    dialect = dialect or Process()
    began = time.monotonic()
    event = dialect.read_cancel(session, machine.run(dialect.cancel(session, force=force)))
    assert CancelSent() == event
    assert gone(session)
    return time.monotonic() - began


def test_cancelling_runs_the_kill_script_once_then_ends_all(machine: Machine) -> None:
    """The kill script runs once however often a session is cancelled; the script's own traps see TERM."""
    session = machine.started(more={"kill.sh": KILL_SCRIPT})
    for _ in range(2):
        cancelled(machine, session)
    assert f"killed {job_of(session)}.0\n" == (folder(session) / "kills").read_text()
    record = (folder(session) / "exit").read_text().splitlines()
    assert ["status=143", "reason=signal:TERM"] == [record[0], record[3]]


def test_force_skips_the_kill_script_and_the_grace(machine: Machine) -> None:
    """With force nothing is asked: the session is killed at once."""
    script = "trap '' TERM; echo >ready; while :; do sleep 1; done\n"
    session = machine.started(PROLOGUE + script, more={"kill.sh": KILL_SCRIPT})
    eventually((folder(session) / "ready").exists)
    assert cancelled(machine, session, force=True, dialect=Process(cancel_grace_s=30)) < 20
    assert not (folder(session) / "kills").exists()


def test_kill_script_that_hangs_is_ended(machine: Machine) -> None:
    """A kill script is bounded, and its own children go with the session."""
    hang = b"trap '' TERM; sleep 600 & echo $! >hanging; while :; do sleep 1; done\n"
    session = machine.started(more={"kill.sh": hang})
    began = time.monotonic()
    cancelled(machine, session, dialect=Process(kill_script_s=3))
    assert 3 <= time.monotonic() - began < 30
    assert [False] == [alive(pid) for pid in pids_noted(session, "hanging")]


def test_processes_that_hide_their_mark_end_with_the_session(machine: Machine) -> None:
    """As nginx does: found by their group while the session runs, and when it has ended by itself."""
    hidden = PROLOGUE + "env -i sleep 600 & echo $! >hidden\n"
    running = machine.started(hidden + "sleep 600 & wait $!\n")
    eventually(lambda: len(pids_noted(running, "hidden")) == 1)
    cancelled(machine, running)
    ended = machine.started(hidden + "exit 3\n")
    eventually((folder(ended) / "exit").exists)
    pids = pids_noted(running, "hidden") + pids_noted(ended, "hidden")
    eventually(lambda: not alive(int(job_of(ended).split(":")[0])))
    assert [False, True] == [alive(pid) for pid in pids]
    dialect = Process()
    assert 0 == machine.run(dialect.cleanup(ended)).rc
    assert [False, False] == [alive(pid) for pid in pids]
    assert [] == [*folder(ended).glob("left.*")]


def test_processes_that_went_elsewhere_are_found_by_their_tag(machine: Machine) -> None:
    """A grandchild in a session of its own, whose parents are gone, ends with the session; so does a stopped one."""
    script = """
    (setsid sh -c 'echo $$ >>away; exec sleep 600' &) &
    (setsid sh -c 'echo $$ >>away; kill -STOP $$; sleep 600' &) &
    sleep 600 & wait $!
    """
    session = machine.started(PROLOGUE + script)
    eventually(lambda: len(pids_noted(session, "away")) == 2)
    away = pids_noted(session, "away")
    assert [True, True] == [alive(pid) for pid in away]
    cancelled(machine, session)
    assert [False, False] == [alive(pid) for pid in away]


def test_processes_of_the_group_are_found_without_a_tag(machine: Machine) -> None:
    """A process that cleaned its environment is still of its runner's group, even when it outlives its runner."""
    script = (
        "env -i bash -c 'trap \"\" TERM; echo $$ >bare; while :; do :; read -t 1 <> <(:); done' & sleep 600 & wait $!\n"
    )
    session = machine.started(PROLOGUE + script)
    eventually(lambda: pids_noted(session, "bare"))
    (bare,) = pids_noted(session, "bare")
    cancelled(machine, session, dialect=Process(cancel_grace_s=1))
    assert not alive(bare)


def test_who_ignores_term_is_killed_after_the_grace(machine: Machine) -> None:
    """TERM first; who does not go within the grace is killed."""
    script = "trap '' TERM; echo >ready; while :; do sleep 1; done\n"
    session = machine.started(PROLOGUE + script)
    eventually((folder(session) / "ready").exists)
    took = cancelled(machine, session, dialect=Process(cancel_grace_s=2))
    assert 1 <= took < 15


def test_runner_ends_its_walltime_watch(machine: Machine) -> None:
    """A session that ends before its walltime leaves no watcher behind."""
    session = machine.started(PROLOGUE + "exit 0\n", walltime_s=3600)
    group = pid_of(job_of(session))
    eventually(lambda: gone(session))
    eventually(lambda: [] == [pid for pid, fields in stats() if int(fields[2]) == group and fields[0] != "Z"])


def test_walltime_watch_that_is_ended_as_it_begins_leaves_nothing(machine: Machine) -> None:
    """Told so in the very moment in which it starts what it waits with: that goes all the same."""
    runner = (Path(common.__file__).parent / "sh" / "run.sh").read_text()
    watch = runner[runner.index("watch_walltime() {") : runner.index("claim() {")]
    sleep = 'sleep() { read -r _ _ _ waits _ </proc/self/stat; kill -USR1 "$waits"; exec sleep "$@"; }\n'
    rounds = 'for _ in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do watch_walltime & wait "$!"; done\n'
    shell = subprocess.Popen(
        [str(machine.bin / "sh"), "-c", f"walltime=600 grace=600\n{watch}{sleep}{rounds}"],
        env=machine.environ,
        cwd=machine.root,
        start_new_session=True,
    )

    def left() -> list[int]:
        return [pid for pid, fields in stats() if int(fields[3]) == shell.pid and fields[0] != "Z"]

    try:
        assert 0 == shell.wait(timeout=60)
        eventually(lambda: [] == left(), within_s=5)
    finally:
        for pid in left():
            os.kill(pid, signal.SIGKILL)


def test_reused_pid_is_never_killed(machine: Machine) -> None:
    """A process that only has the pid of a job, not its start time or boot, is left alone, as is its group."""
    session = machine.staged(SLEEP)
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        start = start_of(stranger.pid)
        other = "00000000-0000-0000-0000-000000000000"
        for identity in (f"{stranger.pid}:{int(start) - 1}:{boot}", f"{stranger.pid}:{start}:{other}"):
            reused = with_job(session, JobId(identity))
            dialect = Process()
            for force in (False, True):
                event = dialect.read_cancel(reused, machine.run(dialect.cancel(reused, force=force)))
                assert CancelSent() == event
            assert 0 == machine.run(dialect.cleanup(reused)).rc
            assert None is stranger.poll()
        assert alive(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_asker_and_its_ancestors_are_spared(machine: Machine) -> None:
    """A daemon that was started from a session's own terminal does not end itself with that session."""
    session = machine.started()
    machine.environ["SESSIOND_TAG"] = session.tag
    ask = Process().cancel(session, force=False)
    outer = [
        str(machine.bin / "sh"),
        "-c",
        '"$@"; echo "outer $?" >&2',
        "outer",
        str(machine.bin / "sh"),
        *ask.argv[1:],
    ]
    done = subprocess.run(outer, input=ask.stdin, env=machine.environ, capture_output=True, check=False, timeout=60)
    assert "outer 0" == done.stderr.decode().splitlines()[-1]
    assert gone(session)


def test_session_on_another_host_cannot_be_told_to_go(machine: Machine) -> None:
    """With several hosts, a cancellation that cannot reach the job says so."""
    session = machine.started()
    # its runner reads its claim once more when it has made it
    eventually((folder(session) / "runs").exists)
    pid, start, _ = job_of(session).split(":")
    far = with_job(session, JobId(f"{pid}:{start}:00000000-0000-0000-0000-000000000000"))
    claim = (folder(session) / "attempt.1").read_text()
    (folder(session) / "attempt.1").write_text(f"{job_of(far)} otherhost 1700000000\n")
    dialect = Process(one_host=False)
    event = dialect.read_cancel(far, machine.run(dialect.cancel(far, force=False)))
    assert isinstance(event, CancelDelayed)
    assert "the session runs on another host, otherhost" == event.problem.message
    assert alive(pid_of(job_of(session)))
    (folder(session) / "attempt.1").write_text(claim)


def test_session_without_its_folder_can_still_be_ended(machine: Machine) -> None:
    """Removing the folder does not save the processes."""
    session = machine.started()
    folder(session).rename(folder(session).with_name("away"))
    cancelled(machine, session)


def test_cleanup_leaves_the_story_and_what_is_the_users(machine: Machine) -> None:
    """After a session that ended by itself: its kill script has run, its processes, secrets and scripts are gone."""
    script = "(setsid sleep 600 & echo $! >away); echo 'hello'; mkdir 'a b'; echo work >'a b/n.ipynb'; exit 0\n"
    session = machine.started(
        PROLOGUE + script,
        more={"kill.sh": KILL_SCRIPT + b"cat kills\n", "secrets.sh": b"", "service/x/y": b"", "inputs.sh": b""},
    )
    eventually(lambda: gone(session))
    away = pids_noted(session, "away")
    (folder(session) / "utils").symlink_to(machine.root / "bin")
    for _ in range(2):
        assert 0 == machine.run(Process().cleanup(session)).rc
    story = {"attempt.1", "exit", "inputs.sh", "kill.done", "kill.sh", "logs.out", "session.sh"}
    assert story | {"away", "a b", "kills", "runs"} == {path.name for path in folder(session).iterdir()}
    assert "work\n" == (folder(session) / "a b" / "n.ipynb").read_text()
    assert f"hello\nkilled {job_of(session)}.0\n" == (folder(session) / "logs.out").read_text()
    assert [False] == [alive(pid) for pid in away]
    assert (machine.root / "bin" / "sh").exists()


def test_cleanup_of_a_session_that_never_ran_runs_no_kill_script(machine: Machine) -> None:
    """There is nothing to kill where nothing ran; the fence stays for submissions that are still on their way."""
    session = machine.staged(SLEEP, more={"kill.sh": b"touch /proc/self/cwd/../kill-script-ran\n"})
    machine.run(Process().find(session, 1))
    assert 0 == machine.run(Process().cleanup(session)).rc
    assert not folder(session).with_name("kill-script-ran").exists()
    assert (folder(session) / "attempt.1").exists()


def test_cleanup_frees_only_own_ports(machine: Machine) -> None:
    """Reservations the session lists are removed where they are ours; others, and links, are not."""
    session = machine.started(PROLOGUE + "exit 0\n")
    eventually(lambda: gone(session))
    names = {str(port): Path(f"/tmp/{port}.port.used") for port in range(99000 + os.getpid() % 300 * 3, 99999)}
    mine, theirs, link = list(names.items())[:3]
    try:
        mine[1].write_text(session.tag)
        theirs[1].write_text("sd-another00000")
        link[1].symlink_to(machine.root / "bin")
        lines = ["", "../../etc/passwd", mine[0], theirs[0], link[0], "1234567"]
        (folder(session) / "ports").write_text("\n".join(lines) + "\n")
        assert 0 == machine.run(Process().cleanup(session)).rc
        assert [False, True, True] == [path.is_symlink() or path.exists() for _, path in (mine, theirs, link)]
    finally:
        for _, path in (mine, theirs, link):
            path.unlink(missing_ok=True)


def test_cleanup_after_the_runner_was_killed_ends_what_it_left(machine: Machine) -> None:
    """A runner killed from outside leaves its script running; the cleaning ends it."""
    session = machine.started(PROLOGUE + "echo $$ >orphan; sleep 600 & wait $!\n")
    eventually(lambda: pids_noted(session, "orphan"))
    (orphan,) = pids_noted(session, "orphan")
    os.kill(pid_of(job_of(session)), signal.SIGKILL)
    eventually(lambda: gone(session))
    assert alive(orphan)
    assert 0 == machine.run(Process().cleanup(session)).rc
    assert not alive(orphan)


def test_forgetting_removes_the_folder_and_follows_no_link(machine: Machine) -> None:
    """The folder goes, with folders that cannot be written; what links in it point to stays."""
    session = machine.staged()
    outside = machine.root / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    (folder(session) / "link").symlink_to(outside)
    closed = folder(session) / "closed"
    closed.mkdir()
    (closed / "file").write_text("")
    closed.chmod(0o500)
    for _ in range(2):
        assert 0 == machine.run(Process().forget(session)).rc
        assert not folder(session).exists()
    assert (outside / "kept").exists()
    assert folder(session).parent.exists()


def test_forgetting_refuses_what_is_no_sessions_folder(machine: Machine) -> None:
    """Neither the dialect nor the script removes another folder, or a link in the place of one."""
    session = machine.session()
    for jobdir in (f"/tmp/{session.id}", "/", "", f"/sessiond/{session.id}/..", f"/xsessiond/{session.id}", "~"):
        with pytest.raises(SpecError):
            Process().forget(replace(session, spec=replace(session.spec, jobdir=jobdir)))
    command = Process().forget(session)
    keep = machine.root / "xsessiond" / session.id
    keep.mkdir(parents=True)
    linked = machine.root / "sessiond" / session.id
    linked.parent.mkdir()
    linked.symlink_to(keep)
    for path in (str(keep), str(linked), str(machine.root), str(machine.root / "sessiond"), ""):
        done = machine.run(replace(command, argv=(*command.argv[:-1], path)))
        assert 64 == done.rc
    assert keep.exists()


def test_cleanup_ends_a_preparation_that_nobody_waits_for(machine: Machine) -> None:
    """A staging that was given up leaves its preparation running; staging again waits for it, the cleaning ends it."""
    session = machine.session()
    dialect = Process()
    command = dialect.stage(session, {"service/controller.sh": b"echo $$ >preparing; sleep 600; true\n"})
    staging = machine.popen(command)
    assert staging.stdin is not None
    staging.stdin.write(command.stdin)
    staging.stdin.close()
    eventually(lambda: pids_noted(session, "preparing"))
    (preparing,) = pids_noted(session, "preparing")
    staging.kill()
    staging.wait()
    for stream in (staging.stdout, staging.stderr):
        assert stream is not None
        stream.close()
    assert alive(preparing)
    assert 0 == machine.run(dialect.cleanup(session)).rc
    assert not alive(preparing)
    assert {"logs.out", "preparing"} == {path.name for path in folder(session).iterdir()}


LOGGED_OUT = "systemd ended everything that it ran for you, as after your last logout"


@pytest.mark.parametrize(
    ("stopping", "reason", "outcome", "words"),
    [
        ("is-system-running", "shutdown", Outcome.NODE_FAILED, "the machine was shut down while the session ran"),
        (
            "--user is-system-running",
            "logout",
            Outcome.FAILED,
            "systemd ended everything that it ran for you, as after your last logout",
        ),
        ("nothing", "signal:TERM", Outcome.FAILED, "the session's script was ended by signal TERM"),
    ],
)
def test_a_session_that_systemd_ends_says_why(
    machine: Machine, stopping: str, reason: str, outcome: Outcome, words: str
) -> None:
    """A session that is ended with the machine or the login says so; its own status is kept."""
    private = machine.root / "run/systemd/private"
    private.parent.mkdir(parents=True)
    answers = f"[ \"$*\" != '{stopping}' ] || echo stopping; exit 1"
    for program, text in (("systemctl", answers), ("systemd-run", "exit 1")):
        (machine.bin / program).write_text(f"#!/bin/sh\n{text}\n")
        (machine.bin / program).chmod(0o755)
    machine.environ["XDG_RUNTIME_DIR"] = str(machine.root / "run")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(private))
        session = machine.started()
        eventually((folder(session) / "runs").exists)
        os.kill(-pid_of(job_of(session)), signal.SIGTERM)
        eventually(lambda: gone(session))
    record = (folder(session) / "exit").read_text().splitlines()
    assert ["status=143", f"reason={reason}"] == [record[0], record[3]]
    report = machine.look(session).jobs[job_of(session)]
    assert report.problem is not None
    assert (outcome, words) == (report.outcome, report.problem.message)
