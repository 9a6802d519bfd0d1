"""What is said between a host and us while it lets us in: its questions, a person's answers, its host key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import asyncssh

from sessiond.core.prompts import Prompt, Question
from sessiond.remote.ssh.kerberos import NOT_ASKED
from sessiond.remote.ssh.keys import Opened, unlock
from sessiond.remote.transport import Ask

_BANNER_CHARS = 4000


class Client(asyncssh.SSHClient):
    """One attempt to be let in by ``who``. With ``ask`` None no question is answered, and no method begun that asks.

    ``asked`` is called before a person is asked. Its methods are for asyncssh; what it learned is for who made it.
    """

    def __init__(self, who: str, ask: Ask | None, asked: Callable[[], None], opened: Opened) -> None:
        self._who = who
        self._ask = ask
        self._asked = asked
        self._opened = opened
        self._connection: asyncssh.SSHClientConnection | None = None
        self._banner = ""
        self._answered: set[str] = set()
        self.nameless: list[str] = []
        """Encrypted keys that must be opened before they can be offered."""
        self.kerberos = NOT_ASKED
        """Whether there is a ticket for the host; known before it is tried."""
        self.reached = False
        """Whether there was a connection at all."""
        self.authenticated = False
        self.shown: asyncssh.SSHKey | None = None
        """The host's key, or its certificate authority's, where it was not among those known."""
        self.signed = False
        """Whether the host showed a certificate."""
        self.wanted: list[str] = []
        """What only a person could have given, and nobody was there."""
        self.answers = 0
        """How many rounds a person answered."""
        self.refused = False
        """Whether a person's answers were refused."""
        self.ended = False
        self.end: Exception | None = None
        """Why the connection ended, where there was a reason."""

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """There is somebody at the other end."""
        self._connection = conn
        self.reached = True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        self.ended = True
        self.end = exc

    def auth_completed(self) -> None:
        """We are let in."""
        self.authenticated = True

    def auth_banner_received(self, msg: str, lang: str) -> None:
        """The host has something to say before it lets us in."""
        self._banner = (self._banner + msg)[:_BANNER_CHARS]

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """A key that nobody vouches for is refused."""
        self.shown = key
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """So is a certificate of an authority that nobody vouches for."""
        self.shown = key
        self.signed = True
        return False

    async def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        """All keys were offered but those that have to be opened first."""
        while self.nameless:
            path = self.nameless.pop(0)
            key = await unlock(path, self._opened, self.passphrase)
            if key is not None:
                return asyncssh.public_key.load_keypairs([key])[0]
        return None

    async def passphrase(self, path: str, again: bool) -> str | None:
        """The passphrase of an encrypted key, from a person; None where nobody is there."""
        if self._ask is None:
            self.wanted.append(f"the passphrase of {_short(path)}")
            return None
        title = "That was not the passphrase." if again else ""
        answers = await self._put(
            Prompt(title=title, questions=(Question(text=f"Passphrase for key {_short(path)}: "),))
        )
        return answers[0] if answers and answers[0] else None

    def kbdint_auth_requested(self) -> str | None:
        """Whether to begin with the host's own questions. Unattended never: the beginning alone may call somebody."""
        return self._method("keyboard-interactive", "an answer to its questions", "")

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        """A round of the host's questions."""
        if not (prompts or name.strip() or instructions.strip()):
            return []
        questions = tuple(Question(text=text, echo=echo) for text, echo in prompts)
        if questions:
            self._answered.add("keyboard-interactive")
        answers = await self._put(Prompt(title=name, instructions=instructions, questions=questions))
        return answers[: len(questions)] if len(answers) >= len(questions) else None

    async def password_auth_requested(self) -> str | None:
        """The host wants a password."""
        if self.refused or self._method("password", "your password", "") is None:
            return None
        self._answered.add("password")
        answers = await self._put(Prompt(questions=(Question(text=f"Password for {self._who}: "),)))
        return answers[0] if answers else None

    def _method(self, name: str, wanted: str, begin: str) -> str | None:
        if self._ask is None:
            self.wanted.append(wanted)
            return None
        if name in self._answered:
            self.refused = True
        return None if self.refused else begin

    async def _put(self, prompt: Prompt) -> list[str]:
        if self._ask is None:
            return []
        if self._banner:
            said = "\n".join(part for part in (self._banner.strip(), prompt.instructions) if part)
            prompt = Prompt(title=prompt.title, instructions=said, questions=prompt.questions)
            self._banner = ""
        self._asked()
        answers = list(await self._ask(prompt))
        if prompt.questions:
            self.answers += 1
        return answers


def _short(path: str) -> str:
    home = str(Path.home())
    return f"~{path.removeprefix(home)}" if path.startswith(f"{home}/") else path
