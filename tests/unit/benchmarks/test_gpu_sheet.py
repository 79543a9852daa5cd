import pytest

from benchmarks.gpu_sheet import variant_rows

CELL = {
    "variant": "eager",
    "precision": "bf16",
    "resolution": 64,
    "status": "ok",
    "flops": 2e9,
    "latency_ms_p50": 1.0,
    "latency_ms_p50_cold": None,
    "peak_memory_mib": None,
    "peak_reserved_mib": None,
    "energy_j_per_image": None,
    "why_invalid": None,
}


@pytest.fixture
def cells():
    rates = {1: 1e3, 64: 2e5, 128: 1e5}
    return [
        {**CELL, "batch_size": size, "inference_images_per_second": rate}
        for size, rate in rates.items()
    ]


def test_row_holds_best_rate_relative_to_arithmetic(cells):
    (row,) = variant_rows("resnet18", cells, output_bytes=4, flops=1e15, bandwidth=1e12)
    assert row[2:6] == ("eager-bf16", 64, "200,000", "0.40")


def test_row_is_relative_to_memory_where_it_limits(cells):
    (row,) = variant_rows("resnet18", cells, output_bytes=4_000_000, flops=1e15, bandwidth=1e12)
    assert row[5] == "0.80"  # 2 x 2 MB per image: 250,000 per second


def test_unsupported_cells_have_no_row(cells):
    unsupported = [{**cells[0], "status": "unsupported"}]
    assert list(variant_rows("resnet18", unsupported, 4, 1e15, 1e12)) == []
