"""The quick retry."""

from __future__ import annotations

import anyio
import pytest

from sessiond.core.errors import AnswerLost, NotSent, RemoteError
from sessiond.remote import retry
from sessiond.remote.retry import quick

pytestmark = pytest.mark.anyio


class Flaky:
    """An operation that raises what it is given, one after the other, then succeeds."""

    def __init__(self, *errors: RemoteError) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        """Fail or succeed."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "LONGEST_PAUSE_S", 0.01)


async def test_success_needs_no_second_try() -> None:
    """What succeeds is done once."""
    flaky = Flaky()
    assert "done" == await quick(flaky)
    assert 1 == flaky.calls


async def test_what_was_not_sent_is_tried_again() -> None:
    """Two failures that prove that nothing happened are survived."""
    flaky = Flaky(NotSent("a"), NotSent("b"))
    assert "done" == await quick(flaky)
    assert 3 == flaky.calls


async def test_the_third_failure_passes_as_it_is() -> None:
    """After three attempts the last error itself is raised, not a wrapper."""
    flaky = Flaky(NotSent("a"), NotSent("b"), NotSent("c"), NotSent("d"))
    with pytest.raises(NotSent) as caught:
        await quick(flaky)
    assert "c" == caught.value.message
    assert 3 == flaky.calls


async def test_a_lost_answer_is_never_tried_again() -> None:
    """What may have happened is not done twice."""
    flaky = Flaky(AnswerLost("a"))
    with pytest.raises(AnswerLost):
        await quick(flaky)
    assert 1 == flaky.calls


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_cancellation_is_not_a_failure(anyio_backend: str) -> None:
    """A cancelled operation is not tried again, nor is one cancelled between two attempts."""
    assert anyio_backend in {"asyncio", "trio"}
    begun = anyio.Event()
    calls = []

    async def endless() -> None:
        calls.append(1)
        begun.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(quick, endless)
        await begun.wait()
        tasks.cancel_scope.cancel()
    assert [1] == calls


async def test_cancellation_during_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the next attempt can be cancelled."""
    monkeypatch.setattr(retry, "LONGEST_PAUSE_S", 1000)
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 1000)
    flaky = Flaky(NotSent("a"))
    with anyio.move_on_after(0.1) as scope:
        await quick(flaky)
    assert scope.cancelled_caught
    assert 1 == flaky.calls
