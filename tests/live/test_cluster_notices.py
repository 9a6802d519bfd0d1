"""What people are told of their jobs while they do not look, once each; and jobs that nobody uses."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

import pytest

from sessiond.api.wire import Session
from tests.daemon.workspace import PATIENCE_S, Workspace, fetch

from .bed import LOGIN, AnyCluster, Cluster
from .bed.person import Person, person
from .bed.waiting import until
from .scenario import add_service, add_where, ended, job_of, of_job, page

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

TELL = '#!/bin/sh\nprintf "%s\\t%s\\n" "$1" "$2" > "${0%/*}/told"\n'
ANNOUNCED = ("[idle]", 'after = "10m"', 'warn = "9m59s"')
"""Announced after a second, and then nothing happens for as long as a test may take."""
SOON = ("[idle]", 'after = "3s"', 'warn = "2s"')
WIDE = {"COLUMNS": "200"}

QUIET = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        upgrade = "Upgrade" in self.headers
        self.send_response(101 if upgrade else 200)
        granted = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        for header in granted if upgrade else [("Content-Length", "0")]:
            self.send_header(*header)
        self.end_headers()
        if upgrade:
            self.rfile.read()
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer((os.environ["SESSIOND_BIND"], int(sys.argv[1])), Handler).serve_forever()
"""
"""It grants WebSockets, on which it is silent."""


class Ear:
    """What the person's command was told: it writes into a pipe that this end never closes."""

    def __init__(self, me: Workspace) -> None:
        pipe = me.root / "told"
        os.mkfifo(pipe)
        self._end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        self._rest = b""
        program = me.root / "tell"
        program.write_text(TELL)
        program.chmod(0o700)
        self.keys = ("[notify]", f"command = {json.dumps([str(program), '{title}', '{text}'])}")
        self.titles: list[str] = []

    def hears(self, limit_s: float = PATIENCE_S) -> tuple[str, str]:
        """The next notice: its title and its text."""
        end = time.monotonic() + limit_s
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            assert left > 0, f"nothing was told after {self.titles}"
            if select.select([self._end], [], [], left)[0]:
                self._rest += os.read(self._end, 65536)
        line, _, self._rest = self._rest.partition(b"\n")
        title, _, text = line.decode().partition("\t")
        self.titles.append(title)
        return title, text

    def close(self) -> None:
        """No more."""
        os.close(self._end)


@contextlib.contextmanager
def listening(cluster: AnyCluster) -> Iterator[tuple[Person, Ear]]:
    """Somebody whose daemon is yet to be started and tells of everything."""
    with person(cluster, start=False) as me:
        ear = Ear(me)
        me.configure(*ear.keys)
        try:
            yield me, ear
        finally:
            ear.close()


@pytest.fixture(params=["cluster", "pbs"])
def any_cluster(request: pytest.FixtureRequest) -> AnyCluster:
    """A cluster with Slurm, then one with PBS."""
    found: AnyCluster = request.getfixturevalue(request.param)
    return found


def limit(cluster: AnyCluster, session: Session, minutes: int) -> None:
    """Those who run the cluster cut a job's walltime."""
    job = job_of(session)
    if isinstance(cluster, Cluster):
        done = cluster.sh(LOGIN, "scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")
    else:
        done = cluster.ssh("qalter", "-l", f"walltime=00:{minutes:02}:00", job)
    assert 0 == done.returncode, done.stderr


def remove(cluster: AnyCluster, session: Session) -> None:
    """Somebody removes a job by hand."""
    done = cluster.ssh("scancel" if isinstance(cluster, Cluster) else "qdel", job_of(session))
    assert 0 == done.returncode, done.stderr
    cluster.until_ended(job_of(session))


def begin(me: Person, service: str, name: str, *more: str) -> Session:
    """sessionctl start, until it runs."""
    done = me.ctl("start", service, "--on", "bed", "--name", name, "--time", "30", *more)
    assert 0 == done.status, done.err
    return me.client.session(name)


