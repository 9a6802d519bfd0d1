"""A service folder of the older family, started through a form of it, under each scheduler and on the login node."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sessiond.api.wire import Session

from .bed import LOGIN, NODES
from .bed.person import Person, person
from .bed.waiting import until
from .contract import Bench, bench, looked
from .lantern import add_lantern
from .scenario import ended, folder, job_of, page

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=["slurm", "pbs"])
def shared(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A cluster under each scheduler."""
    with bench(request.param) as made:
        yield made


@pytest.fixture
def it(shared: Bench) -> Iterator[Bench]:
    """The same, as good as new."""
    yield shared
    shared.cluster.reset()


@pytest.fixture
def me(it: Bench) -> Iterator[Person]:
    """Somebody who has put the folder among the services of their own."""
    with person(it.cluster, start=False) as made:
        add_lantern(made.root / "xdg" / "sessiond" / "services")
        made.daemon()
        yield made


def begun(me: Person, *more: str) -> Session:
    """Start the form, until the session runs."""
    done = me.ctl("start", "lantern/general", "--on", "bed", "--name", "l", *more)
    assert 0 == done.status, done.err + me.log.read_text()
    return me.client.session("l")


def status_of(me: Person, session: Session) -> tuple[str, str]:
    """JOB_STATUS and ERROR_MESSAGE of a session's service.json."""
    fields = json.loads((me.state / "sessions" / session["id"] / "service.json").read_text())
    return fields["JOB_STATUS"], fields["ERROR_MESSAGE"]


def killed(it: Bench) -> list[str]:
    """On which hosts its processes were ended by its kill template, in order."""
    return [line.split()[0] for line in (it.cluster.home() / "killed").read_text().splitlines()]


def test_a_job_through_a_form(it: Bench, me: Person) -> None:
    """Submitted with the form's directives, served from its node at its address, and ended there, by its own script."""
    word = {"slurm": "SLURM", "pbs": "PBS"}[it.cluster.scheduler]
    session = begun(me, "--set", f"pwrl_host.jobschedulertype={word}")
    assert f"/me/{session['open_port']}/tree?port={session['open_port']}&dt=" in str(session["url"])
    assert f"{session['node']} run {job_of(session)}.0" in page(session)
    assert 20 * 60 == it.limit_s(job_of(session))
    log = folder(it.cluster, session) / "logs.out"
    user = it.cluster.home().name
    # it speaks after its server was started
    until(lambda: f"it said: {user}-00001 ho; ho {user}; volume {user}-00001" in log.read_text(), "it says so")
    inputs = (folder(it.cluster, session) / "inputs.sh").read_text()
    assert "export advanced_options_stream='true'" in inputs
    assert f"/pw/{user}/noVNC-1.3.0" in inputs
    assert ("Running", "") == status_of(me, session)
    assert 0 == me.ctl("stop", "l").status
    ended(me, it.cluster, "l", "cancelled")
    assert ("Cancelled", "") == status_of(me, session)
    assert [session["node"]] == killed(it)
    assert not (it.cluster.home() / "lantern.lock").exists()


def test_an_end_of_its_own_and_the_other_port(it: Bench, me: Person) -> None:
    """It listens on the session's own port, and is found; `exit 7` is a failure, and the kill template runs, once."""
    session = begun(
        me, "--set", "service.ending=seven", "--set", "advanced_options.open=yes", "--mode", it.cluster.scheduler
    )
    assert (session["open_port"], True) == (session["service_port"], str(session["node"]) in page(session))
    (it.cluster.home() / "go").touch()
    looked(me, "l", lambda one: one["state"] == "ended")
    ended(me, it.cluster, "l", "failed")
    assert ("Failed", True) == (status_of(me, session)[0], "status 7" in status_of(me, session)[1])
    assert [session["node"]] == killed(it)


def test_it_gives_up_in_its_own_words(it: Bench, me: Person) -> None:
    """displayErrorMessage ends it; the kill template runs, though there is nothing to end."""
    mode = it.cluster.scheduler
    done = me.ctl("start", "lantern/general", "--on", "bed", "--name", "l", "--mode", mode, "--set", "service.bin=")
    assert 0 != done.status
    session = ended(me, it.cluster, "l", "failed")
    assert ("Failed", "ERROR: no program was given - exiting") == status_of(me, session)
    (host,) = killed(it)
    assert host in NODES


def test_on_the_login_node(it: Bench, me: Person) -> None:
    """As a process there, without a scheduler."""
    session = begun(me, "--mode", "controller")
    assert LOGIN in page(session)
    assert 0 == me.ctl("stop", "l").status
    ended(me, it.cluster, "l", "cancelled")
    until(lambda: [LOGIN] == killed(it), "its kill template has run once, there")
