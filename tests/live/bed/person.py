"""Somebody who works on a bed: a daemon's private world in the workspace, with the bed as the cluster ``bed``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tests.daemon.workspace import Workspace

from .cluster import Cluster
from .config import ALICE
from .layout import ENVS
from .pbs_cluster import PbsCluster

_NONE: Mapping[str, object] = MappingProxyType({})


class Person(Workspace):
    """A world whose configuration has ``[clusters.bed]``; see `person`."""

    def __init__(
        self,
        cluster: Cluster | PbsCluster,
        *,
        user: str = ALICE,
        keys: Mapping[str, object] = _NONE,
        defaults: Mapping[str, object] = _NONE,
    ) -> None:
        self.cluster = cluster
        self.user = user
        self._keys = keys
        self._defaults = defaults
        # the base class writes the configuration while it is made
        super().__init__()
        self.env["SESSIOND_ENVS"] = str(ENVS)

    def configure(self, *more: str, ports: range | None = None, **keys: object) -> None:
        """Write the configuration; ``keys`` of ``[clusters.bed]`` differ from now on, None: without that key."""
        self._keys = {**self._keys, **keys}
        table: dict[str, object] = {
            "host": self.cluster.address,
            "user": self.user,
            "identity_files": [str(self.cluster.key)],
            "known_hosts": str(self.cluster.known_hosts),
            "scheduler": self.cluster.scheduler,
            "setup": self.cluster.environment,
            **self._keys,
        }
        lines = [*more, "[clusters.bed]", *_lines(table)]
        if self._defaults:
            lines += ["[clusters.bed.defaults]", *_lines(self._defaults)]
        super().configure(*lines, ports=ports)


@contextlib.contextmanager
def person(
    cluster: Cluster | PbsCluster,
    *,
    poll: str = "1s",
    user: str = ALICE,
    start: bool = True,
    defaults: Mapping[str, object] = _NONE,
    **keys: object,
) -> Iterator[Person]:
    """Somebody with a running daemon (``start`` False: a configuration only) that reaches ``cluster`` as ``bed``.

    ``poll`` is the cluster's, one second at least; ``keys`` are any other keys of its table (``workdir``, ``route``,
    ``max_sessions``); ``defaults`` its form values. What runs on the cluster at the end is left to the cluster's reset.
    """
    with Person(cluster, user=user, keys={"poll": poll, **keys}, defaults=defaults) as me:
        if start:
            me.daemon()
        yield me


def _lines(table: Mapping[str, object]) -> list[str]:
    # a text, a number, a truth value or a list of them is written in TOML as in JSON, if it is ASCII
    return [f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None]
