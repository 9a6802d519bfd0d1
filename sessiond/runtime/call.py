"""Calling on a login node once, and what came of it as the link's machine knows it."""

from __future__ import annotations

from typing import Final

import anyio

from sessiond.core import errors
from sessiond.core.errors import NeedsLogin, RemoteError
from sessiond.core.ids import ClusterName
from sessiond.core.link import AuthDenied, ConnectFailed, HostKeyChanged, LinkEvent, PromptNeeded
from sessiond.core.session import Problem
from sessiond.remote.transport import Ask, Connection, Connector
from sessiond.runtime import guard

ATTEMPT_S: Final = 60.0
"""The most an attempt may take that waits for no person."""


async def call(connector: Connector, ask: Ask | None, name: ClusterName) -> Connection | LinkEvent:
    """A connection, or why there is none; raises nothing but cancellation."""
    found: list[Connection | LinkEvent] = []

    async def work() -> None:
        found.append(await _called(connector, ask))

    await guard.isolated(f"connecting to {name}", work)
    if found:
        return found[0]
    return ConnectFailed(
        problem=Problem(
            code="bug",
            message="sessiond met an unforeseen error while it connected",
            hint="the log of sessiond has the details; please report it",
        )
    )


async def _called(connector: Connector, ask: Ask | None) -> Connection | LinkEvent:
    try:
        with anyio.fail_after(ATTEMPT_S if ask is None else None):
            return await connector.open(ask)
    except TimeoutError:
        message = f"it did not let us in within {ATTEMPT_S:g} s"
        return ConnectFailed(problem=Problem(code=errors.HostDown.code, message=message))
    except errors.NeedsLogin as error:
        return PromptNeeded(problem=_problem_of(error))
    except errors.AuthDenied as error:
        return AuthDenied(problem=_problem_of(error))
    except errors.HostKeyRefused as error:
        return HostKeyChanged(problem=_problem_of(error))
    except RemoteError as error:
        return ConnectFailed(problem=_problem_of(error))


def only_by_a_person(name: ClusterName) -> LinkEvent:
    """What comes of an attempt that is not made, because it might ring somebody's phone."""
    return PromptNeeded(
        problem=Problem(
            code=NeedsLogin.code,
            message="a password or a second factor is asked there",
            hint=f"sessionctl login {name}",
        )
    )


def _problem_of(error: RemoteError) -> Problem:
    return Problem(code=error.code, message=error.message, hint=error.hint)
