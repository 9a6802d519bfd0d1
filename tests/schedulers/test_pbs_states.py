"""Every letter of PBS for a state, every reason to wait, and every exit status."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.session import Outcome, Phase
from sessiond.schedulers.batch.end import Verdict
from sessiond.schedulers.pbs.end import PRO, TORQUE, verdict
from sessiond.schedulers.pbs.reasons import in_words
from sessiond.schedulers.pbs.reply import Listed
from sessiond.schedulers.pbs.states import PHASES, phase_of

CLASSES = {
    Phase.QUEUED: "QWTM",
    Phase.HELD: "H",
    Phase.RUNNING: "RB",
    Phase.SUSPENDED: "SU",
    Phase.COMPLETING: "E",
    Phase.ENDED: "FXC",
}


def job(state: str = "F", **attributes: str) -> Listed:
    """A job with these attributes alone."""
    return Listed(id="1.pbs", attributes={"job_state": state, **attributes})


def test_every_letter_is_looked_at() -> None:
    """Those of OpenPBS, PBS Professional and Torque."""
    assert {*"QWTMHRBSUEFXC"} == {*PHASES} == {letter for letters in CLASSES.values() for letter in letters}


@pytest.mark.parametrize(
    ("letter", "phase"), [(letter, phase) for phase, letters in CLASSES.items() for letter in letters]
)
def test_letters_have_their_phase(letter: str, phase: Phase) -> None:
    """Each letter is what it means, and at its beginning a running job's node is only being told of it."""
    assert phase is phase_of(letter)
    assert phase is phase_of(letter, "42")
    assert (Phase.CONFIGURING if phase is Phase.RUNNING else phase) is phase_of(letter, "41")


@given(st.text(max_size=3))
def test_unknown_letters_are_no_end(letter: str) -> None:
    """What is in no table has no phase, least of all that of an end; small letters are others."""
    if letter not in PHASES:
        assert phase_of(letter) is None
        assert phase_of(letter, "41") is None


@pytest.mark.parametrize(("text", "state"), [("R", "R"), (" F ", "F"), ("Q\n", "Q"), ("", ""), ("Running", "R")])
def test_state_is_one_letter(text: str, state: str) -> None:
    """The first one, without what is around it."""
    assert state == job(text).state


START = "the job could not be started on its node"
RESTARTED = "the job's node was restarted"
ENDS = {
    -1: (Outcome.FAILED, START),
    -2: (Outcome.FAILED, f"{START}: its files could not be put in place"),
    -3: (Outcome.FAILED, f"{START}, and was not to be tried again"),
    -4: (Outcome.NODE_FAILED, RESTARTED),
    -5: (Outcome.NODE_FAILED, RESTARTED),
    -6: (Outcome.NODE_FAILED, RESTARTED),
    -7: (Outcome.FAILED, "the job could not be restarted from its checkpoint"),
}
PRO_ENDS = ENDS | {
    -10: (Outcome.FAILED, f"{START}: your account is not known there"),
    -11: (Outcome.NODE_FAILED, "the job was to be run again, and was not"),
    -13: (Outcome.FAILED, f"{START}: your account is not known there"),
    -17: (Outcome.FAILED, "the site's rules (a hook) deleted the job before it started"),
    -19: (Outcome.FAILED, "the site's rules (a hook) deleted the job"),
    -20: (Outcome.NODE_FAILED, "the job's node failed, and it is not to be run again"),
    -21: (Outcome.FAILED, f"{START}: the node refused it for reasons of security"),
    -22: (Outcome.FAILED, f"{START}: the site's rules (a hook) failed there"),
    -23: (Outcome.FAILED, f"{START}: there was no Kerberos ticket for it"),
    -24: (Outcome.FAILED, "the job used more processors than it had asked for"),
    -25: (Outcome.FAILED, "the job used more processors than it had asked for"),
    -26: (Outcome.OUT_OF_MEMORY, "the job used more virtual memory than it had asked for"),
    -27: (Outcome.OUT_OF_MEMORY, "the job used more memory than it had asked for"),
    -28: (Outcome.FAILED, "the job used more processor time than it had asked for"),
    -29: (Outcome.WALLTIME, ""),
    -30: (Outcome.NODE_FAILED, "one of the job's nodes did not take part in its start"),
}
TORQUE_ENDS = ENDS | {
    -8: (Outcome.FAILED, f"{START}: its shell could not be run"),
    -9: (Outcome.FAILED, f"{START}: its output could not be opened"),
    -10: (Outcome.OUT_OF_MEMORY, ""),
    -11: (Outcome.WALLTIME, ""),
    -12: (Outcome.FAILED, "the job used more processor time than it had asked for"),
}


