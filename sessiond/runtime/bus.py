"""Who hears of a transition: history lines, watchers, service.json. One source for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from sessiond.core.link import Link, LinkState
from sessiond.core.machine import Record
from sessiond.core.session import Session

WATCHER_LAG = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A committed transition: its place in the history, the record, and the session after it."""

    seq: int
    record: Record
    session: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChanged:
    """The link to a cluster went from one state to another. It is told, not kept: history is about sessions."""

    at: float
    before: LinkState
    link: Link


Listener = Callable[[Published], None]
News = Published | LinkChanged


class Bus:
    """Tells each transition to listeners (in order, synchronously) and to watchers (streams); links to those who ask.

    A watcher that falls 256 transitions behind is cut off rather than waited for; it resumes by ``since=seq``.
    """

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._link_listeners: list[Callable[[LinkChanged], None]] = []
        self._watchers: set[MemoryObjectSendStream[News]] = set()

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every transition from now on. It must neither block nor raise."""
        self._listeners.append(listener)

    def listen_to_links(self, listener: Callable[[LinkChanged], None]) -> None:
        """Call ``listener`` with every change of a link from now on. It must neither block nor raise."""
        self._link_listeners.append(listener)

    @contextmanager
    def watch(self) -> Iterator[MemoryObjectReceiveStream[News]]:
        """A stream of all news from now on; it ends when the watcher lags."""
        send, receive = anyio.create_memory_object_stream[News](WATCHER_LAG)
        self._watchers.add(send)
        try:
            with receive:
                yield receive
        finally:
            self._watchers.discard(send)
            send.close()

    def publish(self, published: Published) -> None:
        """Tell everybody."""
        for listener in self._listeners:
            listener(published)
        self._show(published)

    def link_changed(self, change: LinkChanged) -> None:
        """Tell everybody who hears of links."""
        for listener in self._link_listeners:
            listener(change)
        self._show(change)

    def _show(self, news: News) -> None:
        for watcher in tuple(self._watchers):
            try:
                watcher.send_nowait(news)
            except (anyio.WouldBlock, anyio.BrokenResourceError):
                self._watchers.discard(watcher)
                watcher.close()
