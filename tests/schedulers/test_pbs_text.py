"""The text of ``qstat -f`` as a hostile one: values of several lines, lines cut in the midst of words, half a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.command import Completed
from sessiond.core.errors import Unreadable
from sessiond.core.session import Outcome, Phase
from sessiond.schedulers.batch.reply import Answer
from sessiond.schedulers.pbs.dialect import Pbs
from sessiond.schedulers.pbs.reply import Listed, Listing, blocks, listing, moment, number_of, same_job, seconds

from .pbs_readings import JOBS
from .pbs_words import JOB, OVER, RUNNING, WAITS, began, block, here, look, recording, report, session, when
from .pbs_words import listing as records
from .slurm_site import ID, RS, US, said, word

FUNCTION = """BASH_FUNC_module%%=() {  eval `/usr/bin/modulecmd bash $*`
}"""
QUOTED = f"""LAST={block("4712.pbs01", OVER, {"Exit_status": "9", "comment": "preempted"}).removesuffix(chr(10))}"""


def variables(*values: str) -> dict[str, str]:
    """A job with these variables before its own mark."""
    return {"Variable_List": ",".join([*values, f"SESSIOND_ID={ID}"])}


def read(text: str, *asked: str) -> Listing:
    """What qstat's text says of these jobs."""
    return listing(Answer(out=text, rc=0, err=""), "", asked or (JOB,))


@pytest.mark.parametrize("width", [8, 20, 79, 200])
def test_lines_are_cut_in_the_midst_of_words(width: int) -> None:
    """And go on after a TAB: names and values are whole again, with their blanks."""
    long = variables(*(f"VARIABLE_{number}=/some/where/or other/{number}" for number in range(9)))
    changes = long | {"comment": "Not Running: Insufficient amount of resource: ncpus (R: 64 A: 8 T: 128)"}
    plain = block(JOB, WAITS, changes)
    head, _, rest = plain.partition("\n")
    lines = []
    for line in rest.split("\n"):
        name, equals, value = line.partition(" = ")
        cut = [value[at : at + width] for at in range(0, len(value), width)]
        lines.append(f"{name}{equals}" + "\n\t".join(cut))
    assert blocks(plain) == blocks("\n".join([head, *lines]))
    assert "waiting for processors: it asks for 64, 8 of 128 are free" == report("\n".join([head, *lines])).reason


def test_torque_s_form_is_indented_by_tabs() -> None:
    """And has a TAB after the word for a job; a first line before it is a greeting."""
    text = block(indent="\t", head="Job Id:\t")
    assert blocks(block()) == blocks(text)
    assert Phase.RUNNING is report(f"Welcome!\n{text}").phase


def test_greeting_before_the_first_job_is_skipped() -> None:
    """Even one that is like an attribute."""
    assert blocks(block()) == blocks(f"Welcome to pbs01!\n\n    job_state = F\n\tRead the news.\n{block()}")


def test_job_begins_after_an_empty_line() -> None:
    """What looks like one in the midst of a value is a part of it."""
    fake = f"A=1\nJob Id: {JOB}\n    job_state = F\n    Exit_status = 0"
    found = read(block("4712.pbs01", variables(fake)), "4712.pbs01", JOB)
    assert {"4712.pbs01"} == {*found.jobs}
    assert frozenset() == found.absent
    assert "R" == found.jobs["4712.pbs01"].state


def test_farewell_after_the_last_job_is_skipped() -> None:
    """A wrapper's word is no part of the last value."""
    last = block(JOB, OVER, {"history_timestamp": "", "Exit_status": "7"})
    assert blocks(last) == blocks(f"{last}Good bye\n\tand come again\n")


def test_function_in_a_variable_is_no_attribute() -> None:
    """An exported function's lines, that of environment modules among them."""
    seen = look(block(JOB, variables(FUNCTION)), words=[here(f"{JOB}.0")])
    assert (Phase.RUNNING, 4600.0, 1) == (seen.jobs[JOB].phase, seen.jobs[JOB].ends_by, len(seen.endpoints))
    assert ID == blocks(block(JOB, variables(FUNCTION)))[0].variable("SESSIOND_ID")


@pytest.mark.parametrize("changes", [{}, {"run_count": "3"}, OVER, WAITS])
def test_what_a_variable_quotes_of_another_job_is_not_believed(changes: dict[str, str]) -> None:
    """A person keeps what qstat said of an earlier job in a variable: nothing of it is our job's."""
    plain = report(block(JOB, changes))
    quoting = report(block(JOB, changes, variables(QUOTED)))
    assert (plain.phase, plain.nodes, plain.started, plain.ends_by, plain.outcome) == (
        quoting.phase,
        quoting.nodes,
        quoting.started,
        quoting.ends_by,
        quoting.outcome,
    )
    if changes != WAITS:  # Nothing tells there that PBS itself did not count, and said nothing.
        assert (plain.restarts, plain.reason) == (quoting.restarts, quoting.reason)


