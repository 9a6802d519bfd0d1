"""What every test needs: one event loop, examples that stay, and a loud end that counts what could not be run."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from tests.core.steady import steady

# Also for tests that set nothing: without a variable CI hypothesis takes other examples each time, and refuses one
# that a busy machine holds up for a quarter of a second.
settings.register_profile("steady", steady)
settings.load_profile("steady")


@pytest.fixture
def anyio_backend() -> str:
    """asyncio, as in the daemon; tests on a virtual clock choose trio for themselves."""
    return "asyncio"


def pytest_configure() -> None:
    """Let what tests start hear signals, as a terminal's commands do: below `nohup` and in a script's background jobs
    some are ignored, and that is inherited. A handler is not, and keeps these tests running.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real clusters and browsers first: where processes share the files, they then end at about the same time."""
    items.sort(key=lambda item: "/tests/live/" not in str(item.path))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the very end how many tests were skipped and why: a test that did not run proves nothing."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    reasons: dict[str, int] = {}
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] = reasons.get(reason.removeprefix("Skipped: "), 0) + 1
    terminalreporter.section("NOT RUN", sep="!")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count} skipped: {reason}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """On a machine that promises all parts (CI=true), a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if os.environ.get("CI") == "true" and skipped and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
