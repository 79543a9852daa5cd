"""What the workflow is made of: stages, which are the jobs of a rule, and the files they write."""

from dataclasses import dataclass
from string import Formatter
from typing import Literal

from resomap.workflow.columns import Column

Scope = Literal["sweep", "resolution", "model", "cell", "run"]
SCOPES: dict[frozenset[str], Scope] = {
    frozenset(): "sweep",
    frozenset({"resolution"}): "resolution",
    frozenset({"family", "model"}): "model",
    frozenset({"model", "resolution"}): "cell",
    frozenset({"family", "model", "resolution"}): "cell",
    frozenset({"family", "model", "resolution", "seed"}): "run",
}
RUN_PATH = "{family}/{model}/r{resolution}/seed{seed}"
RUN_FOLDER = f"results/runs/{RUN_PATH}"
RECEIPT_FOLDER = "results/receipts"


def scope_of(pattern: str) -> Scope:
    """Return what a path exists once for, by its wildcards; other fields number the files of one job."""
    fields = {field for _, field, _, _ in Formatter().parse(pattern) if field}
    return SCOPES[frozenset(fields & {"family", "model", "resolution", "seed"})]


@dataclass(frozen=True)
class Stage:
    """The jobs of one rule: one job for each of `scope`, done when its output `marker` exists."""

    name: str
    rule: str
    log: str
    marker: str
    jobs_per_scope: int = 1

    @property
    def scope(self) -> Scope:
        """Return what a job exists once for."""
        return scope_of(self.log)

    @property
    def receipt(self) -> str:
        """Path of the receipt that a job writes last (resomap.workflow.receipts)."""
        return f"{RECEIPT_FOLDER}/{self.log.removeprefix('logs/').removesuffix('.log')}.json"


@dataclass(frozen=True)
class Artifact:
    """One kind of file: its path, the stage or command that writes it, and its columns if it is a table."""

    name: str
    path: str
    writer: str
    contents: str
    columns: tuple[Column, ...] = ()

    @property
    def scope(self) -> Scope:
        """Return what the file exists once for."""
        return scope_of(self.path)
