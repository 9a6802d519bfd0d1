"""What is read back is hostile: cut off, garbled, or too much; and a look at many sessions is quick."""

from __future__ import annotations

import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.command import Completed
from sessiond.core.errors import Bug, SpecError, Unreadable
from sessiond.core.events import StageDelayed, StageFailed, SubmitUnknown
from sessiond.core.ids import JobId, session_id
from sessiond.core.session import Phase, Session, State
from sessiond.core.spec import LaunchSpec, Mode, ServiceSpec
from sessiond.schedulers import common
from sessiond.schedulers.process import Process

from .machine import LOCAL, PROLOGUE, Machine, eventually, folder, job_of, with_job

BOOT = "11111111-2222-3333-4444-555555555555"
JOB = JobId(f"4711:1234567:{BOOT}")
RUN = f"{JOB}.0"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A session with a job, which exists nowhere."""
    return with_job(Machine(root=tmp_path, shell="bash").session(), JOB)


def said(text: str, *, rc: int = 0, stderr: str = "") -> Completed:
    """A command that said ``text``."""
    return Completed(rc=rc, stdout=text.encode(), stderr=stderr.encode())


def look(
    *, alive: str = "1", status: str = "", at: str = "", run: str = "", reason: str = "", failure: str = ""
) -> str:
    """The reply of a look at one session."""
    fields = [alive, "1", "host", "1700000000", status, at, run, reason, failure, "", "", "", ""]
    return f"\x1esessiond\x1e{BOOT}\x1fhost\x1e{chr(31).join(fields)}\x1eend\n"


def readers(dialect: Process, session: Session) -> list[Callable[[Completed], object]]:
    """Every way to read a reply but that of a submission."""
    return [
        lambda done: dialect.read_stage(session, done),
        lambda done: dialect.read_find(session, done),
        lambda done: dialect.read_observe([session], done, 1.0, 2.0),
        lambda done: dialect.read_cancel(session, done),
        lambda done: dialect.read_history(session, done),
    ]


def test_replies_that_are_cut_off_are_unreadable(session: Session) -> None:
    """Every beginning of a good look, but the whole of it, is Unreadable."""
    whole = look()
    assert {JOB} == set(Process().read_observe([session], said(whole), 1.0, 2.0).jobs)
    for length in range(len(whole)):
        with pytest.raises(Unreadable):
            Process().read_observe([session], said(whole[:length]), 1.0, 2.0)


@given(st.binary(max_size=200), st.integers(min_value=-9, max_value=255))
def test_garbage_is_unreadable_and_never_an_answer(garbage: bytes, rc: int) -> None:
    """Whatever bytes come, with any exit status: Unreadable, and for a submission unknown."""
    dialect = Process()
    made = with_job(_bare_session(), JOB)
    for stdout in (garbage, b"\x1esessiond\x1e" + garbage + b"\x1eend\n"):
        done = Completed(rc=rc, stdout=stdout, stderr=garbage)
        assert isinstance(dialect.read_submit(made, done), SubmitUnknown)
        for read in readers(dialect, made)[1:]:
            with pytest.raises(Unreadable):
                read(done)


def _bare_session() -> Session:
    made = session_id(0.0, 0)
    spec = LaunchSpec(
        service=ServiceSpec(name="s", title="S", files=()),
        workflow="s",
        cluster=LOCAL,
        mode=Mode.LOCAL,
        user="u",
        jobdir=f"/x/sessiond/{made}",
        params={},
        secrets={},
    )
    return Session(id=made, name="s", number=1, spec=spec, open_port=1, created=0.0, state=State.RENDER, since=0.0)


def test_login_noise_before_a_reply_is_skipped(session: Session) -> None:
    """What a shell's start files print is no part of the reply."""
    snapshot = Process().read_observe([session], said("Welcome!\n" + look()), 1.0, 2.0)
    assert {JOB} == set(snapshot.jobs)


def test_looks_of_the_wrong_size_are_unreadable(session: Session) -> None:
    """A look must have one record a session, and there must be something to look at."""
    with pytest.raises(Unreadable):
        Process().read_observe([session, session], said(look()), 1.0, 2.0)
    with pytest.raises(Bug):
        Process().read_observe([], said(look()), 1.0, 2.0)


@pytest.mark.parametrize("status", ["256", "-1", "x", "", "٣", "99999999999"])
def test_invalid_exit_status_is_no_exit_record(session: Session, status: str) -> None:
    """A record with an impossible status counts as none."""
    report = Process().read_observe([session], said(look(alive="0", status=status, run=RUN)), 1.0, 2.0).jobs[JOB]
    assert report.problem is not None
    assert "killed" == report.problem.code


def test_exit_record_of_another_run_is_none(session: Session) -> None:
    """What an earlier run wrote says nothing about this one."""
    reply = look(alive="0", status="0", run="1:2:3.0")
    report = Process().read_observe([session], said(reply), 1.0, 2.0).jobs[JOB]
    assert report.problem is not None
    assert "killed" == report.problem.code


