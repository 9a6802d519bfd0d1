"""matlab-proxy at one address, and with a log that does not tell the session's token.

``server.py ADDRESS``. By itself matlab-proxy listens at all addresses of the host, and logs the address that opens it.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from aiohttp import web


def listen_only_at(address: str) -> None:
    """Have every site of this process listen there, whatever address its maker asks for."""

    class Site(web.TCPSite):
        def __init__(self, runner: web.BaseRunner, host: str | None = None, *args: Any, **kwargs: Any) -> None:
            super().__init__(runner, address, *args, **kwargs)

    web.TCPSite = Site  # type: ignore[misc]  # that is the point


def mask(secret: str) -> None:
    """Have no logger of this process write ``secret``."""
    make = logging.getLogRecordFactory()

    def masked(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        record.msg, record.args = record.getMessage().replace(secret, "***"), ()
        return record

    logging.setLogRecordFactory(masked)


def main() -> None:
    """Run matlab-proxy until its end; it exits by itself."""
    listen_only_at(sys.argv.pop())
    mask(os.environ["MWI_AUTH_TOKEN"])
    from matlab_proxy import app

    app.main()


if __name__ == "__main__":
    main()
