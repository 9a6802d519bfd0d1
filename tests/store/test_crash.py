"""The process is killed at every point of a session's life; what is found then is what was before or after."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from sessiond.store.store import Store

from .samples import Rows, child, dump, life


def finish(process_arguments: tuple[Path, dict[str, str]]) -> tuple[int, list[str]]:
    """Run a life to its end, wanted or not: its exit status and what it said."""
    folder, env = process_arguments
    process = child("run_life", str(folder), env=env)
    said, _ = process.communicate(timeout=60)
    return process.returncode, said.split()


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> list[Rows]:
    """What the file holds before the first call of a life, and after each."""
    folder = tmp_path_factory.mktemp("moments")
    store = Store.open(folder)
    found = [dump(folder)]
    for call in life():
        call(store)
        found.append(dump(folder))
    store.close()
    return found


@pytest.fixture(scope="module")
def passes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The failpoints that a life passes, in order."""
    folder = tmp_path_factory.mktemp("passes")
    trace = folder / "trace"
    status, _ = finish((folder / "state", {"SESSIOND_FAILPOINT_TRACE": str(trace)}))
    assert status == 0
    return trace.read_text().split()


def test_every_call_passes_three_points(passes: list[str]) -> None:
    """Opening a new file has one point; each call after it is surrounded, with one point before its COMMIT."""
    assert passes[0] == "migrate.within"
    assert [name.partition(".")[2] for name in passes[1:]] == ["before", "within", "after"] * len(life())
    assert {name.partition(".")[0] for name in passes[1:]} == {
        "number",
        "commit",
        "started",
        "done",
        "fact",
        "remove",
    }


def test_killed_anywhere_it_is_before_or_after(tmp_path: Path, passes: list[str], moments: list[Rows]) -> None:
    """SIGKILL at each pass of each point: the file opens, and holds exactly what the last COMMIT left."""
    seen: Counter[str] = Counter()
    for index, name in enumerate(passes):
        seen[name] += 1
        folder = tmp_path / str(index)
        status, said = finish((folder, {"SESSIOND_FAILPOINT": f"{name}:{seen[name]}"}))
        assert status == -signal.SIGKILL, name
        calls, point = divmod(index - 1, 3)
        committed = 0 if index == 0 else calls + (point == 2)
        assert len(said) == (0 if index == 0 else calls), name
        store = Store.open(folder)
        loaded = store.load()
        store.close()
        assert dump(folder) == moments[committed], f"{name}:{seen[name]}"
        assert len(loaded.sessions) == len(moments[committed]["session"])


@pytest.mark.parametrize("heard", [1, 4, 9])
def test_what_was_acknowledged_stays(tmp_path: Path, moments: list[Rows], heard: int) -> None:
    """Killed from outside at an arbitrary instant after a call has returned, that call is never undone."""
    process = child("run_life", str(tmp_path))
    assert process.stdout is not None
    for _ in range(heard):
        process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    store = Store.open(tmp_path)
    store.close()
    assert dump(tmp_path) in moments[heard:]
