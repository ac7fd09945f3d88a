"""A budget of processor seconds for every test of the quick suite.

The clock on the wall says how busy the machine is; processor seconds of this process and its children say what a test
costs.  Ten of them are plenty.  Neighbours that fight for caches and memory make three or four of one, hence the margin
of `BUDGET`.  A test that needs more carries ``integration`` or ``slow``, or shows the same thing with less.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

BUDGET = 40.0
EXEMPT = ("integration", "slow", "gpu")
NAME = "cpu_seconds"

_start = pytest.StashKey[float]()


def cpu_seconds() -> float:
    """Seconds of this process and of the children it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "list the N tests that cost the most processor seconds, with the fixtures they were the first to ask for"
    parser.addoption("--cpu-durations", type=int, default=0, metavar="N", help=text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    item.stash[_start] = cpu_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "teardown":
        spent = cpu_seconds() - item.stash[_start]
        report.user_properties.append((NAME, spent))
        if report.passed and spent > BUDGET and not any(item.get_closest_marker(name) for name in EXEMPT):
            report.outcome = "failed"
            report.longrepr = (
                f"{spent:.0f} processor seconds; a test of the quick suite may take {BUDGET:.0f}: make it smaller, "
                "or mark it `integration`"
            )
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    count = terminalreporter.config.getoption("--cpu-durations")
    if not count:
        return
    reports = [report for kind in terminalreporter.stats.values() for report in kind if hasattr(report, "nodeid")]
    spent = {r.nodeid: value for r in reports for name, value in r.user_properties if name == NAME}
    terminalreporter.section(f"{count} largest of {sum(spent.values()):.0f} processor seconds")
    for nodeid, seconds in sorted(spent.items(), key=lambda pair: -pair[1])[:count]:
        terminalreporter.write_line(f"{seconds:8.2f}  {nodeid}")
