"""The daemon is restarted, or told otherwise, while the cluster is out of reach; and a disk there is full."""

from __future__ import annotations

import pytest

from .bed import Cluster
from .bed.waiting import until
from .storm import nothing_left, stays, storm

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def test_a_restart_while_the_cluster_is_out_of_reach(cluster: Cluster) -> None:
    """Sessions are restored as they were known, say what they wait for, and are themselves when it is back."""
    with storm(cluster, start=False) as it:
        first = it.daemon()
        runs = it.start("kite", name="runs")
        said = it.answers(runs)
        cluster.slow_prolog(600)
        waits = it.begin("kite", name="waits")
        it.me.until_so(waits["id"], lambda seen: seen["job_phase"] == "configuring")
        cluster.cable(plugged=False)
        first.kill()
        it.daemon()
        # as it was known: a session that ran is being found again, and nothing else is said of its job
        until(lambda: "unreachable" in it.me.client.session("waits")["phrase"], "the link's state is told")
        words = it.said("ls")
        assert "running, but bed is unreachable for" in words, words
        assert "its node is being prepared, but bed is unreachable for" in words, words
        assert "no way there" in it.said("clusters") or "no route" in it.said("clusters").lower(), it.said("clusters")
        assert "reconnecting by itself; its job goes on meanwhile" in it.said("why", "runs")
        for one in (runs, waits):
            seen = it.me.client.session(one["id"])
            assert (one["url"], one["created"]) == (seen["url"], seen["created"])
        stays(lambda: 2 == len(it.me.client.sessions()), 1, "both live")
        cluster.slow_prolog(0)
        cluster.cable(plugged=True)
        it.until_link("up")
        it.alive(runs, said)
        (found,) = it.running(waits)
        assert waits["url"] == found["url"]
        assert 1 == len(it.sbatches(waits))
        it.end(runs, waits)
        nothing_left(cluster)


def test_the_disk_is_full(cluster: Cluster) -> None:
    """No room for a session's files, then none for its submission: said, waited for, submitted once there is room."""
    with storm(cluster, workdir=str(cluster.scratch)) as it:
        cluster.fill_disk()
        early = it.begin("kite", name="early")
        until(lambda: it.me.client.session("early")["problem"] is not None, "the full disk is told")
        assert "No space left on device" in it.said("why", "early")
        cluster.free_disk()
        it.running(early)
        # its preparation fills the disk, when its files are in place
        late = it.begin("glutton", name="late")
        it.me.until_so("late", lambda one: one["state"] == "submit" and one["problem"] is not None)
        why = it.said("why", "late")
        assert "No space left on device" in why
        assert 0 == len(it.sbatches(late))
        stays(lambda: "running" == it.me.client.session("early")["state"], 1, "the other one runs")
        cluster.free_disk()
        it.running(late)
        assert 1 == len(it.sbatches(late))
        # a full disk keeps nobody from ending
        cluster.fill_disk()
        for one in (early, late):
            it.me.client.stop(one["id"])
        for one in (early, late):
            it.me.until(one["id"], "ended")
        cluster.free_disk()
        for one in (early, late):
            it.over(one, "cancelled")
        nothing_left(cluster)


def test_another_configuration_while_sessions_live(cluster: Cluster) -> None:
    """Pace, way and host are changed under them; taking their cluster away is refused with their names."""
    with storm(cluster) as it:
        session = it.start(name="one")
        said = it.answers(session)
        before = it.me.config.read_text()

        it.configure(poll="2s")
        assert "poll" in it.said("reload")
        assert ("up", 1) == (it.link["state"], it.link["attempts"])
        it.alive(session, said)

        it.me.config.write_text(before[: before.index("[clusters.bed]")])
        done = it.me.ctl("reload")
        assert 6 == done.status, done
        assert "clusters.bed: it cannot be removed, it has sessions: one" in done.err
        it.alive(session, said)

        # nobody lives there: the door's neighbour in its own small network
        it.configure(host=cluster.address.removesuffix(".2") + ".3")
        assert "host" in it.said("reload")
        assert "backoff" == it.until_link("backoff", limit_s=40)["state"]
        assert "running, but bed is unreachable" in it.said("ls")
        it.configure(host=cluster.address)
        it.said("reload")
        it.until_link("up")
        it.alive(session, said)
        it.end(session)
        it.me.config.write_text(before[: before.index("[clusters.bed]")])
        it.said("reload")
        assert ["local"] == [one["name"] for one in it.me.client.clusters()]
        nothing_left(cluster)
