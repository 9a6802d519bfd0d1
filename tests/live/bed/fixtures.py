"""A cluster for a test session, fresh for each test, and clusters of their own for tests with wishes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import pytest

from .cluster import Cluster
from .config import Settings
from .disks import reason_against_quotas
from .needs import reason_to_skip
from .pbs_cluster import PbsCluster, PbsSettings

Made = TypeVar("Made", Cluster, PbsCluster)


class Shared(Generic[Made]):
    """A session's cluster: up from the first test that asks for it on; made anew when it cannot be mended."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make: Callable[[], Made] = make
        self._cluster: Made | None = None

    def get(self) -> Made:
        """It, as good as new."""
        if self._cluster is None:
            cluster = self._make()
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


@contextlib.contextmanager
def _shared(make: Callable[[], Made]) -> Iterator[Shared[Made]]:
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    shared = Shared(make)
    try:
        yield shared
    finally:
        shared.down()


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Shared[Cluster]]:
    """The session's cluster, to be had through `cluster`."""
    with _shared(Cluster) as shared:
        yield shared


@pytest.fixture
def cluster(shared_cluster: Shared[Cluster]) -> Iterator[Cluster]:
    """A Slurm cluster with a login node and two compute nodes: no jobs, empty homes, nothing broken."""
    yield shared_cluster.get()
    shared_cluster.mend()


@pytest.fixture(scope="session")
def shared_pbs() -> Iterator[Shared[PbsCluster]]:
    """The session's cluster with PBS, to be had through `pbs`."""
    with _shared(PbsCluster) as shared:
        yield shared


@pytest.fixture
def pbs(shared_pbs: Shared[PbsCluster]) -> Iterator[PbsCluster]:
    """The same hosts with the stand-in for PBS: no jobs, empty homes, nothing broken."""
    yield shared_pbs.get()
    shared_pbs.mend()


@contextlib.contextmanager
def fresh_cluster(**options: Any) -> Iterator[Cluster]:
    """A cluster of a test's own; ``options`` are those of `Settings`. It skips the test where there can be none."""
    settings = Settings(**options)
    _skip_without(settings)
    with Cluster(settings) as made:
        yield made


@contextlib.contextmanager
def fresh_pbs(**options: Any) -> Iterator[PbsCluster]:
    """A cluster with PBS of a test's own; ``options`` are those of `PbsSettings`."""
    settings = PbsSettings(**options)
    _skip_without(settings)
    with PbsCluster(settings) as made:
        yield made


def _skip_without(settings: Settings) -> None:
    reason = reason_to_skip()
    if not reason and settings.home_quota_mb:
        reason = reason_against_quotas()
    if reason:
        pytest.skip(reason)
