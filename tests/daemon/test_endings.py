"""What services do, and how their sessions end: the outcome, the reason people are told, and that nothing is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sessiond.api.wire import Session

from . import traces
from .workspace import Workspace, fetch


@pytest.fixture(scope="module")
def busy() -> Iterator[Workspace]:
    """A world with a daemon in which one session after the other lives."""
    with Workspace() as made:
        made.daemon()
        yield made


@pytest.fixture
def here(busy: Workspace) -> Iterator[Workspace]:
    """That world; afterwards no session is live in it."""
    for name in ("started", "killed"):
        (busy.home / name).unlink(missing_ok=True)
    before = {one["id"] for one in busy.client.sessions(all=True)}
    yield busy
    for one in busy.client.sessions():
        busy.stop(one["id"], force=True)
    assert [] == busy.traces(*(one for one in busy.client.sessions(all=True) if one["id"] not in before))


def test_a_template_that_returns(here: Workspace) -> None:
    """Status 0 is `completed`; the kill template runs once all the same, to clear up behind it."""
    session = here.client.start({"service": "brief"})
    ended = here.cleaned(session["id"])
    assert ("completed", "ok") == (ended["outcome"], ended["severity"])
    assert 1 == here.killed()
    assert here.ctl("wait", session["id"]).status == 0
    assert "that was all" in here.ctl("logs", session["id"]).out


def test_a_template_that_fails(here: Workspace) -> None:
    """Status 7 is `failed`: the number is told, and the log's last lines come with the story."""
    started = here.ctl("start", "seven")
    assert 1 == started.status
    assert "the last line" in started.err
    assert "status 7" in started.err
    (ended,) = [one for one in here.client.sessions(all=True) if one["service"] == "seven"]
    assert "failed" == ended["outcome"]
    why = here.ctl("why", ended["id"])
    assert "status 7" in why.out
    assert why.out.index("the first line") < why.out.index("the last line")


@pytest.mark.parametrize(
    ("service", "reason"), [("says", "the licence server does not answer"), ("deep", "deep inside: no licence")]
)
def test_a_template_that_says_why(here: Workspace, service: str, reason: str) -> None:
    """displayErrorMessage, also from a subshell: its words are the reason, and the session ends at once."""
    session = here.client.start({"service": service})
    ended = here.cleaned(session["id"])
    assert ("failed", f"failed: {reason}") == (ended["outcome"], ended["phrase"])
    assert reason in here.ctl("why", session["id"]).out
    assert reason in here.ctl("ls", "--all").out


def test_a_service_that_never_answers(here: Workspace) -> None:
    """It stays in `tunnel`, says so when its time is over, is never ended for it, and can be stopped."""
    session = here.start("mute", to="tunnel")
    assert session["url"] is not None
    status, text = fetch(session["url"])
    assert 200 <= status < 600
    assert "refresh" in text
    # ready_within has no event of its own: silence ends nothing and changes nothing
    traces.until(
        lambda: "has not answered" in here.client.session(session["id"])["phrase"], "it does not say that it is late"
    )
    late = here.client.session(session["id"])
    assert ("tunnel", "attention") == (late["state"], late["severity"])
    assert "sessionctl logs mute" in late["next"]
    assert "cancelled" == here.stop(session["id"])["outcome"]


def test_a_template_that_is_killed(here: Workspace) -> None:
    """SIGKILL, as the kernel does for want of memory: `failed`, and the signal is named."""
    session = here.client.start({"service": "killed"})
    ended = here.cleaned(session["id"])
    assert "failed" == ended["outcome"]
    assert "KILL" in ended["phrase"]
    assert "" == here.ctl("logs", session["id"]).out  # bash's "line 171: Killed ..." is nobody's output


def test_the_whole_session_is_killed(here: Workspace) -> None:
    """SIGKILL to every process of a running session, watcher and runner too: noticed, named, cleaned up."""
    session = here.start("tiny")
    traces.end_marked(f"SESSIOND_TAG=sd-{session['id']}")
    ended = here.cleaned(session["id"])
    assert "failed" == ended["outcome"]
    assert "killed" in ended["phrase"]
    assert [] == here.traces(session)