def test_of_one_name_the_first_counts_and_after_the_variables_the_last() -> None:
    """What stands before the variables cannot be a part of one, what stands last neither."""
    fake = "A=x\n    job_state = F\n    run_count = 9\n    comment = preempted\n    Exit_status = 0"
    job = blocks(block(JOB, OVER, variables(fake), {"Exit_status": "7"}))[0]
    assert ("F", 1, 7) == (job.state, job.runs, job.exit_status)
    assert RUNNING["comment"] == job["comment"]


def test_job_that_is_listed_twice_tells_nothing() -> None:
    """One of them is in another's variable; where they say the same it does not matter."""
    of = session(phase=Phase.HELD)
    assert Phase.HELD is report(block(), block(JOB, OVER), of=of).phase
    assert Phase.HELD is report(block(JOB, OVER), block(), of=of).phase
    assert Phase.RUNNING is report(block(), block(), of=of).phase


def test_other_indentation_is_no_attribute() -> None:
    """In one form attributes are not indented in the other's way."""
    job = blocks(f"Job Id: {JOB}\n    job_state = R\n\trun_count = 5\n  x = 1\nleft = 2\n\n")[0]
    assert {"job_state": "Rrun_count = 5"} == dict(job.attributes)
    assert "R" == job.state


def test_separators_in_values_are_no_harm() -> None:
    """A field's separator is joined again; a record's makes the answer unreadable, and nothing more."""
    assert Phase.RUNNING is report(block(JOB, variables(f"A=1{US}2"))).phase
    with pytest.raises(Unreadable):
        look(block(JOB, variables(f"A=1{RS}2")))


# What is cut off.

TEXTS = [
    block(JOB, WAITS),
    block() + block("4712.pbs01", OVER, variables(FUNCTION)),
    block(JOB, OVER, variables(QUOTED), {"Exit_status": "-29"}),
    *(recording(name).out for name in ("qstat_xf_walltime_exceeded", "qstat_xf_node_fail_norerun", "qstat_f_queued")),
    recording("torque/qstat_f").out,
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_text_that_is_cut_short_says_nothing_else(text: str) -> None:
    """At every length: it is unreadable, or each job that it has is as in the whole text."""
    ids = [job.id for job in blocks(text)]
    whole = read(text, *ids)
    for length in range(len(text)):
        try:
            found = read(text[:length], *ids)
        except Unreadable:
            continue
        assert frozenset() == found.absent
        for job, one in found.jobs.items():
            assert whole.jobs[job] == one or "Variable_List" in text[:length].rpartition("Job Id:")[2]
            assert one.state == whole.jobs[job].state


@pytest.mark.parametrize("name", [name for name in JOBS if name.startswith("openpbs/qstat_xf")])
def test_end_that_is_cut_short_is_no_end(name: str) -> None:
    """A recorded one, at every length: the last job without the empty line after it is not believed."""
    text = recording(name).out
    for length in range(len(text) - 1):
        if blocks(text[:length]):
            with pytest.raises(Unreadable, match="cut off"):
                read(text[:length], *JOBS[name])


def test_every_beginning_of_a_reply_is_unreadable() -> None:
    """An answer that was cut off on its way says nothing about any job."""
    whole = said(*records(block(), block("5.pbs01", OVER)), began(), here(f"{JOB}.0")).stdout
    for length in range(len(whole)):
        with pytest.raises(Unreadable):
            Pbs().read_observe([session()], Completed(rc=0, stdout=whole[:length], stderr=b""), 1.0, 2.0)


GOOD = records(block())


@pytest.mark.parametrize(
    "folders",
    [[], [word()], [began()], [began(), word(), word()], [word(), began()], [began(), word(), began(), word()]],
)
def test_look_without_every_folder_s_word_is_unreadable(folders: list[list[str]]) -> None:
    """Two records a session, in their order."""
    with pytest.raises(Unreadable):
        Pbs().read_observe([session()], said(*GOOD, *folders), 1.0, 2.0)


@pytest.mark.parametrize(
    "head",
    [
        GOOD[1:],
        [["clock", "noon"], *GOOD[1:]],
        [GOOD[0], *GOOD[2:]],
        [*GOOD[:2], *GOOD[3:]],
        GOOD[:3],
        [*GOOD[:2], ["said", "x", ""], GOOD[3]],
        [*GOOD[:3], ["other", ""]],
    ],
)
def test_look_that_is_not_whole_is_unreadable(head: list[list[str]]) -> None:
    """No clock, no listing, no exit status, no word of what is unknown."""
    with pytest.raises(Unreadable):
        Pbs().read_observe([session()], said(*head, began(), word()), 1.0, 2.0)


def test_second_answer_counts() -> None:
    """Where the history is not to be had, it is asked without; of the first answer nothing is believed."""
    refused = [["jobs", block(JOB, OVER)], ["said", "2", "qstat: invalid option -- 'x'"]]
    done = said(GOOD[0], *refused, *GOOD[1:], began(), word())
    assert Phase.RUNNING is Pbs().read_observe([session()], done, 2000.0, 2000.5).jobs[JOB].phase


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1" * 10, "x", "0x10"])
def test_odd_counts_of_a_runner_are_none(text: str) -> None:
    """A file that was cut off, or that somebody wrote: no runner has begun, and its endpoint is nobody's."""
    for mark in (["began", JOB, text, "204"], ["began", JOB, "0", text], ["began", "", "0", "204"]):
        seen = look(block(), marks=[mark], words=[here(f"{JOB}.0")])
        assert (Phase.RUNNING, {}) == (seen.jobs[JOB].phase, seen.endpoints)


@pytest.mark.parametrize("rc", [1, 2, 8, 124, 127, 137, 139, 162, 255])
def test_exit_status_that_speaks_of_no_job_is_unreadable(rc: int) -> None:
    """Whatever was printed."""
    with pytest.raises(Unreadable):
        look(block(JOB, OVER), rc=rc)


def test_server_that_cannot_be_reached_is_unreadable_with_any_status() -> None:
    """A wrapper may hide qstat's own."""
    with pytest.raises(Unreadable):
        look(block(), err="qstat: cannot connect to server pbs01 (errno=15010)")


# Whatever comes.


@given(st.binary(max_size=300), st.integers(min_value=-9, max_value=255))
def test_garbage_is_unreadable(garbage: bytes, rc: int) -> None:
    """Whatever bytes come, with any exit status."""
    with pytest.raises(Unreadable):
        Pbs().read_observe([session()], Completed(rc=rc, stdout=garbage, stderr=b""), 1.0, 2.0)


LINES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from([f"Job Id: {JOB}", "Job Id: 5.pbs01", "", "    job_state = F", "\tjob_state = C", "    = "]),
        st.sampled_from(["    Exit_status = 0", "\tmore", "    Variable_List = A=1,", "    comment = and exceeded"]),
        st.builds("    {} = {}".format, st.sampled_from([*RUNNING]), st.text(max_size=12)),
    ),
    max_size=12,
)


