import importlib
import sys

import pytest

from benchmarks.harness import (
    ROOT,
    Contender,
    put_section,
    rate_rows,
    ratios,
    run_interleaved,
    run_processes,
    spread,
)

MODULES = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_imports(name):
    assert importlib.import_module(f"benchmarks.{name}").__doc__


def test_section_that_exists_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    for title, text in (("One", "first"), ("Two", "second\n\n| a |\n"), ("One", "third")):
        put_section(page, "# Page\n", title, text)
    assert page.read_text().split("\n## ") == [
        "# Page\n",
        "One\n\nthird\n",
        "Two\n\nsecond\n\n| a |\n",
    ]


def test_spread_shows_median_and_range():
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00-3.00)"
    assert spread([3.0], 0) == "3"


def test_ratios_pair_rounds():
    assert ratios([1.0, 4.0], [2.0, 2.0]) == [0.5, 2.0]


def test_process_cost_includes_children():
    child = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10**7))'])"
    )
    commands = [[sys.executable, "-c", program] for program in (child, "print('output')")]
    cost = run_processes(*commands)
    assert cost.output == "output\n"
    assert cost.cpu > 0.05


def test_failing_process_exits_with_its_output():
    with pytest.raises(SystemExit, match=r"(?s)ZeroDivisionError.*exit status 1"):
        run_processes([sys.executable, "-c", "1 / 0"])


def test_contenders_run_in_turns_after_their_preparation():
    order = []
    slow = Contender("slow", 10, lambda: order.append("slow"), lambda: order.append("before"))
    fast = Contender("fast", 10, lambda: order.append("fast"))
    run_interleaved([slow, fast], 2)
    assert order == ["before", "slow", "fast"] * 2
    assert [row[0] for row in rate_rows([slow, fast], fast)] == ["slow", "fast"]
    assert len(slow.rates) == len(fast.cpu_rates) == 2
