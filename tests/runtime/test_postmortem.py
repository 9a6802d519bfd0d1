"""What is collected of an unexpected end: while it can be, whole or said to be missing, without secrets, and once."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from sessiond.core.errors import HostDown, NotSent
from sessiond.core.events import JobEnded, StopRequested
from sessiond.core.ids import SessionId
from sessiond.core.link import Link, LinkState
from sessiond.core.postmortem import PostMortem
from sessiond.core.report import Evidence, Words
from sessiond.core.session import Outcome, Problem, Session, State
from sessiond.render.mask import MASK, Masker
from sessiond.runtime.bus import LinkChanged
from sessiond.runtime.clock import Clock
from sessiond.runtime.cluster import Clusters
from sessiond.runtime.folders import Folders
from sessiond.runtime.letters import Standing
from sessiond.runtime.postmortem import FILE, GIVES_UP_AFTER_S, PostMortems, last_lines
from tests.core.builders import a_session
from tests.runtime.conftest import EPOCH, VirtualClock
from tests.runtime.connector import ScriptedConnector
from tests.runtime.scripted import LOCAL, ScriptedCluster, World, world

pytestmark = pytest.mark.anyio

WRONG = Problem(code="exit", message="the session's script ended with status 7")


class Logged(ScriptedCluster):
    """A cluster on which sessions have logs."""

    log = b""

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """The end of the log."""
        await anyio.lowlevel.checkpoint()
        return self.log[offset:]


@asynccontextmanager
async def collecting(clock: Clock, folder: Path, cluster: ScriptedCluster) -> AsyncIterator[tuple[World, PostMortems]]:
    """A runtime that collects."""
    async with world(clock, folder, cluster=cluster) as here:
        found = made(here, folder)
        here.bus.listen(found.follow)
        yield here, found


def made(here: World, folder: Path) -> PostMortems:
    """Who collects in ``here``, as a daemon that was just started has it."""
    clusters = Clusters({here.local.name: here.local})
    return PostMortems(here.group, here.clock, clusters, Folders(folder), lambda _session: "connection refused")


async def fails(here: World, session: SessionId, outcome: Outcome = Outcome.FAILED) -> None:
    """The session's job ends."""
    await here.reaches(State.RUNNING, [session])
    await here.engine.tell(Standing(session=session, event=JobEnded(outcome=outcome, problem=WRONG)))
    await here.reaches(State.ENDED, [session])


async def complete(found: PostMortems, session: SessionId, within_s: float = 3600.0) -> PostMortem:
    """What is kept, once it is whole."""
    with anyio.fail_after(within_s):
        while (kept := found.of(session)) is None or not kept.complete:  # noqa: ASYNC110
            await anyio.sleep(within_s / 2000)
    return kept


async def test_a_failure_is_collected(virtual: VirtualClock, tmp_path: Path) -> None:
    """Exit record, the scheduler's words, peak memory, the log's last 200 lines; in a file for its owner alone."""
    cluster = Logged()
    cluster.log = b"".join(b"line %d\n" % n for n in range(500))
    evidence = Evidence(status=7, reason="exit", words=(Words(asked="sacct", said="State=FAILED"),), peak_memory=4096)

    def prepare(session: SessionId) -> None:
        cluster.script(session).answers["evidence"] = evidence

    async with collecting(virtual, tmp_path, cluster) as (here, found):
        session = await here.begin(0, prepare)
        await fails(here, session)
        kept = await complete(found, session)
        assert evidence == kept.evidence
        assert ("line 300", "line 499", 200) == (kept.log[0], kept.log[-1], len(kept.log))
        assert ("connection refused", ()) == (kept.tunnel, kept.missing)
        assert 0o600 == stat.S_IMODE((tmp_path / session / FILE).stat().st_mode)
        assert 1 == cluster.ran["evidence", session]


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.CANCELLED])
async def test_an_end_that_was_meant_is_not(virtual: VirtualClock, tmp_path: Path, outcome: Outcome) -> None:
    """Nobody is asked, and nothing is kept."""
    async with collecting(virtual, tmp_path, ScriptedCluster()) as (here, found):
        session = await here.begin()
        if outcome is Outcome.CANCELLED:
            await here.reaches(State.RUNNING, [session])
            await here.engine.ask(session, StopRequested())
            await here.reaches(State.ENDED, [session])
        else:
            await fails(here, session, outcome)
        await anyio.sleep(3600)
        assert (None, 0) == (found.of(session), here.cluster.ran["evidence", session])


async def test_a_job_that_somebody_else_cancelled(virtual: VirtualClock, tmp_path: Path) -> None:
    """Nobody here asked for that: what is known of it is collected."""
    async with collecting(virtual, tmp_path, ScriptedCluster()) as (here, found):
        session = await here.begin()
        await fails(here, session, Outcome.CANCELLED)
        await complete(found, session)
        assert 1 == here.cluster.ran["evidence", session]


