"""What is remembered of a start, and what of it is taken where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sessiond.api.memory import Memory
from sessiond.config.catalogue import Catalogue
from sessiond.core.errors import SpecError
from sessiond.core.ids import ClusterName
from sessiond.core.spec import Mode
from sessiond.runtime.folders import Folders
from sessiond.runtime.launch import Request
from sessiond.store.store import Store
from tests.render.sample import session


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A state database."""
    found = Store.open(tmp_path)
    yield found
    found.close()


@pytest.fixture
def memory(store: Store, tmp_path: Path) -> Memory:
    """The memory of a service called ``trial``."""
    (tmp_path / "services" / "trial").mkdir(parents=True)
    (tmp_path / "services" / "trial" / "start-template.sh").write_text("true\n")
    return Memory(store, lambda: Catalogue.read([tmp_path / "services"]), Folders(tmp_path / "sessions"))


AGAIN = Request(service="trial", again=True)
FIRST = Request(
    service="trial",
    cluster="frontier",
    mode="slurm",
    time="60",
    directives=("--nice",),
    max_wait_s=60.0,
    settings={"a.b": "1", "partition": "gpu", "my_token": "x", "pin": "y"},
)


def kept(memory: Memory, request: Request) -> None:
    """Remember a request for a session of the frontier."""
    made = session(secrets={"pin": "y"}, mode=Mode.SLURM)
    memory.keep(request, replace(made, spec=replace(made.spec, cluster=ClusterName("frontier"))))


def test_what_was_said_comes_back(memory: Memory) -> None:
    """All of it behind what is said now, without secrets."""
    kept(memory, FIRST)
    found = memory.recalled(AGAIN)
    assert ("frontier", "slurm", "60", ("--nice",)) == (found.cluster, found.mode, found.time, found.directives)
    assert 60.0 == found.max_wait_s
    assert ({}, {"a_b": "1", "partition": "gpu"}) == (found.settings, found.remembered)
    assert "5" == memory.recalled(replace(AGAIN, time="5")).time
    assert AGAIN.service == memory.recalled(replace(AGAIN, again=False)).service


def test_another_place_or_mode(memory: Memory) -> None:
    """A mode and directives are a cluster's; a form's own word about the mode counts as one."""
    kept(memory, FIRST)
    there = memory.recalled(replace(AGAIN, cluster="local"))
    assert ("local", "", (), None) == (there.cluster, there.mode, there.directives, there.max_wait_s)
    login = memory.recalled(replace(AGAIN, mode="controller"))
    assert ("frontier", "controller", ()) == (login.cluster, login.mode, login.directives)
    for word, directives, max_wait_s in (("CONTROLLER", (), None), ("SLURM", ("--nice",), 60.0)):
        spoken = memory.recalled(replace(AGAIN, settings={"pwrl_host.jobschedulertype": word}))
        assert ("", directives, max_wait_s) == (spoken.mode, spoken.directives, spoken.max_wait_s)


def test_what_is_said_again_is_added(memory: Memory) -> None:
    """A later word takes the place of an earlier one, a queue that of a partition."""
    kept(memory, FIRST)
    kept(memory, replace(memory.recalled(AGAIN), settings={"queue": "night", "c": "2"}))
    assert {"a_b": "1", "queue": "night", "c": "2"} == memory.recalled(AGAIN).remembered


def test_nothing_is_remembered(memory: Memory, store: Store) -> None:
    """Before the first start, of something too large, and of what cannot be read."""
    kept(memory, replace(FIRST, settings={"a": "x" * 300_000}))
    with pytest.raises(SpecError, match="trial was not started before"):
        memory.recalled(AGAIN)
    store.set_fact("last said of trial", "{")
    assert memory.last("trial") is None
