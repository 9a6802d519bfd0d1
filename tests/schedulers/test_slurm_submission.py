"""What sbatch's words prove, told by recordings of Slurm 22.05."""

from __future__ import annotations

import pytest

from sessiond.core.command import Completed
from sessiond.core.events import JobAbsent, SubmitDelayed, SubmitRejected, Submitted, SubmitUnknown
from sessiond.core.ids import JobId
from sessiond.schedulers.batch.words import Proof
from sessiond.schedulers.slurm.dialect import Slurm
from sessiond.schedulers.slurm.words import LEXICON

from .batch_site import RECORDED
from .slurm_site import recording, said, session

PATTERNS = "sbatch_bad_*", "sbatch_dbd_bad_*", "sbatch_enforce_*", "sbatch_no_*", "sbatch_empty", "sbatch_dos_*"
FOUND = sorted(path.stem for pattern in PATTERNS for path in (RECORDED / "slurm").glob(f"{pattern}.txt"))
REFUSALS = [*(name for name in FOUND if recording(name).rc != 0), "sbatch_over_maxsubmit"]


def test_there_are_refusals_to_look_at() -> None:
    """The recordings are there."""
    assert 10 < len(REFUSALS)


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_are_refusals(name: str) -> None:
    """Each recorded no is one, in the scheduler's own words."""
    real = recording(name)
    assert Proof.REFUSED is LEXICON.proof(real.rc, real.err)
    event = Slurm().read_submit(session(None), said(["said", str(real.rc), real.err], rc=1))
    assert isinstance(event, SubmitRejected)
    last = (
        real.err.strip().splitlines()[-1].removeprefix("sbatch: error: ").removeprefix("Batch job submission failed: ")
    )
    assert last.startswith("Try ") or last[:60] in event.problem.message


@pytest.mark.parametrize(
    ("name", "hint"), [("sbatch_enforce_bad_account", "account="), ("sbatch_bad_partition", "partition=")]
)
def test_refusals_have_a_remedy(name: str, hint: str) -> None:
    """The hint names what to set."""
    real = recording(name)
    assert hint in LEXICON.problem(real.rc, real.err).hint


@pytest.mark.parametrize("name", ["down_sbatch", "munge_down_sbatch"])
def test_what_was_never_sent_is_tried_again(name: str) -> None:
    """Controller down, munge down: nothing was submitted."""
    real = recording(name)
    event = Slurm().read_submit(session(None), said(["said", str(real.rc), real.err], rc=1))
    assert isinstance(event, SubmitDelayed)


@pytest.mark.parametrize(
    ("rc", "err"),
    [
        (1, recording("frozen_sbatch").err),
        (1, "sbatch: error: Batch job submission failed: Unable to contact slurm controller (timed out)"),
        (1, "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received"),
        (124, ""),
        (137, "sbatch: error: invalid partition specified: x"),
        (1, "sbatch: note: more than a day wants --qos=long\nUnable to contact slurm controller (receive failure)"),
        (1, "something nobody has heard of"),
        (1, ""),
    ],
)
def test_what_may_have_arrived_is_unknown(rc: int, err: str) -> None:
    """A timeout proves nothing, nor does what nobody foresaw."""
    assert isinstance(Slurm().read_submit(session(None), said(["said", str(rc), err], rc=1)), SubmitUnknown)


@pytest.mark.parametrize(
    ("words", "remedy"), [("No space left on device", "Free some space there"), ("Disk quota exceeded", "Your quota")]
)
def test_want_of_room_has_a_remedy(words: str, remedy: str) -> None:
    """Without room in the folder nothing is submitted, and it is tried again; a quota is not a disk."""
    done = said(["folder", f"mkdir: cannot create directory 'attempt.1': {words}"], rc=73)
    event = Slurm().read_submit(session(None), done)
    assert isinstance(event, SubmitDelayed)
    assert event.problem.hint.startswith(remedy)


def test_missing_sbatch_is_delayed_with_a_remedy() -> None:
    """A module that does not load may do so again, or belongs into the cluster's setup."""
    event = Slurm().read_submit(session(None), said(["missing", "there is no sbatch on login1"], rc=69))
    assert isinstance(event, SubmitDelayed)
    assert ("there is no sbatch on login1", True) == (event.problem.message, "setup" in event.problem.hint)


@pytest.mark.parametrize(
    "done",
    [
        Completed(rc=0, stdout=b"Submitted batch job 5\n", stderr=b""),
        Completed(rc=255, stdout=b"", stderr=b"ssh: connection lost"),
        said(["found", "five"]),
        said(["found", "5"], rc=1),
        said(["found", "5"], ["found", "6"]),
        said(["unknown", "another submission is under way"], rc=75),
        said(),
    ],
)
def test_strange_answers_are_unknown(done: Completed) -> None:
    """Whatever is not the script's own answer leaves it open."""
    assert isinstance(Slurm().read_submit(session(None), done), SubmitUnknown)


def test_answers_of_the_scripts() -> None:
    """Found, fenced and absent."""
    assert Submitted(job=JobId("5")) == Slurm().read_submit(session(None), said(["found", "5"]))
    assert isinstance(Slurm().read_submit(session(None), said(["fenced", ""], rc=76)), SubmitDelayed)
    assert JobAbsent() == Slurm().read_find(session(None), said(["absent", ""], rc=76))
