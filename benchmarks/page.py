"""What the page of a simulated full sweep costs: to make, to send, and to open in a browser.

usage: python -m benchmarks.page PART [--rounds 5] [--val 2000] [--test 4000] [--work DIR]

PART      rendering  tables, figures and report, each in a process of its own, and what the page
                     is made of
          browser    the first paint, the memory, and the answer to a slider, in Chromium
          all        both

Tables and figures are made once; the report `--rounds` times. `--work` keeps the sweep, some
gigabytes, and its page for the next call.
"""

import json
import os
import re
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Page

from benchmarks.harness import ROOT, markdown, part_parser, run_parts, spread
from benchmarks.page_sweep import STEPS, PageSweep, page_path, prepare
from benchmarks.workflow import run_program
from tests.browser import open_page, start_chromium

TITLE = "# The page of a full sweep\n"
LIBRARIES = ("matplotlib", "altair", "jinja2", "playwright")
RUN_STEP = "import sys; from benchmarks.page_sweep import run_step; run_step(*sys.argv[1:])"
MEGABYTE = 1e6
# What the requirement allows.
MOST_MEGABYTES, MOST_SECONDS, MOST_MEMORY = 15, 60, 600
MOST_PAINT_MS, MOST_ANSWER_MS = 1500, 50
STEP_HEAD = ("step", "CPU s", "wall s", "peak MiB")
CHECK_HEAD = ("", "measured", "goal", "kept")
# The page is at rest when nothing has changed for so long.
REST_MS = 1000
TRIALS = 20
BROWSER_NOTE = """\
Chromium {version}, headless, {width} x {height} px, a new browser each round; the file is in the
page cache. The memory is the sum of the proportional set sizes of all processes of Chromium, one
second after the page has loaded; other browsers on the machine, which share libraries, lower it.
An answer is the time from a call or an input event to the changed answer, for {trials} limits a
round; the chart and the table of candidates follow after the next paint. All times are wall times, and grow with the load of the machine.
"""
PAINTS = """
() => Object.fromEntries(performance.getEntriesByType("paint").map(e => [e.name, e.startTime]))
"""
LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"
# Calls of the rule, with limits on latency that go through the measured ones.
CALLS = """
(trials) => {
  if (typeof resomap === "undefined" || !resomap.choose) return null;
  const times = [];
  for (let trial = 0; trial < trials; trial += 1) {
    const started = performance.now();
    resomap.choose({ max_latency_ms: 0.3 * 1.4 ** trial });
    times.push(performance.now() - started);
  }
  return times;
}
"""
# Input events of the first slider; an answer is announced by an event.
INPUTS = """
async (trials) => {
  const slider = document.querySelector("input[type=range]");
  if (!slider) return null;
  const low = Number(slider.min), high = Number(slider.max), times = [];
  for (let trial = 0; trial < trials; trial += 1) {
    const answered = new Promise((resolve, reject) => {
      document.addEventListener("resomap:answer", () => resolve(performance.now()), { once: true });
      setTimeout(() => reject(new Error("no answer")), 5000);
    });
    slider.value = low + (high - low) * ((trial * 7) % trials) / trials;
    const started = performance.now();
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    times.push((await answered) - started);
  }
  return times;
}
"""


def run_rendering(options: Namespace, work: Path) -> str:
    """Measure the steps that make the page; return the section."""
    sweep = PageSweep(options.val, options.test)
    folder = prepare(work, sweep)
    rows, walls = [], {}
    for step in STEPS:
        rounds = options.rounds if step == "report" else 1
        program = [sys.executable, "-c", RUN_STEP, folder, step]
        costs = [run_program(program, ROOT) for _ in range(rounds)]
        walls[step] = [cost.wall for cost in costs]
        cpu, peak = [cost.own for cost in costs], [cost.peak_mib for cost in costs]
        rows.append((step, spread(cpu, 1), spread(walls[step], 1), spread(peak, 0)))
        print(*rows[-1], file=sys.stderr)
    size = page_path(folder).stat().st_size / MEGABYTE
    checks = [
        check("rendering of the report, s", walls["report"], MOST_SECONDS, 1),
        check("page, MB", [size], MOST_MEGABYTES, 2),
    ]
    parts = markdown(("part of the page", "MB"), page_parts(page_path(folder)))
    tables = (markdown(STEP_HEAD, rows), markdown(CHECK_HEAD, checks), parts)
    return "\n".join([f"{sweep.describe()}\n", *tables])


def check(name: str, values: Sequence[float], most: float, digits: int = 0) -> tuple[str, ...]:
    """Return a row that compares the median with the most that is allowed."""
    kept = "yes" if median(values) < most else "NO"
    return name, spread(values, digits), f"< {most:,}", kept


def page_parts(path: Path) -> list[tuple[str, str]]:
    """Return the parts of a page with their sizes in MB, the largest first."""
    text = path.read_text(encoding="utf-8")
    sizes = dict(_parts(text))
    sizes["everything else"] = len(text.encode()) - sum(sizes.values())
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    return [(name, f"{size / MEGABYTE:.3f}") for name, size in ordered]


