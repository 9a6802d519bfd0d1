"""Where aiohttp's servers report what goes wrong in us, and not what clients send that is no HTTP."""

from __future__ import annotations

import logging

from aiohttp.http import HttpProcessingError


def request_log(name: str) -> logging.Logger:
    """The log of the server called ``name``.

    Of what is no HTTP aiohttp would log the line that it could not read: a token, a cookie or an answer to a prompt may
    stand in that. And whoever can connect could fill the log, before anybody has looked who it is.
    """
    logger = logging.getLogger(f"sessiond.{name}")
    if _is_ours not in logger.filters:
        logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)
