"""Tells people what happened, by a command of their own, while they do not look.

What is news follows from what is stored: transitions are numbered, and a number once settled is never told again. So a
restarted daemon tells what the one before it could not, and nothing twice. A notice is written down as told just before
its command is started, so that of a daemon that is killed between the two one notice is lost, rather than told for ever
by one that is killed by telling it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import anyio
import structlog

from sessiond.core.command import Command
from sessiond.core.errors import RemoteError, StateFull, printable
from sessiond.core.ids import ClusterName, SessionId
from sessiond.core.link import Link, LinkState
from sessiond.core.machine import Record
from sessiond.core.notice import (
    Kind,
    Notice,
    ends_soon,
    filled,
    harmless,
    holds,
    news_in,
    of_link,
    of_session,
    together,
)
from sessiond.core.session import Session
from sessiond.remote.transport import Transport
from sessiond.render.mask import masked
from sessiond.runtime.bus import LinkChanged, Published
from sessiond.runtime.clock import Clock, sleep_unless
from sessiond.runtime.told import Told, load

log = structlog.get_logger(__name__)

GATHER_S = 1.0
"""So long is waited for more of the same: forty sessions that end at once are one notice."""
LOOK_EVERY_S = 30.0
COMMAND_S = 10.0
_FACT = "notify"
_PAGE = 500
_KEEP_UP = 500
"""So many transitions may pass without news before it is written down that they are settled."""
_FOR_A_PERSON = frozenset({LinkState.NEEDS_LOGIN, LinkState.BLOCKED})
_BY_THE_PERSON = frozenset({"logged-out", "login-abandoned"})


class Numbered(Protocol):
    """A transition and its number."""

    @property
    def seq(self) -> int:
        """Its number."""

    @property
    def record(self) -> Record:
        """What happened."""


class Ledger(Protocol):
    """The part of the store that a herald uses."""

    def fact(self, key: str) -> str | None:
        """What was kept under ``key``."""

    def set_fact(self, key: str, value: str) -> None:
        """Keep it. Raises StateFull."""

    def records(self, since_seq: int = 0, session: SessionId | None = None, limit: int = 1000) -> Sequence[Numbered]:
        """At most ``limit`` transitions after number ``since_seq``, oldest first."""

    def last_seq(self) -> int:
        """The number of the newest; 0 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """Something to be told, and what is told with it: a transition, a cluster's need, or a session's end to come."""

    notice: Notice
    seq: int | None = None
    login: ClusterName | None = None
    soon: tuple[SessionId, float, float] | None = None

    def note(self, told: Told) -> None:
        """It was told."""
        if self.seq is not None:
            told.beyond.add(self.seq)
        if self.login is not None:
            told.logins.add(self.login)
        if self.soon is not None:
            session, ends_by, near_s = self.soon
            told.soon[session] = (ends_by, near_s)