async def test_the_end_does_not_wait_for_it(virtual: VirtualClock, tmp_path: Path) -> None:
    """A scheduler that hangs holds up neither the end nor the cleaning up; and it is waited for for a bounded time."""

    def prepare(session: SessionId) -> None:
        cluster.script(session).wait["evidence"] = 1e6

    cluster = ScriptedCluster()
    async with collecting(virtual, tmp_path, cluster) as (here, found):
        session = await here.begin(0, prepare)
        await fails(here, session)
        with anyio.fail_after(1):
            await here.lanes.settled(session)
        assert 1 == cluster.ran["cleanup", session]
        await anyio.sleep(200)
        kept = found.of(session)
        assert kept is not None
        assert not kept.complete
        assert ("its exit record and its scheduler's words: no answer in time",) == kept.missing
        assert ["evidence"] == cluster.cancelled


async def test_a_cluster_that_is_down_is_asked_again(virtual: VirtualClock, tmp_path: Path) -> None:
    """For a day; meanwhile what is known is there, with what is missing and why."""

    def trouble(verb: str) -> None:
        if verb == "evidence" and virtual.now() < EPOCH + 3600:
            raise HostDown("no route to host")

    cluster = ScriptedCluster()
    async with collecting(virtual, tmp_path, cluster) as (here, found):
        session = await here.begin(0, lambda known: setattr(cluster.script(known), "trouble", trouble))
        await fails(here, session)
        await anyio.sleep(60)
        kept = found.of(session)
        assert kept is not None
        assert (False, ("its exit record and its scheduler's words: no route to host",)) == (
            kept.complete,
            kept.missing,
        )
        kept = await complete(found, session, 2 * 3600)
        assert kept.evidence is not None
        assert (7, ()) == (kept.evidence.status, kept.missing)


async def test_it_is_given_up_after_a_day(virtual: VirtualClock, tmp_path: Path) -> None:
    """Then what is missing is missing for good, and nothing is asked any more."""

    def trouble(verb: str) -> None:
        if verb == "evidence":
            raise NotSent("no way there")

    cluster = ScriptedCluster()
    async with collecting(virtual, tmp_path, cluster) as (here, found):
        session = await here.begin(0, lambda known: setattr(cluster.script(known), "trouble", trouble))
        await fails(here, session)
        kept = await complete(found, session, GIVES_UP_AFTER_S + 3600)
        assert ("its exit record and its scheduler's words: no way there",) == kept.missing
        asked = cluster.ran["evidence", session]
        made(here, tmp_path).restore([here.of(session)])
        await anyio.sleep(GIVES_UP_AFTER_S)
        assert asked == cluster.ran["evidence", session]


async def test_accounting_that_lags_is_asked_a_few_times(virtual: VirtualClock, tmp_path: Path) -> None:
    """Then what it says counts."""

    def prepare(session: SessionId) -> None:
        cluster.script(session).answers["evidence"] = Evidence(status=7, lagging=True)

    cluster = ScriptedCluster()
    async with collecting(virtual, tmp_path, cluster) as (here, found):
        session = await here.begin(0, prepare)
        await fails(here, session)
        await complete(found, session)
        assert 4 == cluster.ran["evidence", session]


@pytest.mark.parametrize("left", [b"", b'{"at": 1', b'{"at": "x"}', b"[]", None])
async def test_what_a_killed_daemon_did_not_collect_the_next_one_does(
    virtual: VirtualClock, tmp_path: Path, left: bytes | None
) -> None:
    """There may be no file, or half of one; one that is whole is let be."""
    cluster = ScriptedCluster()
    async with world(virtual, tmp_path, cluster=cluster) as here:
        session = await here.begin()
        await fails(here, session)
        if left is not None:
            Folders(tmp_path).write(session, FILE, left)
        found = made(here, tmp_path)
        assert found.of(session) is None
        found.restore([here.of(session)])
        await complete(found, session)
        made(here, tmp_path).restore([here.of(session)])
        await anyio.sleep(3600)
        assert 1 == cluster.ran["evidence", session]


async def test_ends_that_are_long_past_are_let_be(virtual: VirtualClock, tmp_path: Path) -> None:
    """A daemon that is new to them asks no cluster; a record that was never whole is closed."""
    cluster = ScriptedCluster()
    async with world(virtual, tmp_path, cluster=cluster) as here:
        old = replace(a_session(State.ENDED), outcome=Outcome.FAILED, ended_at=EPOCH - GIVES_UP_AFTER_S - 60)
        found = made(here, tmp_path)
        found.restore([old])
        await anyio.sleep(60)
        assert found.of(old.id) is None
        found._keep(old, PostMortem(at=1.0, complete=False, missing=("all of it",)))
        found.restore([old])
        assert PostMortem(at=1.0, complete=True, missing=("all of it",)) == found.of(old.id)
        assert 0 == sum(cluster.ran.values())


