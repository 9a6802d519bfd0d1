"""One order for several sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sessiond.cli.output import say_error
from sessiond.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


def each(names: Iterable[str], order: Callable[[str], T]) -> tuple[list[T], ClientError | None]:
    """Give ``order`` for every name, whatever happens to the others: the answers, and the last refusal, if any.

    Earlier refusals are told on standard error. A daemon that is gone ends the round: ClientError.
    """
    answers: list[T] = []
    last: ClientError | None = None
    for name in dict.fromkeys(names):
        try:
            answers.append(order(name))
        except ClientError as error:
            if last is not None:
                say_error(last)
            if error.code == "no-daemon":
                raise
            last = error
    return answers, last
