"""A person logging in to a cluster: what they are asked goes out, what they answer goes in, and is kept nowhere."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio

from sessiond.core.errors import Conflict, NeedsLogin, NotFound, SessiondError, SpecError
from sessiond.core.ids import ClusterName
from sessiond.core.prompts import Prompt
from sessiond.core.session import Problem
from sessiond.runtime.guard import problem_from
from sessiond.runtime.link import LinkKeeper

LOGIN_S: Final = 120.0
"""How long a person has in all. It is sshd's own ``LoginGraceTime`` (sshd_config(5), OpenSSH 9.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A round of questions, and how many seconds are left for everything."""

    id: str
    prompt: Prompt
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The link is up."""


@dataclass(frozen=True, slots=True)
class LoginFailed:
    """It is not, and why."""

    problem: Problem


Said = Asked | LoggedIn | LoginFailed
Say = Callable[[Said], Awaitable[None]]


@dataclass(slots=True, eq=False)
class _Round:
    """One round, waiting for its answers; they are in no repr."""

    id: str
    questions: int
    answered: anyio.Event = field(default_factory=anyio.Event)
    answers: tuple[str, ...] = field(default=(), repr=False)


class Login:
    """One login in progress. `run` tells everything that happens; `answer` is called from elsewhere meanwhile."""

    def __init__(self, cluster: ClusterName, limit_s: float = LOGIN_S) -> None:
        self._cluster = cluster
        self._limit_s = limit_s
        self._round: _Round | None = None

    async def run(self, keeper: LinkKeeper, say: Say) -> None:
        """Log in over ``keeper``, telling ``say`` of each round and of the end. Cancelled, the login is abandoned.

        What ``say`` raises for the end passes through; where it raises OSError for a round, nobody is there any more.
        """
        until = anyio.current_time() + self._limit_s

        async def ask(prompt: Prompt) -> Sequence[str]:
            self._round = asked = _Round(secrets.token_hex(8), len(prompt.questions))
            try:
                left = max(0.0, until - anyio.current_time())
                await say(Asked(id=asked.id, prompt=prompt, expires_in_s=round(left, 1)))
                if asked.questions:
                    await asked.answered.wait()
            except OSError:
                raise NeedsLogin("whoever was asked has gone") from None
            finally:
                self._round = None
            answers, asked.answers = asked.answers, ()
            return answers

        try:
            with anyio.fail_after(self._limit_s):
                await keeper.login(ask)
        except TimeoutError:
            await say(LoginFailed(self._too_late()))
        except SessiondError as error:
            await say(LoginFailed(problem_from(error)))
        else:
            await say(LoggedIn())

    def answer(self, round_id: str, answers: Sequence[str]) -> None:
        """What the person says to a round. Raises NotFound where it is over, SpecError for too few or too many."""
        asked = self._round
        if asked is None or asked.id != round_id or asked.answered.is_set():
            raise NotFound(
                f"{self._cluster} does not wait for this answer (any more)",
                hint=f"begin anew: sessionctl login {self._cluster}",
            )
        if len(answers) != asked.questions:
            raise SpecError(f"{asked.questions} answers are expected, not {len(answers)}")
        asked.answers = tuple(answers)
        asked.answered.set()

    def _too_late(self) -> Problem:
        return Problem(
            code=NeedsLogin.code,
            message=f"the login took longer than {self._limit_s:g} s",
            hint=f"begin anew: sessionctl login {self._cluster}",
        )


class Logins:
    """The logins in progress, one a cluster at a time."""

    def __init__(self) -> None:
        self._by_cluster: dict[ClusterName, Login] = {}

    @contextmanager
    def begin(self, cluster: ClusterName) -> Iterator[Login]:
        """A login, for as long as the block runs. Raises Conflict where there is one already."""
        if cluster in self._by_cluster:
            raise Conflict(
                f"somebody is logging in to {cluster} already",
                hint="finish it where it was begun, or end it there with Ctrl-C",
            )
        login = self._by_cluster[cluster] = Login(cluster)
        try:
            yield login
        finally:
            del self._by_cluster[cluster]

    def of(self, cluster: ClusterName) -> Login:
        """The cluster's login in progress. Raises NotFound."""
        found = self._by_cluster.get(cluster)
        if found is None:
            raise NotFound(f"nobody is logging in to {cluster}", hint=f"sessionctl login {cluster}")
        return found
