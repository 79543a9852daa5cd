from pathlib import Path

from resomap.report.catalogue import CATALOGUE, data_figure_names, figure_names

CAPTIONS = Path(__file__).parents[3] / "report"


def test_figure_names_depend_on_dataset_and_explanations() -> None:
    left_out = set(CATALOGUE) - set(figure_names("reef", explain=True))
    assert left_out == {"picture_sizes", "latency_by_device", "preprocessing_parity"}
    assert "picture_sizes" in figure_names("CIFAR10", explain=False)
    assert "reef_collapse" not in figure_names("folder", explain=True)
    assert "explanations" not in figure_names("reef", explain=False)


def test_data_figures_need_no_resized_images() -> None:
    assert data_figure_names("folder") == (
        "class_balance",
        "picture_sizes",
        "information_by_resolution",
        "contact_sheet",
    )


def test_snakemake_captions_equal_those_of_the_page() -> None:
    captions = {
        path.stem: " ".join(path.read_text(encoding="utf-8").split())
        for path in CAPTIONS.glob("*.rst")
    }
    del captions["workflow"]
    assert captions == {name: entry.caption for name, entry in CATALOGUE.items()}
