import io
import sys
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from resomap.workflow.code_digest import (
    PACKAGE,
    canonical_source,
    describe_environment,
    digest_code,
    import_closure,
)

CODE = '''
import math


class Schedule:
    """What the rate does."""

    lr = 0.1
    """The peak."""

    def rate(self, step):
        """The rate at `step`."""
        if step < 10:  # still warm
            return self.lr * step / 10
        kind = "cosine"
        return math.cos(step) if kind == "cosine" else f"{step!r:>3}"
'''
SAME = [
    (
        "comments",
        lambda text: text.replace("  # still warm", "").replace(
            "import math", "# maths\nimport math"
        ),
    ),
    (
        "blank lines",
        lambda text: text.replace("\n    def rate", "\n\n\n    def rate").replace(
            "\n\n\nclass", "\nclass"
        ),
    ),
    (
        "docstrings",
        lambda text: text.replace(
            '"""The rate at `step`."""', '"""Another\n        word.\n        """'
        ),
    ),
    (
        "docstrings that are gone",
        lambda text: text.replace('        """The rate at `step`."""\n', ""),
    ),
    ("attribute docstrings", lambda text: text.replace('"""The peak."""', "'The top.'")),
    (
        "docstrings with a comment",
        lambda text: text.replace('"""The peak."""', '"""The peak."""  # of all'),
    ),
    ("another indentation", lambda text: text.replace("    ", "  ")),
    ("tabs", lambda text: text.replace("    ", "\t")),
    (
        "spaces inside a line",
        lambda text: text.replace("self.lr * step / 10", "self.lr*step  /  10"),
    ),
    (
        "brackets over several lines",
        lambda text: text.replace(
            "rate(self, step)", "rate(\n            self,\n            step\n    )"
        ),
    ),
    ("no newline at the end", lambda text: text.rstrip()),
]
OTHER = [
    ("a number", "0.1", "0.2"),
    ("a name", "step", "epoch"),
    ("an operator", "<", "<="),
    ("a string that is used", '"cosine"', '"cos"'),
    ("an f-string", "{step!r:>3}", "{step!r:>4}"),
    ("a line that leaves its block", "            return self.lr", "        return self.lr"),
    ("a line more", "import math\n", "import math\nimport sys\n"),
    ("two words out of one", "kind =", "k ind ="),
]


@pytest.mark.parametrize(
    "change", [change for _, change in SAME], ids=[name for name, _ in SAME]
)
def test_what_python_does_not_run_says_nothing(change):
    assert change(CODE) != CODE
    assert canonical_source(change(CODE)) == canonical_source(CODE)


@pytest.mark.parametrize(
    ("old", "new"), [(old, new) for _, old, new in OTHER], ids=[name for name, _, _ in OTHER]
)
def test_an_edit_says_something(old, new):
    assert old in CODE
    assert canonical_source(CODE.replace(old, new)) != canonical_source(CODE)


def test_a_string_is_only_a_docstring_where_it_is_a_statement():
    for kept in (
        'f(\n    "a",\n)\n',
        '"a" % x\n',
        '"a"; x = 1\n',
        'x = (\n    "a"\n)\n',
        '"a" \\\n    "b"\n',
        'def f(): "a"\n',
    ):
        assert canonical_source(kept) != canonical_source(kept.replace("a", "z"))


@pytest.mark.parametrize("separator", ["\x0c", "\x1c", "\x85", "\u2028"])
def test_a_strange_separator_does_not_count_as_a_line(separator):
    with_one, without = (f'x = "a{mark}b"\ny\n"doc" % y\n' for mark in (separator, ""))
    assert canonical_source(with_one).replace(separator, "") == canonical_source(without)


WITH_F_STRINGS = '''
w = "\f"
x = f"a{b!r}c"  # said
y = rf"""é {x}
  {f'{x:{y}}'} d""" "e"
f"a{x}"
z = F'' + f"{x}"
'''
ESSENCE = '\n0 w = "\f"\n0 x = f"a{b!r}c"\n0 y = rf"""é {x}\n  {f\'{x:{y}}\'} d""" "e"\n0 z = F\'\' + f"{x}"'


def test_the_essence_of_f_strings_is_the_same_on_every_python():
    assert canonical_source(WITH_F_STRINGS) == ESSENCE


