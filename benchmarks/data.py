"""Measure the data path: listing, preparing, resizing, reading; and what its next steps would give. Writes the tables.

usage: python -m benchmarks.data PART [--rounds 5] [--cores 2] [--pictures N]

PART      prepare   decoding every picture once, against a loop with Pillow and one with torchvision, and where the time goes
          resize    reducing every picture once, against a loop
          memory    peak memory of both, for few pictures and for many
          listing   listing 100,000 files, and their digest
          mapped    random batches out of a file, in the page cache and not, by rows and through a memory map
          ladder    reducing, or decoding, anew in every batch
          all       all of them, about 20 minutes on two idle cores

Each part replaces its own section of benchmarks/data.md and leaves the others. docs/notes/large-data.md reckons with the numbers.
"""

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.ladder import run_ladder
from benchmarks.mapped import run_mapped
from benchmarks.memory import run_memory
from benchmarks.preparing import run_listing, run_prepare, run_resize
from benchmarks.processes import ROOT
from benchmarks.tables import protocol, put_section
from resomap.system.files import write_text

TITLE = "# The data path: what a picture costs on its way to a training\n"
PARTS = {
    "prepare": ("Preparing", run_prepare),
    "resize": ("Resizing", run_resize),
    "memory": ("Memory", run_memory),
    "listing": ("Listing", run_listing),
    "mapped": ("Random batches from a file", run_mapped),
    "ladder": ("Reducing and decoding on the fly", run_ladder),
}


def main() -> None:
    """Run the parts asked for."""
    options = parse()
    os.sched_setaffinity(
        0, sorted(os.sched_getaffinity(0))[: options.cores]
    )  # every child inherits it
    if not options.out.exists():
        write_text(options.out, TITLE)
    for name in PARTS if options.part == "all" else [options.part]:
        title, run = PARTS[name]
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            text = run(options, Path(folder))
        put_section(
            options.out,
            title,
            f"{protocol('cpu', 1 if name == 'memory' else options.rounds, load)}\n{text}",
        )
    print(options.out.read_text(encoding="utf-8"))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2, help="at most so many are used")
    parser.add_argument(
        "--pictures", type=int, help="by default so many that a part takes a minute or four"
    )
    parser.add_argument("--work", type=Path, help="folder for temporary files, up to 6 GB")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "data.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
