"""A session's life under the process dialect: staged, started, looked at, ended; by real shells and processes."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from dataclasses import replace

import pytest

from sessiond.core.events import (
    HistoryDelayed,
    HistoryUnknown,
    JobEnded,
    Staged,
    StageDelayed,
    StageFailed,
    SubmitDelayed,
    SubmitRejected,
    Submitted,
    SubmitUnknown,
)
from sessiond.core.ids import JobId
from sessiond.core.report import JobReport
from sessiond.core.session import STILL_THERE, Endpoint, Outcome, Phase, Session
from sessiond.core.spec import ServiceFile
from sessiond.schedulers.process import Process

from .machine import (
    PROLOGUE,
    SLEEP,
    Machine,
    alive,
    eventually,
    folder,
    gone,
    job_of,
    pid_of,
    with_job,
)

OTHER_BOOT = "00000000-0000-0000-0000-000000000000"


def report_of(machine: Machine, session: Session, **dialect: bool) -> JobReport | None:
    """What a look says about the session's job."""
    return machine.look(session, dialect=Process(**dialect)).jobs.get(job_of(session))


def ended(machine: Machine, script: str, *, walltime_s: int | None = None, grace_s: int = 30) -> tuple[Outcome, str]:
    """How a session with ``script`` ends, with the words for it; its history must say the same."""
    dialect = Process(walltime_grace_s=grace_s)
    session = machine.started(PROLOGUE + script, dialect=dialect, walltime_s=walltime_s)
    eventually(lambda: gone(session))
    report = report_of(machine, session)
    assert report is not None
    assert Phase.ENDED == report.phase
    assert report.outcome is not None
    event = dialect.read_history(session, machine.run(dialect.history(session)))
    assert isinstance(event, JobEnded)
    assert report.outcome == event.outcome
    return report.outcome, report.problem.message if report.problem else ""


def test_staged_files_are_private_and_can_be_staged_again(machine: Machine) -> None:
    """Folders and scripts are 0700, all else 0600, and staging again replaces what was there."""
    session = machine.session(files=(ServiceFile(path="bin/tool", content=b"", executable=True),))
    dialect = Process()
    bundle = {
        "session.sh": SLEEP.encode(),
        "secrets.sh": b"export service_token=abc\n",
        "utils/notify.sh": b"",
        "service/picture.bin": bytes(range(256)) * 1000,
        "service/bin/tool": b"",
    }
    for _ in range(2):
        done = machine.run(dialect.stage(session, bundle))
        assert Staged() == dialect.read_stage(session, done)
        modes = {
            str(path.relative_to(folder(session))): stat.S_IMODE(path.stat().st_mode)
            for path in [folder(session), *folder(session).rglob("*")]
        }
        expected = {".": 0o700, "run.sh": 0o700, "session.sh": 0o700, "secrets.sh": 0o600, "utils": 0o700}
        expected |= {"utils/notify.sh": 0o700, "service": 0o700, "service/bin": 0o700, "service/bin/tool": 0o700}
        expected |= {"service/picture.bin": 0o600, "logs.out": 0o600, "stage.lock": 0o600}
        expected |= {"setup.sh": 0o700}
        assert expected == modes
        assert bundle["service/picture.bin"] == (folder(session) / "service/picture.bin").read_bytes()


def test_preparation_sees_setup_inputs_and_secrets(machine: Machine) -> None:
    """controller.sh runs in the session's folder after the setup lines, the inputs and the secrets."""
    session = machine.session(setup="site='a b'")
    dialect = Process()
    bundle = {
        "inputs.sh": b"export service_name='x y'\n",
        "secrets.sh": b"export service_token=abc\n",
        "service/controller.sh": b'echo "$site/$service_name/$service_token/$SESSIOND_TAG/${PWD##*/}"\n',
    }
    assert Staged() == dialect.read_stage(session, machine.run(dialect.stage(session, bundle)))
    expected = f"a b/x y/abc/{session.tag}/{session.id}\n"
    assert expected == (folder(session) / "logs.out").read_text()


def test_failed_preparation_gives_its_last_words(machine: Machine) -> None:
    """A preparation that fails is no reason to try again; its last line that is not empty says why."""
    session = machine.session()
    dialect = Process()
    bundle = {"service/controller.sh": b"echo begun\necho 'no network' >&2\necho\nexit 7\n"}
    event = dialect.read_stage(session, machine.run(dialect.stage(session, bundle)))
    assert isinstance(event, StageFailed)
    assert "the service's preparation failed with status 7: no network" == event.problem.message
    assert "begun\nno network\n\n" == (folder(session) / "logs.out").read_text()


