"""What a tunnel costs: throughput and latency to one service without SSH, with `ssh -L`, and as the daemon carries it.

The server is a real sshd on loopback, for all alike; service, sshd, tunnel and client share the machine's CPUs. Run it
from the checkout: `python bench/tunnel.py [ROUNDS] [MIB] [WHICH]`. Every way is measured once a round. The ratios to
`ssh -L` with the same cipher are the medians of each round's own, so that they compare what was measured at nearly
the same time. "s/GB" is the CPU that the tunnel's own process used for a download: it tells more than MB/s where the
machine is busy with other things too.
"""

from __future__ import annotations

import importlib.util
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

HERE = Path(__file__).parent
AES = "aes128-gcm@openssh.com"
PINGS = 3000
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Way:
    """One way to the service, and what was measured of it: a figure a round."""

    name: str
    port: int
    pid: int
    down_1: list[float] = field(default_factory=list)
    down_8: list[float] = field(default_factory=list)
    up_1: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def figures(self) -> tuple[list[float], ...]:
        """All of them, in the order of the table."""
        return self.down_1, self.down_8, self.up_1, self.p50, self.p99, self.cpu


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def until_listening(port: int, child: subprocess.Popen[bytes]) -> None:
    """Wait until something accepts on ``port``."""
    for _ in range(500):
        if child.poll() is not None:
            raise SystemExit(f"{child.args!r} ended with {child.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit(f"{child.args!r} does not listen")


@contextmanager
def running(*argv: str | Path, port: int = 0) -> Iterator[tuple[int, int]]:
    """A program that says its port, or listens on ``port``; its port and pid."""
    env = os.environ | {"PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as child:
        try:
            assert child.stdout is not None
            if port:
                until_listening(port, child)
            else:
                port = int(child.stdout.readline())
            yield port, child.pid
        finally:
            child.terminate()


@contextmanager
def server(folder: Path) -> Iterator[int]:
    """A real sshd on loopback that lets the key in ``folder`` in; its port."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "id.pub", folder / "authorized_keys")
    port = free_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with running(sshd, "-D", "-e", "-q", "-f", folder / "sshd_config", port=port):
        yield port


def openssh(folder: Path, sshd: int, target: int, cipher: str) -> tuple[list[str], int]:
    """The command of an `ssh -L` to ``target``, and its port."""
    port = free_port()
    options = {
        "UserKnownHostsFile": folder / "known_hosts",
        "IdentityFile": folder / "id",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
    } | ({"Ciphers": cipher} if cipher else {})
    said = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    where = f"127.0.0.1:{port}:127.0.0.1:{target}"
    return ["ssh", "-F", "none", *said, "-p", str(sshd), "-N", "-L", where, "127.0.0.1"], port


def connected(port: int, order: str) -> socket.socket:
    """A connection that has said what it wants."""
    line = socket.create_connection(("127.0.0.1", port), timeout=60)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.sendall(order.encode().ljust(8))
    return line


def download(port: int, streams: int, mib: int) -> float:
    """MB a second over ``streams`` connections at once, ``mib`` MiB in all."""
    into = bytearray(1 << 18)
    began = time.perf_counter()
    left = 0
    with selectors.DefaultSelector() as ready, ExitStack() as lines:
        for _ in range(streams):
            line = lines.enter_context(connected(port, f"g{mib // streams}"))
            ready.register(line, selectors.EVENT_READ)
            left += (mib // streams) << 20
        while ready.get_map():
            for key, _ in ready.select(60):
                assert isinstance(key.fileobj, socket.socket)
                got = key.fileobj.recv_into(into)
                left -= got
                if not got:
                    ready.unregister(key.fileobj)
    if left:
        raise SystemExit(f"{left} bytes were lost")
    return (mib << 20) / 1e6 / (time.perf_counter() - began)


def upload(port: int, mib: int) -> float:
    """MB a second into one connection, to the service's word that it has them."""
    block = bytes(1 << 20)
    began = time.perf_counter()
    with connected(port, f"p{mib}") as line:
        for _ in range(mib):
            line.sendall(block)
        if line.recv(1) != b"!":
            raise SystemExit("the upload was lost")
    return (mib << 20) / 1e6 / (time.perf_counter() - began)


def ping_pong(port: int) -> tuple[float, float]:
    """The median and the 99th percentile of a byte there and back, in microseconds, after a warm-up."""
    took = []
    with connected(port, "e") as line:
        for number in range(PINGS + 200):
            began = time.perf_counter()
            line.sendall(b"x")
            line.recv(1)
            if number >= 200:
                took.append((time.perf_counter() - began) * 1e6)
    cuts = quantiles(took, n=100)
    return cuts[49], cuts[98]


def cpu_seconds(pid: int) -> float:
    """The CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(way: Way, mib: int) -> None:
    """One round of everything."""
    used = cpu_seconds(way.pid)
    way.down_1.append(download(way.port, 1, mib))
    way.cpu.append((cpu_seconds(way.pid) - used) * 1e9 / (mib << 20))
    way.down_8.append(download(way.port, 8, mib))
    way.up_1.append(upload(way.port, mib))
    p50, p99 = ping_pong(way.port)
    way.p50.append(p50)
    way.p99.append(p99)


def ways(lines: ExitStack, folder: Path, only: str) -> list[Way]:
    """Set up all ways whose name holds ``only``."""
    ends = HERE / "_tunnel_ends.py"
    target, served_by = lines.enter_context(running(sys.executable, ends, "service"))
    sshd = lines.enter_context(server(folder))
    found = [Way("no ssh", target, served_by)]

    def forwarded(cipher: str) -> Callable[[], tuple[int, int]]:
        argv, port = openssh(folder, sshd, target, cipher)
        return lambda: lines.enter_context(running(*argv, port=port))

    def carried(loop: str, cipher: str) -> Callable[[], tuple[int, int]]:
        values = [*map(str, (loop, sshd, folder, cipher, target))]
        return lambda: lines.enter_context(running(sys.executable, ends, "tunnel", *values))

    loops = ["asyncio"] + (["uvloop"] if importlib.util.find_spec("uvloop") else [])
    known: dict[str, Callable[[], tuple[int, int]]] = {
        "ssh -L, its own cipher": forwarded(""),
        "ssh -L, aes128-gcm": forwarded(AES),
    }
    for loop in loops:
        known[f"sessiond, aes128-gcm, {loop}"] = carried(loop, AES)
    for loop in loops:
        known[f"sessiond, its own cipher, {loop}"] = carried(loop, "chacha20-poly1305@openssh.com")
    for name, start in known.items():
        if only in name or name == "ssh -L, aes128-gcm":
            port, pid = start()
            found.append(Way(name, port, pid))
    return found


def report(found: list[Way]) -> None:
    """The table."""
    heads = ("MB/s 1", "MB/s 8", "up MB/s", "p50 us", "p99 us", "s/GB")
    print(f"{'':36}" + "".join(f"{head:>9}" for head in heads) + "   to ssh -L: MB/s 1, 8, up, p50, p99")
    named = {way.name: way for way in found}
    for way in found:
        *figures, cpu = (median(each) for each in way.figures())
        base = named.get(way.name.replace("sessiond", "ssh -L").rpartition(",")[0])
        line = f"{way.name:36}" + "".join(f"{value:9.0f}" for value in figures) + f"{cpu:9.2f}   "
        if base is not None and way.name.startswith("sessiond"):
            pairs = list(zip(way.figures(), base.figures(), strict=True))[:5]
            ratios = [median(ours / theirs for ours, theirs in zip(*pair, strict=True)) for pair in pairs]
            line += "".join(f"{ratio:7.2f}" for ratio in ratios)
        print(line)


def main(rounds: int, mib: int, only: str) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="tunnel-") as name, ExitStack() as lines:
        folder = Path(name)
        folder.chmod(0o755)
        found = ways(lines, folder, only)
        for way in found:
            download(way.port, 1, 64)
        for _ in range(rounds):
            for way in found:
                measure(way, mib)
        report(found)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 5, int(given[1]) if given[1:] else 512, given[2] if given[2:] else "")
