"""A daemon with the services that come with it, as a person would use them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.workspace import Workspace

from .bed.fixtures import cluster, pbs, shared_cluster, shared_pbs

__all__ = ["cluster", "house", "pbs", "shared_cluster", "shared_pbs"]

ENVS = os.environ.get("SESSIOND_ENVS", str(Path(__file__).parents[2] / ".cache" / "envs"))


@pytest.fixture
def house() -> Iterator[Workspace]:
    """A private world without a daemon; what services install is kept from run to run, because it takes
    a minute, and several where other tests install something else meanwhile."""
    with Workspace() as made:
        made.env["SESSIOND_ENVS"] = ENVS
        made.patience_s = 300
        yield made
