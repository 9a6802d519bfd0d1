"""Where a job's output lies while it runs, and how it comes to where it belongs when it has ended."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .wire import Message

_SPOOL = Path("/run/pbs/spool")
# What each host has for itself: there a file is brought by ssh, elsewhere all hosts see the same.
_PRIVATE = ("/tmp/", "/var/tmp/", "/run/", "/dev/shm/")
# In a folder it gets its name in the spool.
_COPY = '[ -d "$1" ] && set -- "$1/$2" "$2"; exec cat > "$1"'


class Output:
    """One of a job's two streams; ``kind`` is ``OU`` or ``ER``, as the end of its name in the spool."""

    def __init__(self, kind: str, order: Message, user: pwd.struct_passwd) -> None:
        letter = {"OU": "o", "ER": "e"}[kind]
        self.name = f"{order['job']}.{kind}"
        self.host, _, self.path = order["paths"][letter].partition(":")
        keep = order["keep"]
        self.is_kept = letter in keep
        if self.is_kept and "d" not in keep:
            # it stays in the user's home on this node
            self.path = f"{user.pw_dir}/{order['name']}.{letter}{order['job'].partition('.')[0]}"
        self.file = _SPOOL / self.name

    def open(self, user: pwd.struct_passwd) -> int:
        """A descriptor to write to: in the spool, or right where it belongs."""
        if self.is_kept:
            words = ["/bin/sh", "-c", ': > "$1"', "sh", self.path]
            made = subprocess.run(words, user=user.pw_uid, group=user.pw_gid, capture_output=True, check=False)
            if made.returncode == 0:
                self.file = Path(self.path)
            else:
                self.is_kept = False
        file = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.fchown(file, user.pw_uid, user.pw_gid)
        return file

    def add(self, text: str) -> None:
        """Write a line of PBS's own."""
        with self.file.open("a") as end:
            end.write(text)

    def drop(self) -> None:
        """Take it out of the spool."""
        if not self.is_kept:
            self.file.unlink(missing_ok=True)


async def deliver(outputs: Sequence[Output], order: Message, user: pwd.struct_passwd) -> bool:
    """Bring what lies in the spool to where it belongs, again and again for a while; whether all arrived."""
    left = [output for output in outputs if not output.is_kept]
    give_up = time.monotonic() + order["deliver_s"]
    while True:
        left = [output for output in left if not await _copied(output, order, user)]
        if not left or time.monotonic() > give_up:
            return not left
        await asyncio.sleep(0.1)


async def _copied(output: Output, order: Message, user: pwd.struct_passwd) -> bool:
    words = ["/bin/sh", "-c", _COPY, "sh", output.path, output.name]
    if output.host != os.uname().nodename and output.path.startswith(_PRIVATE):
        quoted = "'" + output.path.replace("'", "'\\''") + "'"
        words = ["ssh", "-o", "BatchMode=yes", output.host, f"umask {order['umask']:o}; cat > {quoted}"]
    if not output.file.exists():
        return True
    with output.file.open("rb") as source:
        copying = await asyncio.create_subprocess_exec(
            *words,
            stdin=source,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": user.pw_dir},
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            umask=order["umask"],
        )
        return await copying.wait() == 0
