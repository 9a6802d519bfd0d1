"""The file systems of a bed: a small one that all hosts see and, where it is asked for, homes with a quota."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

SCRATCH_MB = 32
# a sparse file; btrfs takes none below 109 MB (mkfs.btrfs 6.2)
IMAGE_MB = 256


class Scratch:
    """A file system of 32 MB, writable by everybody, that ends without a quota."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._filling = folder / ".filling"

    def mount(self, name: str) -> None:
        """Make it; ``name`` is what the table of mounts calls it."""
        self._folder.mkdir()
        options = f"size={SCRATCH_MB}m,mode=1777"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, name, str(self._folder)], check=True)

    def fill(self) -> None:
        """Write it full to the last byte."""
        _fill(self._filling)

    def free(self) -> None:
        """Take the filling away again."""
        self._filling.unlink(missing_ok=True)


class Homes:
    """All users' homes, each with a quota that the kernel holds them to.

    btrfs, because it brings quotas along; many kernels are without those of ext4 and tmpfs. It is the strictest: at the
    quota nothing at all can be made or written, not even an empty file or a folder, as where files are counted, too.
    Removing works, and makes room at once (measured, Linux 6.18).
    """

    def __init__(self, bed: Path) -> None:
        self._image = bed / "homes.btrfs"
        self._folder = bed / "home"

    def mount(self, users: Iterable[str], quota_mb: int) -> None:
        """Make them, empty. Raises CalledProcessError where it cannot be; see `reason_against_quotas`."""
        with self._image.open("wb") as file:
            file.truncate(IMAGE_MB << 20)
        self._folder.mkdir()
        _run("mkfs.btrfs", "--quiet", self._image)
        # the loop device ends with the mount
        _run("mount", "-o", "loop", self._image, self._folder)
        _run("btrfs", "quota", "enable", self._folder)
        for user in users:
            _run("btrfs", "subvolume", "create", self._folder / user)
            _run("btrfs", "qgroup", "limit", f"{quota_mb}M", self._folder / user)

    def use_up(self, user: str) -> None:
        """Have a user's home run into its quota: nothing can be written there any more."""
        filling = self._folder / user / ".filling"
        # what was set aside for the writing, and not needed, is free again once all is on the disk
        while _fill(filling):
            _run("btrfs", "filesystem", "sync", self._folder)

    def make_room(self, user: str) -> None:
        """Remove what `use_up` put there, as users do when they are told."""
        (self._folder / user / ".filling").unlink(missing_ok=True)


def unmount(folder: Path) -> None:
    """Take a file system away, if one is there, whoever looks into it."""
    if folder.is_mount():
        # lazily: whoever looks into it must not keep it
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)


@functools.cache
def reason_against_quotas() -> str:
    """Why homes can have no quota here; empty if they can. Tried in mounts that vanish with the command."""
    with tempfile.TemporaryDirectory(prefix="sdbed-quota-") as name:
        trial = (
            f'cd "$1" && truncate --size={IMAGE_MB}M image && mkfs.btrfs --quiet image && mkdir home && '
            "mount -o loop image home && btrfs quota enable home && btrfs qgroup limit 1M home"
        )
        argv = ["unshare", "--mount", "sh", "-c", trial, "sh", name]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return (
        f"no quotas of btrfs on a loop device (Debian's package: btrfs-progs): {lines[-1]}" if done.returncode else ""
    )


def _fill(file: Path) -> int:
    """Write to the end of a file until no byte more is taken; how many were."""
    before = file.stat().st_size if file.exists() else 0
    size = 1 << 16
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as filling:
        while size:
            try:
                filling.write(bytes(size))
                os.fsync(filling.fileno())
            except OSError:
                size //= 2
    return (file.stat().st_size if file.exists() else 0) - before


def _run(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL, timeout=30)