async def test_how_the_link_was_then_counts(virtual: VirtualClock, tmp_path: Path) -> None:
    """When it is collected at last the connection is well again: the first record keeps how it was."""
    cluster = ScriptedCluster()
    async with collecting(virtual, tmp_path, cluster) as (here, found):
        session = await here.begin()
        await fails(here, session)
        first = await complete(found, session)
        found._keep(here.of(session), replace(first, complete=False, link="unreachable for 3 min"))
        again = made(here, tmp_path)
        again.restore([here.of(session)])
        assert "unreachable for 3 min" == (await complete(again, session)).link


async def test_the_last_trouble_of_a_link_is_remembered(virtual: VirtualClock, tmp_path: Path) -> None:
    """Once it is up again it has none itself; one that came up, or that somebody logged in to, has told nothing new,
    and what was before a session's time is not its."""
    down = Problem(code="host-down", message="no route to host")
    link = Link(name=LOCAL, state=LinkState.BACKOFF, since=virtual.now(), down_since=virtual.now(), problem=down)
    cluster = ScriptedCluster()
    async with world(virtual, tmp_path, cluster=cluster, connector=ScriptedConnector(behind=cluster)) as here:
        found = made(here, tmp_path)
        session = here.of(await here.begin())
        await here.reaches(State.RUNNING, [session.id])
        assert "" == found.link(session)
        found.link_changed(LinkChanged(at=virtual.now(), before=LinkState.UP, link=link))
        asked = replace(link, state=LinkState.AUTHENTICATING)
        found.link_changed(LinkChanged(at=virtual.now(), before=LinkState.BACKOFF, link=asked))
        up = replace(link, state=LinkState.UP, problem=None)
        found.link_changed(LinkChanged(at=virtual.now(), before=LinkState.AUTHENTICATING, link=up))
        assert "last trouble, 0 s earlier: unreachable for 0 s: no route to host" == found.link(session)
        assert "" == found.link(replace(session, created=virtual.now() + 1))
        assert "" == found.link(replace(session, ended_at=virtual.now() - 1))


async def test_what_is_forgotten_stays_forgotten(virtual: VirtualClock, tmp_path: Path) -> None:
    """A collection under way ends first, so that it puts no file back."""
    cluster = ScriptedCluster()
    async with collecting(virtual, tmp_path, cluster) as (here, found):
        session = await here.begin(0, lambda known: cluster.script(known).wait.update(evidence=60.0))
        await fails(here, session)
        await anyio.sleep(1)
        await found.stop(session)
        Folders(tmp_path).remove(session)
        await anyio.sleep(3600)
        assert not (tmp_path / session).exists()
        assert ["evidence"] == cluster.cancelled


async def test_a_disk_that_is_full_is_no_reason_to_stop(
    virtual: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said in the log; the next daemon tries again."""
    async with collecting(virtual, tmp_path, ScriptedCluster()) as (here, found):
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Folders, "write", full)
        await here.engine.tell(Standing(session=session, event=JobEnded(outcome=Outcome.FAILED, problem=WRONG)))
        await here.reaches(State.ENDED, [session])
        await anyio.sleep(60)
        assert any("cannot be kept" in str(line["event"]) for line in here.logs)
        assert found.of(session) is None


async def test_no_secret_is_kept(virtual: VirtualClock, tmp_path: Path) -> None:
    """Neither in the log, nor in what the scheduler and the script say."""
    secret = 'hostile "$ecret" \\ 1'
    cluster = Logged()
    cluster.log = f"password: {secret}\nand in JSON: {json.dumps(secret)}\n".encode()
    async with world(virtual, tmp_path, cluster=cluster) as here:
        identity = await here.begin()
        await fails(here, identity)
        one: Session = here.of(identity)
        one = replace(one, spec=replace(one.spec, secrets={"service_password": secret}))
        cluster.script(identity).answers["evidence"] = Evidence(
            failure=f"cannot log in with {secret}", words=(Words(asked="sacct", said=f"Comment={secret}"),)
        )
        kept = await made(here, tmp_path).collect(one)
        assert "ecret" not in repr(kept)
        assert (f"password: {MASK}", f'and in JSON: "{MASK}"') == kept.log


def test_the_last_lines_of_a_log_are_bounded() -> None:
    """In lines and in characters, whatever a service writes; half a line at the front is not shown."""
    mask = Masker([])
    assert ("b",) == last_lines(b"x" * 300_000 + b"\nb\n", mask)
    assert 200 == len(last_lines(b"a\n" * 1000, mask))
    assert ("\ufffd",) == last_lines(b"\xff", mask)
    assert () == last_lines(b"", mask)
