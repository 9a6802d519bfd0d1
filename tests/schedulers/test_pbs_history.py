"""How a job ended, by all who may know: the server, its history, the session's own record."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sessiond.core.errors import Unreadable
from sessiond.core.events import HistoryDelayed, HistoryUnknown, JobEnded
from sessiond.core.session import STILL_THERE, Outcome, Session
from sessiond.schedulers.pbs.dialect import Pbs

from .batch_site import Recording
from .pbs_words import JOB, NOBODY, OVER, WAITS, began, block, listing, recording, session
from .slurm_site import said, word

UNKNOWN = Recording(153, "", f"qstat: Unknown Job Id {JOB}\n")
FINISHED = Recording(35, "", f"qstat: {JOB} Job has finished, use -x or -H to obtain historical job information\n")
DOWN = recording("down_qstat")
FROZEN = recording("frozen_qstat")
EMPTY = recording("qstat_empty")
TORQUE_UNKNOWN = recording("torque/qstat_f_unknown")
RUNS = Recording(0, block(), "")
WAITING = Recording(0, block(JOB, WAITS), "")
REQUEUED = Recording(0, block(JOB, WAITS, {"run_count": "1"}), "")


def over(**attributes: str) -> Recording:
    """The server's history of the job."""
    return Recording(0, block(JOB, OVER, attributes), "")


def own(status: str, run: str = f"{JOB}.0", reason: str = "exit", failure: str = "") -> list[str]:
    """The session's own record of its end."""
    return word(status=status, run=run, reason=reason, failure=failure)


def asked(
    server: Recording, record: list[str] | None = None, mark: Sequence[str] | None = None, of: Session | None = None
) -> object:
    """What is made of the witnesses; the script began its first run, unless ``mark`` says otherwise."""
    records = listing(server.out, rc=server.rc, err=server.err)
    records[1:1] = [list(mark or began()), record or word()]
    return Pbs().read_history(of or session(), said(*records))


def end(event: object) -> tuple[Outcome, str]:
    """The outcome and the words of an end."""
    assert isinstance(event, JobEnded), event
    return event.outcome, event.problem.message if event.problem is not None else ""


def delayed(event: object) -> str:
    """Why it is asked again."""
    assert isinstance(event, HistoryDelayed), event
    known = event.problem.message.startswith("the scheduler still has it as ")
    assert (STILL_THERE if known else "history") == event.problem.code
    return event.problem.message


@pytest.mark.parametrize("record", [word(), own("0"), own("143", reason="signal:TERM"), own("0", reason="stopped")])
@pytest.mark.parametrize("server", [RUNS, WAITING, REQUEUED])
def test_live_job_has_no_history(server: Recording, record: list[str]) -> None:
    """A server that says that it lives is believed, whatever the session's record of an earlier run says."""
    assert delayed(asked(server, record)).startswith("the scheduler still has it as ")


@pytest.mark.parametrize("state", ["E", "S", "B", "T", "Z", "0"])
def test_state_that_is_no_end_ends_nothing(state: str) -> None:
    """Exiting, suspended, or a letter that nobody knows."""
    assert f"the scheduler still has it as {state}" == delayed(asked(over(job_state=state)))


def test_job_without_a_state_is_asked_again() -> None:
    """Its block has none."""
    assert delayed(asked(over(job_state=""))).endswith("a job without a state")


@pytest.mark.parametrize(
    ("attributes", "record", "outcome", "words"),
    [
        ({}, word(), Outcome.COMPLETED, ""),
        ({"Exit_status": "7"}, word(), Outcome.FAILED, "the session's script ended with status 7"),
        ({"Exit_status": "7"}, own("7", failure="no licence"), Outcome.FAILED, "no licence"),
        ({"Exit_status": "139"}, own("139", reason="signal:SEGV"), Outcome.FAILED, "signal SEGV"),
        ({"Exit_status": "271"}, word(), Outcome.CANCELLED, "cancelled on the cluster"),
        ({"Exit_status": "271"}, own("143", reason="stopped"), Outcome.CANCELLED, ""),
        ({"Exit_status": "0"}, own("143", reason="walltime"), Outcome.WALLTIME, "the session's walltime was over"),
        ({"Exit_status": "-29"}, word(), Outcome.WALLTIME, "the job's walltime was over"),
        ({"Exit_status": "-20"}, word(), Outcome.NODE_FAILED, "node failed"),
        ({"Exit_status": "66"}, word(), Outcome.FAILED, "workdir shared"),
        ({"Exit_status": "", "exec_host": "", "exec_vnode": ""}, word(), Outcome.CANCELLED, "cancelled on the cluster"),
        ({"Exit_status": ""}, word(), Outcome.LOST, "nobody says how it ended"),
        ({"Exit_status": ""}, own("0"), Outcome.COMPLETED, ""),
        ({"Exit_status": ""}, own("1", failure="no licence"), Outcome.FAILED, "no licence"),
    ],
)
def test_server_knows(attributes: dict[str, str], record: list[str], outcome: Outcome, words: str) -> None:
    """Its verdict, and the session's own word, which is more exact."""
    found, message = end(asked(over(**attributes), record))
    assert outcome is found
    assert words in message
    assert bool(words) == bool(message)


@pytest.mark.parametrize(
    ("mark", "run"),
    [
        (began(), f"{JOB}.1"),
        (began(1, 999), f"{JOB}.0"),
        (began(0, 999), f"{JOB}.0"),
        (NOBODY, f"{JOB}.0"),
        (began(job="4712.pbs01"), "4712.pbs01.0"),
    ],
)
def test_record_of_an_earlier_run_tells_nothing_of_the_last(mark: list[str], run: str) -> None:
    """The last run, by the server's count or by the process session, is another: its verdict counts alone."""
    server = over(Exit_status="-1", run_count="2")
    assert Outcome.FAILED is end(asked(server, own("0", run, reason="stopped"), mark))[0]


