"""What a server says of its queues and of itself, and what a job is told of itself."""

from __future__ import annotations

from . import resources
from .attributes import VERSION, Attributes, variables
from .complex import Complex
from .model import Job, Queue


def of_queue(complex_: Complex, queue: Queue) -> Attributes:
    """What ``qstat -Q -f`` says of a queue, in its order."""
    jobs = [job for job in complex_.jobs.values() if job.attributes["queue"] == queue.name and not job.is_finished]
    found = {"queue_type": "Execution", "total_jobs": str(len(jobs)), "state_count": _state_count(jobs)}
    limits = {"walltime": resources.clock(queue.max_walltime_s), "ncpus": str(queue.max_ncpus)}
    if queue.max_queued:
        found["max_queued"] = f"[u:PBS_GENERIC={queue.max_queued}]"
    found |= {
        f"resources_max.{name}": value for name, value in sorted(limits.items()) if value not in ("0", "00:00:00")
    }
    return found | {
        "resources_assigned.ncpus": str(sum(place.ncpus for job in jobs for place in job.places)),
        "resources_assigned.nodect": str(sum(len(job.places) for job in jobs)),
        "enabled": str(queue.enabled),
        "started": str(queue.started),
    }


def of_server(complex_: Complex) -> Attributes:
    """What ``qstat -B -f`` says, in its order."""
    jobs = [job for job in complex_.jobs.values() if not job.is_finished]
    return {
        "server_state": "Active" if complex_.switches.scheduling else "Idle",
        "server_host": complex_.server,
        "scheduling": str(complex_.switches.scheduling),
        "total_jobs": str(len(complex_.jobs)),
        "state_count": _state_count(jobs),
        "default_queue": complex_.default_queue,
        "log_events": "511",
        "mailer": "/usr/sbin/sendmail",
        "mail_from": "adm",
        "query_other_jobs": "True",
        "resources_default.ncpus": "1",
        "resources_default.walltime": complex_.switches.walltime,
        "default_chunk.ncpus": "1",
        "resources_assigned.ncpus": str(sum(place.ncpus for job in jobs for place in job.places)),
        "resources_assigned.nodect": str(sum(len(job.places) for job in jobs)),
        "scheduler_iteration": "5",
        "flatuid": "True",
        "resv_enable": "True",
        "node_fail_requeue": str(int(complex_.switches.requeue_after_s)),
        "max_array_size": "10000",
        "resend_term_delay": "5",
        "pbs_license_min": "0",
        "pbs_license_max": "2147483647",
        "pbs_license_linger_time": "31536000",
        "license_count": "Avail_Global:1000000 Avail_Local:1000000 Used:0 High_Use:0",
        "pbs_version": VERSION,
        "eligible_time_enable": "False",
        "job_history_enable": str(complex_.switches.history),
        "max_concurrent_provision": "5",
        "backfill_depth": "10",
        "clear_topjob_estimates_enable": "False",
        "max_job_sequence_id": "9999999",
    }


def environment(job: Job) -> dict[str, str]:
    """What a job's script finds of PBS in its environment, without what depends on the node."""
    own = {name: value for name, value in variables(job.attributes["Variable_List"]) if name.startswith("PBS_")}
    return (
        job.variables
        | own
        | {
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_JOBID": job.id,
            "PBS_JOBNAME": job.attributes["Job_Name"],
            "PBS_QUEUE": job.attributes["queue"],
            "PBS_NODENUM": "0",
            "PBS_TASKNUM": "1",
            "NCPUS": str(job.places[0].ncpus),
            "OMP_NUM_THREADS": str(job.places[0].ncpus),
        }
    )


def _state_count(jobs: list[Job]) -> str:
    names = {"Transit": "T", "Queued": "Q", "Held": "H", "Waiting": "W", "Running": "RS", "Exiting": "E", "Begun": "B"}
    # with a blank at its end
    return "".join(f"{name}:{sum(job.state in letters for job in jobs)} " for name, letters in names.items())
