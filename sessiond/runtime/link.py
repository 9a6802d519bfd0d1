"""Keeping the link to a cluster: one connection, made by one attempt at a time, and lent to whoever has work there."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from sessiond.core import link as heard
from sessiond.core.command import Command
from sessiond.core.errors import AnswerLost, Conflict, HostDown, LinkError, NeedsLogin, RemoteError
from sessiond.core.ids import ClusterName
from sessiond.core.link import Link, LinkAction, LinkEvent, LinkState, step_link
from sessiond.core.link_words import link_error
from sessiond.core.pace import backoff_s
from sessiond.core.prompts import Prompt
from sessiond.core.session import Problem
from sessiond.remote.transport import Ask, Connection, Connector
from sessiond.runtime import guard
from sessiond.runtime.call import call, only_by_a_person
from sessiond.runtime.clock import Clock
from sessiond.runtime.held import Held, Holdings, close

log = structlog.get_logger(__name__)

UNWANTED_AFTER_S: Final = 600.0
"""How long a connection stays that nobody uses."""
RETIRED_S: Final = 3600.0
"""How long a connection that was replaced may still carry what was open on it."""

_LOOK_EVERY_S: Final = 5.0
_LOOK_RARELY_S: Final = 60.0
_JUMP_S: Final = 10.0
"""The wall clock and the monotonic one drift apart by less, unless the machine slept or its clock was set."""
_PROBE_S: Final = 10.0
_REPLACE_FROM: Final = 7
"""A replacement that fails is tried again after a minute, then more and more rarely: the old connection still works."""

_FOR_A_PERSON: Final = frozenset({LinkState.NEEDS_LOGIN, LinkState.BLOCKED})
_TRYING: Final = frozenset({LinkState.CONNECTING, LinkState.BACKOFF})


class LinkKeeper:
    """The link to one cluster. ``connector`` makes connections; ``wanted`` says whether sessions need one now.

    With ``attended`` nothing is ever tried without a person: the mere attempt might ring a phone. ``salt`` spreads the
    back-off and is chance where it is not given. Whoever `listen`\\ s is told of every change, synchronously, and must
    neither block nor raise.
    """

    def __init__(
        self,
        name: ClusterName,
        connector: Connector,
        clock: Clock,
        wanted: Callable[[], bool],
        on_change: Callable[[Link], None] | None = None,
        *,
        attended: bool = False,
        salt: str | None = None,
    ) -> None:
        self._connector = connector
        self._clock = clock
        self._wanted = wanted
        self._attended = attended
        self._listeners = [] if on_change is None else [on_change]
        self._group: TaskGroup | None = None
        self._attempt: anyio.CancelScope | None = None
        self._replacing: anyio.CancelScope | None = None
        self._replace_at = 0.0
        self._replace_failures = 0
        self._calling = anyio.Lock()
        self._ask: Ask | None = None
        self._held = Holdings()
        self._used_at = 0.0
        self._complained = False
        self._poked = anyio.Event()
        self._changed = anyio.Event()
        self.link = Link(
            name=name,
            since=clock.now(),
            attended=attended,
            salt=secrets.token_hex(4) if salt is None else salt,
        )
        """The link as it is now."""

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self.link.state is LinkState.UP

    def listen(self, listener: Callable[[Link], None]) -> None:
        """Tell ``listener`` of every change from now on."""
        self._listeners.append(listener)

    def poke(self) -> None:
        """Sessions came or went: look at once whether the link is wanted."""
        self._poked.set()

    def network_changed(self) -> None:
        """What failed may work now, and what seemed to work may not: try, or look, at once."""
        if self.held is not None and self._group is not None:
            work = partial(self._probe, self.held)
            self._group.start_soon(guard.isolated, f"probing the link to {self.link.name}", work)
        self._hear(heard.NetworkChanged())

    # For people.

    async def login(self, ask: Ask) -> None:
        """Connect with a person there to answer what ``ask`` puts to them; returns once the link is up.

        Raises LinkError where it does not come up, Conflict where somebody else is logging in. Cancelled, the login is
        abandoned.
        """
        if self._logging_in():
            raise Conflict(
                f"somebody is logging in to {self.link.name} already",
                hint="finish it where it was begun, or end it there with Ctrl-C",
            )
        if self._group is None:
            raise self.error()
        self._ask = ask
        self._hear(heard.LoginRequested())
        try:
            while self._logging_in():
                await self._changed.wait()
        finally:
            self._ask = None
            if self._logging_in():
                self._hear(heard.LoginAbandoned())
        if self.link.state is LinkState.CONNECTING:
            raise NeedsLogin(
                f"the configuration of {self.link.name} was changed during the login",
                hint=f"begin anew: sessionctl login {self.link.name}",
            )
        if not self.up:
            raise self.error()

    def _logging_in(self) -> bool:
        return self.link.state is LinkState.AUTHENTICATING

    def logout(self) -> None:
        """Drop the link; it is not made again before somebody logs in, whatever sessions want."""
        self._hear(heard.LogoutRequested())

    def reconfigure(self, connector: Connector, *, attended: bool = False) -> None:
        """From now on connect by ``connector``; a connection made the old way is dropped."""
        self._connector = connector
        self._attended = attended
        self._hear(heard.ConfigChanged(attended=attended))

    # For work.

    async def run(self) -> None:
        """Keep the link for ever. Cancelled, it leaves no connection behind."""
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                self._used_at = anyio.current_time()
                while True:
                    self._poked = anyio.Event()
                    self._look()
                    wall, monotonic = self._clock.now(), anyio.current_time()
                    with anyio.move_on_after(self._pause_s()):
                        await self._poked.wait()
                    if abs((self._clock.now() - wall) - (anyio.current_time() - monotonic)) > _JUMP_S:
                        self.network_changed()
        finally:
            await self._end()

    @property
    def held(self) -> Held | None:
        """The connection that there is now."""
        return self._held.current

    def want(self) -> None:
        """Somebody has something to do on the cluster, or had until now."""
        self._used_at = anyio.current_time()
        if self._group is not None:
            self._hear(heard.Wanted())
        if self._held.retired or (self._held.current is not None and self._held.current.connection.worn):
            self._poked.set()

    async def changed(self) -> None:
        """Wait until the link changes."""
        await self._changed.wait()

    def error(self) -> LinkError:
        """Why nothing can be sent now."""
        return link_error(self.link)

    # What happens.

    def _hear(self, event: LinkEvent) -> None:
        before = self.link
        done = step_link(before, event, self._clock.now())
        self.link = done.after
        for action in done.actions:
            self._do(action)
        if self.link is before:
            return
        self._say(before, tell=LinkAction.TELL in done.actions)
        self._poked.set()
        self._changed.set()
        self._changed = anyio.Event()
        for listener in self._listeners:
            listener(self.link)

    def _do(self, action: LinkAction) -> None:
        match action:
            case LinkAction.DISCONNECT:
                self._drop()
            case LinkAction.CONNECT:
                self._begin(None)
            case LinkAction.CONNECT_ATTENDED:
                self._begin(partial(self._relay, self._ask))
            case LinkAction.RELAY | LinkAction.TELL:
                pass  # whoever heard the event does it: `_relay` asks, `_say` tells

    def _say(self, before: Link, *, tell: bool) -> None:
        """A line in the log when it is lost, when it is back, and when it needs a person; nothing in between."""
        link = self.link
        why = link.problem.message if link.problem is not None else ""
        if tell:
            self._complained = True
            hint = self.error().hint
            log.warning("the link to a cluster needs a person", cluster=link.name, why=why, hint=hint)
        elif link.down_since is not None and before.down_since is None:
            self._complained = True
            log.warning("a cluster cannot be reached", cluster=link.name, why=why)
        elif link.state is LinkState.UP and self._complained:
            self._complained = False
            log.info("a cluster can be reached again", cluster=link.name)

    # The attempt.

    def _begin(self, ask: Ask | None) -> None:
        if self._group is None:
            return
        self._attempt = scope = anyio.CancelScope()
        self._group.start_soon(self._try, scope, ask, name=f"connecting to {self.link.name}")

    async def _try(self, scope: anyio.CancelScope, ask: Ask | None) -> None:
        with scope:
            opened = await self._open(ask)
        if scope.cancel_called:  # nobody waits for it any more
            if not scope.cancelled_caught and not isinstance(opened, LinkEvent):
                await close(opened)
            return
        self._attempt = None
        if isinstance(opened, LinkEvent):
            self._hear(opened)
        else:
            self._replace_at, self._replace_failures = 0.0, 0
            self._take(opened)
            self._hear(heard.Connected())

    async def _open(self, ask: Ask | None) -> Connection | LinkEvent:
        """A connection, or why there is none."""
        if ask is None and self._attended:
            return only_by_a_person(self.link.name)
        async with self._calling:  # what was withdrawn may still be ending
            self.link = replace(self.link, attempts=self.link.attempts + 1)
            return await call(self._connector, ask, self.link.name)

    async def _relay(self, ask: Ask | None, prompt: Prompt) -> Sequence[str]:
        """Put a round to the person who began this attempt, as long as it is theirs."""
        if ask is None or self._ask is not ask:
            raise NeedsLogin(f"nobody is there to answer {self.link.name}")
        self._hear(heard.Prompted())
        answers = await ask(prompt)
        if self._ask is not ask:
            raise NeedsLogin(f"whoever answered {self.link.name} has gone")
        self._hear(heard.Answered())
        return answers

    # The connection.

    def _take(self, connection: Connection) -> None:
        held = self._held.take(connection)
        if self._group is not None:
            self._group.start_soon(self._watch, held, name=f"link to {self.link.name}")

    async def _watch(self, held: Held) -> None:
        """Wait for a connection's end, whatever ends it."""
        reasons: list[str] = []

        async def work() -> None:
            reasons.append(await held.connection.lost())

        try:
            await guard.isolated(f"watching the link to {self.link.name}", work)
        finally:
            await close(held.connection)
        if self._held.forget(held):
            self._is_lost("".join(reasons))

    def _is_lost(self, reason: str) -> None:
        self._stop_replacing()
        problem = Problem(code=HostDown.code, message=reason or "the connection was closed")
        self._hear(heard.Lost(problem=problem))

    async def _probe(self, held: Held) -> None:
        """Whether a connection still carries anything: after a sleep the other end may long have forgotten it."""
        try:
            with anyio.fail_after(_PROBE_S):
                await held.connection.run(Command(argv=("true",), timeout_s=_PROBE_S, urgent=True))
        except (TimeoutError, AnswerLost):
            if self._held.forget(held):
                self._is_lost("it does not answer any more")
            await close(held.connection)
        except RemoteError:
            return  # answered by an end that lives, or lost and known to be

    def _drop(self) -> None:
        """End everything that is open or being opened."""
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None
        self._stop_replacing()
        if self._group is not None:
            for connection in self._held.give_up():
                self._group.start_soon(close, connection, name=f"closing the link to {self.link.name}")

    def _stop_replacing(self) -> None:
        if self._replacing is not None:
            self._replacing.cancel()
            self._replacing = None

    async def _end(self) -> None:
        self._group = None
        left = self._held.give_up()
        self._attempt = self._replacing = None
        if self.link.state is LinkState.AUTHENTICATING:
            self._hear(heard.LoginAbandoned())
        if self.link.state not in _FOR_A_PERSON:
            self._hear(heard.Unwanted())
        for connection in left:
            await close(connection)

    # The keeping.

    def _look(self) -> None:
        """See to what is due."""
        now, state = anyio.current_time(), self.link.state
        wanted = self._wanted()
        if wanted or (self.held is not None and not self.held.idle):
            self._used_at = now
        if state is LinkState.IDLE and wanted:
            self._hear(heard.Wanted())
        elif (state in _TRYING or state is LinkState.UP) and now - self._used_at >= UNWANTED_AFTER_S:
            self._hear(heard.Unwanted())
        elif state is LinkState.BACKOFF and (self.link.retry_at or 0.0) <= self._clock.now():
            self._hear(heard.RetryDue())
        elif self.held is not None and self.held.connection.worn and self._replacing is None:
            self._begin_replacing(now)
        if self._group is not None:
            for connection in self._held.over(now):
                self._group.start_soon(close, connection, name=f"closing the link to {self.link.name}")

    def _pause_s(self) -> float:
        if self.link.state in _FOR_A_PERSON:
            return _LOOK_RARELY_S
        if self.link.retry_at is None:
            return _LOOK_EVERY_S
        return min(max(0.0, self.link.retry_at - self._clock.now()), _LOOK_EVERY_S)

    def _begin_replacing(self, now: float) -> None:
        if self._group is None or now < self._replace_at or self.link.attended:
            return  # where a person was needed, one will be again
        self._replacing = scope = anyio.CancelScope()
        self._group.start_soon(self._replace, scope, name=f"replacing the link to {self.link.name}")

    async def _replace(self, scope: anyio.CancelScope) -> None:
        """A fresh connection in the place of a worn one, which stays until nothing is open on it any more."""
        with scope:
            opened = await self._open(None)
        if scope.cancel_called:
            if not scope.cancelled_caught and not isinstance(opened, LinkEvent):
                await close(opened)
            return
        self._replacing = None
        if not isinstance(opened, LinkEvent):
            self._held.retire(anyio.current_time() + RETIRED_S)
            self._take(opened)
            self._replace_at, self._replace_failures = 0.0, 0
            self._poked.set()
        elif isinstance(opened, heard.ConnectFailed):
            pause = backoff_s(self._replace_failures + _REPLACE_FROM, f"{self.link.name}.{self.link.salt}")
            self._replace_failures += 1
            self._replace_at = anyio.current_time() + pause
        else:
            self._replace_at = float("inf")  # not again before the next login
