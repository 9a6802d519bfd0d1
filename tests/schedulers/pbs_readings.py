"""What is to be read of every recording of OpenPBS and of Torque's form: tables by the recording's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sessiond.core.errors import Refused, Unreadable
from sessiond.core.report import JobReport
from sessiond.core.session import Outcome, Phase
from sessiond.schedulers.batch.words import Proof

AT = "18:00:00"
"""When the looks are taken, by the cluster's clock, which is ours."""
FREE = "waiting for free nodes"
NEVER = "it can never start: it asks for 64 processors where there are 8"
OURS = "held by its owner: qrls lets it go"
DEPENDS = "waiting for another job it depends on"
DELETED = "cancelled on the cluster"


def clock(text: str) -> float:
    """The recordings' evening: ``HH:MM:SS`` as UTC seconds."""
    return datetime.strptime(f"2026-11-22 {text}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is to be read of one job; times as ``HH:MM:SS``."""

    phase: Phase
    node: str = ""
    why: str = ""
    started: str = ""
    ends_by: str = ""
    expected: str = ""
    outcome: Outcome | None = None
    said: str = ""

    def matches(self, report: JobReport) -> None:
        """Fails where ``report`` says anything else."""
        assert (self.phase, self.outcome) == (report.phase, report.outcome)
        assert ((self.node,) if self.node else ()) == report.nodes
        assert self.why == report.reason
        times = (report.started, report.ends_by, report.expected_start)
        assert tuple(clock(t) if t else None for t in (self.started, self.ends_by, self.expected)) == times
        assert self.said == (report.problem.message if report.problem is not None else "")


def runs(node: str, started: str, ends_by: str, phase: Phase = Phase.RUNNING) -> Seen:
    """A job that was started."""
    return Seen(phase=phase, node=node, started=started, ends_by=ends_by)


def waits(why: str = "", phase: Phase = Phase.QUEUED, expected: str = "") -> Seen:
    """A job that was not."""
    return Seen(phase=phase, why=why, expected=expected)


def over(outcome: Outcome, said: str = "") -> Seen:
    """A job that is over."""
    return Seen(phase=Phase.ENDED, outcome=outcome, said=said)


HELD = waits(OURS, Phase.HELD)
MIXED = {
    "16.pbs": runs("pnode1", "17:55:27", "18:00:27"),
    "17.pbs": waits(FREE),
    "18.pbs": HELD,
    "19.pbs": waits(DEPENDS, Phase.HELD),
    "20.pbs": waits("not to start before Tue Jan 1 00:00:00 2030 (UTC)"),
    "21[].pbs": waits(FREE),
    "22.pbs": waits(NEVER),
    "23.pbs": waits(FREE),
    "24.pbs": waits(FREE),
}
TORQUE_OVER = over(Outcome.LOST, "the job is over, and nobody says how it ended")
"""Debian's front end tells no exit status."""

JOBS: Mapping[str, Mapping[str, Seen]] = {
    "openpbs/qstat_f": MIXED,
    "openpbs/qstat_f_w": MIXED,
    "openpbs/qstat_f_all_offline": {"43.pbs": waits(FREE)},
    "openpbs/qstat_f_array": {"21[].pbs": waits(FREE)},
    "openpbs/qstat_f_array_t": {f"21[{part}].pbs": waits(FREE) for part in ("", *"01234")},
    "openpbs/qstat_f_badout": {"31.pbs": runs("pnode1", "18:01:18", "18:31:18", Phase.COMPLETING)},
    "openpbs/qstat_f_deleted_queued": {"17.pbs": runs("pnode1", "17:55:45", "17:59:45")},
    "openpbs/qstat_f_dep": {"19.pbs": waits(DEPENDS, Phase.HELD)},
    "openpbs/qstat_f_dep_after_fail": {"19.pbs": waits(DEPENDS, Phase.HELD)},
    "openpbs/qstat_f_exiting": {"16.pbs": runs("pnode1", "17:55:27", "17:59:27")},
    "openpbs/qstat_f_held": {"18.pbs": HELD},
    "openpbs/qstat_f_never_runs": {"22.pbs": waits(NEVER)},
    "openpbs/qstat_f_no_scheduling": {"44.pbs": waits()},
    "openpbs/qstat_f_other_user": {"45.pbs": waits("its node is being prepared", Phase.CONFIGURING)},
    "openpbs/qstat_f_queued": {"17.pbs": waits(FREE)},
    "openpbs/qstat_f_resumed": {"32.pbs": runs("pnode2", "18:01:36", "18:06:36")},
    "openpbs/qstat_f_running": {"16.pbs": runs("pnode1", "17:55:27", "18:00:27")},
    "openpbs/qstat_f_suspended": {"32.pbs": runs("pnode2", "18:01:36", "18:06:36", Phase.SUSPENDED)},
    "openpbs/qstat_f_text_known_unknown_known": {"5011.pbs": HELD, "5012.pbs": HELD},
    "openpbs/qstat_f_text_three_known": dict.fromkeys(("5011.pbs", "5012.pbs", "5013.pbs"), HELD),
    "openpbs/qstat_xf_deleted_running": {"16.pbs": runs("pnode1", "17:55:27", "17:59:27")},
    "openpbs/qstat_xf_exit7": {"26.pbs": over(Outcome.FAILED, "the session's script ended with status 7")},
    "openpbs/qstat_xf_force_deleted": {"16.pbs": over(Outcome.CANCELLED, f"{DELETED} by alice@pbs")},
    "openpbs/qstat_xf_node_fail_norerun": {
        "47.pbs": over(Outcome.NODE_FAILED, "the job's node failed, and it is not to be run again")
    },
    "openpbs/qstat_xf_ok": {"25.pbs": over(Outcome.COMPLETED)},
    "openpbs/qstat_xf_walltime_exceeded": {"28.pbs": over(Outcome.WALLTIME, "the job's walltime was over")},
    "torque/qstat_f": {
        **dict.fromkeys(("1", "2", "3", "4", "5", "9", "10"), TORQUE_OVER),
        **dict.fromkeys(("7", "11", "12"), waits()),
        **dict.fromkeys(("13", "14"), runs("node1", "", "")),
        **dict.fromkeys(("6", "8"), runs("node2", "", "")),
    },
    "torque/qstat_f_deleted": {"11": TORQUE_OVER},
    "torque/qstat_f_job": {"11": waits()},
    "torque/qstat_f_queued": {"12": waits()},
}
"""The full text about jobs, in which all are read."""

UNKNOWN: Mapping[str, str] = {
    "openpbs/qstat_f_json_finished_no_x": "25.pbs",
    "openpbs/qstat_f_json_unknown": "99999",
    "openpbs/qstat_f_requeued": "46.pbs",
    "openpbs/qstat_f_text_known_unknown_known": "99999",
    "openpbs/qstat_f_two_one_unknown": "99999",
    "openpbs/qstat_finished_between": "25",
    "openpbs/qstat_finished_no_x": "25.pbs",
    "openpbs/qstat_known_unknown_known": "99999",
    "openpbs/qstat_text_known_unknown_known": "99999",
    "openpbs/qstat_unknown": "99999",
    "openpbs/qstat_x_known_unknown_known": "99999",
    "openpbs/qstat_xf_unknown": "99999",
    "torque/qstat_f_unknown": "99999",
    "torque/qstat_unknown": "99999",
}
"""Answers that name a job the server does not have, or has no more: that one alone is absent."""

SILENT: Mapping[str, str] = {
    "openpbs/down_qstat": "Connection refused; cannot connect to server pbs (errno=15010)",
    "openpbs/down_qstat_json": "Connection refused; cannot connect to server pbs (errno=15010)",
    "openpbs/frozen_qstat": "it took too long",
    "openpbs/qstat_bad_id": "Unknown Host.; cannot connect to server pbs (errno=15008)",
    "torque/down_qstat": "Problem loading jobs.",
    "torque/qstat_B": "Option B requires an argument",
    "torque/qstat_json": "Unknown option: F",
    "torque/qstat_version": "Unknown option: version",
    "torque/qstat_x": "Unknown option: x",
}
"""Answers of qstat that are none, and what it says."""

OTHER_FORMS = (
    *(f"openpbs/qstat{form}" for form in ("", "_B", "_H", "_Q", "_T", "_T_est", "_a", "_an1", "_ans1w", "_array_t")),
    *(f"openpbs/qstat_{form}" for form in ("empty", "s", "s_est", "t", "u", "version", "w", "x", "x_all", "xt_array")),
    *(f"openpbs/qstat_f_json{form}" for form in ("", "_array", "_empty", "_est", "_queued", "_running")),
    *(f"openpbs/qstat_{form}" for form in ("B_json", "Q_json", "x_f_json_all", "x_f_json_ok", "three_known")),
    *(f"openpbs/qstat_{form}" for form in ("f_dsv", "f_dsv_three_known", "after_mom_frozen", "mom_frozen")),
    *(f"openpbs/{name}" for name in ("after_frozen_qstat", "up_again_qstat", "up_again_qstat_8s")),
    *(f"torque/qstat{form}" for form in ("", "_Q", "_a", "_n", "_u")),
)
"""Tables, JSON and one line a job: forms that are never asked for, in which no job is found."""

OTHER_COMMANDS = (
    *(f"openpbs/{name}" for name in ("down_pbsnodes", "pbsnodes_a", "pbsnodes_aSj", "pbsnodes_down", "pbsnodes_json")),
    *(f"openpbs/{name}" for name in ("pbsnodes_offline", "qhold", "qrls", "qrls_held", "qrerun_user", "tracejob")),
    *(f"openpbs/{name}" for name in ("qsig_suspend_user", "output_walltime", "ssh_to_down_node")),
    *(f"torque/{name}" for name in ("pbsjob_output", "pbsnodes", "pbsnodes_a", "qhold", "qrls", "tracejob")),
)
"""Commands that are never called: whatever they print is no listing with a job in it."""

NOTES = ("openpbs/load_5000", "openpbs/node_failure_timeline", "openpbs/walltime_timing")
"""Measurements, not answers."""

OUTLOOKS: Mapping[str, Mapping[str, str]] = {
    "openpbs/qstat_Bf": {
        "": "the scheduler answers, and it would go to the queue workq; PBS does not say beforehand when it would start"
    },
    "openpbs/qstat_Qf": {
        "workq": "the queue workq would take it (0 running there, 0 waiting); "
        "PBS does not say beforehand when it would start"
    },
    "torque/qstat_Qf": {
        queue: f"the queue {queue} would take it; PBS does not say beforehand when it would start"
        for queue in ("short", "long")
    },
}
"""What is told of the server's queues, by the queue asked for."""


@dataclass(frozen=True, slots=True)
class No:
    """What a failed submission proves, and what its hint is about."""

    proof: Proof
    hint: str = ""


UNSURE = No(Proof.NONE)
OPTIONS = "man qsub"
SUBMISSIONS: Mapping[str, str | No] = {
    "openpbs/down_qsub": No(Proof.LATER),
    "openpbs/frozen_qsub": UNSURE,
    "openpbs/qsub_bad_depend": "11.pbs",
    "openpbs/qsub_bad_name": No(Proof.REFUSED, OPTIONS),
    "openpbs/qsub_bad_option": No(Proof.REFUSED, OPTIONS),
    "openpbs/qsub_bad_queue": No(Proof.REFUSED, "--set queue="),
    "openpbs/qsub_bad_resource": No(Proof.REFUSED, "does not know that resource"),
    "openpbs/qsub_bad_select": No(Proof.REFUSED, "does not know that resource"),
    "openpbs/qsub_bad_walltime": No(Proof.REFUSED, "--time 02:00:00"),
    "openpbs/qsub_block_fail": UNSURE,
    "openpbs/qsub_block_ok": "13.pbs",
    "openpbs/qsub_block_signal": UNSURE,
    "openpbs/qsub_dos": No(Proof.REFUSED),
    "openpbs/qsub_empty_stdin": "3.pbs",
    "openpbs/qsub_name_100": "10.pbs",
    "openpbs/qsub_name_digit": "9.pbs",
    "openpbs/qsub_name_long": No(Proof.REFUSED),
    "openpbs/qsub_no_shebang": "12.pbs",
    "openpbs/qsub_no_such_file": No(Proof.REFUSED),
    "openpbs/qsub_no_such_outdir": "31.pbs",
    "openpbs/qsub_over_max_queued": No(Proof.REFUSED, "wait, or stop something"),
    "openpbs/qsub_over_queue_ncpus": No(Proof.REFUSED, "Ask for less"),
    "openpbs/qsub_queue_disabled": No(Proof.REFUSED, "takes no jobs now"),
    "openpbs/qsub_script": "1.pbs",
    "openpbs/qsub_stdin": "2.pbs",
    "openpbs/qsub_too_big": "7.pbs",
    "openpbs/qsub_too_many_chunks": "8.pbs",
    "openpbs/qsub_version": "",
    "torque/down_qsub": No(Proof.LATER),
    "torque/qsub": "1",
    "torque/qsub_array": "5",
    "torque/qsub_array_J": "6",
    "torque/qsub_bad_file": No(Proof.REFUSED),
    "torque/qsub_bad_queue": No(Proof.REFUSED, "--set queue="),
    "torque/qsub_bad_resource": "4",
    "torque/qsub_hold": "7",
    "torque/qsub_select": "2",
    "torque/qsub_stdin": No(Proof.REFUSED),
    "torque/qsub_vars": "8",
    "torque/qsub_wait": "3",
}
"""Submissions: the id of the job, nothing where there is none, or what the failure proves."""

DELETIONS: Mapping[str, str] = {
    "openpbs/down_qdel": "Connection refused; Couldn't connect to cluster: pbs",
    "openpbs/qdel_array_sub": "",
    "openpbs/qdel_bad_id": "illegally formed job identifier: foo",
    "openpbs/qdel_finished": "",
    "openpbs/qdel_force": "",
    "openpbs/qdel_known_and_unknown": "",
    "openpbs/qdel_mom_frozen": "qdel took too long",
    "openpbs/qdel_node_down": "",
    "openpbs/qdel_none": "no reason was given",
    "openpbs/qdel_other_user": "Unauthorized Request 45.pbs",
    "openpbs/qdel_queued": "",
    "openpbs/qdel_queued_twice": "",
    "openpbs/qdel_running": "",
    "openpbs/qdel_running_twice": "",
    "openpbs/qdel_unknown": "",
    "torque/down_qdel": "Kill job error on job id 5: Unable to contact slurm controller (connect failure)",
    "torque/qdel": "",
    "torque/qdel_twice": "no reason was given",
    "torque/qdel_unknown": "no reason was given",
}
"""What is said of a job that could not be told to go; nothing where it was told, or is over."""

CHANGES: Mapping[str, tuple[type[Exception] | None, str, str]] = {
    "openpbs/down_qalter": (Unreadable, "cannot connect to server pbs", "Ask again in a while."),
    "openpbs/qalter_name": (None, "raised", ""),
    "openpbs/qalter_unknown": (Refused, "Unknown Job Id 99999.pbs", ""),
    "openpbs/qalter_walltime_queued": (None, "raised", ""),
    "openpbs/qalter_walltime_running_lower": (None, "raised", ""),
    "openpbs/qalter_walltime_running_raise": (Refused, "Unauthorized Request 16.pbs", "administrators"),
    "torque/qalter": (Refused, "Unknown option: l", OPTIONS),
}
"""What comes of asking for more time: the error, words of it or of the answer, and of its hint."""

SELECTIONS: Mapping[str, list[str] | None] = {
    "openpbs/down_qselect": None,
    "openpbs/qselect": ["16.pbs", "17.pbs", "18.pbs", "19.pbs", "20.pbs", "22.pbs", "23.pbs", "24.pbs"],
    "openpbs/qselect_name": ["17.pbs"],
    "openpbs/qselect_none": [],
    "openpbs/qselect_state": ["16.pbs"],
}
"""The jobs that are found by their marks, an array not among them; None where nobody can say."""

STRANGERS = (
    *OTHER_FORMS,
    *OTHER_COMMANDS,
    *OUTLOOKS,
    *(name for name in UNKNOWN if name not in JOBS),
    *SUBMISSIONS,
    *DELETIONS,
    *CHANGES,
    *SELECTIONS,
)
"""All that is no full text about jobs."""

ALL_OVER = {
    **dict.fromkeys(("0.pbs", "1.pbs", "2.pbs", "12.pbs", "13.pbs"), over(Outcome.COMPLETED)),
    "3.pbs": over(Outcome.FAILED, "the session's script ended with status 127"),
    "14.pbs": over(Outcome.FAILED, "the session's script ended with status 3"),
    "15.pbs": over(Outcome.FAILED, "the session's script was ended by signal SEGV"),
    "16.pbs": runs("pnode1", "17:55:27", "17:59:27"),
    "17.pbs": over(Outcome.CANCELLED, f"{DELETED} by alice@pbs"),
    **dict.fromkeys((f"{job}.pbs" for job in (11, 18, 19, 20, "21[]", 22, 23, 24)), over(Outcome.CANCELLED, DELETED)),
}
SAME_IN_JSON: Mapping[str, Mapping[str, Seen]] = {
    "qstat_x_f_json_all": ALL_OVER,
    "qstat_x_f_json_ok": {"25.pbs": over(Outcome.COMPLETED)},
    "qstat_f_json": MIXED,
    "qstat_f_json_running": {"16.pbs": runs("pnode1", "17:55:27", "18:00:27")},
    "qstat_f_json_queued": {"17.pbs": waits(FREE)},
    "qstat_f_json_est": {"34.pbs": waits(FREE, expected="18:10:54")},
    "qstat_f_json_array": {
        **dict.fromkeys((f"21[{part}].pbs" for part in ("", *"0234")), waits(FREE)),
        "21[1].pbs": over(Outcome.CANCELLED, DELETED),
    },
}
"""Jobs that were recorded in JSON alone, or in it too."""