@pytest.mark.parametrize("mark", [began(1, 999), began(0), began(1)])
def test_record_of_the_last_run_counts(mark: list[str]) -> None:
    """The second run by both counts, or the first that began, by its process session."""
    run = f"{JOB}.{mark[2]}"
    server = over(Exit_status="271", run_count="2")
    assert (Outcome.WALLTIME, "the session's walltime was over") == end(
        asked(server, own("143", run, "walltime"), mark)
    )


@pytest.mark.parametrize("server", [UNKNOWN, FINISHED, TORQUE_UNKNOWN])
@pytest.mark.parametrize(
    ("record", "outcome", "words"),
    [
        (own("0"), Outcome.COMPLETED, ""),
        (own("0", "4711.0"), Outcome.COMPLETED, ""),
        (own("0", f"{JOB}.3"), Outcome.COMPLETED, ""),
        (own("1", failure="no licence"), Outcome.FAILED, "no licence"),
        (own("143", reason="stopped"), Outcome.CANCELLED, ""),
        (own("143", reason="walltime"), Outcome.WALLTIME, "walltime"),
        (own("143", reason="signal:TERM"), Outcome.FAILED, "signal TERM"),
    ],
)
def test_own_record_tells_where_nobody_else_does(
    server: Recording, record: list[str], outcome: Outcome, words: str
) -> None:
    """The server has no history, or was not asked for it: the session's own record is all there is."""
    found, message = end(asked(server, record))
    assert outcome is found
    assert words in message


@pytest.mark.parametrize("server", [UNKNOWN, FINISHED, TORQUE_UNKNOWN])
@pytest.mark.parametrize("record", [word(), own("0", "4712.pbs01.0"), own("0", "4711"), own("seven"), own("0", "")])
def test_nobody_knows(server: Recording, record: list[str]) -> None:
    """No record, another job's, or half of one."""
    assert HistoryUnknown() == asked(server, record)


def test_record_before_the_run_we_know_of_tells_nothing() -> None:
    """The job was seen in its second run: what the first left is no end of it."""
    second = session(restarts=1)
    assert HistoryUnknown() == asked(UNKNOWN, own("0"), of=second)
    assert Outcome.COMPLETED is end(asked(UNKNOWN, own("0", f"{JOB}.1"), of=second))[0]


@pytest.mark.parametrize("server", [DOWN, FROZEN, recording("torque/down_qstat"), Recording(1, "", "")])
def test_server_that_cannot_be_heard_is_asked_again(server: Recording) -> None:
    """Nobody has said that it is over; but a session that ended by itself has ended."""
    assert delayed(asked(server)).startswith("nobody can say now how the job ended: qstat does not answer")
    assert Outcome.COMPLETED is end(asked(server, own("0")))[0]
    assert Outcome.FAILED is end(asked(server, own("1", failure="no licence")))[0]
    assert Outcome.CANCELLED is end(asked(server, own("143", reason="stopped")))[0]


@pytest.mark.parametrize("server", [DOWN, FROZEN])
def test_session_ended_by_signal_may_have_been_requeued(server: Recording) -> None:
    """While the server cannot be asked, that record is no end."""
    assert delayed(asked(server, own("143", reason="signal:TERM")))


@pytest.mark.parametrize("record", [word(), own("0")])
def test_answer_without_the_job_is_no_end(record: list[str]) -> None:
    """Exit status 0 and nothing, or another job: it was not said to be unknown."""
    assert delayed(asked(EMPTY, record)).endswith("qstat says nothing of it")
    assert delayed(asked(Recording(0, block("4712.pbs01"), ""), record)).endswith("qstat says nothing of it")


@pytest.mark.parametrize("marks", [{"Variable_List": "SESSIOND_ID=000000000000"}, {"Job_Name": "sd-000000000000"}])
def test_number_that_is_another_session_s_now_tells_nothing(marks: dict[str, str]) -> None:
    """A server that was set up anew gives numbers again: what runs under ours, or ran, is not ours."""
    theirs = {"Variable_List": "PBS_O_HOME=/home/alice", **marks}
    for server in (Recording(0, block(JOB, theirs), ""), over(**theirs)):
        assert HistoryUnknown() == asked(server)
        assert Outcome.COMPLETED is end(asked(server, own("0")))[0]


def test_second_question_counts() -> None:
    """Where the history is not to be had, it is asked without; the first answer is none."""
    refused = [["jobs", ""], ["said", "2", "qstat: invalid option -- 'x'"]]
    records = listing(rc=UNKNOWN.rc, err=UNKNOWN.err)
    records[1:1] = [began(), own("0"), *refused]
    assert Outcome.COMPLETED is end(Pbs().read_history(session(), said(*records)))[0]


def test_answer_that_is_not_whole_is_unreadable() -> None:
    """A witness missing from the answer; of the folder nothing is believed then."""
    clock, jobs, rc, unknown = listing(block())
    for records in (
        [clock],
        [clock, began()],
        [["began"], word(), jobs, rc, unknown],
        [jobs, rc, unknown],
        [clock, word(), began(), jobs, rc, unknown],
    ):
        with pytest.raises(Unreadable):
            Pbs().read_history(session(), said(*records))


@pytest.mark.parametrize("left", [[], listing(block())[1:2], listing(block())[1:3]])
def test_answer_without_the_server_s_word_is_asked_again(left: list[list[str]]) -> None:
    """The folder alone ends nothing."""
    event = Pbs().read_history(session(), said(["clock", "2000"], began(), word(), *left))
    assert delayed(event).startswith("nobody can say now how the job ended")
