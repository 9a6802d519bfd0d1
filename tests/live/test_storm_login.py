"""The login node wants a person, or is not the one that is known: nothing is tried by itself, and jobs go on."""

from __future__ import annotations

import subprocess

import pytest

from .bed import LOGIN, Cluster
from .storm import nothing_left, stays, storm

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def calls(cluster: Cluster) -> int:
    """How many connections the login node's sshd has taken."""
    return (cluster.log / f"sshd.{LOGIN}").read_text(errors="replace").count("Connection from ")


def test_keys_are_not_enough_any_more(cluster: Cluster) -> None:
    """After a cut a password is asked for: one call, then none before somebody logs in; what is started waits."""
    with storm(cluster) as it:
        session = it.start(name="one")
        said = it.answers(session)
        attempts = it.link["attempts"]
        asks = {"PubkeyAuthentication": "no", "PasswordAuthentication": "yes", "LogLevel": "VERBOSE"}
        cluster.sshd_set(LOGIN, **asks)
        before = calls(cluster)
        cluster.sshd_kill_sessions(LOGIN)
        link = it.until_link("needs-login")
        assert (attempts + 1, before + 1) == (link["attempts"], calls(cluster))
        assert "sessionctl login bed" == link["next"]
        late = it.begin(name="two")
        stays(lambda: (attempts + 1, before + 1) == (it.link["attempts"], calls(cluster)), 5, "no call by itself")
        assert "running, but bed needs a login" in it.said("ls")
        assert "waiting for you: sessionctl login bed" in it.said("why", "one")
        assert "sessionctl login bed" in it.said("clusters")
        assert ["running", "render"] == [one["state"] for one in it.me.client.sessions()]
        assert ["RUNNING"] == [job.state for job in it.jobs(session)]
        refused = it.me.ctl("login", "bed")
        assert 4 == refused.status, refused
        assert "needs-login" == it.link["state"]
        assert "sessionctl login bed" in refused.err + it.said("clusters")
        cluster.sshd_set(LOGIN)
        stays(lambda: attempts + 2 == it.link["attempts"], 1, "no call by itself")
        assert "bed: connected" in it.said("login", "bed")
        it.alive(session, said)
        it.end(session, *it.running(late))
        nothing_left(cluster)


def test_the_login_node_has_another_key(cluster: Cluster) -> None:
    """It is not connected to, however long it takes; the remedy is named; with the right key again a login will do."""
    with storm(cluster) as it:
        session = it.start(name="one")
        said = it.answers(session)
        attempts = it.link["attempts"]
        other = cluster.folder / "keys/other"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
        cluster.sshd_set(LOGIN, HostKey=str(other))
        cluster.sshd_kill_sessions(LOGIN)
        link = it.until_link("blocked")
        assert "error" == link["severity"]
        words = it.said("clusters") + it.said("ls") + it.said("why", "one")
        assert f"ssh-keygen -R {cluster.address}" in words
        assert "running, but bed:" in words
        stays(lambda: attempts + 1 == it.link["attempts"], 3, "no call by itself")
        refused = it.me.ctl("login", "bed")
        assert 0 != refused.status
        assert "ssh-keygen -R" in refused.err, refused
        assert "blocked" == it.link["state"]
        cluster.sshd_set(LOGIN)
        stays(lambda: attempts + 2 == it.link["attempts"], 1, "no call by itself")
        assert "bed: connected" in it.said("login", "bed")
        it.alive(session, said)
        it.end(session)
        nothing_left(cluster)
