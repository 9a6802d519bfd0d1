"""Trying again at once, inside one action; long retries are the session machine's, because they survive a restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from sessiond.core.errors import NotSent

T = TypeVar("T")

ATTEMPTS = 3
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0


async def quick(operation: Callable[[], Awaitable[T]]) -> T:
    """Await ``operation()`` up to three times while it raises NotSent; its last NotSent passes through.

    Never for a submission. Any other exception, cancellation included, passes at once: tenacity 9 catches
    BaseException itself, so only a policy that names the one type to retry leaves cancellation alone.
    """

    async def once() -> T:  # tenacity 9 awaits the result only of what was declared async
        return await operation()

    policy = AsyncRetrying(
        retry=retry_if_exception_type(NotSent),
        wait=wait_exponential(FIRST_PAUSE_S, max=LONGEST_PAUSE_S) + wait_random(0, FIRST_PAUSE_S),
        stop=stop_after_attempt(ATTEMPTS),
        reraise=True,
        sleep=anyio.sleep,
    )
    return await policy(once)
