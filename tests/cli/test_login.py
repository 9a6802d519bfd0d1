"""`sessionctl login`, `logout` and `clusters`: what is asked, what is seen of the answers, and how it ends."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import CLUSTERS
from tests.cli.conftest import ROOT, SESSIONCTL, Ctl, Done


def piped(ctl: Ctl, lines: bytes, *args: str) -> Done:
    """Run it with ``lines`` on standard input."""
    done = subprocess.run(
        (*SESSIONCTL, *args), input=lines, capture_output=True, env=ctl.env, cwd=ROOT, timeout=60, check=False
    )
    return Done(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def answered(canned: Canned) -> list[Any]:
    """The answers that were sent."""
    return [body["answers"] for _, path, body in canned.requests if path.startswith("/v1/clusters/frontier/login/")]


def test_a_login_on_a_terminal(ctl: Ctl, canned: Canned) -> None:
    """Each round in the server's words, made harmless, with the seconds left; only what may be seen is."""
    terminal = ctl.terminal("login", "frontier")
    terminal.until(rb"\(120 s\) Password: ")
    terminal.type("sécret\n".encode())
    terminal.until(rb"\(119 s\) Code")
    terminal.type(b"42\n")
    assert 0 == terminal.end()
    seen = terminal.seen.decode()
    assert "frontier: connected" in seen
    assert "Two factors are asked." in seen
    assert "42" in seen
    assert "cret" not in seen
    assert "\x1b]" not in seen
    assert [["sécret"], ["42"]] == answered(canned)


def test_a_wrong_answer(ctl: Ctl, canned: Canned) -> None:
    """Status 4, the reason and the remedy; nothing is asked again by itself."""
    terminal = ctl.terminal("login", "frontier")
    terminal.until(rb"Password: ")
    terminal.type(b"wrong\n")
    assert 4 == terminal.end()
    assert b"frontier did not let you in" in terminal.seen
    assert b"Try again." in terminal.seen
    assert 1 == terminal.seen.count(b"Password")


def test_ctrl_c_abandons(ctl: Ctl, canned: Canned) -> None:
    """It says so, sends nothing, and leaves the terminal showing what is typed."""
    terminal = ctl.terminal("login", "frontier")
    terminal.until(rb"Password: ")
    terminal.type(b"half\x03")
    assert 130 == terminal.end()
    assert b"The login to frontier was abandoned." in terminal.seen
    assert [] == answered(canned)
    assert b"half" not in terminal.seen


def test_the_end_of_the_time_does_not_wait_for_the_person(ctl: Ctl, canned: Canned) -> None:
    """What the daemon says is shown at once, in the middle of typing."""
    terminal = ctl.terminal("login", "alps")
    terminal.until(rb"Password: ")
    terminal.type(b"hal")
    with canned.changed:
        canned.hurry = True
        canned.changed.notify_all()
    assert 4 == terminal.end()
    assert b"the login took longer than 120 s" in terminal.seen


def test_a_login_without_a_terminal(ctl: Ctl, canned: Canned) -> None:
    """Answers are lines of standard input, and nothing is prompted."""
    done = piped(ctl, "sécret\n42\n".encode(), "login", "frontier")
    assert Done(status=0, out="frontier: connected\n", err="") == done
    assert [["sécret"], ["42"]] == answered(canned)


def test_too_few_lines(ctl: Ctl, canned: Canned) -> None:
    """The login is abandoned, and that is said."""
    done = piped(ctl, "sécret\n".encode(), "login", "frontier")
    assert (4, "") == (done.status, done.out)
    assert "abandoned: there is no answer" in done.err


def test_what_is_no_text_is_refused(ctl: Ctl, canned: Canned) -> None:
    """Nothing is sent."""
    done = piped(ctl, b"\xff\xfe\n", "login", "frontier")
    assert (2, []) == (done.status, answered(canned))


def test_something_to_read_only(ctl: Ctl, canned: Canned) -> None:
    """A round without questions is shown and not answered."""
    done = ctl.shown("login", "summit")
    assert (0, True) == (done.status, "Read this." in done.out)


@pytest.mark.parametrize("verb", ["login", "logout"])
@pytest.mark.parametrize(("name", "status"), [("nowhere", 3), ("local", 6), ("", 3), ("..", 3)])
def test_what_cannot_be_logged_in_to(ctl: Ctl, canned: Canned, verb: str, name: str, status: int) -> None:
    """An unknown cluster is not found, and this machine needs no login: one sentence each."""
    done = ctl(verb, name)
    assert (status, "") == (done.status, done.out)
    assert done.err.startswith("sessionctl: ")


def test_logout(ctl: Ctl, canned: Canned) -> None:
    """It says what goes on and how to come back."""
    done = ctl("logout", "frontier")
    expected = "frontier: logged out; its jobs go on, and `sessionctl login frontier` connects again\n"
    assert Done(status=0, out=expected, err="") == done


def test_partitions_as_json(ctl: Ctl, canned: Canned) -> None:
    """As the API has them, asked for; a cluster that does not tell is an error, and a login has its own status."""
    done = ctl("partitions", "frontier", "--json")
    assert (0, ["batch", "gpu", "old", "bare"]) == (
        done.status,
        [one["name"] for one in json.loads(done.out)["partitions"]],
    )
    assert ("POST", "/v1/clusters/frontier/partitions") == canned.requests[-1][:2]
    done = ctl("partitions", "summit", "--json")
    assert (4, "needs-login") == (done.status, json.loads(done.out)["error"]["code"])


def test_clusters_as_json(ctl: Ctl, canned: Canned) -> None:
    """The daemon's list."""
    assert json.loads(ctl("clusters", "--json").out) == CLUSTERS
