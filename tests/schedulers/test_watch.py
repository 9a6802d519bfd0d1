"""Waiting for services: what a session's script wrote down is seen at once, and nothing else is taken for it."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sessiond.core.command import Completed
from sessiond.core.errors import Unreadable
from sessiond.core.ids import JobId
from sessiond.core.report import JobReport, Snapshot
from sessiond.core.session import Endpoint, JobRef, Phase, Session
from sessiond.schedulers.watch import read_watch, watch

from .machine import LOCAL, Machine, folder, with_job

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfLS2Iupy8ytBMyBb1m0LBMMXzLeYvm1dYg1xV0q3kP"


def waiting(machine: Machine, job: str, *, restarts: int = 0) -> Session:
    """A session whose job was submitted, with its folder."""
    session = machine.session()
    folder(session).mkdir(parents=True)
    ref = JobRef(id=JobId(job), cluster=LOCAL, attempt=1, phase=Phase.QUEUED, restarts=restarts)
    return replace(session, job=ref)


def publish(session: Session, run: str, *lines: str) -> None:
    """Write an endpoint file as the session's script does: whole, by renaming."""
    draft = folder(session) / ".endpoint.new"
    draft.write_text("".join(f"{line}\n" for line in (f"run={run}", "host=n042", "port=8888", "scheme=http", *lines)))
    draft.rename(folder(session) / "endpoint")


def seen(machine: Machine, *sessions: Session, seconds: int = 0) -> Snapshot:
    """What a watch of ``seconds`` finds."""
    return read_watch(sessions, machine.run(watch(sessions, seconds)), 100.0, 101.0)


def test_news_of_one_of_many(machine: Machine) -> None:
    """The session that published is reported, as running, with everything it said; the others are not spoken of."""
    one, two, three = (waiting(machine, str(number)) for number in (41, 42, 43))
    publish(two, "42.0", f"hostkey={KEY}")
    found = seen(machine, one, two, three)
    assert {two.id: Endpoint(run="42.0", host="n042", port=8888, host_keys=(KEY,))} == found.endpoints
    assert {JobId("42"): JobReport(id=JobId("42"), phase=Phase.RUNNING, nodes=("n042",))} == found.jobs
    assert (100.0, 101.0, LOCAL) == (found.asked_at, found.answered_at, found.cluster)


def test_it_returns_as_soon_as_there_is_news(machine: Machine) -> None:
    """A file that appears while it waits ends the wait."""
    session = waiting(machine, "42")
    command = watch([session], 30)
    process = machine.popen(command)
    assert process.stdin is not None
    began = time.monotonic()
    process.stdin.write(command.stdin)
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.7)
    publish(session, "42.0")
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - began < 10
    done = Completed(rc=process.returncode, stdout=out, stderr=err)
    assert {session.id} == set(read_watch([session], done, 0.0, 0.0).endpoints)


def test_an_earlier_run_is_no_news(machine: Machine) -> None:
    """What was written before the requeue, by another job, or by a script that was cut off says nothing."""
    requeued, other, short, later = (
        waiting(machine, "42", restarts=1),
        waiting(machine, "43"),
        waiting(machine, "44"),
        waiting(machine, "45", restarts=1),
    )
    publish(requeued, "42.0")
    publish(other, "430.0")
    (folder(short) / "endpoint").write_text("run=44.0")
    publish(later, "45.2")
    found = seen(machine, requeued, other, short, later)
    assert [later.id] == list(found.endpoints)
    assert 2 == found.jobs[JobId("45")].restarts


def test_hostile_files_are_passed_over(machine: Machine) -> None:
    """A pipe is not opened, a huge file not sent, nonsense not believed; a folder that is gone is no trouble."""
    pipe, huge, nonsense, gone, good = (waiting(machine, str(number)) for number in range(41, 46))
    os.mkfifo(folder(pipe) / "endpoint")
    (folder(huge) / "endpoint").write_text("run=42.0\n" + "x" * 100_000)
    publish(nonsense, "43.$(reboot)", "port=99999")
    folder(gone).rmdir()
    publish(good, "45.0")
    assert [good.id] == list(seen(machine, pipe, huge, nonsense, gone, good).endpoints)


def test_what_is_known_of_a_running_job_is_kept(tmp_path: Path) -> None:
    """The watch knows less than the scheduler's last word, and does not take it away."""
    machine = Machine(root=tmp_path, shell="dash")
    session = waiting(machine, "42")
    assert session.job is not None
    known = replace(session.job, phase=Phase.RUNNING, nodes=("n042", "n043"), started=50.0, ends_by=500.0)
    session = replace(session, job=known)
    publish(session, "42.0")
    report = seen(machine, session).jobs[JobId("42")]
    assert (("n042", "n043"), 50.0, 500.0) == (report.nodes, report.started, report.ends_by)


@pytest.mark.parametrize("number", ["1", "-1", "x", "", "٣"])
def test_news_about_nobody(tmp_path: Path, number: str) -> None:
    """A reply that numbers a session nobody asked about is not believed."""
    session = with_job(Machine(root=tmp_path, shell="dash").session(), JobId("42"))
    out = f"\x1esessiond\x1e{number}\x1frun=42.0\x1e" + "end\n"
    with pytest.raises(Unreadable):
        read_watch([session], Completed(rc=0, stdout=out.encode(), stderr=b""), 0.0, 0.0)
