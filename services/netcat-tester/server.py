"""What ``ncat -l -k -c`` does, for hosts without it: every connection is answered by a command of its own.

``server.py -U PATH`` listens on a Unix socket, ``server.py ADDRESS PORT`` on a port. The script of bash at
``NETCAT_ANSWER`` has the connection for standard input and output.
"""

from __future__ import annotations

import os
import socketserver
import subprocess
import sys


class Answer(socketserver.BaseRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Leave it to the script."""
        subprocess.run(["bash", os.environ["NETCAT_ANSWER"]], stdin=self.request, stdout=self.request, check=False)


class OnPort(socketserver.ThreadingTCPServer):
    """On a port that was just another session's, perhaps."""

    allow_reuse_address = True
    daemon_threads = True


class OnSocket(socketserver.ThreadingUnixStreamServer):
    """On a Unix socket."""

    daemon_threads = True


def main() -> int:
    """Serve until the end."""
    one, two = sys.argv[1:]
    try:
        server = OnSocket(two, Answer) if one == "-U" else OnPort((one, int(two)), Answer)
    except OSError as failure:
        print(f"nothing can listen on {two}: {failure}", file=sys.stderr)  # noqa: T201
        return 1
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
