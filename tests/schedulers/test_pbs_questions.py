"""What a queue would make of a job, more time, being told to go, and what qsub's words prove: PBS in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sessiond.core.command import Completed
from sessiond.core.errors import Refused, SpecError, Unreadable
from sessiond.core.events import (
    CancelDelayed,
    CancelSent,
    FindDelayed,
    JobAbsent,
    JobFound,
    SubmitDelayed,
    SubmitRejected,
    Submitted,
    SubmitUnknown,
)
from sessiond.core.ids import JobId
from sessiond.schedulers.batch.words import Proof
from sessiond.schedulers.pbs.dialect import Pbs
from sessiond.schedulers.pbs.words import LEXICON

from .batch_site import Recording
from .pbs_words import JOB, TAG, answered, recording, session
from .slurm_site import said

UNTOLD = "PBS does not say beforehand when it would start"


def queue(*names: str, indent: str = "    ", **attributes: str) -> Recording:
    """What ``qstat -Q -f`` prints of queues of these names; in names of resources ``__`` stands for a dot."""
    told = {"queue_type": "Execution", "enabled": "True", "started": "True"} | attributes
    lines = "".join(f"{indent}{name.replace('__', '.')} = {value}\n" for name, value in told.items() if value)
    return Recording(0, "".join(f"Queue: {name}\n{lines}\n" for name in names), "")


def rehearsed(real: Recording, **resources: object) -> str:
    """What is told of a submission that was not made."""
    return Pbs().read_rehearse(session(None, **resources), answered(real))  # type: ignore[arg-type]


def test_rehearsal_asks_about_the_queue() -> None:
    """The one that was asked for, in either way, else about the server; nothing is submitted."""
    for of, words in (
        (session(None, partition="gpu"), ("qstat", "-Q", "-f", "gpu")),
        (session(None, extra=("-q gpu",)), ("qstat", "-Q", "-f", "gpu")),
        (session(None, extra=("-q 'gpu'",)), ("qstat", "-Q", "-f", "gpu")),
        (session(None, partition="big", extra=("-q gpu",)), ("qstat", "-Q", "-f", "big")),
        (session(None), ("qstat", "-B", "-f")),
    ):
        command = Pbs().rehearse(of)
        assert command is not None
        assert words == command.argv[-len(words) :]
        assert b"qsub" not in command.stdin.partition(b"main()")[2]
    with pytest.raises(SpecError):
        Pbs().rehearse(session(None, qos="high"))


@pytest.mark.parametrize(
    ("attributes", "resources", "text"),
    [
        ({}, {}, f"the queue workq would take it; {UNTOLD}"),
        (
            {"state_count": "Transit:0 Queued:3 Held:1 Waiting:0 Running:12 Exiting:0 Begun\n\t:0 "},
            {},
            f"the queue workq would take it (12 running there, 3 waiting); {UNTOLD}",
        ),
        ({"started": "False"}, {}, "the queue workq would take it and not start it: it is stopped"),
        ({"enabled": "", "started": ""}, {}, f"the queue workq would take it; {UNTOLD}"),
        ({"enabled": "yes", "started": "yes"}, {}, f"the queue workq would take it; {UNTOLD}"),
        ({"resources_max__walltime": "01:00:00"}, {}, f"the queue workq would take it; {UNTOLD}"),
        ({"resources_max__walltime": "00:30:00"}, {"walltime_s": None}, f"the queue workq would take it; {UNTOLD}"),
        ({"resources_max__ncpus": "8"}, {"cpus": 2, "tasks": 4}, f"the queue workq would take it; {UNTOLD}"),
    ],
)
def test_queue_would_take_it(attributes: Mapping[str, str], resources: dict[str, object], text: str) -> None:
    """How full it is, and that PBS does not say more."""
    assert text == rehearsed(queue("small", "workq", **attributes), partition="workq", **resources)


@pytest.mark.parametrize(
    ("attributes", "resources", "words", "hint"),
    [
        ({"enabled": "False"}, {}, "the queue workq takes no jobs now", "--set queue="),
        ({"enabled": "no"}, {}, "the queue workq takes no jobs now", "--set queue="),
        ({"resources_max__walltime": "00:30:00"}, {}, "gives a job 0:30:00 at most", "--time"),
        ({"resources_min__walltime": "100:00:00"}, {}, "wants jobs of 100:00:00 at least", "--time"),
        ({"resources_max__ncpus": "8"}, {"cpus": 3, "nodes": 3}, "gives a job 8 processors at most", "--set cpus="),
    ],
)
def test_queue_would_not_take_it(
    attributes: Mapping[str, str], resources: dict[str, object], words: str, hint: str
) -> None:
    """Before it is asked, with what would help."""
    with pytest.raises(Refused, match=words) as raised:
        rehearsed(queue("small", "workq", **attributes), partition="workq", **resources)
    assert hint in raised.value.hint


def test_queue_of_another_server() -> None:
    """It is named with its server, and told without."""
    assert rehearsed(queue("workq"), partition="workq@pbs02").startswith("the queue workq@pbs02 would take it")


def test_torque_s_queues_are_told_in_its_form() -> None:
    """A TAB after the word for a queue, and before its attributes."""
    tabs = queue("workq", indent="\t").out.replace("Queue: ", "Queue:\t")
    assert f"the queue workq would take it; {UNTOLD}" == rehearsed(Recording(0, tabs, ""), partition="workq")


def test_server_without_a_default_queue_says_so() -> None:
    """Then one must be chosen."""
    real = recording("qstat_Bf")
    assert "the queue workq" in rehearsed(real)
    without = Recording(0, real.out.replace("default_queue", "other_queue"), "")
    assert "choose one with --set queue=" in rehearsed(without)


def test_queue_that_is_unknown_is_refused_in_qstat_s_words() -> None:
    """With a remedy."""
    with pytest.raises(Refused, match="would refuse it: Unknown queue nosuch") as raised:
        rehearsed(Recording(170, "", "qstat: Unknown queue nosuch\n"), partition="nosuch")
    assert "--set queue=" in raised.value.hint


@pytest.mark.parametrize("queue_asked", ["", "workq"])
@pytest.mark.parametrize("name", ["down_qstat", "frozen_qstat", "qstat_empty"])
def test_silence_at_rehearsal_is_no_refusal(name: str, queue_asked: str) -> None:
    """A server that is down has not refused; nobody repeats the question but the person."""
    with pytest.raises(Unreadable) as raised:
        rehearsed(recording(name), partition=queue_asked)
    assert (recording(name).rc == 0) or raised.value.hint.endswith("Ask again in a while.")


def test_qstat_that_does_not_tell_of_its_server_refuses_nothing() -> None:
    """Debian's front end to Slurm knows no such option (recorded)."""
    with pytest.raises(Unreadable, match="Option B requires an argument"):
        rehearsed(recording("torque/qstat_B"))


