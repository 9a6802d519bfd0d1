"""Somebody at a terminal, and what they are told when they are not let in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
import pytest

from sessiond.core.errors import LinkError
from sessiond.core.prompts import Prompt
from sessiond.remote.ssh.connector import SshConnector
from sessiond.remote.ssh.settings import SshSettings


class Person:
    """Somebody who answers what is asked, in order, and remembers what it was."""

    def __init__(self, *answers: str | Callable[[], str]) -> None:
        self._answers = list(answers)
        self.prompts: list[Prompt] = []

    async def __call__(self, prompt: Prompt) -> Sequence[str]:
        """Answer one round."""
        self.prompts.append(prompt)
        given = [self._answers.pop(0) for _ in prompt.questions]
        return [answer if isinstance(answer, str) else answer() for answer in given]

    @property
    def asked(self) -> list[tuple[str, bool]]:
        """The questions so far, with their echo flags."""
        return [(question.text, question.echo) for prompt in self.prompts for question in prompt.questions]


async def refused(
    chosen: SshSettings, ask: Callable[[Prompt], Awaitable[Sequence[str]]] | None = None
) -> tuple[type[LinkError], str, str]:
    """How an attempt to connect fails: the kind, the message, the hint."""
    with pytest.raises(LinkError) as caught, anyio.fail_after(20):
        await SshConnector(chosen).open(ask)
    return type(caught.value), caught.value.message, caught.value.hint
