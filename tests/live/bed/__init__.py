"""A real Slurm cluster in network namespaces of this machine, for tests that need one."""

from __future__ import annotations

from .cluster import Cluster
from .config import ALICE, TARA, Settings
from .needs import reason_to_skip
from .network import LOGIN, NODES
from .reports import Call, Job

__all__ = ["ALICE", "LOGIN", "NODES", "TARA", "Call", "Cluster", "Job", "Settings", "reason_to_skip"]
