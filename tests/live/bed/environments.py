"""Services' environments, made on this machine: the hosts of a bed see them, but no package index."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .layout import ENVS, ROOT


def ensure_environment(service: str, **params: str) -> None:
    """Make what a service of this project installs, if it is not there; that takes a minute and a package index.

    ``params`` are the service's own.

    Raises RuntimeError with the last words of the service's own script when it cannot be made.
    """
    source = ROOT / "services"
    with tempfile.TemporaryDirectory(prefix="sdbed-service-") as name:
        folder = Path(name)
        shutil.copytree(source / "_lib", folder / "lib")
        shutil.copytree(source / service, folder / "service")
        env = {
            **os.environ,
            "HOME": name,
            "XDG_CACHE_HOME": str(folder / "cache"),
            "SESSIOND_ENVS": str(ENVS),
            "resource_jobdir": name,
            **params,
        }
        done = subprocess.run(
            ["bash", str(folder / "service/controller.sh")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=env,
            timeout=600,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{service} has no environment: {(done.stdout + done.stderr).strip()}")
