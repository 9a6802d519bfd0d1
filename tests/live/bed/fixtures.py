"""A cluster for a test session, fresh for each test, and clusters of their own for tests with wishes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from .cluster import Cluster
from .config import Settings
from .disks import reason_against_quotas
from .needs import reason_to_skip


class Shared:
    """The session's cluster: up from the first test that asks for it on; made anew when it cannot be mended."""

    def __init__(self) -> None:
        self._cluster: Cluster | None = None

    def get(self) -> Cluster:
        """It, as good as new."""
        if self._cluster is None:
            cluster = Cluster()
            cluster.up()
            self._cluster = cluster
        return self._cluster

    def mend(self) -> None:
        """Undo what a test did to it."""
        if self._cluster is not None:
            try:
                self._cluster.reset()
            except BaseException:
                self.down()
                raise

    def down(self) -> None:
        """Take it away."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.down()


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Shared]:
    """The session's cluster, to be had through `cluster`."""
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    shared = Shared()
    try:
        yield shared
    finally:
        shared.down()


@pytest.fixture
def cluster(shared_cluster: Shared) -> Iterator[Cluster]:
    """A Slurm cluster with a login node and two compute nodes: no jobs, empty homes, nothing broken."""
    yield shared_cluster.get()
    shared_cluster.mend()


@contextlib.contextmanager
def fresh_cluster(**options: Any) -> Iterator[Cluster]:
    """A cluster of a test's own; ``options`` are those of `Settings`. It skips the test where there can be none."""
    settings = Settings(**options)
    reason = reason_to_skip()
    if not reason and settings.home_quota_mb:
        reason = reason_against_quotas()
    if reason:
        pytest.skip(reason)
    with Cluster(settings) as made:
        yield made