def test_messages_are_one_bounded_printable_line(session: Session) -> None:
    """Words from over there are shown without control characters, and not without end."""
    reply = look(alive="0", status="3", run=RUN, failure="\x1b[31mred\x07\n" + "x" * 5000, at="1700000001")
    problem = Process().read_observe([session], said(reply), 1.0, 2.0).jobs[JOB].problem
    assert problem is not None
    assert "[31mred " == problem.message[:8]
    assert (500, 1700000001.0) == (len(problem.message), problem.at)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("base64: write error: No space left on device", StageDelayed),
        ("mkdir: cannot create directory '/x': Disk quota exceeded", StageDelayed),
        ("tar: x: Cannot write: Input/output error", StageDelayed),
        ("mkdir: cannot create directory '/x': Permission denied", StageFailed),
        ("mkdir: cannot create directory '/x': Read-only file system", StageFailed),
        ("mkdir: cannot create directory '/x/y': Not a directory", StageFailed),
        ("sh: base64: not found", StageFailed),
    ],
)
def test_staging_troubles_are_told_apart(session: Session, words: str, kind: type) -> None:
    """A full disk is tried again; what only a person can change is not, and comes with a hint."""
    event = Process().read_stage(session, said(f"\x1esessiond\x1eunpack\x1f{words}\x1eend\n", rc=73))
    assert kind is type(event)
    assert isinstance(event, StageDelayed | StageFailed)
    assert (kind is StageFailed or "space" in words or "quota" in words) == bool(event.problem.hint)


def test_job_that_is_no_process_is_a_bug(session: Session) -> None:
    """A job id of another scheduler never becomes an argument."""
    with pytest.raises(Bug):
        Process().observe([with_job(session, JobId("4711"))])
    with pytest.raises(Bug):
        Process().cancel(replace(session, job=None), force=True)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "a/../../b", ".", "", "a\nb"])
def test_files_stay_in_their_folder(session: Session, path: str) -> None:
    """A file whose path leaves the folder is refused."""
    with pytest.raises(SpecError):
        Process().stage(session, {path: b""})


def test_archive_is_the_same_for_the_same_files(session: Session) -> None:
    """Nothing of the clock or of this machine is in the archive."""
    first = common.archive(session, {"b/c.sh": b"1", "a": b"2"})
    assert first == common.archive(session, {"a": b"2", "b/c.sh": b"1"})
    with tarfile.open(fileobj=BytesIO(first)) as tar:
        assert [("a", 0o600), ("b", 0o700), ("b/c.sh", 0o700)] == [(m.name, m.mode) for m in tar.getmembers()]


def test_folder_below_home_is_given_relative(session: Session) -> None:
    """``~`` is expanded by nobody: scripts start in the home folder."""
    at_home = replace(session, spec=replace(session.spec, jobdir=f"~/sessiond/{session.id}"))
    assert f"sessiond/{session.id}" == Process().forget(at_home).argv[-1]


def test_look_at_200_sessions_is_quick(machine: Machine) -> None:
    """Per session nothing is started: 200 sessions cost little more than one."""
    publish = (
        'printf "run=%s\\nhost=localhost\\nport=8080\\n" "$SESSIOND_RUN" >new; mv new endpoint\nsleep 600 & wait $!\n'
    )
    live = machine.started(PROLOGUE + publish)
    eventually((folder(live) / "endpoint").exists)
    many = [live]
    for _ in range(199):
        other = machine.session()
        other = with_job(other, job_of(live))
        folder(other).mkdir(parents=True)
        for name in ("attempt.1", "endpoint", "exit", "failure"):
            (folder(other) / name).write_text((folder(live) / "endpoint").read_text())
        many.append(other)
    command = Process().observe(many)
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = machine.run(command)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    snapshot = Process().read_observe(many, done, 1.0, 2.0)
    assert 200 == len(snapshot.endpoints)
    assert Phase.RUNNING == snapshot.jobs[job_of(live)].phase
    # Five times what an idle machine needs, of a processor's time: a fork a session would take longer.
    assert min(took) < 1.0
    machine.sessions[:] = [live]


@pytest.mark.parametrize("shell", [["dash", "-n"], ["bash", "--posix", "-n"], ["busybox", "sh", "-n"]])
def test_scripts_are_read_by_every_shell(shell: list[str]) -> None:
    """The parts make scripts that every shell accepts, none above 70 lines, none that does anything when cut off."""
    parts = Path(common.__file__).parent / "sh"
    for part in sorted(parts.glob("*.sh")):
        text = part.read_text()
        assert len(text.splitlines()) <= 70, part.name
        try:
            checked = subprocess.run(shell, input=text, text=True, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip(f"there is no {shell[0]} here")
        assert ("", 0) == (checked.stderr, checked.returncode), part.name


def test_scripts_are_clean() -> None:
    """Shellcheck has nothing to say."""
    checker = Path(sys.executable).with_name("shellcheck")
    if not checker.exists():
        pytest.skip("there is no shellcheck here")
    parts = sorted((Path(common.__file__).parent / "sh").glob("*.sh"))
    checked = subprocess.run([checker, *parts], text=True, capture_output=True, check=False)
    assert "" == checked.stdout
