"""Ways to do the same to pictures, called in turn in one process: pictures a second on the wall, and a CPU second."""

import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from benchmarks.tables import ratios, spread

HEAD = ("", "pictures/s", "pictures a CPU s")


@dataclass
class Way:
    """`call` does something to `pictures` pictures; `before` is not measured. What each round took, workers included."""

    name: str
    pictures: int
    call: Callable[[], object]
    before: Callable[[], object] = lambda: None
    walls: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    per_cpu: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Do it once."""
        self.before()
        wall, cpu = perf_counter(), cpu_seconds()
        self.call()
        self.walls.append(perf_counter() - wall)
        self.rates.append(self.pictures / self.walls[-1])
        self.per_cpu.append(self.pictures / (cpu_seconds() - cpu))


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [
        resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return sum(each.ru_utime + each.ru_stime for each in used)


def take_turns(ways: Sequence[Way], rounds: int) -> None:
    """Run all of them, `rounds` times over."""
    for number in range(rounds):
        for way in ways:
            way.run()
            print(
                f"round {number + 1}, {way.name}: {way.rates[-1]:,.0f} pictures/s",
                file=sys.stderr,
            )


def rates_told(ways: Sequence[Way], *bases: Way) -> Iterator[tuple[str, ...]]:
    """A row a way: its name, pictures a second, pictures a CPU second, and its rate round by round over that of each base: HEAD and a column a base."""
    for way in ways:
        over = ("" if way is base else spread(ratios(way.rates, base.rates)) for base in bases)
        yield way.name, spread(way.rates, 0), spread(way.per_cpu, 0), *over
