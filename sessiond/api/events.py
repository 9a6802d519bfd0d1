"""``/v1/events``: the history of all sessions as it is, then as it happens."""

from __future__ import annotations

import json

import anyio
from aiohttp import web

from sessiond.api import wire
from sessiond.api.service import Desk
from sessiond.api.views import event_view
from sessiond.core.errors import SpecError
from sessiond.core.machine import Record
from sessiond.runtime.bus import Bus
from sessiond.store.store import Store

_PAGE = 500
_HEARTBEAT_S = 20.0


class EventRoutes:
    """The handler of ``/v1/events``."""

    def __init__(self, desk: Desk, store: Store, bus: Bus) -> None:
        self._desk = desk
        self._store = store
        self._bus = bus

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the route."""
        router.add_get("/v1/events", self.stream)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """One JSON line a transition: those after ``since`` (none asked for: only what comes), then live.

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
                if last is None or published.seq > last:
                    await response.write(_line(self._view(published.seq, published.record)))
        await response.write_eof()
        return response

    async def _replay(self, response: web.StreamResponse, since: int) -> int:
        while page := self._store.records(since_seq=since, limit=_PAGE):
            for stored in page:
                await response.write(_line(self._view(stored.seq, stored.record)))
            since = page[-1].seq
        return since

    def _view(self, seq: int, record: Record) -> wire.Event:
        session = self._desk.engine.sessions.get(record.session)
        job = session.job if session is not None else None
        return event_view(
            seq,
            record,
            name=session.name if session is not None else record.session,
            cluster=session.spec.cluster if session is not None else "",
            job=job.id if job is not None else None,
            node=(",".join(job.nodes) or None) if job is not None else None,
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
