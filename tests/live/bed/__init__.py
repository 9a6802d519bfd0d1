"""A real Slurm cluster, or a stand-in for PBS, in network namespaces of this machine, for tests that need one."""

from __future__ import annotations

from .cluster import Cluster
from .config import ALICE, TARA, Settings
from .needs import reason_to_skip
from .network import LOGIN, NODES
from .pbs_cluster import PbsCluster, PbsSettings
from .reports import Call, Job

AnyCluster = Cluster | PbsCluster
"""What has the same methods for what both schedulers have."""

__all__ = [
    "ALICE",
    "LOGIN",
    "NODES",
    "TARA",
    "AnyCluster",
    "Call",
    "Cluster",
    "Job",
    "PbsCluster",
    "PbsSettings",
    "Settings",
    "reason_to_skip",
]
