"""``/v1/events``: the history of all sessions as it is, then as it happens."""

from __future__ import annotations

import json
from dataclasses import dataclass

import anyio
from aiohttp import web

from sessiond.api import wire
from sessiond.api.service import Desk
from sessiond.api.views import event_view, link_event
from sessiond.core.errors import SpecError
from sessiond.core.events import Event, JobFound, JobPending, JobRunning, Submitted
from sessiond.core.ids import SessionId
from sessiond.core.machine import Record
from sessiond.core.session import Session
from sessiond.runtime.bus import Bus, LinkChanged
from sessiond.store.store import Store, StoredRecord

_PAGE = 500
_WHOLE_STORY = 100_000
_HEARTBEAT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Which job a session had, and where that ran, at one moment of its history."""

    job: str | None = None
    node: str | None = None

    @classmethod
    def of(cls, session: Session) -> Facts:
        """As they are after the session's last transition."""
        job = session.job
        return cls() if job is None else cls(job=job.id, node=",".join(job.nodes) or None)

    def after(self, event: Event) -> Facts:
        """As they are after ``event``."""
        match event:
            case Submitted(job=job) | JobFound(job=job):
                return Facts(job=job)
            case JobRunning(nodes=nodes):
                return Facts(job=self.job, node=",".join(nodes) or None)
            case JobPending():
                return Facts(job=self.job)
            case _:
                return self


class EventRoutes:
    """The handler of ``/v1/events``."""

    def __init__(self, desk: Desk, store: Store, bus: Bus) -> None:
        self._desk = desk
        self._store = store
        self._bus = bus

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the route."""
        # No HEAD: that would be answered with a stream.
        router.add_get("/v1/events", self.stream, allow_head=False)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """One JSON line a transition: those after ``since`` (none asked for: only what comes), then live, with the
        changes of links between them.

        An empty line every twenty seconds shows that the stream lives. A watcher that lags is cut off and resumes
        with ``since`` set to the last ``seq`` it saw.
        """
        since = _since(request)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        with self._bus.watch() as live:
            # Watching begins before the replay, so that nothing falls between; what both show is shown once.
            last = since
            if since is not None:
                last = await self._replay(response, since)
            await response.write(b"\n")
            while True:
                try:
                    with anyio.fail_after(_HEARTBEAT_S):
                        published = await live.receive()
                except TimeoutError:
                    await response.write(b"\n")
                    continue
                except anyio.EndOfStream:
                    break
                if isinstance(published, LinkChanged):
                    await response.write(_line(link_event(published, seq=self._store.last_seq())))
                elif last is None or published.seq > last:
                    facts = Facts.of(published.session)
                    await response.write(_line(self._view(published.seq, published.record, facts)))
        await response.write_eof()
        return response

    async def _replay(self, response: web.StreamResponse, since: int) -> int:
        known: dict[SessionId, Facts] = {}
        while page := self._store.records(since_seq=since, limit=_PAGE):
            for stored in page:
                before = known.get(stored.record.session) or self._facts_before(stored)
                facts = known[stored.record.session] = before.after(stored.record.event)
                await response.write(_line(self._view(stored.seq, stored.record, facts)))
            since = page[-1].seq
        return since

    def _facts_before(self, stored: StoredRecord) -> Facts:
        facts = Facts()
        for earlier in self._store.records(session=stored.record.session, limit=_WHOLE_STORY):
            if earlier.seq >= stored.seq:
                break
            facts = facts.after(earlier.record.event)
        return facts

    def _view(self, seq: int, record: Record, facts: Facts) -> wire.Event:
        session = self._desk.engine.sessions.get(record.session)
        return event_view(
            seq,
            record,
            name=session.name if session is not None else record.session,
            cluster=session.spec.cluster if session is not None else "",
            job=facts.job,
            node=facts.node,
        )


def _since(request: web.Request) -> int | None:
    text = request.query.get("since")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise SpecError(f'since: expected the number of an event, got "{text[:40]}"')
    return int(text)


def _line(event: wire.Event) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
