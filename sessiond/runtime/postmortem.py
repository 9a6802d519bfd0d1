"""What is collected after an unexpected end, while it can be, and kept in the session's folder of the workspace.

The end itself waits for none of it. Nothing about it is in the database: a session that ended unexpectedly and whose
folder holds no complete record has its collection still before it, so a daemon that was killed in between needs no
special case.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace

import anyio
import structlog
from anyio.abc import TaskGroup

from sessiond import failpoint
from sessiond.core.errors import RemoteError
from sessiond.core.ids import SessionId
from sessiond.core.link import Link, LinkState
from sessiond.core.pace import backoff_s
from sessiond.core.postmortem import LOG_LINES, SCHEDULER_CHARS, PostMortem, ended_unexpectedly
from sessiond.core.report import Evidence, Words
from sessiond.core.session import Session
from sessiond.core.status import about, describe_link
from sessiond.render.mask import Masker
from sessiond.runtime import guard
from sessiond.runtime.bus import LinkChanged, Published
from sessiond.runtime.clock import Clock
from sessiond.runtime.cluster import Clusters
from sessiond.runtime.folders import Folders

log = structlog.get_logger(__name__)

FILE = "postmortem.json"
GIVES_UP_AFTER_S = 24 * 3600.0
"""How long after an end a cluster that does not answer is asked for it again."""
_AT_ONCE = 2
_LAGS = 3
_LAG_S = 15.0
"""How often, and after how long, accounting that has not heard of the end is asked once more."""
_FILE_BYTES = 4 * 1024 * 1024
_LOG_CHARS = 200_000
_TRIES_S = 150.0
"""More than a command's own deadline and the wait for a connection; beyond it the transport has failed us."""

Trouble = Callable[[SessionId], str]


