"""The stand-in for PBS says, byte for byte, what a real OpenPBS 23.06.06 said of the same jobs. No bed is needed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .bed.pbs import full, scheduler
from .bed.pbs.complex import Complex
from .replay import NOW, Recording, add, jobs_in, recording, replay, server_with

EIGHT = "qstat_f"
"""The recording of jobs 16 to 24, each in a state of its own."""
MANY = "qstat_x_f_json_all"
"""The recording of jobs 0 to 24, most of them finished."""
OF_ALL = ("qstat", "qstat_a", "qstat_an1", "qstat_ans1w", "qstat_s", "qstat_T", "qstat_u", "qstat_w")
OF_THEMSELVES = (
    "qstat_f",
    "qstat_f_all_offline",
    "qstat_f_array",
    "qstat_f_badout",
    "qstat_f_deleted_queued",
    "qstat_f_dep",
    "qstat_f_dep_after_fail",
    "qstat_f_exiting",
    "qstat_f_held",
    "qstat_f_json",
    "qstat_f_json_empty",
    "qstat_f_json_queued",
    "qstat_f_json_running",
    "qstat_f_never_runs",
    "qstat_f_no_scheduling",
    "qstat_f_other_user",
    "qstat_f_queued",
    "qstat_f_resumed",
    "qstat_f_running",
    "qstat_f_suspended",
    "qstat_f_text_known_unknown_known",
    "qstat_f_text_three_known",
    "qstat_f_two_one_unknown",
    "qstat_f_w",
    "qstat_x_f_json_all",
    "qstat_x_f_json_ok",
    "qstat_xf_deleted_running",
    "qstat_xf_exit7",
    "qstat_xf_force_deleted",
    "qstat_xf_node_fail_norerun",
    "qstat_xf_ok",
    "qstat_xf_walltime_exceeded",
    "qstat_unknown",
    "qstat_f_json_unknown",
    "qstat_xf_unknown",
    "qstat_empty",
    "qstat_bad_id",
    "qstat_version",
)
DOWN = ("down_qalter", "down_qdel", "down_qselect", "down_qstat", "down_qstat_json", "down_qsub")


@pytest.fixture(autouse=True)
def _as_then(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of the recordings."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def same(monkeypatch: pytest.MonkeyPatch, expected: Recording, complex_: Complex | None, **more: object) -> None:
    """What was recorded comes again, at the moment that it says of itself."""
    said = re.search(r'"timestamp":\t(\d+)', expected.out)
    moment = float(said[1]) if said else NOW
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: moment)
        done = replay(expected.command, complex_, **more)  # type: ignore[arg-type]
    assert (expected.out, expected.err, expected.status) == (done.out, done.err, done.status)


@pytest.mark.parametrize("name", OF_THEMSELVES)
def test_qstat_shows_a_job_as_pbs_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the attributes in a recording, the same text or JSON comes, lines broken amid the same words."""
    same(monkeypatch, recording(name), server_with(name))


