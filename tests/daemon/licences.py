"""A licence server on the workspace, and a service whose start asks it for a licence."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from tests.daemon import services
from tests.daemon.workspace import Workspace
from tests.ports import neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where it listens: as a licence server at one port, as its vendor's daemon at the other."""

    host: str
    port: int
    daemon: int

    @property
    def settings(self) -> dict[str, str]:
        """What a person says to have its licences used."""
        return {
            "advanced_options.license_env": "TINY_LICENSE_FILE",
            "advanced_options.license_server_port": str(self.port),
            "advanced_options.license_daemon_port": str(self.daemon),
        }

    @property
    def words(self) -> list[str]:
        """The same, as arguments of sessionctl."""
        return [word for name, value in self.settings.items() for word in ("--set", f"{name}={value}")]


@contextlib.contextmanager
def licence_server(host: str = "127.0.0.1") -> Iterator[Server]:
    """A server that tells everybody who connects and says a line which of its ports that was.

    Its ports are free at this machine's other addresses, too, where a daemon may have to open them.
    """
    ports = neighbours(2)
    with socket.create_server((host, ports[0])) as first, socket.create_server((host, ports[1])) as second:
        threads = [
            threading.Thread(target=_serve, args=(one, word)) for one, word in ((first, "server"), (second, "vendor"))
        ]
        for thread in threads:
            thread.start()
        try:
            yield Server(host=host, port=ports[0], daemon=ports[1])
        finally:
            for one, thread in zip((first, second), threads, strict=True):
                one.shutdown(socket.SHUT_RDWR)
                thread.join()


def _serve(listener: socket.socket, word: str) -> None:
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer, contextlib.suppress(OSError):
            peer.settimeout(5)
            if asked := peer.recv(100):
                peer.sendall(f"{word} grants {asked.decode().strip()}\n".encode())


# checkout PORT WORD: prints what the licence server at the port has to say.
CHECKOUT = """checkout() {
    exec 9<> "/dev/tcp/127.0.0.1/$1" || return
    echo "$2" >&9
    head -n 1 <&9
    exec 9>&-
}
"""


def add_licensed(me: Workspace) -> None:
    """The service ``licensed``: it takes a licence at each port as its first act, says what it got, and serves."""
    ask = 'checkout "${TINY_LICENSE_FILE%%@*}" first\ncheckout "${advanced_options_license_daemon_port}" second\n'
    services.write(
        me.services / "licensed",
        f'{CHECKOUT}echo "file $TINY_LICENSE_FILE"\n{ask}exec {services.SERVER} where {services.BOUND}\n',
    )
