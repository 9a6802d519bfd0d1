"""Exactly once: submissions and searches of one attempt against each other."""

from __future__ import annotations

import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from sessiond.core.events import FindDelayed, JobAbsent, JobFound, SubmitDelayed, Submitted
from sessiond.core.ids import JobId
from sessiond.schedulers.process import Process

from .machine import PROLOGUE, Machine, alive, eventually, folder, job_of, pid_of, start_of

ROUNDS = 34
"""With three shells: a hundred."""


def runs(machine: Machine) -> list[str]:
    """The runs that the last session's script noted."""
    noted = folder(machine.sessions[-1]) / "runs"
    return noted.read_text().splitlines() if noted.exists() else []


def dead(pid: int) -> bool:
    """Whether no such process runs."""
    return not alive(pid)


@pytest.mark.timeout(300)
def test_races_never_run_twice_nor_after_an_absence(machine: Machine) -> None:
    """Two submissions and two searches at once: one run that all agree on, or none and never one."""
    dialect = Process()
    session = machine.staged(PROLOGUE)
    seen = set()
    chance = random.Random(machine.shell)

    def ask(attempt: int, submits: bool, delay_s: float) -> object:
        time.sleep(delay_s)  # a race needs both orders, and a runner takes a while to claim
        if submits:
            return dialect.read_submit(session, machine.run(dialect.submit(session, attempt)))
        return dialect.read_find(session, machine.run(dialect.find(session, attempt)))

    for attempt in range(1, ROUNDS + 1):
        before = len(runs(machine))
        with ThreadPoolExecutor(4) as pool:
            asked = [
                pool.submit(ask, attempt, kind % 2 == 0, chance.uniform(0, 0.06) * (kind % 2)) for kind in range(4)
            ]
            events = [one.result() for one in asked]
        found = {event.job for event in events if isinstance(event, Submitted | JobFound)}
        if found:
            assert {Submitted, JobFound} == {type(event) for event in events}
            assert 1 == len(found)
            (job,) = found
            eventually(partial(dead, pid_of(job)))
            assert [f"{job}.0"] == runs(machine)[before:]
        else:
            assert {SubmitDelayed, JobAbsent} == {type(event) for event in events}
            assert [] == runs(machine)[before:]
        seen.add(bool(found))
    assert {True, False} == seen


def test_submitting_again_finds_the_same_job(machine: Machine) -> None:
    """A submission that is repeated tells what the first one did."""
    session = machine.started(PROLOGUE + "sleep 600 & wait $!\n")
    dialect = Process()
    again = dialect.read_submit(session, machine.run(dialect.submit(session, 1)))
    assert Submitted(job=job_of(session)) == again
    assert JobFound(job=job_of(session)) == dialect.read_find(session, machine.run(dialect.find(session, 1)))
    assert 1 == len(runs(machine))


def test_late_runner_finds_the_fence(machine: Machine) -> None:
    """A runner that comes after a search said absent runs nothing, and the search goes on saying so."""
    session = machine.staged(PROLOGUE)
    dialect = Process()
    assert JobAbsent() == dialect.read_find(session, machine.run(dialect.find(session, 1)))
    late = subprocess.run(
        [str(machine.bin / "sh"), "run.sh", "1"],
        env={**machine.environ, "SESSIOND_TAG": session.tag},
        cwd=folder(session),
        start_new_session=True,
        check=False,
    )
    assert 76 == late.returncode
    assert [] == runs(machine)
    assert JobAbsent() == dialect.read_find(session, machine.run(dialect.find(session, 1)))
    assert isinstance(dialect.read_submit(session, machine.run(dialect.submit(session, 1))), SubmitDelayed)
    assert isinstance(dialect.read_submit(session, machine.run(dialect.submit(session, 2))), Submitted)


def test_runner_that_leads_no_group_makes_itself_one(machine: Machine) -> None:
    """A runner started inside another group leaves it, so that signals to its group reach nobody else."""
    session = machine.staged(PROLOGUE + "sleep 600 & wait $!\n")
    runner = subprocess.Popen(
        [str(machine.bin / "sh"), "run.sh", "1"],
        env={**machine.environ, "SESSIOND_TAG": session.tag},
        cwd=folder(session),
    )
    eventually((folder(session) / "attempt.1").exists)
    assert runner.pid == os.getpgid(runner.pid)
    machine.close()
    runner.wait(timeout=20)
    assert not alive(runner.pid)


def test_claims_that_cannot_be_understood_settle_nothing(machine: Machine) -> None:
    """An empty or strange claim is neither a job nor an absence."""
    session = machine.staged(PROLOGUE)
    dialect = Process()
    for content in ("", "nonsense\n"):
        (folder(session) / "attempt.1").write_text(content)
        event = dialect.read_find(session, machine.run(dialect.find(session, 1)))
        assert isinstance(event, FindDelayed)


def test_search_in_a_missing_folder_settles_nothing(machine: Machine) -> None:
    """Without the folder there is nowhere to put a fence."""
    session = machine.session()
    event = Process().read_find(session, machine.run(Process().find(session, 1)))
    assert isinstance(event, FindDelayed)


def test_job_ids_name_the_very_process(machine: Machine) -> None:
    """A job id is the runner's pid, its start time and the boot id."""
    session = machine.started(PROLOGUE + "sleep 600 & wait $!\n")
    pid = pid_of(job_of(session))
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert JobId(f"{pid}:{start_of(pid)}:{boot}") == job_of(session)
