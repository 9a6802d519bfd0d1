"""Licences on this machine: the server's own ports, or another host's on this machine's loopback address."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from .licences import CHECKOUT, Server, add_licensed, licence_server
from .workspace import Done, Workspace

GRANTED = "server grants first\nvendor grants second\n"
ELSEWHERE = "127.0.0.2"
"""Another host as far as anybody here can tell: what listens there does not listen on 127.0.0.1."""
NAMED = ("--set", f"advanced_options.license_host={ELSEWHERE}")


@pytest.fixture
def licensed(workspace: Workspace) -> Workspace:
    """A world with the licensed service, and no daemon yet."""
    add_licensed(workspace)
    return workspace


def start(workspace: Workspace, server: Server, *more: str) -> Done:
    """sessionctl start, until it runs."""
    done = workspace.ctl("start", "licensed", "--name", "one", *server.words, *more)
    assert 0 == done.status, done.err
    return done


def listens(server: Server) -> list[bool]:
    """Whether anybody listens on the server's ports at 127.0.0.1."""
    found = []
    for port in (server.port, server.daemon):
        with socket.socket() as near:
            found.append(0 == near.connect_ex(("127.0.0.1", port)))
    return found


def test_the_servers_own_machine(licensed: Workspace) -> None:
    """Nothing leads anywhere: the variable is set, and the ports are the server's."""
    with licence_server() as server:
        licensed.daemon()
        start(licensed, server)
        session = licensed.client.session("one")
        log = licensed.ctl("logs", "one").out
        assert f"file {server.port}@localhost\n{GRANTED}" in log
        assert session["licence"] is not None
        assert (True, None, None) == (
            session["licence"]["open"],
            session["licence"]["host"],
            session["licence"]["problem"],
        )
        assert "the licence server of this machine" in licensed.ctl("show", "one").out
        assert 0 == licensed.ctl("stop", "one").status


def test_another_host(licensed: Workspace) -> None:
    """Its ports are here before the template starts, again after kill -9, and gone when the session is over."""
    with licence_server(ELSEWHERE) as server:
        daemon = licensed.daemon()
        planned = licensed.ctl("plan", "licensed", *server.words, *NAMED)
        assert f"ports {server.port} and {server.daemon} of this machine lead to {ELSEWHERE}\n" in planned.out
        assert [False, False] == listens(server)
        start(licensed, server, *NAMED)
        log = licensed.ctl("logs", "one").out
        assert GRANTED in log, log
        daemon.kill()
        assert [False, False] == listens(server)
        licensed.daemon()
        assert [True, True] == listens(server)
        assert "server grants test\n" == asked(server.port)
        assert 0 == licensed.ctl("stop", "one").status
        licensed.until_so("one", lambda one: one["state"] == "ended")
        assert [False, False] == listens(server)


def asked(port: int) -> str:
    """What the server says at a port of 127.0.0.1."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as near:
        near.sendall(b"test\n")
        return near.recv(100).decode()


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: cannot be another user")
def test_other_users_of_this_machine_get_no_licence(licensed: Workspace) -> None:
    """What is opened here is for this user alone, as a session's own port is."""
    with licence_server(ELSEWHERE) as server:
        licensed.daemon()
        start(licensed, server, *NAMED)
        script = f"{CHECKOUT}checkout {server.port} test"
        mine = licensed.run("bash", "-c", script)
        others = licensed.run("setpriv", "--reuid=65534", "--clear-groups", "bash", "-c", script)
        assert ("server grants test\n", "") == (mine.out, others.out)
        assert 0 == licensed.ctl("stop", "one").status


def test_a_port_that_is_taken(licensed: Workspace) -> None:
    """The session goes on, and says so."""
    with licence_server() as server:
        licensed.daemon()
        start(licensed, server, *NAMED)
        taken = licensed.client.session("one")
        assert taken["phrase"].startswith(
            "running; licences do not reach this machine: another program listens on port"
        )
        assert "nothing has to be done" in taken["next"]
        assert taken["licence"] is not None
        assert not taken["licence"]["open"]
        assert 0 == licensed.ctl("stop", "one").status


def test_a_name_that_leads_back(licensed: Workspace) -> None:
    """A host that turns out to be this very address: no connection goes round in circles."""
    with licence_server(ELSEWHERE) as server:
        licensed.daemon()
        start(licensed, server, "--set", "advanced_options.license_host=127.1")
        circle = licensed.until_so("one", lambda one: "running;" in one["phrase"])
        assert "its name leads back to this machine's loopback address" in circle["phrase"]
        assert [True, True] == listens(server)
        assert 0 == licensed.ctl("stop", "one").status


def test_what_is_wrong_is_said_before_anything_begins(licensed: Workspace) -> None:
    """All of it, by start and plan alike, whatever else a service asks for."""
    licensed.daemon()
    wrong = {"license_env": "A B", "license_server_port": "0", "license_daemon_port": "x", "license_host": "-x"}
    words = [word for name, value in wrong.items() for word in ("--set", f"advanced_options.{name}={value}")]
    for service in ("licensed", "strict"):
        for verb in ("plan", "start"):
            done = licensed.ctl(verb, service, *words)
            assert 2 == done.status
            assert all(f"advanced_options_{name}: expected" in done.err for name in wrong), done.err
    assert [] == licensed.client.sessions(all=True)


def test_a_service_with_parameters_of_its_own_takes_them_too(licensed: Workspace) -> None:
    """And a cluster's defaults, which a person's word goes before; `plan --json` has the sentence."""
    licensed.config.write_text(
        f'{licensed.config.read_text()}[clusters.local.defaults]\nadvanced_options_license_host = "a.example"\n'
    )
    licensed.daemon()
    env, port = "advanced_options.license_env=X_FILE", "advanced_options_license_server_port=5053"
    words = ("plan", "strict", "--json", "--set", env, "--set", port)
    planned = json.loads(licensed.ctl(*words).out)
    assert "X_FILE=5053@localhost: port 5053 of this machine leads to a.example" == planned["licences"]
    other = json.loads(licensed.ctl(*words, "--set", "advanced_options.license_host=b.example").out)
    assert planned["licences"].replace("a.example", "b.example") == other["licences"]
    assert "" == json.loads(licensed.ctl("plan", "strict", "--json").out)["licences"]
    assert Path(planned["folder"]).parent.name == "sessiond"
