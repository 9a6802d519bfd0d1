"""Unpacked images of containers for ch-run: a folder that holds just enough to be one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

APPLETS = ("cat", "env", "head", "httpd", "id", "ls", "mktemp", "mkdir", "sh", "sleep", "true")

_FOLDERS = ("bin", "dev", "etc", "home", "mnt", "proc", "srv", "sys", "tmp")


def make_image(root: Path, *, applets: Sequence[str] = APPLETS) -> Path:
    """An image at ``root`` with busybox, under the names in ``applets``, and a page to serve in /srv.

    busybox is one that needs no libraries (Debian's busybox-static). ch-run 0.31 mounts the host's /dev, /proc, /sys
    and /tmp, and the host's users over etc/passwd and etc/group, so these have to be there.
    """
    busybox = shutil.which("busybox")
    assert busybox is not None
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("passwd", "group"):
        (root / "etc" / name).touch()
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in applets:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "srv" / "index.html").write_text("<title>a page of the image</title>")
    return root


def make_image_of_the_host(root: Path, *more: Path) -> tuple[Path, str]:
    """An image at ``root`` for the programs of this machine, and the words that mount them and folders ``more`` in it.

    What runs in it is as real as what is outside.
    """
    for name in (*_FOLDERS, "run", "usr/local/bin", "var/log"):
        if name != "bin":
            (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("passwd", "group", "hosts", "resolv.conf"):
        (root / "etc" / name).touch()
    # What is in /usr/local is the image's own.
    folders = [
        path for path in Path("/usr").iterdir() if path.name != "local" and path.is_dir() and not path.is_symlink()
    ]
    for name in ("bin", "lib", "lib64", "sbin"):
        there = Path("/", name)
        if there.is_symlink():
            (root / name).symlink_to(there.readlink())
        elif there.is_dir():
            folders.append(there)
    # All of /usr that is the host's is there already, and a mount of the whole would hide the image's own part.
    folders += [folder.resolve() for folder in more if folder != Path("/usr")]
    for folder in folders:
        (root / folder.relative_to("/")).mkdir(parents=True, exist_ok=True)
    return root, " ".join(f"-v {folder}:{folder}" for folder in folders)


def add_program(image: Path, place: str, source: str) -> None:
    """Put a stand-in of this folder into an image of the host, as a program at ``place``."""
    program = image / place
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/usr/bin/python3\n{Path(__file__).with_name(source).read_text()}")
    program.chmod(0o755)
