"""Why a job waits, from Slurm's word for it to a sentence's end in plain words.

Source of the words: squeue(1), JOB REASON CODES, of Slurm 22.05 and 24.05. What is not known is shown as Slurm said it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sessiond.schedulers.common import printable

_EXACT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "None": "",
        "": "",
        "Resources": "waiting for free nodes: it is next in line",
        "Priority": "waiting behind jobs of higher priority",
        "Dependency": "waiting for another job it depends on",
        "DependencyNeverSatisfied": "it can never start: the job it depends on did not end as it should",
        "BeginTime": "not to start before a set time (a requeued job waits two minutes)",
        "JobHeldUser": "held by its owner: scontrol release lets it go",
        "JobHeldAdmin": "held by the cluster's administrators",
        "PartitionTimeLimit": "it can never start: it asks for more time than the partition allows",
        "PartitionNodeLimit": "it can never start: it asks for more nodes than the partition has or allows",
        "PartitionConfig": "the partition as it is configured cannot run it",
        "PartitionDown": "the partition is down",
        "PartitionInactive": "the partition is inactive: it starts no jobs",
        "NodeDown": "a node it asks for is down",
        "BadConstraints": "it can never start: no node has what it asks for",
        "InvalidAccount": "its account is not valid",
        "InvalidQOS": "its QOS is not valid",
        "Licenses": "waiting for a licence",
        "Reservation": "waiting for its reservation to begin",
        "ReservationDeleted": "its reservation was deleted",
        "ReqNodeNotAvail": "a node it asks for is not available now",
        "JobArrayTaskLimit": "waiting for other tasks of its array",
        "Cleaning": "being cleaned up after its last run, then it starts again",
        "Prolog": "its node is being prepared",
        "NodesProlog": "its node is being prepared",
        "FrontEndDown": "the cluster's front end is down",
        "job requeued in held state": "requeued and held: scontrol release lets it go",
        "launch failed requeued held": "its start failed, and it is held: scontrol release lets it go",
        "MaxRequeue": "requeued too often: it starts no more",
        "JobHoldMaxRequeue": "requeued too often: it is held",
        "NonZeroExitCode": "it ended with an error",
        "Burst_buffer": "waiting for the burst buffer",
        "BurstBufferResources": "waiting for room in the burst buffer",
        "BurstBufferStageIn": "its data are being copied in",
        "FedJobLock": "the clusters of the federation are agreeing who runs it",
    }
)
_WHOSE: Final = (
    ("Assoc", "your account's"),
    ("QOS", "the QOS's"),
)
_WHAT: Final = (
    ("SubmitJob", "number of submitted jobs"),
    ("Jobs", "number of running jobs"),
    ("GRES", "GPUs (or other generic resources)"),
    ("Cpu", "CPUs"),
    ("CPU", "CPUs"),
    ("Node", "nodes"),
    ("Mem", "memory"),
    ("Wall", "walltime"),
    ("Billing", "billing units"),
    ("BB", "burst buffer"),
    ("License", "licences"),
    ("Priority", "priority"),
)
_LIMIT: Final = re.compile(r"(?:Assoc|QOS)(?:Grp|Max|Min|Not|Resource|Time|Usage|Job|ThreshHold)\w*", re.ASCII)


def in_words(reason: str) -> str:
    """Slurm's reason in plain words; empty where it has none."""
    reason = printable(reason).strip("()")
    if reason.startswith("Nodes required for job are DOWN"):
        return "the nodes it needs are down, drained or reserved for jobs of higher priority"
    word, comma, rest = reason.partition(",")
    known = _EXACT.get(word)
    if known is not None:
        return f"{known} ({rest.strip()})" if comma and known and rest.strip() else known
    if _LIMIT.fullmatch(reason):
        whose = next(words for prefix, words in _WHOSE if reason.startswith(prefix))
        what = next((words for key, words in _WHAT if key in reason), "use")
        kind = "least" if "Min" in reason else "limit"
        if kind == "least":
            return f"it asks for less than {whose} least {what} ({reason})"
        return f"{whose} limit of {what} is reached ({reason})"
    return reason
