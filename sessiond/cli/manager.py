"""The person's systemd: whether one answers, what it is told, and whether it outlives the login."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from sessiond.client import ClientError

_DEADLINE_S: Final = 100.0
"""For one command: longer than a start (TimeoutStartSec is 90 s) or a stop of our unit may take."""
_QUICK_S: Final = 5.0

WITHOUT: Final = (
    "none is needed: the first sessionctl that needs the daemon starts it, and it stays until the machine ends"
)


def reachable() -> str:
    """Why no user manager can be spoken to from here; empty if one can."""
    done = _run(("systemctl", "--user", "show", "--property=Version"), _QUICK_S)
    if isinstance(done, str):
        return done
    if done.returncode == 0:
        return ""
    said = done.stderr.strip().splitlines()
    return said[0] if said else f"systemctl ended with status {done.returncode}"


def require() -> None:
    """Raise ClientError with what works instead, where there is no user manager."""
    if not (reason := reachable()):
        return
    runtime = Path(f"/run/user/{os.geteuid()}")
    # after `su` and in cron the variable is missing, and everything else is there
    lost = not os.environ.get("XDG_RUNTIME_DIR") and (runtime / "systemd").is_dir()
    hint = f"`export XDG_RUNTIME_DIR={runtime}`, then try again" if lost else WITHOUT
    raise ClientError("failed", f"no systemd of yours answers here ({reason})", hint)


def systemctl(*argv: str) -> None:
    """Have the user manager do something. Raises ClientError with its words."""
    done = _run(("systemctl", "--user", "--no-ask-password", *argv), _DEADLINE_S)
    if isinstance(done, str):
        raise ClientError("failed", f"systemctl --user {argv[0]}: {done}", "`systemctl --user status sessiond`")
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise ClientError(
            "failed",
            f"systemctl --user {argv[0]}: {words}",
            "`journalctl --user -u sessiond` has the daemon's own words",
        )


def show(unit: str, name: str) -> str:
    """One property of a unit; empty where nobody says it."""
    done = _run(("systemctl", "--user", "show", "--value", f"--property={name}", unit), _QUICK_S)
    return "" if isinstance(done, str) else done.stdout.strip()


def lingers() -> bool | None:
    """Whether this user's manager is kept after logout (loginctl(1)); None where nothing says so."""
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return None
    if Path("/var/lib/systemd/linger", user).exists():
        return True
    said = _run(("loginctl", "show-user", user, "--property=Linger", "--value"), _QUICK_S)
    if isinstance(said, str):
        return None
    if "not logged in or lingering" in said.stderr:
        return False
    return {"yes": True, "no": False}.get(said.stdout.strip())


def _run(argv: tuple[str, ...], limit_s: float) -> subprocess.CompletedProcess[str] | str:
    """How a command ended, or why it could not be run."""
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
            env=dict(os.environ) | {"LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError:
        return f"there is no {argv[0]}"
    except OSError as error:
        return f"{argv[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"{argv[0]} did not end within {limit_s:g} s"
