"""What a reload says."""

from __future__ import annotations

from pathlib import Path

from sessiond.config.diff import Changes, diff
from sessiond.config.load import load
from sessiond.config.model import Config


def read(folder: Path, text: str) -> Config:
    """The configuration ``text``."""
    path = folder / "config.toml"
    path.write_text(text)
    return load(path)


def test_nothing_changed() -> None:
    """The same configuration twice is no change."""
    assert Changes() == diff(Config(), Config())


def test_what_holds_at_once_and_what_after_a_restart(tmp_path: Path) -> None:
    """Ports and the browser's door need a restart; all else holds from the reload on. Private values are not shown."""
    old = read(
        tmp_path,
        'daemon.services_dirs = ["a", "b"]\n'
        '[clusters.one]\nhost = "one"\n[clusters.two]\nhost = "two"\ndefaults.password = "hush"\n',
    )
    new = read(
        tmp_path,
        'daemon = { gateway = "", ports = "6000-6010", services_dirs = ["b", "c"], own_origins = true }\n'
        'notify.command = ["x"]\nidle = { after = "1h30m", warn = "5m" }\n'
        '[clusters.local]\nsetup = "hush"\n[clusters.three]\nhost = "three"\n'
        '[clusters.two]\nhost = "zwei"\nroute = "jump"\npoll = "1m"\ndefaults.password = "husher"\n',
    )
    changes = diff(old, new)
    assert ("daemon.gateway: 127.0.0.1:8700 -> off", "daemon.ports: 50000-55500 -> 6000-6010") == changes.restart
    assert (
        "daemon.own_origins: false -> true",
        f"daemon.services_dirs: {tmp_path / 'a'} removed",
        f"daemon.services_dirs: {tmp_path / 'c'} added",
        "notify.command changed",
        "idle.after: 0 -> 1h30m",
        "idle.warn: 15m -> 5m",
        "clusters.local: setup changed",
        "clusters.one removed",
        "clusters.three added",
        "clusters.two: poll, defaults, host, route changed",
    ) == changes.changed


def test_the_order_of_folders_matters(tmp_path: Path) -> None:
    """A later folder goes over an earlier one, so another order is a change."""
    old = read(tmp_path, 'daemon.services_dirs = ["a", "b"]\n')
    new = read(tmp_path, 'daemon = { services_dirs = ["b", "a"], gateway = "[::1]:0" }\n')
    assert Changes(
        changed=("daemon.services_dirs: another order",), restart=("daemon.gateway: 127.0.0.1:8700 -> [::1]:0",)
    ) == diff(old, new)
