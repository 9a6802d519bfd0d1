"""The real daemon kills itself at every commit and on both sides of every effect; the next one puts all right.

One scripted life (start, run, stop) is first lived with every point counted, and then once for each of them.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sessiond.api.wire import Session
from sessiond.client import NoDaemon

from .workspace import Daemon, Workspace

pytestmark = pytest.mark.timeout(600)

AT_ONCE = 4

GROUPS = {
    "transitions": ("commit.",),
    "the journal": ("started.", "done."),
    "effects": ("effect.",),
    "facts": ("migrate.", "number.", "fact."),
}
"""All points by the beginning of their names, so that a new kind of point is noticed."""


class Life:
    """The script, to be lived with interruptions. What was answered is known; what was not may have happened."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.created: Session | None = None
        self.reached_running = False
        self.stop_answered = False

    def live(self) -> Session:
        """Live on from wherever the last daemon died. Raises NoDaemon where this one does."""
        workspace, client = self.workspace, self.workspace.client
        found = client.sessions(all=True)
        if self.created is not None:
            assert [self.created["id"]] == [one["id"] for one in found], "an answered request is kept"
        assert len(found) <= 1
        if not found:
            self.created = client.start({"service": "tiny", "name": "one"})
            found = [self.created]
        session = found[0]
        if self.created is not None:
            for fact in ("id", "name", "number", "open_port", "created"):
                assert self.created[fact] == session[fact], fact
        self.created = session
        if not self.stop_answered:
            session = workspace.until_so(session["id"], lambda one: one["state"] in ("running", "kill", "ended"))
            if session["state"] == "running":
                self._runs(session)
            client.stop(session["id"])
            self.stop_answered = True
        return workspace.cleaned(session["id"])

    def _runs(self, session: Session) -> None:
        assert self.created is not None
        assert self.created["url"] == session["url"], "the same URL for its whole life"
        assert 1 == self.workspace.started(), "started exactly once"
        self.created = session
        self.reached_running = True

    def check_end(self, session: Session) -> None:
        """The end that every life has."""
        assert self.created is not None
        assert ("ended", "cancelled") == (session["state"], session["outcome"])
        assert self.reached_running <= self.workspace.started() <= 1
        assert [] == self.workspace.traces(self.created, session)


def dies(daemon: Daemon, life: Life) -> bool:
    """Live until the daemon dies; False where it does not."""
    try:
        if daemon.is_ready():
            life.live()
    except NoDaemon:
        assert daemon.ended() == -9
        return True
    # The very last points lie after the end that can be seen.
    return daemon.ended(1.5) == -9


def try_point(point: str, nth: int) -> str:
    """One life with one death: what is wrong with it; ``"unreached"`` where the daemon did not get to that point."""
    with Workspace() as workspace:
        life = Life(workspace)
        try:
            daemon = workspace.launch(SESSIOND_FAILPOINT=f"{point}:{nth}")
            reached = dies(daemon, life)
            if reached:
                workspace.daemon()
            try:
                life.check_end(life.live())
            except NoDaemon:
                # it took longer than was waited for, and dies only now
                assert not reached
                assert daemon.ended() == -9
                reached = True
                workspace.daemon()
                life.check_end(life.live())
        except Exception as error:
            return f"{point}:{nth}: {type(error).__name__}: {error}\n{workspace.log.read_text()}"
        return "" if reached else "unreached"


@pytest.fixture(scope="module")
def passes(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """How often a life without a death passes each point."""
    trace = Path(tmp_path_factory.mktemp("trace")) / "points"
    with Workspace() as workspace:
        life = Life(workspace)
        workspace.daemon(SESSIOND_FAILPOINT_TRACE=str(trace))
        life.check_end(life.live())
        assert life.reached_running
    return Counter(trace.read_text().split())


def test_every_point_is_in_a_group(passes: Counter[str]) -> None:
    """No failpoint is left out, and those that this is about are there."""
    beginnings = tuple(beginning for group in GROUPS.values() for beginning in group)
    assert [] == [point for point in passes if not point.startswith(beginnings)]
    expected = {f"{kind}.{when}" for kind in ("commit", "started", "done") for when in ("before", "within", "after")}
    assert expected | {"effect.before", "effect.after", "number.within"} <= set(passes)
    assert passes["commit.within"] >= 8
    assert passes["effect.before"] >= 4


@pytest.mark.parametrize("group", GROUPS)
def test_a_death_at_any_point_loses_nothing(passes: Counter[str], group: str) -> None:
    """No session lost, no service started twice, nothing left running unowned, whatever pass it dies at."""
    points = [
        (point, nth) for point in passes if point.startswith(GROUPS[group]) for nth in range(1, passes[point] + 1)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda point: try_point(*point), points))
    wrong = [text for text in found if text not in ("", "unreached")]
    assert not wrong, "\n\n".join(wrong)
    # How two answers at the same time are ordered is chance, and with it whether the last pass or two happen.
    assert found.count("unreached") <= len(points) // 6, found