@pytest.mark.parametrize("name", ["qstat_f_dsv", "qstat_f_dsv_three_known"])
def test_qstat_in_dsv(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line a job, its attributes between bars."""
    complex_ = server_with(EIGHT, "qstat_f_text_three_known")
    same(monkeypatch, recording(name), complex_)


@pytest.mark.parametrize("name", OF_ALL)
def test_tables_of_jobs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow, wide, with comments, with nodes: each row as it was."""
    same(monkeypatch, recording(name), server_with(EIGHT))


def test_tables_with_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """-x shows the finished ones too, -H them alone."""
    for name in ("qstat_x_all", "qstat_H"):
        same(monkeypatch, recording(name), server_with(MANY))
    first = server_with(MANY)
    first.jobs = {0: first.jobs[0]}
    same(monkeypatch, recording("qstat_x"), first)


def test_estimates_where_the_scheduler_makes_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """-T says when a job may start; a comment is shown below each job with -s."""
    complex_ = server_with("qstat_f_resumed", "qstat_f_json_est")
    running, waiting = complex_.jobs[32].attributes, complex_.jobs[34].attributes
    running |= {"comment": "Job run at Sun Nov 22 at 18:01 on (pnode2:ncpus=4)"}
    other = {"Job_Name": "fill2", "session_id": "299", "Resource_List.walltime": "00:08:00"}
    add(complex_, "33.pbs", running | other | {"comment": "Job run at Sun Nov 22 at 18:02 on (pnode1:ncpus=4)"})
    small = {"Resource_List.nodect": "1", "Resource_List.ncpus": "4", "Resource_List.walltime": "00:30:00"}
    late = {"estimated.start_time": str(int(waiting["estimated.start_time"]) + 566)}
    add(complex_, "35.pbs", waiting | small | late | {"Job_Name": "est2"})
    complex_.jobs = dict(sorted(complex_.jobs.items()))
    same(monkeypatch, recording("qstat_T_est"), complex_)
    same(monkeypatch, recording("qstat_f_json_est"), complex_)
    complex_.jobs[33].attributes["resources_used.walltime"] = "00:00:20"
    same(monkeypatch, recording("qstat_s_est"), complex_)


def test_of_several_jobs_in_json_only_the_first_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the others are known, unknown or finished; what is wrong with those is said all the same."""
    names = "qstat_three_known", "qstat_known_unknown_known", "qstat_x_known_unknown_known", "qstat_finished_between"
    for name in names:
        complex_ = server_with(MANY, name)
        ((_, job),) = jobs_in(name)
        for number in ("5009.pbs", "5010.pbs"):
            add(complex_, number, {**job, "Job_Name": "sleeper"})
        complex_.jobs[25] = complex_.jobs[0]
        same(monkeypatch, recording(name), complex_)
    texts = server_with("qstat_three_known")
    for number in ("5009.pbs", "5010.pbs"):
        add(texts, number, texts.jobs[5008].attributes)
    same(monkeypatch, recording("qstat_text_known_unknown_known"), texts)


@pytest.mark.parametrize("name", ["qstat_finished_no_x", "qstat_f_json_finished_no_x", "qdel_finished"])
def test_a_finished_job_is_history(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without -x it is not shown, and it cannot be deleted."""
    same(monkeypatch, recording(name), server_with("qstat_xf_ok"))


def test_queues_and_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, text and JSON of an idle server with one job in its history."""
    complex_ = server_with("qstat_x_f_json_ok")
    del complex_.queues["small"]
    for name in ("qstat_B", "qstat_Bf", "qstat_B_json"):
        same(monkeypatch, recording(name), complex_)
    complex_.jobs.clear()
    for name in ("qstat_Q", "qstat_Qf", "qstat_Q_json"):
        same(monkeypatch, recording(name), complex_)


@pytest.mark.parametrize("name", ["qselect", "qselect_name", "qselect_none", "qselect_state"])
def test_qselect(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids of what has a name, a state, an owner."""
    same(monkeypatch, recording(name), server_with(EIGHT))


@pytest.mark.parametrize("name", DOWN)
def test_without_a_server(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each command has its own way to say that nobody listens; JSON is well formed all the same."""
    (tmp_path / "e7.sh").write_text("exit 7\n")
    same(monkeypatch, recording(name), None, folder=str(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        *("qdel_bad_id", "qdel_none", "qdel_queued", "qdel_running", "qdel_unknown", "qdel_force"),
        *("qalter_name", "qalter_unknown", "qalter_walltime_queued", "qalter_walltime_running_lower"),
        *("qalter_walltime_running_raise", "qhold", "qrls", "qrls_held", "qrerun_user", "qsig_suspend_user"),
    ],
)
def test_commands_that_change_jobs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they say, and how they end."""
    same(monkeypatch, recording(name), server_with(EIGHT))


def test_deleting_what_is_not_ones_own_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several errors of qdel only the first is said."""
    same(monkeypatch, recording("qdel_other_user"), server_with("qstat_f_other_user"))
    complex_ = server_with("qstat_xf_ok")
    complex_.jobs[5008] = complex_.jobs.pop(25)
    same(monkeypatch, recording("qdel_known_and_unknown"), complex_)


QSUB = {
    "qsub_bad_depend": 0,
    "qsub_bad_name": 0,
    "qsub_bad_option": 0,
    "qsub_bad_queue": 0,
    "qsub_bad_resource": 0,
    "qsub_bad_select": 0,
    "qsub_bad_walltime": 0,
    "qsub_block_fail": 3,
    "qsub_block_ok": 0,
    "qsub_block_signal": 139,
    "qsub_dos": 0,
    "qsub_empty_stdin": 0,
    "qsub_name_100": 0,
    "qsub_name_digit": 0,
    "qsub_name_long": 0,
    "qsub_no_shebang": 0,
    "qsub_no_such_file": 0,
    "qsub_no_such_outdir": 0,
    "qsub_over_max_queued": 0,
    "qsub_over_queue_ncpus": 0,
    "qsub_queue_disabled": 0,
    "qsub_script": 0,
    "qsub_stdin": 0,
    "qsub_too_big": 0,
    "qsub_too_many_chunks": 0,
    "qsub_version": 0,
}
SLEEP = "#!/bin/bash\n#PBS -N sleeper\n#PBS -l select=1:ncpus=1\n#PBS -l walltime=00:10:00\n#PBS -j oe\nsleep $T\n"


def scripts(folder: Path) -> str:
    """The scripts that were submitted."""
    (folder / "sleep.sh").write_text(SLEEP)
    (folder / "e7.sh").write_text("#!/bin/bash\nexit 7\n")
    (folder / "s300.sh").write_text("#!/bin/bash\nsleep 300\n")
    return str(folder)


@pytest.mark.parametrize("name", QSUB)
def test_qsub(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What it takes and what it refuses."""
    expected, complex_ = recording(name), server_with()
    complex_.queues["small"].enabled = name != "qsub_queue_disabled"
    if expected.out[0:1].isdigit():
        complex_.next_number = int(expected.out.partition(".")[0])
    if name == "qsub_over_max_queued":
        assert 0 == replay(expected.command, complex_, folder=scripts(tmp_path)).status
    same(monkeypatch, expected, complex_, folder=scripts(tmp_path), ended_with=QSUB[name])


@pytest.mark.parametrize("name", ["qstat_f_dep", "qstat_f_held", "qstat_f_no_scheduling"])
def test_what_was_submitted_is_what_is_shown(name: str, tmp_path: Path) -> None:
    """The very arguments that are recorded make a job with the very attributes."""
    ((number, expected),) = jobs_in(name)
    complex_ = server_with("qstat_f_running")
    del complex_.jobs[16].attributes["depend"]
    complex_.next_number = int(number.partition(".")[0])
    scripts(tmp_path)
    done = replay(f"qsub {expected['Submit_arguments']}", complex_, folder=str(tmp_path))
    assert (f"{number}\n", "") == (done.out, done.err)
    found = complex_.jobs[int(number.partition(".")[0])].attributes
    shown = {key: value.replace(str(tmp_path), "/home/alice") for key, value in found.items()}
    moments = {"ctime", "mtime", "qtime", "etime"}
    assert {**expected, **{key: shown[key] for key in moments & shown.keys()}} == shown
    if name == "qstat_f_dep":
        assert "beforeok:19.pbs@pbs" == complex_.jobs[16].attributes["depend"]


def test_the_scheduler_says_why_a_job_waits(tmp_path: Path) -> None:
    """The first takes all; the next finds no free node; one wants more than there is; the held one is left alone."""
    complex_ = server_with()
    for node in complex_.nodes.values():
        node.is_up = True
    for options in ("-l select=2:ncpus=4 -l place=scatter", "-l select=2:ncpus=4", "-l select=1:ncpus=64", "-h"):
        replay(f"qsub {options} s300.sh", complex_, folder=scripts(tmp_path))
    (placed,) = scheduler.schedule(complex_, NOW)
    assert ("R", "41", "1") == tuple(placed.attributes[key] for key in ("job_state", "substate", "run_count"))
    ((_, recorded),) = jobs_in("qstat_f_running")
    for key in ("exec_host", "exec_vnode", "comment", "Resource_List.place", "Resource_List.select"):
        assert recorded[key] == placed.attributes[key]
    comments = [job.attributes.get("comment") for job in complex_.jobs.values()][1:]
    never = "Can Never Run: Insufficient amount of resource: ncpus (R: 64 A: 8 T: 8)"
    assert ["Not Running: Not enough free nodes available", never, None] == comments


def test_without_history_a_finished_job_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """And -x is refused, although qstat and qselect end well then."""
    complex_ = server_with(EIGHT, history=False)
    assert 153 == replay("qstat 25", complex_).status
    refused = "PBS is not configured to maintain job history"
    for command, said in (
        ("qstat -x", f"qstat: {refused} \n"),
        ("qstat -x -f 16", f"qstat: {refused} 16.pbs\n"),
        ("qselect -x -N wantsall", f"qselect: {refused}\n"),
    ):
        done = replay(command, complex_)
        assert ("", said, 0) == (done.out, done.err, done.status)


def test_numbers_in_json() -> None:
    """What looks like a number becomes one; names and accounts stay text; true and false only among variables."""
    ((_, job),) = jobs_in("qstat_f_held")
    variables = "N=1e5,T=true,Z=007,E=,V=1.5,W=a b,C=x\\,y"
    odd = {"Job_Name": "12345", "Account_Name": "007", "Variable_List": variables, "comment": "true"}
    complex_ = server_with()
    add(complex_, "1.pbs", job | odd)
    shown = json.loads(replay("qstat -f -F json", complex_).out)["Jobs"]["1.pbs"]
    assert {"N": 100000, "T": True, "Z": 7, "E": "", "V": 1.5, "W": "a b", "C": "x,y"} == shown["Variable_List"]
    assert ("12345", "007", "true") == (shown["Job_Name"], shown["Account_Name"], shown["comment"])


def test_long_words_are_broken_again_and_again() -> None:
    """Seventy-eight columns the first time, then seventy or seventy-one behind a tabulator."""
    lines = full.wrapped("comment", "x" * 300).split("\n")
    assert [79, 72, 72, 72, 72] == [len(line) for line in [*lines[:4], lines[4] + "-" * (72 - len(lines[4]))]]
    after_comma = full.wrapped("depend", "a," + "x" * 200).split("\n")
    assert [15, 71, 72] == [len(line) for line in after_comma[:3]]


def test_directives_in_a_script_lose_against_the_command_line(tmp_path: Path) -> None:
    """They are read up to the first command; their quotes are heeded; of resources each counts for itself."""
    (tmp_path / "d.sh").write_text(
        "#!/bin/bash\n# words\n\n#PBS -N theirs -q small\n#PBS -l walltime=00:01:00,ncpus=2\n#PBS -A 'an account'\n"
        "#PBS -v 'A=\"x,y\",B=2'\necho\n#PBS -r n\n"
    )
    complex_ = server_with()
    done = replay("qsub -N mine -l walltime=120 d.sh", complex_, folder=str(tmp_path))
    assert ("0.pbs\n", "", 0) == (done.out, done.err, done.status)
    job = complex_.jobs[0]
    found = {key: job.attributes[key] for key in ("Job_Name", "queue", "Account_Name", "Rerunable")}
    assert {"Job_Name": "mine", "queue": "small", "Account_Name": "an account", "Rerunable": "True"} == found
    assert ("00:02:00", "2") == (job.attributes["Resource_List.walltime"], job.attributes["Resource_List.ncpus"])
    assert {"A": "x,y", "B": "2"} == job.variables
    assert f"pbs:{tmp_path}/mine.o0" == job.attributes["Output_Path"]