def test_every_negative_status_is_looked_at() -> None:
    """The codes of both families, and no others."""
    assert (PRO_ENDS, TORQUE_ENDS) == (dict(PRO), dict(TORQUE))


@pytest.mark.parametrize("code", range(-40, 0))
def test_negative_statuses(code: int) -> None:
    """F and X are of OpenPBS, C is of Torque: the same number is not the same end."""
    other = (Outcome.FAILED, f"{START} ({code})")
    for state, table in (("F", PRO_ENDS), ("X", PRO_ENDS), ("C", TORQUE_ENDS)):
        outcome, words = table.get(code, other)
        end = verdict(job(state, exit_status=str(code), exec_host="n1/0"))
        assert Verdict(outcome=outcome, words=words) == end


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (0, Verdict(outcome=Outcome.COMPLETED, code=0)),
        (1, Verdict(outcome=Outcome.FAILED, code=1)),
        (7, Verdict(outcome=Outcome.FAILED, code=7)),
        (127, Verdict(outcome=Outcome.FAILED, code=127)),
        (128, Verdict(outcome=Outcome.FAILED, code=128)),
        (137, Verdict(outcome=Outcome.FAILED, signal=9)),
        (139, Verdict(outcome=Outcome.FAILED, signal=11)),
        (143, Verdict(outcome=Outcome.FAILED, signal=15)),
        (255, Verdict(outcome=Outcome.FAILED, signal=127)),
        (256, Verdict(outcome=Outcome.FAILED, code=256)),
        (265, Verdict(outcome=Outcome.FAILED, signal=9)),
        (267, Verdict(outcome=Outcome.FAILED, signal=11)),
        (271, Verdict(outcome=Outcome.CANCELLED, words="cancelled on the cluster")),
        (383, Verdict(outcome=Outcome.FAILED, signal=127)),
        (384, Verdict(outcome=Outcome.FAILED, code=384)),
    ],
)
def test_statuses_of_scripts(status: int, end: Verdict) -> None:
    """A shell adds 128 to a signal, PBS 256; TERM to the shell itself is how PBS deletes a job."""
    assert end == verdict(job(exit_status=str(status), exec_host="n1/0"))


RAN = "Job run at Sun Nov 22 at 18:01 on (n1:ncpus=1)"


@pytest.mark.parametrize(
    ("comment", "status", "outcome", "words"),
    [
        (f"{RAN} and finished", "0", Outcome.COMPLETED, ""),
        (f"{RAN} and failed", "7", Outcome.FAILED, ""),
        (f"{RAN} and exceeded resource walltime", "-29", Outcome.WALLTIME, ""),
        (f"{RAN} and exceeded resource walltime", "271", Outcome.WALLTIME, ""),
        ("=>> PBS: job killed: walltime 17 exceeded limit 5", "271", Outcome.WALLTIME, ""),
        (f"{RAN} and exceeded resource mem", "-27", Outcome.OUT_OF_MEMORY, ""),
        (f"{RAN} and exceeded resource vmem", "271", Outcome.OUT_OF_MEMORY, ""),
        ("job killed: mem 9kb exceeded limit 5kb", "271", Outcome.OUT_OF_MEMORY, ""),
        (f"{RAN} and exceeded resource cput", "271", Outcome.FAILED, "the job used more cput than it had asked for"),
        (f"{RAN} and exceeded resource ngpus", "", Outcome.FAILED, "the job used more ngpus than it had asked for"),
        ("job preempted by job 7.pbs", "271", Outcome.PREEMPTED, ""),
        ("Preempted", "", Outcome.PREEMPTED, ""),
        (f"{RAN} and terminated by bob@pbs", "271", Outcome.CANCELLED, "cancelled on the cluster by bob@pbs"),
        (f"{RAN} and terminated by bob@pbs", "", Outcome.CANCELLED, "cancelled on the cluster by bob@pbs"),
        (
            "Not Running: Not enough free nodes available and terminated",
            "",
            Outcome.CANCELLED,
            "cancelled on the cluster",
        ),
        (f"{RAN} and terminated by root@pbs", "-20", Outcome.NODE_FAILED, PRO_ENDS[-20][1]),
    ],
)
def test_comments_decide(comment: str, status: str, outcome: Outcome, words: str) -> None:
    """What PBS says in words is more exact than a number, and says by whom."""
    end = verdict(job(comment=comment, exit_status=status, exec_host="n1/0"))
    assert end is not None
    assert (outcome, words) == (end.outcome, end.words)


