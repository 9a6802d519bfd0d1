"""Server processes of connections of ours that were lost: they may keep a port that the next connection needs.

Where the network goes without a word, sshd does not notice that its client has gone (TCP asks after two hours), and
goes on listening on the ports that it was asked to. The process runs as the user, so the user may end it; but the
kernel tells nobody but root which process listens. So each connection that has a port opened asks who serves it, and
that is remembered: an identity is pid, start time and the machine's boot, so that no other process is ever meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence

from sessiond.core.command import Command, Completed
from sessiond.core.errors import RemoteError

MOST = 64
"""How many are remembered; of a process that has ended nothing is left to be done."""
_TIMEOUT_S = 15.0
_IDENTITY = re.compile(r"[0-9]{1,10} [0-9]{1,20} [0-9a-f-]{36}")

# The nearest sshd among those that started us. The second field of stat may hold blanks and brackets.
_WHO = b"""\
pid=$PPID
read -r boot < /proc/sys/kernel/random/boot_id || exit 0
while [ "$pid" -gt 1 ]; do
    read -r stat < "/proc/$pid/stat" || exit 0
    set -- ${stat##*) }
    case $stat in *" (sshd"*") "*) shift 19; echo "$pid $1 $boot"; exit 0 ;; esac
    pid=$2
done
exit 0
"""
_END = b"""\
read -r boot < /proc/sys/kernel/random/boot_id || exit 0
while [ $# -ge 3 ]; do
    pid=$1 start=$2 when=$3
    shift 3
    [ "$boot" = "$when" ] || continue
    (
        read -r stat < "/proc/$pid/stat" || exit 0
        set -- ${stat##*) }
        shift 19
        [ "$1" = "$start" ] && kill -TERM "$pid" && echo "$pid"
    ) 2>/dev/null
done
exit 0
"""

Run = Callable[[Command], Awaitable[Completed]]


class Stale:
    """Who served our connections to the hosts of one cluster.

    ``earlier`` is what ``remember`` was told last, before this process began (empty at first): a daemon that was
    killed closes its connections, a machine that lost its power does not.
    """

    def __init__(self, earlier: str = "", remember: Callable[[str], object] = lambda _text: None) -> None:
        self._remember = remember
        self._known: list[str] = _read(earlier)
        self._alive: dict[str, Callable[[], bool]] = {}

    async def note(self, run: Run, is_alive: Callable[[], bool]) -> None:
        """Ask who serves the connection over which ``run`` runs commands, and remember it if that can be known.

        It is left in peace while ``is_alive`` says that the connection is.
        """
        try:
            done = await run(Command(argv=("sh", "-s"), stdin=_WHO, timeout_s=_TIMEOUT_S))
        except RemoteError:
            return
        lines = done.stdout.decode("ascii", "replace").splitlines()
        if lines and _IDENTITY.fullmatch(lines[-1]):
            self._alive[lines[-1]] = is_alive
            self._keep([*(one for one in self._known if one != lines[-1]), lines[-1]][-MOST:])

    async def end(self, run: Run) -> bool:
        """End those that are left of lost connections on the host where ``run`` runs commands; whether there were any.

        Those on other hosts stay known.
        """
        self._alive = {one: is_alive for one, is_alive in self._alive.items() if is_alive()}
        lost = [one for one in self._known if one not in self._alive]
        if not lost:
            return False
        words = [word for identity in lost for word in identity.split()]
        try:
            done = await run(Command(argv=("sh", "-s", "--", *words), stdin=_END, timeout_s=_TIMEOUT_S))
        except RemoteError:
            return False
        ended = set(done.stdout.decode("ascii", "replace").split())
        self._keep([one for one in self._known if one in self._alive or one.split()[0] not in ended])
        return bool(ended)

    def _keep(self, known: list[str]) -> None:
        if known != self._known:
            self._known = known
            self._remember(json.dumps(known))


def _read(text: str) -> list[str]:
    """What was remembered; nothing where it is not what was."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    every: Sequence[object] = found if isinstance(found, list) else []
    return [one for one in every if isinstance(one, str) and _IDENTITY.fullmatch(one)][-MOST:]