@pytest.mark.parametrize(
    ("words", "remedy"), [("No space left on device", "Free some space there"), ("Disk quota exceeded", "Your quota")]
)
def test_preparation_without_room_is_tried_again(machine: Machine, words: str, remedy: str) -> None:
    """It fails for want of room, says so, and is done again when there may be some."""
    session = machine.session()
    dialect = Process()
    bundle = {"service/controller.sh": f"echo 'OSError: [Errno 28] {words}' >&2\nexit 1\n".encode()}
    event = dialect.read_stage(session, machine.run(dialect.stage(session, bundle)))
    assert isinstance(event, StageDelayed)
    assert words in event.problem.message
    assert event.problem.hint.startswith(remedy)
    assert not (folder(session) / ".stage.room").exists()


def test_folder_in_the_way_of_a_file_fails_staging_with_a_hint(machine: Machine) -> None:
    """A file where a folder must be is a lasting trouble, told with a remedy."""
    session = machine.session()
    (machine.root / "work dir").write_text("")
    dialect = Process()
    event = dialect.read_stage(session, machine.run(dialect.stage(session, {})))
    assert isinstance(event, StageFailed)
    assert "A file is in the way of the session's folder: move it, or set another workdir." == event.problem.hint


def test_archive_that_does_not_arrive_whole_is_staged_again(machine: Machine) -> None:
    """A script whose end is cut off does nothing; a shortened archive is noticed by its size."""
    session = machine.session()
    dialect = Process()
    command = dialect.stage(session, {"session.sh": b"#" * 3000})
    size = command.argv.index(str(session.tag)) - 1
    longer = (*command.argv[:size], str(int(command.argv[size]) + 512), *command.argv[size + 1 :])
    event = dialect.read_stage(session, machine.run(replace(command, argv=longer)))
    assert isinstance(event, StageDelayed)
    assert "the session's files are not in place: the files did not arrive whole" == event.problem.message


def test_running_session_is_seen_with_its_start_and_end(machine: Machine) -> None:
    """A look at a live session: running, here, since its claim, until its walltime, with its own endpoint."""
    publish = 'printf "run=%s\\nhost=%s\\nport=8080\\nscheme=http\\n" "$SESSIOND_RUN" localhost >new; mv new endpoint\n'
    before = int(time.time())
    session = machine.started(PROLOGUE + publish + "sleep 600 & wait $!\n", walltime_s=3600)
    eventually((folder(session) / "endpoint").exists)
    snapshot = machine.look(session)
    report = snapshot.jobs[job_of(session)]
    assert (Phase.RUNNING, (os.uname().nodename,), None) == (report.phase, report.nodes, report.outcome)
    assert report.started is not None
    assert before <= report.started <= time.time()
    assert report.started + 3600 == report.ends_by
    run = f"{job_of(session)}.0"
    assert {session.id: Endpoint(run=run, host="localhost", port=8080)} == snapshot.endpoints
    assert {} == snapshot.failures
    history = Process().read_history(session, machine.run(Process().history(session)))
    assert isinstance(history, HistoryDelayed)
    assert STILL_THERE == history.problem.code


def test_endpoints_of_others_and_invalid_ones_are_dropped(machine: Machine) -> None:
    """What another run published, or what is no endpoint at all, is not shown."""
    session = machine.started()
    run = f"{job_of(session)}.0"
    for text in (
        "run=1:2:3.0\nhost=localhost\nport=80\n",
        f"run={run}\nhost=localhost\nport=65536\n",
        f"run={run}\nhost=localhost\nport=0\n",
        f"run={run}\nhost=-oProxyCommand=x\nport=80\n",
        f"run={run}\nhost=a b\nport=80\n",
        f"run={run}\nhost=a\x1fb\x1ec\nport=80\n",
        f"run={run}\nhost=localhost\nport=80\nscheme=<script>\n",
        "x" * 100_000,
        "\x1eend\n\x1e\x1f",
        "",
    ):
        (folder(session) / "endpoint").write_text(text)
        assert {} == machine.look(session).endpoints
    (folder(session) / "endpoint").unlink()
    os.mkfifo(folder(session) / "endpoint")
    assert {} == machine.look(session).endpoints