class Herald:
    """Runs the configured command for each notice, one at a time. ``here`` is where commands run, ``sessions`` are all
    there are now."""

    def __init__(
        self, clock: Clock, ledger: Ledger, here: Transport, sessions: Callable[[], Mapping[SessionId, Session]]
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._here = here
        self._sessions = sessions
        self._command: tuple[str, ...] | None = None
        self._told = Told(0)
        self._news: list[tuple[int, Record]] = []
        self._links: dict[ClusterName, Link] = {}
        self._seen = 0
        self._wake = anyio.Event()
        self.problem: str | None = None
        """What is wrong with the command; None while it works."""

    def follow(self, command: tuple[str, ...]) -> None:
        """Run ``command`` from now on; none where it is empty. What happened while there was none is never told."""
        if command == self._command:
            return
        before, self._command, self.problem = self._command, command, None
        if not command:
            self._news, self._links = [], {}
            if self._ledger.fact(_FACT):
                self._keep("")
        elif not before:
            self._begin()

    def _begin(self) -> None:
        """Go on where an earlier daemon was, or begin with what comes."""
        self._seen = self._ledger.last_seq()
        known = load(self._ledger.fact(_FACT) or "")
        self._told = known or Told(self._seen)
        if known is None:
            self._save()
        at = self._told.upto
        while page := self._ledger.records(at, limit=_PAGE):
            for one in page:
                self._hear(one.seq, one.record)
            at = page[-1].seq

    def hear(self, published: Published) -> None:
        """A transition was committed. It may have brought the end nearer: a walltime that somebody cut."""
        if self._command:
            self._hear(published.seq, published.record)
            if self._soon(published.session) is not None:
                self._wake.set()

    def _hear(self, seq: int, record: Record) -> None:
        self._seen = seq
        if news_in(record) is not None and seq not in self._told.beyond:
            self._news.append((seq, record))
            self._wake.set()

    def hear_link(self, change: LinkChanged) -> None:
        """The link of a cluster changed. That it needs a person is told once, until it has been up again; not if that
        person is there, or wanted it so."""
        link = change.link
        if not self._command:
            return
        if link.state is LinkState.UP and link.name in self._told.logins:
            self._told.logins.discard(link.name)
            self._save()
        came_by_itself = change.before not in (*_FOR_A_PERSON, LinkState.AUTHENTICATING)
        by_the_person = link.problem is not None and link.problem.code in _BY_THE_PERSON
        if link.state not in _FOR_A_PERSON or by_the_person:
            self._links.pop(link.name, None)
        elif came_by_itself:
            self._links[link.name] = link
            self._wake.set()

    async def run(self) -> None:
        """Tell for ever what there is to tell."""
        while True:
            if await sleep_unless(self._clock, LOOK_EVERY_S, self._wake):
                await self._clock.sleep(GATHER_S)
            self._wake = anyio.Event()
            if self._command:
                await self._tell()

    async def _tell(self) -> None:
        """Everything that is due now."""
        upto = self._seen
        news, self._news = self._news, []
        told = False
        for kind in Kind:
            # Looked up when its turn comes: what a slow command held up may be of no interest any more.
            due = self._due(kind, news)
            notices = together([one.notice for one in due])
            for n, notice in enumerate(notices):
                for one in due if len(notices) < len(due) else due[n : n + 1]:
                    one.note(self._told)
                self._save()
                await self._run(notice)
                told = True
        if told or upto - self._told.upto >= _KEEP_UP:
            self._told.settle(upto, {s.id for s in self._sessions().values() if s.live})
            self._save()

    # What is due.

    def _due(self, kind: Kind, news: Sequence[tuple[int, Record]]) -> list[_Due]:
        if kind is Kind.NEEDS_LOGIN:
            return self._of_links()
        found = self._of_news(kind, news)
        return found if kind is not Kind.ENDING_SOON else [*found, *self._of_walltimes()]

    def _of_links(self) -> list[_Due]:
        """Those that need a person still: whoever was there in the moment before it is told need not be told."""
        links, self._links = self._links, {}
        found: list[_Due] = []
        for link in links.values():
            if link.name not in self._told.logins:
                waiting = sorted(s.name for s in self._sessions().values() if s.live and s.spec.cluster == link.name)
                found.append(_Due(notice=harmless(of_link(link, waiting, self._clock.now())), login=link.name))
        return found

    def _of_news(self, kind: Kind, news: Sequence[tuple[int, Record]]) -> list[_Due]:
        found: list[_Due] = []
        for seq, record in news:
            session = self._sessions().get(record.session)
            if session is not None and news_in(record) is kind and holds(record, session):
                found.append(_Due(notice=self._words(kind, session, session.idle_ends_by), seq=seq))
        return found

    def _of_walltimes(self) -> list[_Due]:
        found: list[_Due] = []
        for session in self._sessions().values():
            soon = self._soon(session)
            if soon is not None:
                # That it ends before that because nobody uses it is another matter, and was told.
                notice = self._words(Kind.ENDING_SOON, replace(session, idle_ends_by=None), soon[1])
                found.append(_Due(notice=notice, soon=soon))
        return found

    def _soon(self, session: Session) -> tuple[SessionId, float, float] | None:
        """The end of a session's walltime, and how near that is, if it is to be told now."""
        near = ends_soon(session, self._clock.now())
        ends_by = session.job.ends_by if session.job is not None else None
        if near is None or ends_by is None or self._told.was_told_soon(session.id, ends_by, near):
            return None
        return session.id, ends_by, near

    def _words(self, kind: Kind, session: Session, at: float | None) -> Notice:
        clock = datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M") if at is not None else ""
        notice = of_session(kind, session, self._clock.now(), clock)
        text = masked(notice.text, session.spec.secrets.values())
        return harmless(replace(notice, text=text))

    # The command.

    async def _run(self, notice: Notice) -> None:
        if not self._command:
            return
        argv = tuple(filled(word, notice) for word in self._command)
        why = ""
        try:
            done = await self._here.run(Command(argv=argv, timeout_s=COMMAND_S))
            if done.rc != 0:
                said = printable(" ".join(done.stderr.decode(errors="replace").split()))
                why = f"{Path(argv[0]).name} ended with status {done.rc}" + (f": {said}" if said else "")
        except RemoteError as error:
            why = error.message
        if why:
            log.warning("a notification could not be given", kind=notice.kind.value, about=notice.about, why=why)
        self.problem = f"notify.command: {why}" if why else None

    def _save(self) -> None:
        if self._command:
            self._keep(self._told.dump())

    def _keep(self, text: str) -> None:
        """Write down what was told. On a full disk it is still told, and perhaps once more by the next daemon."""
        try:
            self._ledger.set_fact(_FACT, text)
        except StateFull as error:
            log.warning("what was told could not be written down", why=error.message)