def test_more_time_is_asked_of_the_script() -> None:
    """PBS takes a whole limit, which the script makes of what is there."""
    assert (JOB, TAG, "61") == Pbs().extend(session(), 61).argv[-3:]
    assert "1" == Pbs().extend(session(), -5).argv[-1]
    with pytest.raises(Refused, match="has no job yet"):
        Pbs().extend(session(None), 60)


def extended(limit: str, rc: int = 0, err: str = "") -> str:
    """What is made of the reply of pbs_extend.sh."""
    return Pbs().read_extend(session(), said(["answer", limit], ["said", str(rc), err]))


def test_more_time_is_granted() -> None:
    """The new limit is qalter's to keep."""
    assert "the scheduler raised the job's time limit" == extended("7200")


def test_job_without_a_limit_needs_no_more() -> None:
    """There is nothing to raise."""
    with pytest.raises(Refused, match="no limit that could be raised") as raised:
        extended("0")
    assert "until it ends" in raised.value.hint


@pytest.mark.parametrize(
    ("rc", "err", "words", "hint"),
    [
        (159, f"qalter: Unauthorized Request  {JOB}", f"Unauthorized Request {JOB}", "administrators"),
        (1, "qalter: Permission denied", "Permission denied", "administrators"),
        (
            1,
            "qalter: Resource_List.walltime cannot be raised",
            "Resource_List.walltime cannot be raised",
            "administrators",
        ),
        (153, "qalter: the job is over", "the job is over", ""),
        (188, "qalter: Job violates queue and/or server resource limits", "Job violates queue", "Ask for less"),
        (7, "", "exit status 7", ""),
    ],
)
def test_more_time_is_refused_in_qalter_s_words(rc: int, err: str, words: str, hint: str) -> None:
    """A running job's limit may only be raised by operators (recorded, 159)."""
    with pytest.raises(Refused) as raised:
        extended("", rc, err)
    assert f"the scheduler does not give more time: {words}" in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("rc", "err"), [(162, recording("down_qalter").err), (124, ""), (137, ""), (1, "qalter: End of File")]
)
def test_silence_is_no_refusal(rc: int, err: str) -> None:
    """Without a server the question is not repeated, and nobody is told that it is."""
    with pytest.raises(Unreadable) as unheard:
        extended("", rc, err)
    assert "and it is asked again" not in unheard.value.hint