@given(LINES, st.sampled_from([0, 35, 153]), st.text(max_size=40))
def test_any_lines_are_read_or_unreadable(lines: list[str], rc: int, err: str) -> None:
    """Nothing else is raised, and no job is absent that was not named."""
    text = "\n".join(lines).replace(RS, "?")
    try:
        seen = look(text, rc=rc, err=err.replace(RS, "?").replace(US, "?"))
    except Unreadable:
        return
    if JOB not in seen.jobs:
        assert rc == 153 or "4711" in err or f"Job Id: {JOB}" in text


@given(st.text(max_size=200))
def test_garbage_before_a_job_changes_nothing(noise: str) -> None:
    """A listing with anything before it tells of our job what its text says, or nothing at all."""
    try:
        seen = report(f"{noise.replace(RS, '?')}\n\n", block())
    except Unreadable:
        return
    assert (Phase.RUNNING, ("n1",), 4600.0) == (seen.phase, seen.nodes, seen.ends_by)


@given(st.text(st.characters(codec="utf-8", exclude_characters=RS + US), max_size=200))
def test_garbage_in_a_variable_ends_nothing(noise: str) -> None:
    """Any value, line breaks and all: our job runs, since when it does, and for as long."""
    seen = report(block(JOB, variables(f"A={noise}")))
    assert (Phase.RUNNING, ("n1",), 1000.0, 4600.0, 0) == (
        seen.phase,
        seen.nodes,
        seen.started,
        seen.ends_by,
        seen.restarts,
    )


@given(st.text(max_size=40))
def test_times_are_times_or_none(text: str) -> None:
    """Whatever stands there."""
    found = seconds(text)
    assert found is None or found >= 0
    at = moment(text)
    assert at is None or at == at


@given(st.integers(1, 4_000_000_000))
def test_times_are_read_as_they_are_printed(at: int) -> None:
    """In words, and in seconds alone."""
    assert float(at) == moment(when(at)) == moment(str(at))
    length = at % 10**9
    assert length == seconds(str(length)) == seconds(f"{length // 3600}:{length // 60 % 60:02d}:{length % 60:02d}")


@given(st.text(max_size=30), st.text(max_size=30))
def test_ids_are_the_same_job_both_ways(one: str, other: str) -> None:
    """And every id is its own."""
    assert same_job(one, one)
    assert same_job(one, other) == same_job(other, one)


def test_numbers_of_ids() -> None:
    """Without their server."""
    assert ("1", "1", "1", "1[]", "1[2]") == tuple(map(number_of, ("1", "1.pbs", "1@pbs", "1[].pbs", "1[2].a.b")))


def test_attributes_are_text_or_nothing() -> None:
    """What a job does not have is empty, and no number."""
    job = Listed(id="1")
    assert ("", None, None, None, "", "") == (job["x"], job.runs, job.exit_status, job.number("x"), job.node, job.state)
    assert "" == job.variable("SESSIOND_ID")
    assert Outcome.COMPLETED is report(block(JOB, OVER)).outcome