def cut(token: tokenize.TokenInfo) -> Iterator[tokenize.TokenInfo]:
    """An f-string as Python 3.12 cuts it, with one more f-string inside."""
    prefix = token.string[: len(token.string) - len(token.string.lstrip("rRfF"))]
    quote = token.string[len(prefix) :][: 3 if token.string.endswith('"""') else 1]
    inside = (token.start[0], token.start[1] + len(prefix + quote))
    last = (token.end[0], token.end[1] - len(quote))
    yield tokenize.TokenInfo(FSTRING_START, prefix + quote, token.start, inside, token.line)
    for kind, start, end in (
        (FSTRING_START, inside, inside),
        (FSTRING_MIDDLE, inside, last),
        (FSTRING_END, last, last),
    ):
        yield tokenize.TokenInfo(kind, "", start, end, token.line)
    yield tokenize.TokenInfo(tokenize.NAME, "b", inside, last, token.line)
    yield tokenize.TokenInfo(FSTRING_END, quote, last, token.end, token.line)


FSTRING_START, FSTRING_MIDDLE, FSTRING_END = 1001, 1002, 1003


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python cuts f-strings itself")
def test_an_f_string_that_python_cuts_is_glued(monkeypatch):
    whole = tokenize.generate_tokens

    def generate_tokens(readline):
        for token in whole(readline):
            is_f = (
                token.type == tokenize.STRING
                and "f" in token.string.partition(token.string[-1])[0].lower()
            )
            yield from cut(token) if is_f else [token]

    monkeypatch.setattr(tokenize, "generate_tokens", generate_tokens)
    for name, kind in (("FSTRING_START", FSTRING_START), ("FSTRING_END", FSTRING_END)):
        monkeypatch.setattr(tokenize, name, kind, raising=False)
    assert canonical_source(WITH_F_STRINGS) == ESSENCE


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_every_token_that_python_runs_is_kept(path):
    source = path.read_text(encoding="utf-8")
    assert words(canonical_source(source)) == words(source)


def words(source: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string for token in tokens if token.type in (tokenize.NAME, tokenize.OP)]


def names(entry: str) -> set[str]:
    return {str(path.relative_to(PACKAGE)) for path in import_closure(PACKAGE / entry)}


def test_training_depends_on_what_trains_and_on_nothing_that_tells_or_asks():
    found = names("entry/train.py")
    assert {
        "entry/train.py",
        "training/trainer.py",
        "models/registry.py",
        "models/custom.py",
        "data/loading/augment.py",
        "metrics.py",
    } <= found
    assert not {"config.py", "jobs.py", "workflow.py", "sections.py", "files.py"} & found
    assert not {name for name in found if name.startswith(("analysis/", "report/", "explain/"))}


def test_explaining_does_not_depend_on_how_training_steps():
    assert not {
        "training/trainer.py",
        "training/schedules.py",
        "training/optimizers.py",
    } & names("entry/explain.py")


@pytest.mark.parametrize(
    "text",
    [
        "import resomap.data.loading.loader\n",
        "from resomap.data.loading.loader import TrainLoader\n",
        "from resomap.data.loading import loader\n",
        "def main():\n    from resomap.data.loading.loader import TrainLoader\n",
    ],
)
def test_an_import_counts_however_it_is_written(tmp_path, text):
    entry = tmp_path / "entry.py"
    entry.write_text(text)
    needed = ("loader", "augment", "transforms", "residency", "rowfile")
    assert import_closure(entry) == {
        entry,
        *(PACKAGE / "data" / f"{name}.py" for name in needed),
    }


def test_templates_beside_a_file_belong_to_it(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.j2").write_text("<h1>{{ title }}</h1>")
    (tmp_path / "page.py").write_text("x = 1\n")
    before = digest_code(tmp_path / "page.py")
    (tmp_path / "templates" / "page.j2").write_text("<h2>{{ title }}</h2>")
    assert fresh_digest(tmp_path / "page.py") != before


def fresh_digest(*entries: Path) -> str:
    digest_code.cache_clear()
    import_closure.cache_clear()
    return digest_code(*entries)


def test_the_digest_follows_edits_and_not_comments(tmp_path):
    entry = tmp_path / "entry.py"
    digests = []
    for text in ("x = 1\n", "x = 1  # one\n", "x = 2\n"):
        entry.write_text(text)
        digests.append(fresh_digest(entry))
    assert [one == other for one, other in pairwise(digests)] == [True, False]
    assert len(digests[0]) == 16


def test_the_order_of_entries_says_nothing():
    first, second = PACKAGE / "metrics.py", PACKAGE / "data/loading/augment.py"
    assert digest_code(first, second) == digest_code(second, first)


def test_a_result_says_where_it_was_made():
    about = describe_environment("cpu")
    assert about["device"] == "cpu"
    assert {"python", "machine", "torch", "torchvision", "captum", "numpy"} <= set(about)
