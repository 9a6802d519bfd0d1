"""Requests that arrive at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sessiond.client import ClientError

from .workspace import Workspace


def test_sessions_without_names_get_different_ones(shared: Workspace) -> None:
    """Eight at once: each has a name, a number and a port of its own."""
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda _: shared.client.start({"service": "tiny"}), range(8)))
    for fact in ("name", "number", "open_port"):
        assert 8 == len({one[fact] for one in begun})
    for one in begun:
        shared.client.stop(one["id"])


def test_one_of_those_that_ask_for_the_same_name_gets_it(shared: Workspace) -> None:
    """The others are refused."""

    def begin(_: int) -> str:
        try:
            return shared.client.start({"service": "tiny", "name": "wanted"})["name"]
        except ClientError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        found = sorted(pool.map(begin, range(8)))
    assert ["conflict"] * 7 + ["wanted"] == found
    shared.client.stop("wanted")
