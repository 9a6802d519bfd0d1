"""How many files and connections the daemon may have open, and what those that it starts get."""

from __future__ import annotations

import resource

MOST = 65536
"""A session costs one descriptor, each of its browser's connections two or three."""


def raise_open_files() -> int | None:
    """Raise our own soft limit of open files to the hard one, `MOST` at most.

    Returns the limit there was, which is the right one for whatever we start: programs that use select(2) break with
    more than 1024, which is why systemd's default for all is that (systemd.exec(5), LimitNOFILE). None: nothing was
    raised.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft
