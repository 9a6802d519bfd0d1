"""The daemon kills itself at every point of a session's life on a cluster; the next one finds everything again.

As `tests.daemon.test_failpoints` does it on this machine: one life (start, run, stop) with every point counted, then
one for each of them, all on one cluster, several at once. How often sbatch was called is counted on the cluster's side.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sessiond.api.wire import Session
from sessiond.client import NoDaemon
from tests.daemon.workspace import Daemon

from .bed import Cluster
from .storm import Storm, nothing_left, storm

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

AT_ONCE = 4
LIMIT_S = 60.0


class Life:
    """The script, to be lived with interruptions. What was answered is known; what was not may have happened."""

    def __init__(self, it: Storm, mode: str) -> None:
        self.it = it
        self.mode = mode
        self.created: Session | None = None
        self.stop_answered = False
        self.reached_running = False

    def live(self) -> Session:
        """Live on from wherever the last daemon died. Raises NoDaemon where this one does."""
        me, client = self.it.me, self.it.me.client
        found = client.sessions(all=True)
        if self.created is not None:
            assert [self.created["id"]] == [one["id"] for one in found], "an answered request is kept"
        assert len(found) <= 1
        if not found:
            self.created = self.it.begin("kite", name="one", mode=self.mode)
            found = [self.created]
        session = found[0]
        if self.created is not None:
            for fact in ("id", "name", "number", "open_port", "created"):
                assert self.created[fact] == session[fact], fact
        self.created = session
        if not self.stop_answered:
            url = session["url"]
            session = me.until_so(session["id"], lambda one: one["state"] in ("running", "kill", "ended"), LIMIT_S)
            if session["state"] == "running":
                assert url == session["url"], "the same URL for its whole life"
                assert 1 == self.it.started(session), "started exactly once"
                self.reached_running = True
            client.stop(session["id"])
            self.stop_answered = True
        return me.until_so(session["id"], lambda one: one["state"] == "ended", LIMIT_S)

    def check_end(self, session: Session) -> None:
        """The end that every life has."""
        it = self.it
        assert ("ended", "cancelled") == (session["state"], session["outcome"]), it.me.story(session["id"])
        assert self.reached_running <= it.started(session) <= 1
        submitted = len(it.sbatches(session))
        if self.mode == "slurm":
            assert self.reached_running <= submitted <= 1, it.cluster.calls("sbatch")
            assert submitted == len(it.jobs(session))
        else:
            assert 0 == submitted
        it.over(session, "cancelled", submitted=submitted)


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


def try_point(cluster: Cluster, mode: str, point: str, nth: int) -> str:
    """One life with one death: what is wrong with it; ``"unreached"`` where the daemon did not get to that point."""
    with storm(cluster, start=False) as it:
        life = Life(it, mode)
        try:
            daemon = it.me.launch(SESSIOND_FAILPOINT=f"{point}:{nth}")
            reached = dies(daemon, life)
            if reached:
                it.daemon()
            try:
                life.check_end(life.live())
            except NoDaemon:
                # it took longer than was waited for, and dies only now
                assert not reached
                assert daemon.ended() == -9
                reached = True
                it.daemon()
                life.check_end(life.live())
        except Exception as error:
            return f"{point}:{nth}: {type(error).__name__}: {error}\n{it.me.log.read_text()}"
        return "" if reached else "unreached"


def passes(cluster: Cluster, mode: str, trace: Path) -> Counter[str]:
    """How often a life without a death passes each point."""
    with storm(cluster, start=False) as it:
        life = Life(it, mode)
        it.daemon(SESSIOND_FAILPOINT_TRACE=str(trace))
        life.check_end(life.live())
        assert life.reached_running
    return Counter(trace.read_text().split())


def test_a_death_at_any_point_of_a_life_on_slurm(cluster: Cluster, tmp_path: Path) -> None:
    """One job and one call of sbatch, whatever pass the daemon dies at; the same URL; nothing is left."""
    counted = passes(cluster, "slurm", tmp_path / "points")
    assert counted["commit.within"] >= 8
    assert counted["effect.before"] >= 4
    matrix(cluster, "slurm", [(point, nth) for point in counted for nth in range(1, counted[point] + 1)])


def test_a_death_on_either_side_of_every_effect_on_the_login_node(cluster: Cluster, tmp_path: Path) -> None:
    """Without the scheduler: what is done there, and what is written down about it, each in turn the last thing."""
    counted = passes(cluster, "controller", tmp_path / "points")
    chosen = ("effect.before", "effect.after", "started.within", "done.within")
    matrix(cluster, "controller", [(point, nth) for point in chosen for nth in range(1, counted[point] + 1)])
    assert 0 == cluster.sbatch_calls()


def matrix(cluster: Cluster, mode: str, points: list[tuple[str, int]]) -> None:
    """A life for each of ``points``."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda point: try_point(cluster, mode, *point), points))
    wrong = [text for text in found if text not in ("", "unreached")]
    assert not wrong, "\n\n".join(wrong)
    # How two answers at the same time are ordered is chance, and with it whether the last pass or two happen.
    assert found.count("unreached") <= len(points) // 6, dict(zip(points, found, strict=True))
    nothing_left(cluster)
