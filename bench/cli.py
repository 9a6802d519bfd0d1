"""How long `sessionctl ls --json` takes as a whole process, against a bare interpreter: `python3 -I -c pass`.

    python bench/cli.py [SESSIONS] [RUNS]

A stand-in answers on a Unix socket with as many sessions, so that what is measured is the client alone. The runs are
interleaved, so that both see the same machine; what counts is the ratio of the medians, and its target is 8.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

SERVER = """
import json, socket, sys
path, count = sys.argv[1], int(sys.argv[2])
session = {
    "id": "k3f9q2m7x0ab", "name": "jl", "number": 1, "service": "jupyterlab-host", "workflow": "", "cluster": "local",
    "mode": "local", "state": "running", "outcome": None, "phrase": "running", "next": "", "severity": "ok",
    "since": "2026-01-31T09:30:00.123Z", "url": "http://127.0.0.1:8700/me/50000/lab?token=0123456789abcdef",
    "open_port": 50000, "service_port": 41234, "node": None, "job_id": "4711", "job_phase": "running",
    "queue_reason": None, "expected_start": None, "ends_by": None, "attempt": 1, "problem": None,
    "link": {"state": "up", "since": None}, "observed_age_s": 1.0, "folder": "/state/sessions/k3f9q2m7x0ab",
    "created": "2026-01-31T09:30:00.123Z", "ended": None,
}
body = json.dumps([session] * count).encode()
answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(16)
print("ready", flush=True)
while True:
    peer, _ = server.accept()
    with peer:
        if peer.recv(65536):
            peer.sendall(answer)
"""


def took(argv: list[str], env: dict[str, str]) -> float:
    """One run of ``argv``, in milliseconds."""
    began = time.perf_counter()
    subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Print a line a program, and the ratios."""
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    ctl = "from sessiond.cli.main import main; main()"
    with tempfile.TemporaryDirectory(prefix="sd-bench-") as folder:
        path = f"{folder}/api.sock"
        env = os.environ | {"SESSIOND_SOCKET": path, "SESSIOND_STATE_DIR": folder, "PYTHONPATH": str(ROOT)}
        programs = {
            "python3 -I -c pass": [sys.executable, "-I", "-c", "pass"],
            f"sessionctl ls --json ({sessions} sessions)": [sys.executable, "-c", ctl, "ls", "--json"],
            f"sessionctl ls ({sessions} sessions)": [sys.executable, "-c", ctl, "ls"],
            "sessionctl --help": [sys.executable, "-c", ctl, "--help"],
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        server = subprocess.Popen([sys.executable, "-I", "-c", SERVER, path, str(sessions)], stdout=subprocess.PIPE)
        try:
            assert server.stdout is not None
            server.stdout.readline()
            for argv in programs.values():
                took(argv, env)  # once, so that every file is compiled and in memory
            for _ in range(runs):
                for name, argv in programs.items():
                    times[name].append(took(argv, env))
        finally:
            server.kill()
            server.communicate()
    bare = statistics.median(next(iter(times.values())))
    print(f"{'program':42} {'median ms':>9} {'best ms':>8} {'ratio':>6}")
    for name, taken in times.items():
        middle = statistics.median(taken)
        print(f"{name:42} {middle:9.1f} {min(taken):8.1f} {middle / bare:6.1f}")


if __name__ == "__main__":
    main()
