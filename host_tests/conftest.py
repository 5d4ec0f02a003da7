"""Shared by all tests: what they need from the system, and how much a sweep does."""

import os
from collections.abc import Iterator

import pytest

from tools import prerequisites


def requires(*commands: str):
    """Marks a test that needs system commands: skipped with the command that installs them."""
    missing = [c for c in commands if prerequisites.find(c) is None]
    reason = (
        f"needs {', '.join(missing)}: {prerequisites.install_command(missing)}" if missing else ""
    )
    return pytest.mark.skipif(bool(missing), reason=reason)


@pytest.fixture(scope="session")
def sweep_full() -> bool:
    """Whether the full numbers were asked for (`make sweep`)."""
    return os.environ.get("SWEEP") == "full"


# select(), which paho-mqtt waits with, knows the first 1024 descriptors of a process: what a file
# leaves open makes others fail, and not itself.
_MAX_LEFT_OPEN = 50


@pytest.fixture(scope="module", autouse=True)
def _closes_what_it_opens() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    left = len(os.listdir("/proc/self/fd")) - before
    assert left <= _MAX_LEFT_OPEN, f"{left} files and sockets are left open"


# Tests that sweep or measure print their figures; these folders' are shown at the end.
_FIGURES_FROM = ("host_tests/faults/", "host_tests/target/")
_MAX_FIGURE_LINES = 8


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    told = [
        report
        for report in terminalreporter.stats.get("passed", [])
        if report.when == "call"
        and report.nodeid.startswith(_FIGURES_FROM)
        and report.capstdout.strip()
    ]
    if told:
        terminalreporter.section("figures")
    for report in told:
        for line in report.capstdout.strip().splitlines()[:_MAX_FIGURE_LINES]:
            terminalreporter.write_line(f"{report.nodeid.split('/')[-1]}: {line}")
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and prerequisites.in_ci():
        terminalreporter.write_line(
            f"{len(skipped)} skipped: with CI=true that is a failure", red=True
        )


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker of several; the one that counts looks
        return
    if prerequisites.in_ci() and reporter.stats.get("skipped") and session.exitstatus == 0:
        session.exitstatus = 1