def test_each_thing_is_told_once_though_the_daemon_dies_in_between(any_cluster: AnyCluster) -> None:
    """A job runs, its end comes nearer than fifteen minutes and than five, somebody removes it: four notices, whatever
    number of daemons that takes. Of what the person stops nothing is told, nor of a job that never had so long."""
    with listening(any_cluster) as (me, ear):
        add_where(me)
        daemon = me.daemon()

        def dies() -> None:
            nonlocal daemon
            daemon.kill()
            daemon = me.daemon()

        session = begin(me, "where", "lab")
        assert ("lab: running", "where on bed; sessionctl open lab") == ear.hears()
        dies()
        for minutes in (14, 4):
            before = time.time()
            limit(any_cluster, session, minutes)
            me.ctl("ls", "--fresh")
            title, text = ear.hears()
            assert title.startswith("lab: ends at ")
            ends_by = datetime.fromisoformat(str(me.client.session("lab")["ends_by"])).timestamp()
            left = [int((ends_by - at) // 60) for at in (before, time.time())]
            assert minutes > left[0]
            assert text.startswith(tuple(f"where on bed ends in {one} min; sessionctl extend lab " for one in left))
            dies()
        remove(any_cluster, session)
        me.ctl("ls", "--fresh")
        title, text = ear.hears()
        assert title.startswith("lab: cancelled on the cluster")
        assert "where on bed; sessionctl why lab tells the story" == text
        dies()
        short = begin(me, "where", "short", "--time", "00:04:00")
        assert "short: running" == ear.hears()[0]
        dies()
        assert 0 == me.ctl("stop", "short").status
        begin(me, "where", "last")
        assert "last: running" == ear.hears()[0]
        assert 6 == len(ear.titles)
        assert 0 == me.ctl("stop", "last").status
        for one in (session, short):
            ended(me, any_cluster, one["id"], "cancelled", killed=True)


def test_a_cluster_that_asks_for_a_person_is_told_once(cluster: Cluster) -> None:
    """The link drops and only a password would do: one notice with the sessions that wait for it, also after kill -9;
    another after it has been up."""
    with listening(cluster) as (me, ear):
        add_where(me)
        daemon = me.daemon()
        session = begin(me, "where", "lab")
        assert "lab: running" == ear.hears()[0]
        for _ in range(2):
            cluster.sshd_set(LOGIN, PubkeyAuthentication="no", PasswordAuthentication="yes")
            cluster.sshd_kill_sessions(LOGIN)
            said = ear.hears()
            assert ("bed needs a login", "of its sessions lab; sessionctl login bed") == said
            daemon.kill()
            daemon = me.daemon()
            until(lambda: "needs-login" == _link(me), "the next daemon needs a login, too")
            assert "running, but bed needs a login" == me.client.session("lab")["phrase"]
            cluster.sshd_set(LOGIN)
            assert 0 == me.ctl("login", "bed").status
        begin(me, "where", "last")
        assert "last: running" == ear.hears()[0]
        assert 4 == len(ear.titles)
        assert page(me.client.session("lab")).split()[0] == session["node"]
        assert 0 == me.ctl("stop", "lab", "last").status
        ended(me, cluster, "lab", "cancelled")


def _link(me: Person) -> str:
    return next(one for one in me.client.clusters() if one["name"] == "bed")["link"]["state"]


# Idle.


def socket_to(session: Session) -> socket.socket:
    """A WebSocket through the gateway, which says nothing."""
    url = urlsplit(str(session["url"]))
    peer = socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=PATIENCE_S)
    head = f"GET {url.path}ws?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nOrigin: http://{url.netloc}\r\n"
    more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    peer.sendall(f"{head}{more}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    assert peer.recv(65536).startswith(b"HTTP/1.1 101 ")
    return peer


@contextlib.contextmanager
def shell_on(me: Person, name: str) -> Iterator[None]:
    """`sessionctl ssh` to a session's node, where a program waits."""
    words = me.ctl_argv("ssh", name, "echo there; cat")
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=me.env, stdin=pipe, stdout=pipe, text=True) as shell:
        assert shell.stdout is not None
        assert "there\n" == shell.stdout.readline()
        yield
        shell.communicate("", timeout=PATIENCE_S)


def reload(me: Person, *more: str) -> None:
    """Have the daemon take another configuration."""
    me.configure(*more)
    assert 0 == me.ctl("reload").status


def _use(me: Person, name: str) -> tuple[str, str | None]:
    session = me.client.session(name)
    return session["state"], session["idle_ends_by"]


def announced(me: Person, name: str) -> None:
    """Wait until a session's end for idleness is announced."""
    found = me.until_so(name, lambda one: one["idle_ends_by"] is not None or one["state"] == "ended")
    assert "running" == found["state"]


def kept(me: Person, name: str) -> None:
    """Wait until that is taken back."""
    assert "running" == me.until_so(name, lambda one: one["idle_ends_by"] is None)["state"]


def test_a_job_that_nobody_uses_gives_its_node_back(any_cluster: AnyCluster) -> None:
    """Announced by a notice, kept by a look, by a shell on its node; a WebSocket keeps the other one all the time. Then
    it ends in order, and `start --again` starts the same."""
    with listening(any_cluster) as (me, ear):
        serve = f'exec "{sys.executable}" -I -S "${{resource_jobdir}}/service/quiet.py" "${{servicePort}}"'
        start = f'echo "it is ${{service_colour}}"\n{serve}\n'
        manifest = '[params.service_colour]\noptions = ["red", "blue"]\ndefault = "red"\n'
        add_service(me, "quiet", start, kill='hostname >> "$HOME/killed"\n', manifest=manifest)
        (me.services / "quiet" / "quiet.py").write_text(QUIET)
        add_where(me)
        me.daemon()
        begin(me, "quiet", "watched")
        lonely = begin(me, "quiet", "lonely", "--set", "service_colour=blue")
        assert ["watched: running", "lonely: running"] == [ear.hears()[0] for _ in range(2)]
        with socket_to(me.client.session("watched")):
            reload(me, *ear.keys, *ANNOUNCED)
            title, text = ear.hears()
            assert title.startswith("lonely: ends at ")
            assert "quiet on bed is unused; sessionctl open lonely keeps it" == text
            announced(me, "lonely")
            assert "running, but unused: it ends in" in me.ctl("ls", **WIDE).out
            assert 200 == fetch(str(lonely["url"]))[0]
            # it is announced anew a second later
            me.until_so("lonely", lambda _: "it was used again" in me.story("lonely"))
            announced(me, "lonely")
            with shell_on(me, "lonely"):
                kept(me, "lonely")
                reload(me, *ear.keys, *SOON)
                begin(me, "where", "other")
                ended(me, any_cluster, "other", "idle")
                assert ("running", None) == _use(me, "lonely")
                assert ("running", None) == _use(me, "watched")
            over = ended(me, any_cluster, "lonely", "idle", limit_s=60)
            assert ("running", None) == _use(me, "watched")
        assert [] == of_job(any_cluster, str(over["node"]), over)
        assert over["node"] in (any_cluster.home() / "killed").read_text().split()
        assert ("ended: idle", "ok") == (over["phrase"], over["severity"])
        why = me.ctl("why", "lonely").out
        assert "it was idle for too long; its kill script runs" in why
        assert "Next: sessionctl start quiet --again" in why, why
        title, text = ear.hears()
        while title != "lonely: ended: idle":
            title, text = ear.hears()
        assert "quiet on bed; sessionctl start quiet --again" == text
        reload(me, *ear.keys)
        done = me.ctl("start", "quiet", "--again", "--name", "anew")
        assert 0 == done.status, done.err
        again = me.client.session("anew")
        assert ("bed", lonely["mode"]) == (again["cluster"], again["mode"])
        assert "it is blue" in me.ctl("logs", "anew").out
        assert 0 == me.ctl("stop", "anew").status