def test_failure_of_a_live_session_is_told(machine: Machine) -> None:
    """A session's script that gives up while its job goes on says so in one line."""
    session = machine.started(PROLOGUE + "echo 'no licence\x1fleft' >new; mv new failure; sleep 600 & wait $!\n")
    eventually((folder(session) / "failure").exists)
    problem = machine.look(session).failures[session.id]
    assert ("no licence?", 101.0) == (problem.message, problem.at)


def test_sessions_end_as_their_exit_records_say(machine: Machine) -> None:
    """Status 0 is completed, all else failed, with the script's own words where it left any."""
    assert (Outcome.COMPLETED, "") == ended(machine, "exit 0\n")
    assert (Outcome.FAILED, "the session's script ended with status 3") == ended(machine, "exit 3\n")
    assert (Outcome.FAILED, "no module x") == ended(machine, "echo 'no module x' >failure; exit 3\n")
    assert (Outcome.FAILED, "the session's script was ended by signal TERM") == ended(
        machine, "kill -TERM $$; sleep 9\n"
    )


def test_runner_records_what_its_script_could_not(machine: Machine) -> None:
    """A script killed by signal 9 runs no trap; its runner writes the exit record."""
    killed = (Outcome.FAILED, "the session's script was killed by signal KILL (out of memory?)")
    assert killed == ended(machine, "kill -KILL $$\n")
    session = machine.sessions[-1]
    record = (folder(session) / "exit").read_text().splitlines()
    assert ["status=137", "reason=signal:KILL"] == [record[0], record[3]]
    assert 0o600 == stat.S_IMODE((folder(session) / "exit").stat().st_mode)


def test_walltime_ends_a_session(machine: Machine) -> None:
    """At the walltime's end TERM goes to the group; the end is the walltime's, whatever the script says."""
    assert (Outcome.WALLTIME, "the session's walltime was over") == ended(
        machine, "sleep 600 & wait $!\n", walltime_s=1
    )
    assert "status=143" == (folder(machine.sessions[-1]) / "exit").read_text().splitlines()[0]


def test_walltime_ends_a_session_that_will_not_go(machine: Machine) -> None:
    """Who ignores TERM at the walltime's end is killed after the grace."""
    script = "trap '' TERM; while :; do sleep 1; done\n"
    assert (Outcome.WALLTIME, "the session's walltime was over") == ended(machine, script, walltime_s=1, grace_s=1)


def test_killed_runner_is_evidence_of_a_kill(machine: Machine) -> None:
    """A runner that is gone without an exit record was killed."""
    session = machine.started()
    os.kill(pid_of(job_of(session)), signal.SIGKILL)
    eventually(lambda: gone(session))
    report = report_of(machine, session)
    assert report is not None
    assert report.problem is not None
    expected = (Outcome.FAILED, "ended without leaving an exit status: it was killed (out of memory?)")
    assert expected == (report.outcome, report.problem.message)


def test_session_keeps_the_signals_and_the_umask_it_was_given(machine: Machine) -> None:
    """SIGINT is not ignored (kernels are interrupted with it), nothing of ours is open, the umask is the user's."""
    script = "grep SigIgn /proc/self/status >signals; ls -l /proc/$$/fd >fds; umask >new; mv new mask\n"
    session = machine.started(PROLOGUE + script + "sleep 600 & wait $!\n")
    eventually((folder(session) / "mask").exists)
    ignored = int((folder(session) / "signals").read_text().split()[1], 16)
    assert 0 == ignored & (1 << signal.SIGINT - 1 | 1 << signal.SIGQUIT - 1 | 1 << signal.SIGTERM - 1)
    expected = f"{os.umask(0o077):04o}"
    os.umask(int(expected, 8))
    assert expected == (folder(session) / "mask").read_text().strip()
    assert "pipe:" not in (folder(session) / "fds").read_text()
    assert os.getsid(pid_of(job_of(session))) == pid_of(job_of(session))


def test_restart_of_the_machine_ends_its_sessions(machine: Machine) -> None:
    """A job of another boot that left no record went down with the machine."""
    session = machine.started()
    old = with_job(session, JobId(":".join([*job_of(session).split(":")[:2], OTHER_BOOT])))
    report = report_of(machine, old)
    assert report is not None
    assert (Phase.ENDED, Outcome.NODE_FAILED) == (report.phase, report.outcome)
    assert alive(pid_of(job_of(session)))


