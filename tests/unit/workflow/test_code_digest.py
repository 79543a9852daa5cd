import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from resomap.workflow.code_digest import (
    EXCLUDED_FROM_DIGEST,
    IMPORT,
    PACKAGE,
    canonical_source,
    describe_environment,
    digest_code,
    import_closure,
)

CODE = '''
import math


class Schedule:
    """A schedule."""

    lr = 0.1
    """Peak rate."""

    def rate(self, step):
        """Return the rate."""
        if step < 10:  # warm-up
            return self.lr * step / 10
        kind = "cosine"
        return math.cos(step) if kind == "cosine" else f"{step!r:>3}"
'''
FORMATTING = {
    "comments": [("  # warm-up", ""), ("import math", "# maths\nimport math")],
    "blank lines": [("\n    def rate", "\n\n\n    def rate"), ("\n\n\nclass", "\nclass")],
    "docstring": [('"""Return the rate."""', '"""Return\n        it.\n        """')],
    "removed docstring": [('        """Return the rate."""\n', "")],
    "attribute docstring": [('"""Peak rate."""', "'The peak.'")],
    "docstring with a comment": [('"""Peak rate."""', '"""Peak rate."""  # peak')],
    "indentation": [("    ", "  ")],
    "tabs": [("    ", "\t")],
    "spaces inside a line": [("self.lr * step / 10", "self.lr*step  /  10")],
    "brackets on several lines": [("rate(self, step)", "rate(\n    self,\n    step\n    )")],
    "no newline at the end": [('{step!r:>3}"\n', '{step!r:>3}"')],
}
EDITS = {
    "a number": ("0.1", "0.2"),
    "a name": ("step", "epoch"),
    "an operator": ("<", "<="),
    "a string value": ('"cosine"', '"cos"'),
    "an f-string": ("{step!r:>3}", "{step!r:>4}"),
    "another block": ("            return self.lr", "        return self.lr"),
    "another line": ("import math\n", "import math\nimport sys\n"),
    "a split word": ("kind =", "k ind ="),
}


@pytest.mark.parametrize("replacements", FORMATTING.values(), ids=FORMATTING)
def test_formatting_does_not_change_the_source(replacements):
    other = CODE
    for old, new in replacements:
        assert old in other
        other = other.replace(old, new)
    assert canonical_source(other) == canonical_source(CODE)


@pytest.mark.parametrize(("old", "new"), EDITS.values(), ids=EDITS)
def test_edit_changes_the_source(old, new):
    assert old in CODE
    assert canonical_source(CODE.replace(old, new)) != canonical_source(CODE)


def test_string_in_an_expression_is_kept():
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
def test_unicode_separator_is_not_a_line_end(separator):
    with_one, without = (f'x = "a{mark}b"\ny\n"doc" % y\n' for mark in (separator, ""))
    assert canonical_source(with_one).replace(separator, "") == canonical_source(without)


WITH_F_STRINGS = '''
w = "\f"
x = f"a{b!r}c"  # comment
y = rf"""é {x}
  {f'{x:{y}}'} d""" "e"
f"a{x}"
z = F'' + f"{x}"
'''
CANONICAL = '\n0 w = "\f"\n0 x = f"a{b!r}c"\n0 y = rf"""é {x}\n  {f\'{x:{y}}\'} d""" "e"\n0 z = F\'\' + f"{x}"'


def test_f_strings_are_single_tokens():
    assert canonical_source(WITH_F_STRINGS) == CANONICAL


def split_f_string(token: tokenize.TokenInfo) -> Iterator[tokenize.TokenInfo]:
    """Yield the tokens of Python 3.12 for an f-string, with another f-string inside."""
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


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python splits f-strings itself")
def test_split_f_string_is_joined(monkeypatch):
    whole = tokenize.generate_tokens

    def generate_tokens(readline):
        for token in whole(readline):
            is_f = (
                token.type == tokenize.STRING
                and "f" in token.string.partition(token.string[-1])[0].lower()
            )
            yield from split_f_string(token) if is_f else [token]

    monkeypatch.setattr(tokenize, "generate_tokens", generate_tokens)
    for name, kind in (("FSTRING_START", FSTRING_START), ("FSTRING_END", FSTRING_END)):
        monkeypatch.setattr(tokenize, name, kind, raising=False)
    assert canonical_source(WITH_F_STRINGS) == CANONICAL


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_every_name_and_operator_is_kept(path):
    source = path.read_text(encoding="utf-8")
    assert names_and_operators(canonical_source(source)) == names_and_operators(source)


def test_imports_of_the_canonical_source_are_all():
    for path in (*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "workflow_scripts").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        nodes = ast.walk(ast.parse(source))
        found = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        statements = IMPORT.findall(canonical_source(source))
        parsed = [ast.parse(statement).body[0] for statement in statements]
        assert sorted(map(ast.unparse, parsed)) == sorted(map(ast.unparse, found)), path


def names_and_operators(source: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string for token in tokens if token.type in (tokenize.NAME, tokenize.OP)]


def closure(entry: str) -> set[str]:
    return {str(path.relative_to(PACKAGE)) for path in import_closure(PACKAGE / entry)}


def test_training_depends_on_numeric_modules_only():
    found = closure("entry/train.py")
    assert {"entry/train.py", "training/trainer.py", "models/custom.py", "metrics.py"} <= found
    assert any(name.startswith("data/") for name in found)
    excluded = {f"{name.replace('.', '/')}.py" for name in EXCLUDED_FROM_DIGEST}
    assert not excluded & found
    assert all((PACKAGE / name).is_file() for name in excluded)
    others = ("analysis/", "report/", "explain/", "plan/", "status/", "workflow/")
    assert [name for name in found if name.startswith(others)] == []


def test_explaining_does_not_depend_on_optimizers():
    assert not {
        "training/trainer.py",
        "training/schedules.py",
        "training/optimizers.py",
    } & closure("entry/explain.py")


@pytest.mark.parametrize(
    "text",
    [
        "import resomap.metrics\n",
        "from resomap.metrics import SCORES\n",
        "from resomap import metrics\n",
        "def main():\n    from resomap.metrics import SCORES\n",
    ],
)
def test_every_form_of_import_counts(tmp_path, text):
    entry_point = tmp_path / "entry.py"
    entry_point.write_text(text)
    inside = {PACKAGE / "metrics.py", PACKAGE / "calibration.py"}
    assert import_closure(entry_point) == {entry_point, *inside}


def test_digest_includes_templates(tmp_path):
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


def test_digest_ignores_comments(tmp_path):
    entry = tmp_path / "entry.py"
    digests = []
    for text in ("x = 1\n", "x = 1  # one\n", "x = 2\n"):
        entry.write_text(text)
        digests.append(fresh_digest(entry))
    assert [one == other for one, other in pairwise(digests)] == [True, False]
    assert len(digests[0]) == 16


def test_digest_ignores_order_of_entry_points():
    first, second = PACKAGE / "metrics.py", PACKAGE / "text.py"
    assert digest_code(first, second) == digest_code(second, first)


def test_environment_names_machine_and_versions():
    environment = describe_environment("cpu")
    assert environment["device"] == "cpu"
    assert {"python", "machine", "torch", "torchvision", "captum", "numpy"} <= set(environment)