@pytest.mark.parametrize("node", ["preempt01", "exceeded-resource"])
def test_names_of_nodes_decide_nothing(node: str) -> None:
    """A comment names the nodes, which may be called anything."""
    end = verdict(job(comment=f"Job run at Sun Nov 22 at 18:01 on ({node}:ncpus=1) and finished", exit_status="0"))
    assert Verdict(outcome=Outcome.COMPLETED, code=0) == end


def test_comment_that_is_cut_into_lines_decides_too() -> None:
    """However it is wrapped."""
    end = verdict(job(comment="Job run at Sun and exceeded \n resource   walltime", exit_status="-29"))
    assert Verdict(outcome=Outcome.WALLTIME) == end


def test_job_without_a_status_that_never_ran_was_removed() -> None:
    """Deleted while it waited, or never able to start; of one that ran nobody says how it ended."""
    assert Verdict(outcome=Outcome.CANCELLED, words="cancelled on the cluster") == verdict(job())
    assert verdict(job(exec_host="n1/0")) is None
    assert verdict(job("C", exec_vnode="(n1:ncpus=1)")) is None


@pytest.mark.parametrize("status", ["", "seven", "0x7", "7 8", "1" * 12, "٧"])
def test_status_that_is_no_number_is_none(status: str) -> None:
    """Nobody said how it ended."""
    assert job(exit_status=status).exit_status is None


@given(st.integers(-400, 400), st.sampled_from("FXC"), st.text(max_size=60))
def test_every_end_is_some_outcome(status: int, state: str, comment: str) -> None:
    """Whatever was said, and its words are fit to be shown."""
    end = verdict(job(state, exit_status=str(status), comment=comment, exec_host="n1/0"))
    assert end is not None
    assert "\n" not in end.words
    assert (end.outcome is Outcome.COMPLETED) <= (status == 0)


