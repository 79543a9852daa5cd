from resomap.report.figures.style import model_style
from resomap.report.text.format import shorten_name


def test_models_have_distinct_styles() -> None:
    models = ["a", "b", "c"]
    assert len({tuple(model_style(models, model).values()) for model in models}) == 3


def test_long_name_keeps_its_ends() -> None:
    assert shorten_name("grasshopper") == "grasshopper"
    assert shorten_name("a" * 30 + "b" * 30, 9) == "aaaa…bbbb"
    assert len(shorten_name("x" * 99, 22)) == 22