def test_answers_that_are_none_are_unreadable() -> None:
    """A reply without its records, or of another script."""
    for done in (said(), said(["answer", "7200"]), said(["answer", "7200"], ["said", "x", ""]), said(["sent", ""])):
        with pytest.raises(Unreadable):
            Pbs().read_extend(session(), done)
        with pytest.raises(Unreadable):
            Pbs().read_rehearse(session(), done)


def test_command_is_as_a_person_would_type_it() -> None:
    """In the session's folder."""
    assert "qsub job.sh" == Pbs().command(session())


def test_files_hold_both_forms_of_the_job_and_its_runner() -> None:
    """OpenPBS's, Torque's, and what both become."""
    files = Pbs(kill_script_s=30).files(session(nodes=2, cpus=4), {"session.sh": b"true\n"})
    assert {"session.sh", "job.sh", "job_torque.sh", "pbs_run.sh"} == {*files}
    assert b"#PBS -l select=2:ncpus=4\n" in files["job.sh"]
    assert b"#PBS -l nodes=2:ppn=4\n" in files["job_torque.sh"]
    for name in ("job.sh", "job_torque.sh"):
        assert files[name].endswith(f"exec 'bash' 'pbs_run.sh' '{TAG}' '30' '60' '3600' >>logs.out 2>&1\n".encode())


def test_cancellation_that_did_not_arrive_is_repeated() -> None:
    """In qdel's words."""
    real = recording("down_qdel")
    event = Pbs().read_cancel(session(), said(["said", str(real.rc), real.err], rc=1))
    assert isinstance(event, CancelDelayed)
    assert "Couldn't connect to cluster: pbs" in event.problem.message
    assert CancelSent(forced=False) == Pbs().read_cancel(session(), said(["sent", "told"]))
    assert CancelSent(forced=True) == Pbs().read_cancel(session(), said(["sent", "forced"]))
    missing = Pbs().read_cancel(session(), said(["missing", "there is no qdel on login1"], rc=69))
    assert isinstance(missing, CancelDelayed)
    assert "setup" in missing.problem.hint
    with pytest.raises(Unreadable):
        Pbs().read_cancel(session(), said(["sent", ""], rc=3))


# What a submission proves.


@pytest.mark.parametrize(
    ("rc", "err"),
    [
        (124, ""),
        (137, "qsub: Unknown queue"),
        (1, "qsub: Connection timed out"),
        (1, "qsub: End of File"),
        (1, "qsub: Protocol (ASN.1) error"),
        (1, "qsub: Premature end of message"),
        (193, "qsub: Internal server error"),
        (1, "qsub: System error"),
        (1, "qsub: Communication failure"),
        (1, "qsub: error: Batch job submission failed: Socket timed out on send/recv operation"),
        (1, "something nobody has heard of"),
        (1, ""),
    ],
)
def test_what_may_have_arrived_is_unknown(rc: int, err: str) -> None:
    """A timeout proves nothing (a server that was frozen runs the job), nor does what nobody foresaw."""
    assert Proof.NONE is LEXICON.proof(rc, err)
    assert isinstance(Pbs().read_submit(session(None), said(["said", str(rc), err], rc=1)), SubmitUnknown)


