"""A stand-in for docker and podman, where no daemon runs containers: it is called as they are, and writes down how.

Instead of an image it runs a small web server, outside of everything that belongs to its caller, as their daemon does.
It is copied to where it is called, so it needs nothing but Python. Beside it lie, or may lie:
    calls/           each call's words and standard input, in order
    containers/      one file for each container there is: its labels and its process
    daemonless, refused, unreachable, unknown      how it fails: the daemon, its socket, the registry
    rootless         it says that it is the user's own
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CONTAINERS = HERE / "containers"
SOCKET = "unix:///var/run/docker.sock"

# What runs instead of an image: once its container is there it says all it knows, answers every request, and heeds no
# TERM, as the first process of a container that has set up nothing for it.
SERVER = """
import os, signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.read()
print("knows", os.environ["KNOWN"], flush=True)
host, _, port = sys.argv[1].rpartition(":")
listener = socket.create_server((host or "127.0.0.1", int(port)))
while True:
    with listener.accept()[0] as peer:
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
"""
WITH_VALUE = {
    "--name", "--label", "--env-file", "--publish", "-p", "--volume", "-v", "--shm-size", "--network", "--user",
    "--userns", "--gpus", "--device", "--security-opt", "-e",
}  # fmt: skip


def main() -> int:
    """Do as docker and podman do with these words; their exit status."""
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    stdin = Path("/dev/stdin").read_text() if "/dev/stdin" in words else ""
    _write(HERE / "calls" / f"{time.monotonic_ns():020d}", {"words": [name, *words], "stdin": stdin})
    asked_by_root = bool(os.environ.get("STAND_IN_SUDO"))
    if (HERE / "daemonless").exists():
        return _fail(
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
        )
    if (HERE / "refused").exists() and not asked_by_root:
        return _fail(
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
        )
    match words:
        case ["info", *_] if name == "podman":
            print("true" if (HERE / "rootless").exists() else "false")
        case ["info", *_]:
            print(json.dumps(["name=seccomp", *(["name=rootless"] if (HERE / "rootless").exists() else [])]))
        case ["image", "inspect", image]:
            return 0 if (HERE / "images" / image.replace("/", "_")).exists() else 1
        case ["pull", *_, image]:
            return _pull(image)
        case ["run", *rest]:
            return _run(rest, stdin)
        case ["ps", *_]:
            wanted = words[words.index("--filter") + 1].removeprefix("label=")
            print("".join(f"{file.stem}\n" for file, one in _containers() if wanted in one.labels), end="")
        case ["stop" | "rm", *rest]:
            for file, one in _containers():
                if file.stem in rest:
                    _end(file, one)
        case ["wait", _]:
            print(0)
        case ["logs", *_, wanted]:
            while (CONTAINERS / f"{wanted}.json").exists():
                time.sleep(0.02)
        case _:
            return _fail(f"unknown command: {words}")
    return 0


def _pull(image: str) -> int:
    if (HERE / "unreachable").exists():
        return _fail("Error response from daemon: Get https://registry-1.docker.io/v2/: dial tcp: lookup: no such host")
    if (HERE / "unknown").exists():
        return _fail(f"Error response from daemon: pull access denied for {image}, repository does not exist")
    (HERE / "images" / image.replace("/", "_")).touch()
    print(image)
    return 0


def _run(words: list[str], variables: str) -> int:
    options: dict[str, list[str]] = {}
    while words and words[0].startswith("-"):
        option, _, value = words.pop(0).partition("=")
        if option in WITH_VALUE and not value:
            value = words.pop(0)
        options.setdefault(option, []).append(value)
    known = dict(line.split("=", 1) for line in variables.splitlines())
    published = [*options.get("--publish", []), *options.get("-p", [])]
    place = published[0].rpartition(":")[0] if published else f"{known['MWI_APP_HOST']}:{known['MWI_APP_PORT']}"
    server = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SERVER, place],
        start_new_session=True,
        env={"KNOWN": json.dumps(known)},
        stdin=subprocess.PIPE,
    )
    name = options.get("--name", [f"unnamed-{server.pid}"])[0]
    file = CONTAINERS / f"{name}.json"
    _write(file, {"labels": options.get("--label", []), "pid": server.pid})
    assert server.stdin is not None
    server.stdin.close()
    if "-d" in options:
        print(name)
        return 0
    # The client passes TERM on, and waits.
    signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGTERM))
    status = server.wait()
    file.unlink(missing_ok=True)
    return status if status >= 0 else 128 - status


@dataclass(frozen=True)
class Container:
    """What a container's file holds."""

    labels: list[str]
    pid: int


def _containers() -> list[tuple[Path, Container]]:
    found = []
    for file in sorted(CONTAINERS.glob("*.json")):
        with contextlib.suppress(FileNotFoundError):  # it has just gone
            found.append((file, Container(**json.loads(file.read_text()))))
    return found


def _write(file: Path, content: object) -> None:
    """All at once: others read it whenever they like."""
    draft = HERE / f"{file.name}.{os.getpid()}"
    draft.write_text(json.dumps(content))
    draft.rename(file)


def _end(file: Path, one: Container) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(one.pid, signal.SIGKILL)
    file.unlink(missing_ok=True)


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
