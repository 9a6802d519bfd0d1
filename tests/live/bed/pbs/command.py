"""What PBS's commands have in common: where they run, how they end, their options, and what they say when it fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .errors import Code, Refused, status
from .wire import Ask, Down, Message

_ID = re.compile(r"[0-9]+(\[[0-9]*\])?(\.[\w.-]+)?(@[\w.:-]+)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Who calls a command, and from where; ``server`` is the default server's name."""

    server: str
    host: str
    user: str
    folder: str
    environ: Mapping[str, str]
    read: Callable[[], bytes]
    ask: Ask


@dataclass(slots=True, kw_only=True)
class Done:
    """How a command ended. ``lost``: how it is to fail to say so; see `model.Switches`."""

    status: int = 0
    out: str = ""
    err: str = ""
    lost: Message = field(default_factory=dict)

    def fail(self, line: str, code: int) -> Done:
        """Say something on standard error; the last error is the exit status."""
        self.err += f"{line}\n"
        self.status = code
        return self


def options(program: str, words: list[str], known: str) -> tuple[list[tuple[str, str]], list[str], str]:
    """As getopt(3) of the GNU library reads them: the options, what is left, and what it says on standard error."""
    found: list[tuple[str, str]] = []
    rest: list[str] = []
    said = ""
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return found, rest + left, said
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            place = known.find(letter) if letter not in ":-" else -1
            if place < 0:
                said += f"{program}: invalid option -- '{letter}'\n"
            elif known[place + 1 : place + 2] != ":":
                found.append((letter, ""))
            elif letters or left:
                found.append((letter, letters or left.pop(0)))
                letters = ""
            else:
                said += f"{program}: option requires an argument -- '{letter}'\n"
    return found, rest, said


def is_id(word: str) -> bool:
    """Whether a word is formed as a job's id."""
    return _ID.match(word) is not None


def full_id(word: str, server: str) -> str:
    """A job's id with the server's name."""
    name = word.partition("@")[0]
    return name if "." in name else f"{name}.{server}"


def each_job(place: Place, program: str, ids: list[str], question: Message) -> Done:
    """Ask the same of each of some jobs."""
    done = Done()
    for word in ids:
        if not is_id(word):
            done.fail(f"{program}: illegally formed job identifier: {word}", 1)
            continue
        name = full_id(word, place.server)
        try:
            place.ask({**question, "job": name})
        except Refused as error:
            done.fail(f"{program}: {error.said} {name}", status(error.code))
        except Down:
            return down(done, place, program)
    return done


def down(done: Done, place: Place, program: str) -> Done:
    """Nobody listens."""
    done.err += "Connection refused\n"
    code = int(Code.SYSTEM)
    return done.fail(f"{program}: cannot connect to server {place.server} (errno={code})", status(code))