def _parts(text: str) -> Iterator[tuple[str, int]]:
    """Yield the figures, data, scripts, styles and tables of a page with their bytes."""
    figures = re.findall(r'<figure id="([^"]*)".*?</figure>', text, re.DOTALL)
    for name in figures:
        figure = re.search(rf'<figure id="{re.escape(name)}".*?</figure>', text, re.DOTALL)
        assert figure is not None
        kind = "pixels" if 'src="data:image' in figure[0] else "SVG"
        yield f"figure {name} ({kind})", len(figure[0].encode())
    blocks = r'<script type="application/json" id="([^"]*?)(?:-[0-9]+)?">.*?</script>'
    sizes: Counter[str] = Counter()
    for block in re.finditer(blocks, text, re.DOTALL):
        sizes[f"block {block[1]}"] += len(block[0].encode())
    yield from sizes.items()
    for name, pattern in (
        ("scripts", "<script>.*?</script>"),
        ("styles", "<style>.*?</style>"),
    ):
        yield name, sum(len(part.encode()) for part in re.findall(pattern, text, re.DOTALL))
    outside = re.sub("<(figure|script|style).*?</\\1>", "", text, flags=re.DOTALL)
    tables = re.findall("<table.*?</table>", outside, re.DOTALL)
    yield "tables", sum(len(table.encode()) for table in tables)


def run_browser(options: Namespace, work: Path) -> str:
    """Open the page in Chromium several times; return the section."""
    sweep = PageSweep(options.val, options.test)
    folder = prepare(work, sweep)
    page = page_path(folder)
    if not page.exists():
        for step in STEPS:
            run_program([sys.executable, "-c", RUN_STEP, folder, step], ROOT)
    rounds = [open_once(page) for _ in range(options.rounds)]
    first = rounds[0]
    checks = [
        check("first paint, ms", _all(rounds, "first-paint"), MOST_PAINT_MS),
        check(
            "first contentful paint, ms", _all(rounds, "first-contentful-paint"), MOST_PAINT_MS
        ),
        ("loaded, ms", spread(_all(rounds, "loaded"), 0), "", ""),
        check("memory of Chromium, MB", _all(rounds, "memory"), MOST_MEMORY),
    ]
    for name, title in (("calls", "a call of the rule, ms"), ("inputs", "a slider, ms")):
        if first[name] is None:
            checks.append((title, "not on this page", "", ""))
        else:
            for statistic, value in (("median", median), ("slowest", max)):
                values = [value(result[name]) for result in rounds]
                checks.append(check(f"{title}, {statistic}", values, MOST_ANSWER_MS, 1))
    note = BROWSER_NOTE.format(
        version=first["version"], width=first["width"], height=first["height"], trials=TRIALS
    )
    return f"{note}\n{sweep.describe()}\n\n{markdown(CHECK_HEAD, checks)}"


def _all(rounds: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [result[name] for result in rounds]


def open_once(path: Path) -> dict[str, Any]:
    """Open a page in a new browser; return its times in ms, its memory in MB, its answers."""
    with start_chromium() as browser, open_page(browser, path) as opened:
        page = opened.page
        page.wait_for_timeout(REST_MS)
        result = {**page.evaluate(PAINTS), "loaded": page.evaluate(LOADED)}
        result |= {"version": browser.version, **(page.viewport_size or {})}
        result["memory"] = browser_memory()
        result |= {
            "calls": page.evaluate(CALLS, TRIALS),
            "inputs": page.evaluate(INPUTS, TRIALS),
        }
        check_page(page)
        print(json.dumps(result), file=sys.stderr)
        return result


def check_page(page: Page) -> None:
    """Exit unless the page has its figures: another page would be measured."""
    if not page.locator("figure").count():
        sys.exit(f"{page.url} has no figure")


def browser_memory() -> float:
    """Return the sum of the proportional set sizes, in MB, of the browsers this process started."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name of a program, in parentheses, may hold spaces.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
        except OSError:
            # The process has ended since it was listed.
            continue
    own = [pid for pid in parents if _descends(pid, parents) and _is_browser(pid)]
    return 1024 * sum(map(_proportional_kib, own)) / MEGABYTE


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == os.getpid():
            return True
    return False


def _is_browser(pid: int) -> bool:
    try:
        return "chrom" in Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return False


def _proportional_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) if match else 0


PARTS = {
    "rendering": ("Making the page", run_rendering),
    "browser": ("Opening the page", run_browser),
}


def main() -> None:
    """Parse the command line and write the sections."""
    parser = part_parser(__doc__, PARTS, "page.md")
    parser.add_argument("--val", type=int, default=PageSweep.val)
    parser.add_argument("--test", type=int, default=PageSweep.test)
    run_parts(parser.parse_args(), TITLE, PARTS, LIBRARIES)


if __name__ == "__main__":
    main()