class PostMortems:
    """Collects, keeps and reads them. ``trouble`` tells what was last wrong with the way to a session's service."""

    def __init__(self, group: TaskGroup, clock: Clock, clusters: Clusters, folders: Folders, trouble: Trouble) -> None:
        self._group = group
        self._clock = clock
        self._clusters = clusters
        self._folders = folders
        self._trouble = trouble
        self._at_once: dict[str, anyio.Semaphore] = {}
        self._scopes: dict[SessionId, tuple[anyio.CancelScope, anyio.Event]] = {}
        self._links: dict[str, tuple[str, float]] = {}

    # When.

    def follow(self, published: Published) -> None:
        """A session changed: if that was an unexpected end, collect."""
        if published.record.before is not published.session.state and ended_unexpectedly(published.session):
            self._begin(published.session)

    def restore(self, sessions: Iterable[Session]) -> None:
        """Collect what an earlier daemon could not; of an end that is long past nobody is asked any more."""
        for session in filter(ended_unexpectedly, sessions):
            found = self.of(session.id)
            if self._is_late(session):
                if found is not None and not found.complete:
                    self._keep(session, replace(found, complete=True))
            elif found is None or not found.complete:
                self._begin(session)

    def link_changed(self, change: LinkChanged) -> None:
        """Remember what was last wrong with a link: when it is asked for, all may be well again."""
        well = (LinkState.UP, LinkState.IDLE, LinkState.AUTHENTICATING)
        if change.link.state not in well and change.link.problem is not None:
            self._links[change.link.name] = (describe_link(change.link, change.at).phrase, change.at)

    async def stop(self, session: SessionId) -> None:
        """Collect nothing more for a session that is forgotten: its folder must not come back."""
        found = self._scopes.get(session)
        if found is not None:
            scope, over = found
            scope.cancel()
            await over.wait()

    # What.

    def of(self, session: SessionId) -> PostMortem | None:
        """What is kept of a session's end; None where there is nothing, or nothing that can be read."""
        raw = self._folders.read(session, FILE, _FILE_BYTES)
        return None if raw is None else _read(raw)

    async def collect(self, session: Session, secrets: Iterable[str] = (), within_s: float = _TRIES_S) -> PostMortem:
        """What can be known now of a session, alive or over; what cannot is said. ``secrets`` are masked, as the
        session's own always are. Each of the two questions may take ``within_s`` seconds."""
        mask = Masker([*session.spec.secrets.values(), *secrets])
        found = replace(self._at_hand(session, mask), complete=True)
        evidence, missing = await self._evidence(session, mask, within_s)
        lines, unread = await self.log(session, mask, within_s)
        return replace(found, evidence=evidence, log=lines, missing=(*missing, *unread))

    def link(self, session: Session) -> str:
        """How the connection to the session's cluster is, if it is not well, else what was last wrong with it in the
        session's time."""
        link: Link | None = self._clusters.link(session)
        if link is None:
            return ""
        # Not connected, and for the first time about to be, is how a daemon begins: nothing is wrong with it.
        begins = link.state is LinkState.IDLE or (link.state is LinkState.CONNECTING and link.down_since is None)
        now = "" if begins or link.state is LinkState.UP else describe_link(link, self._clock.now()).phrase
        if now:
            return now
        last, at = self._links.get(session.spec.cluster, ("", 0.0))
        over = session.ended_at if session.ended_at is not None else at
        told = last and session.created <= at <= over
        return f"last trouble, {about(self._clock.now() - at)} earlier: {last}" if told else ""

    def tunnel(self, session: Session) -> str:
        """The last thing that was wrong with the way to the session's service; empty where nothing was."""
        return self._trouble(session.id)

    def _at_hand(self, session: Session, mask: Masker) -> PostMortem:
        nodes = session.job.nodes if session.job is not None else ()
        return PostMortem(
            at=self._clock.now(),
            complete=False,
            node=mask(", ".join(nodes)),
            link=mask(self.link(session)),
            tunnel=mask(self.tunnel(session)),
            missing=("all the rest, which is being collected",),
        )

    async def _evidence(
        self, session: Session, mask: Masker, within_s: float
    ) -> tuple[Evidence | None, tuple[str, ...]]:
        try:
            with anyio.fail_after(within_s):
                found = await self._clusters.of(session).performer.evidence(session)
        except (RemoteError, TimeoutError) as error:
            return None, (f"its exit record and its scheduler's words: {_why(error)}",)
        words = tuple(Words(asked=one.asked, said=mask(one.said)[:SCHEDULER_CHARS]) for one in found.words)
        missing = tuple(map(mask, found.missing))
        return replace(found, failure=mask(found.failure), words=words, missing=()), missing

    async def log(self, session: Session, mask: Masker, within_s: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The last lines of the session's log, and why there are none if they cannot be had."""
        missing: tuple[str, ...] = ()
        raw = b""
        try:
            with anyio.fail_after(within_s):
                raw = await self._clusters.of(session).performer.log_end(session)
        except (RemoteError, TimeoutError) as error:
            missing = (f"its log: {_why(error)}",)
        raw = raw or self._folders.log_tail(session.id)
        return last_lines(raw, mask), () if raw else missing

    # How.

    def _begin(self, session: Session) -> None:
        if session.id not in self._scopes:
            scope, over = self._scopes[session.id] = anyio.CancelScope(), anyio.Event()
            self._group.start_soon(self._work, session, scope, over, name=f"post-mortem of {session.name}")

    async def _work(self, session: Session, scope: anyio.CancelScope, over: anyio.Event) -> None:
        try:
            with scope:
                await guard.isolated(f"collecting the end of {session.name}", lambda: self._until_complete(session))
        finally:
            self._scopes.pop(session.id, None)
            over.set()

    async def _until_complete(self, session: Session) -> None:
        await anyio.lowlevel.checkpoint()  # the transition is told to everybody before anything is done about it
        failpoint.hit("postmortem.before")
        first = self.of(session.id) or self._at_hand(session, Masker(session.spec.secrets.values()))
        self._keep(session, first)
        turn = self._at_once.setdefault(session.spec.cluster, anyio.Semaphore(_AT_ONCE))
        tries = lags = 0
        while True:
            async with turn:
                found = await self.collect(session)
            # How the connection was at the end counts, not how it is once it is there again.
            found = replace(found, link=first.link or found.link, tunnel=first.tunnel or found.tunnel)
            lagging = found.evidence is not None and found.evidence.lagging and lags < _LAGS
            found = replace(found, complete=self._is_late(session) or (found.evidence is not None and not lagging))
            self._keep(session, found)
            if found.complete:
                failpoint.hit("postmortem.after")
                return
            lags += lagging
            tries += not lagging
            await self._clock.sleep(_LAG_S if lagging else backoff_s(tries, session.id))

    def _is_late(self, session: Session) -> bool:
        return self._clock.now() - (session.ended_at or 0.0) > GIVES_UP_AFTER_S

    def _keep(self, session: Session, found: PostMortem) -> None:
        try:
            self._folders.write(
                session.id, FILE, json.dumps(asdict(found), indent=1, ensure_ascii=False).encode() + b"\n"
            )
        except OSError as error:
            # The session's end is written down elsewhere; the next daemon tries again.
            log.warning("what was collected of an end cannot be kept", session=session.id, why=str(error))


def last_lines(raw: bytes, mask: Callable[[str], str]) -> tuple[str, ...]:
    """The last lines of a log, masked before they are cut: half a secret is still one."""
    lines = mask(raw.decode(errors="replace")).splitlines()[-LOG_LINES:]
    size = 0
    for number, line in enumerate(reversed(lines)):
        size += len(line) + 1
        if size > _LOG_CHARS:
            return tuple(lines[len(lines) - number :])
    return tuple(lines)


def _why(error: RemoteError | TimeoutError) -> str:
    return error.message if isinstance(error, RemoteError) else "no answer in time"


def _read(raw: bytes) -> PostMortem | None:
    """A kept record; None for one that is not whole or not ours."""
    try:
        found = json.loads(raw)
        evidence = found["evidence"]
        return PostMortem(
            at=float(found["at"]),
            complete=found["complete"] is True,
            node=str(found["node"]),
            link=str(found["link"]),
            tunnel=str(found["tunnel"]),
            evidence=None if evidence is None else _read_evidence(evidence),
            log=_texts(found["log"]),
            missing=_texts(found["missing"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _read_evidence(found: Mapping[str, object]) -> Evidence:
    words = found["words"]
    if not isinstance(words, list):
        raise TypeError("the words are no list")
    return Evidence(
        status=_number(found["status"]),
        reason=str(found["reason"]),
        failure=str(found["failure"]),
        words=tuple(Words(asked=str(one["asked"]), said=str(one["said"])) for one in words),
        version=str(found["version"]),
        peak_memory=_number(found["peak_memory"]),
    )


def _number(found: object) -> int | None:
    return found if isinstance(found, int) else None


def _texts(found: Sequence[object]) -> tuple[str, ...]:
    if not isinstance(found, list):
        raise TypeError("not a list")
    return tuple(map(str, found))