def test_grandchildren_in_sessions_of_their_own(here: Workspace) -> None:
    """What the template put out of its process group with setsid is gone after a stop."""
    session = here.start("family")
    mark = f"SESSIOND_TAG=sd-{session['id']}"
    traces.until(
        lambda: 3 == sum(line.split()[1:] == ["sleep", "600"] for line in traces.marked(mark)),
        "its grandchildren are not there",
    )
    assert "cancelled" == here.stop(session["id"])["outcome"]
    assert [] == here.traces(session)


def test_a_service_that_ignores_signals(here: Workspace) -> None:
    """TERM, INT and HUP ignored: a stop takes longer, and ends it all the same."""
    session = here.start("deaf")
    assert "cancelled" == here.stop(session["id"])["outcome"]
    assert [] == here.traces(session)


def test_the_time_is_over(here: Workspace) -> None:
    """--time 00:00:03: the end is announced, `walltime` is the outcome, and it came neither early nor late."""
    began = time.monotonic()
    session = here.start("tiny", time="00:00:03")
    assert session["ends_by"] is not None
    ended = here.cleaned(session["id"])
    assert 2.5 < time.monotonic() - began < 20
    assert ("walltime", "ended at its time limit") == (ended["outcome"], ended["phrase"])
    assert "time limit" in here.story(session["id"])
    assert [] == here.traces(session)


def test_the_kill_template_runs_once(here: Workspace) -> None:
    """A stop asked for three times runs it exactly once, before the service ends."""
    session = here.start("careful")
    for _ in range(2):
        here.client.stop(session["id"])
    assert "cancelled" == here.stop(session["id"])["outcome"]
    assert 1 == here.killed()


def test_the_kill_template_runs_when_the_service_ends_by_itself(here: Workspace) -> None:
    """A service that is killed behind our back is cleared up behind, once."""
    session = here.start("careful")
    (server,) = [line for line in traces.marked(f"SESSIOND_TAG=sd-{session['id']}") if "server.py" in line]
    here.run("kill", "-KILL", server.split()[0])
    assert "failed" == here.cleaned(session["id"])["outcome"]
    assert 1 == here.killed()


def test_stop_now_does_not_wait_for_a_kill_template(here: Workspace) -> None:
    """While one hangs the session says how to get on; --now ends it at once, with the template, for good."""
    session = here.start("hanging")
    mark = f"HOME={here.home}"
    assert 0 == here.ctl("stop", session["id"], "--no-wait").status
    traces.until(lambda: here.killed() == 1, "the kill template did not begin")
    stopping = here.client.session(session["id"])
    assert ("kill", f"sessionctl stop --now {session['name']} does not wait for its kill script") == (
        stopping["state"],
        stopping["next"],
    )
    done = here.ctl("stop", session["id"], "--now")
    assert 0 == done.status, done
    assert "stopped" in done.out
    here.cleaned(session["id"])
    assert 1 == here.killed()
    assert [] == here.traces(session)
    assert [] == [line for line in traces.marked(mark) if line.split()[1:] == ["sleep", "600"]]


def test_ended_sessions_are_forgotten(here: Workspace) -> None:
    """`rm` takes the session's folders on both sides and its story; `rm` of a live one is refused."""
    session = here.start("tiny")
    refused = here.ctl("rm", session["id"])
    assert 6 == refused.status
    assert f"sessionctl stop {session['name']}" in refused.err
    here.stop(session["id"])
    kept = here.state / "sessions" / session["id"]
    assert (kept / "service.json").exists()
    assert 0 == here.ctl("rm", session["id"]).status
    assert not kept.exists()
    assert not Path(session["folder"]).exists()
    assert 3 == here.ctl("why", session["id"]).status


def test_a_session_is_stopped_at_every_stage(here: Workspace) -> None:
    """A stop right after the start, again and again a little later: always `cancelled`, never anything left."""
    ended = []
    for state in ("render", "submit", "wait-for-node", "start", "tunnel", "running"):
        session = here.client.start({"service": "tiny"})
        here.until_so(session["id"], partial(at_or_past, state))
        ended.append(here.stop(session["id"]))
    assert ["cancelled"] * 6 == [one["outcome"] for one in ended]
    assert [] == here.traces(*ended)


WAY = ("render", "submit", "wait-for-node", "start", "tunnel", "running")


def at_or_past(wanted: str, session: Session) -> bool:
    """Whether a session on its way up is in state ``wanted`` or past it."""
    now = session["state"]
    return now not in WAY or WAY.index(now) >= WAY.index(wanted)
