"""A stand-in for the daemon that uses all of sessiond.systemd: one line in, one line of JSON out, over its socket.

Run as ``python stand_in.py [GATE]``; with a GATE, a named pipe, it is not ready before somebody writes to it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

from sessiond.systemd import Notifier, listen_sockets, watchdog_interval_s

PASSED_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def main() -> int:
    """Serve until SIGTERM."""
    notifier, interval_s, listeners = Notifier(), watchdog_interval_s(), listen_sockets()
    wakeup, alarm = socket.socketpair()
    alarm.setblocking(False)
    signal.set_wakeup_fd(alarm.fileno())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).read_text()
    notifier.ready("0 running")
    while True:
        ready, _, _ = select.select([wakeup, *listeners], [], [], interval_s)
        notifier.watchdog()
        if wakeup in ready:
            if signal.SIGTERM in wakeup.recv(16):
                notifier.stopping()
                return 0
            notifier.reloading()
            notifier.ready("reloaded")
        for listener in (one for one in listeners if one in ready):
            with listener.accept()[0] as peer:
                answer = _answer(peer.recv(100).decode().strip(), notifier)
                peer.sendall(json.dumps(answer | {"pid": os.getpid(), "interval_s": interval_s}).encode() + b"\n")


def _answer(request: str, notifier: Notifier) -> dict[str, object]:
    match request.partition(" "):
        case "status", _, text:
            return {"sent": notifier.status(text)}
        case "session", _, _:
            # a session without systemd-run: detached, but in our control group
            child = subprocess.Popen(["sleep", "600"], start_new_session=True)
            return {"session": child.pid, "status": Path(f"/proc/{child.pid}/status").read_text()}
        case _:
            code = (
                "import os, json; print(json.dumps([dict(os.environ), sorted(map(int, os.listdir('/proc/self/fd')))]))"
            )
            seen = json.loads(subprocess.check_output([sys.executable, "-c", code], close_fds=False))
            return {"left": [name for name in PASSED_VARIABLES if name in seen[0]], "open": seen[1]}


if __name__ == "__main__":
    sys.exit(main())