PRIORITY = "waiting behind jobs of higher priority"


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ("", ""),
        ("Not Running: Not enough free nodes available", "waiting for free nodes"),
        ("not running: Not enough free nodes available", "waiting for free nodes"),
        (
            "Can Never Run: Insufficient amount of resource: ncpus (R: 64 A: 8 T: 8)",
            "it can never start: it asks for 64 processors where there are 8",
        ),
        (
            "Not Running: Insufficient amount of resource: ncpus (R: 4 A: 2 T: 8)",
            "waiting for processors: it asks for 4, 2 of 8 are free",
        ),
        (
            "Not Running: Insufficient amount of resource: mem (R: 64gb A: 8gb T: 128gb)",
            "waiting for memory: it asks for 64gb, 8gb of 128gb are free",
        ),
        ("Not Running: Insufficient amount of resource ngpus", "waiting for GPUs"),
        ("Not Running: Insufficient amount of queue resource: vmem (R: 2 A: 1 T: 2)", "waiting for virtual memory"),
        ("Not Running: Insufficient amount of server resource: licenses_x", "waiting for licenses_x"),
        (
            "Can Never Run: Insufficient amount of resource: ngpus",
            "it can never start: it asks for more GPUs than there are",
        ),
        (
            "Can Never Run: Not enough total nodes available",
            "it can never start: it asks for more nodes than there are",
        ),
        ("Can Never Run: can't fit in the largest placement set", "it can never start: can't fit in the largest"),
        ("Not Running: Host set host=n1 has too few free resources", "waiting for nodes with enough free"),
        ("Not Running: Job would conflict with reservation or top job", f"{PRIORITY} or a reservation"),
        ("Not Running: Job would conflict with reservation", "waiting until a reservation is over"),
        ("Not Running: Job would be delayed by strict ordering", PRIORITY),
        ("Not Running: Queue not started.", "the queue is stopped: it starts no jobs"),
        ("Not Running: Job will not finish before dedicated time", "waiting until a time that is kept free is over"),
        ("Not Running: Job will cross into primetime", "waiting for a time of day at which the queue runs jobs"),
        ("Not Running: Draining system to allow starving job to run", "waiting behind a job that has waited long"),
        ("Not Running: Could not run: licenses are in use", "waiting for a licence"),
        (
            "Not Running: User has reached server running job limit.",
            "your limit is reached (User has reached server running job limit.)",
        ),
        (
            "Not Running: Queue small per-group limit reached on resource ncpus",
            "your group's limit is reached (Queue small per-group limit reached on resource ncpus)",
        ),
        (
            "Not Running: Server per-project limit reached on resource ncpus",
            "your project's limit is reached (Server per-project limit reached on resource ncpus)",
        ),
        (
            "Not Running: Queue small job limit has been reached.",
            "the queue's limit is reached (Queue small job limit has been reached.)",
        ),
        (
            "Not Running: Server job limit has been reached.",
            "the server's limit is reached (Server job limit has been reached.)",
        ),
        ("Not Running: Some limit or other", "a limit is reached (Some limit or other)"),
        ("Job run at Sun Nov 22 at 18:01 on (n1:ncpus=1)", ""),
        ("Job was sent for execution at Sun Nov 22 at 18:01 on (n1:ncpus=1)", ""),
        ("Not Running: something of 2031", "something of 2031"),
        ("the administrators' own words", "the administrators' own words"),
    ],
)
def test_reasons_are_in_plain_words(comment: str, words: str) -> None:
    """What is known is said plainly, what is not is shown as it is, and what is left of the last run is nothing."""
    assert in_words(job("Q", comment=comment)).startswith(words)
    assert bool(words) == bool(in_words(job("Q", comment=comment)))


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"hold_types": "u"}, "held by its owner: qrls lets it go"),
        ({"hold_types": "o"}, "held by the cluster's operators"),
        ({"hold_types": "p"}, "held: the password it needs was wrong"),
        ({"hold_types": "s"}, "held by the system: its administrators can let it go"),
        ({"hold_types": "uo"}, "held by its owner: qrls lets it go"),
        ({"hold_types": "n"}, "held"),
        ({}, "held"),
        ({"hold_types": "s", "depend": "afterok:16.pbs@pbs"}, "waiting for another job it depends on"),
        (
            {"hold_types": "s", "comment": "job held, too many failed attempts to run"},
            "held: it could not be started too often; its administrators can let it go",
        ),
    ],
)
def test_holds_say_who_lets_go(attributes: dict[str, str], words: str) -> None:
    """Its owner, somebody else, or another job."""
    assert words == in_words(job("H", **attributes))


@pytest.mark.parametrize(
    ("state", "attributes", "words"),
    [
        ("W", {"execution_time": "Tue Jan  1 00:00:00 2030"}, "not to start before Tue Jan 1 00:00:00 2030 (UTC)"),
        ("W", {}, "not to start before a set time"),
        ("T", {}, "being moved to another queue or server"),
        ("M", {}, "moved to another PBS server, where it is not seen from here"),
    ],
)
def test_states_that_are_reasons(state: str, attributes: dict[str, str], words: str) -> None:
    """A set time, and being moved, whatever the comment says."""
    assert words == in_words(job(state, comment="Not Running: Not enough free nodes available", **attributes))


@given(st.sampled_from([*PHASES]), st.text(max_size=700), st.text(max_size=8))
def test_reasons_are_fit_to_be_shown(state: str, comment: str, holds: str) -> None:
    """Whatever the scheduler says, it is one line of bounded length."""
    words = in_words(job(state, comment=comment, hold_types=holds))
    assert "\n" not in words
    assert len(words) < 1200