@pytest.mark.parametrize(
    ("rc", "err"),
    [
        (162, "Connection refused\nqsub: cannot connect to server pbs (errno=15010)"),
        (255, "Unknown Host.\nqsub: cannot connect to server pbs (errno=15008)"),
        (1, "qsub: No free connections"),
        (1, "qsub: Server shutting down"),
        (1, "qsub: Failed to save job, try again"),
        (127, "sh: qsub: command not found"),
        (1, "pbs_iff: cannot read reply from pbs_server\nNo Permission."),
        (1, "qsub: could not write: No space left on device"),
        (1, "qsub: could not write: Disk quota exceeded"),
    ],
)
def test_what_was_never_sent_is_tried_again(rc: int, err: str) -> None:
    """Nothing was submitted, and another time it may be."""
    assert Proof.LATER is LEXICON.proof(rc, err)
    assert isinstance(Pbs().read_submit(session(None), said(["said", str(rc), err], rc=1)), SubmitDelayed)


@pytest.mark.parametrize(
    ("err", "hint"),
    [
        ("qsub: Queue is not enabled", "takes no jobs now"),
        ("qsub: Unknown queue", "sessionctl partitions"),
        ("qsub: Unauthorized Request", "who may"),
        ("qsub: Access to queue is denied", "who may"),
        ("qsub: would exceed queue generic's per-user limit", "stop something"),
        ("qsub: Maximum number of jobs already in queue", "stop something"),
        ("qsub: Job exceeds queue and/or server resource limits", "Ask for less"),
        ("qsub: Invalid account", "--set account="),
        ("qsub: you need a project", "--set account="),
        ("qsub: Illegal attribute or resource value Resource_List.walltime", "--time"),
        ("qsub: Unknown resource: nosuch", "directives"),
        ("qsub: Illegal attribute or resource value Resource_List.select", "directives"),
        ("qsub: illegal -N value\nusage: qsub [-a date_time] [-A account_string]\n\t[-q queue]", "man qsub"),
        ("qsub: Bad UID for job execution MSG=ruserok failed", ""),
        ("qsub: the site's own rules say no", ""),
    ],
)
def test_refusals_have_a_remedy(err: str, hint: str) -> None:
    """Whatever the server says of a request, qsub prints after its own name."""
    event = Pbs().read_submit(session(None), said(["said", "1", err], rc=1))
    assert isinstance(event, SubmitRejected)
    assert hint in event.problem.hint
    assert bool(hint) == bool(event.problem.hint)
    assert err.splitlines()[0].removeprefix("qsub: ") in event.problem.message
    assert "[-" not in event.problem.message


@pytest.mark.parametrize(
    "done",
    [
        Completed(rc=0, stdout=b"4711.pbs01\n", stderr=b""),
        Completed(rc=255, stdout=b"", stderr=b"ssh: connection lost"),
        said(["found", "five"]),
        said(["found", "21[].pbs01"]),
        said(["found", "-1.pbs01"]),
        said(["found", JOB], rc=1),
        said(["found", JOB], ["found", "6"]),
        said(["unknown", "another submission is under way"], rc=75),
        said(),
    ],
)
def test_strange_answers_are_unknown(done: Completed) -> None:
    """Whatever is not the script's own answer leaves it open."""
    assert isinstance(Pbs().read_submit(session(None), done), SubmitUnknown)


@pytest.mark.parametrize("job", ["5", "4711.pbs01", "4711.pbs-01.example.org", "1" * 18])
def test_answers_of_the_scripts(job: str) -> None:
    """Found with or without its server's name, fenced, absent, not settled, no qsub."""
    assert Submitted(job=JobId(job)) == Pbs().read_submit(session(None), said(["found", job]))
    assert JobFound(job=JobId(job)) == Pbs().read_find(session(None), said(["found", job]))
    assert isinstance(Pbs().read_submit(session(None), said(["fenced", ""], rc=76)), SubmitDelayed)
    assert JobAbsent() == Pbs().read_find(session(None), said(["absent", ""], rc=76))
    assert isinstance(Pbs().read_find(session(None), said(["unsettled", "x"], rc=75)), FindDelayed)
    missing = Pbs().read_submit(session(None), said(["missing", "there is no qsub on login1"], rc=69))
    assert isinstance(missing, SubmitDelayed)
    assert "setup" in missing.problem.hint