def test_other_login_node_says_nothing_about_a_job(machine: Machine) -> None:
    """With several hosts, a job claimed on another one is not reported, and its history must wait."""
    session = machine.started()
    old = with_job(session, JobId(":".join([*job_of(session).split(":")[:2], OTHER_BOOT])))
    (folder(session) / "attempt.1").write_text(f"{job_of(old)} otherhost 1700000000\n")
    dialect = Process(one_host=False)
    assert None is report_of(machine, old, one_host=False)
    assert isinstance(dialect.read_history(old, machine.run(dialect.history(old))), HistoryDelayed)
    (folder(session) / "attempt.1").unlink()
    assert isinstance(dialect.read_history(old, machine.run(dialect.history(old))), HistoryUnknown)
    report = report_of(machine, old, one_host=True)
    assert report is not None
    assert Outcome.NODE_FAILED == report.outcome
    (folder(session) / "attempt.1").write_text(f"{job_of(session)} otherhost 1700000000\n")


def test_missing_folder_is_no_end_to_a_look_but_to_history(machine: Machine) -> None:
    """A folder that cannot be seen hides the exit record: asked once more, the process's absence is the evidence."""
    session = machine.started(PROLOGUE + "exit 0\n")
    eventually(lambda: gone(session))
    folder(session).rename(folder(session).with_name("away"))
    assert {} == machine.look(session).jobs
    event = Process().read_history(session, machine.run(Process().history(session)))
    assert isinstance(event, JobEnded)
    assert Outcome.FAILED == event.outcome


def test_submission_into_a_missing_folder_started_nothing(machine: Machine) -> None:
    """Without its folder a session cannot be started; that is proved, so it may be tried again."""
    session = machine.session()
    dialect = Process()
    event = dialect.read_submit(session, machine.run(dialect.submit(session, 1)))
    assert isinstance(event, SubmitDelayed)


def test_submission_needs_bash(machine: Machine) -> None:
    """A machine without bash cannot run a session, and says so."""
    session = machine.staged()
    tools = machine.root / "few"
    tools.mkdir()
    (tools / "sh").symlink_to((machine.bin / "sh").resolve())
    machine.environ["PATH"] = str(tools)
    dialect = Process()
    event = dialect.read_submit(session, machine.run(dialect.submit(session, 1)))
    assert isinstance(event, SubmitRejected)


def test_runner_that_does_not_report_leaves_the_submission_unknown(machine: Machine) -> None:
    """A runner that never claims its attempt: not known, to be settled by a search."""
    session = machine.staged()
    (folder(session) / "run.sh").write_text("exit 0\n")
    dialect = Process()
    event = dialect.read_submit(session, machine.run(dialect.submit(session, 1)))
    assert isinstance(event, SubmitUnknown)


def stub_systemd_run(machine: Machine, body: str) -> None:
    """Make ``systemd-run`` a program that answers like one whose user manager does what ``body`` says."""
    private = machine.root / "run" / "systemd"
    private.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as door:
        here = os.open(private, os.O_RDONLY)
        try:
            door.bind(f"/proc/self/fd/{here}/private")
        finally:
            os.close(here)
    program = machine.bin / "systemd-run"
    program.write_text(f'#!/bin/sh\nfor word; do echo "$word"; done >{machine.root}/asked\n{body}')
    program.chmod(0o700)
    machine.environ["XDG_RUNTIME_DIR"] = str(machine.root / "run")


def test_user_manager_is_asked_for_a_unit(machine: Machine) -> None:
    """Where a user manager runs, the runner is started as a transient unit with the environment it needs."""
    stub_systemd_run(
        machine,
        'while [ "$1" != -- ]; do case $1 in --setenv=*) export "${1#--setenv=}" ;; esac; shift; done; shift\n'
        '(setsid "$@" </dev/null >/dev/null 2>&1 &)\n',
    )
    session = machine.started()
    asked = (machine.root / "asked").read_text().splitlines()
    expected = [f"--unit=sessiond-{session.id}-1", "--collect", f"--working-directory={folder(session)}"]
    expected += [f"--setenv=SESSIOND_TAG={session.tag}", f"--setenv=HOME={machine.root}"]
    assert [] == [word for word in expected if word not in asked]
    assert ["--", "/bin/sh", "run.sh", "1", "0", "30"] == asked[-6:]
    report = report_of(machine, session)
    assert report is not None
    assert Phase.RUNNING == report.phase


def test_user_manager_that_fails_is_done_without(machine: Machine) -> None:
    """A systemd-run that fails leaves the session to be started without a unit."""
    stub_systemd_run(machine, "exit 1\n")
    session = machine.started()
    assert (machine.root / "asked").exists()
    assert isinstance(Process().read_submit(session, machine.run(Process().submit(session, 1))), Submitted)
