from resomap.report.figures.style import model_style


def test_models_have_distinct_styles() -> None:
    models = ["a", "b", "c"]
    assert len({tuple(model_style(models, model).values()) for model in models}) == 3
