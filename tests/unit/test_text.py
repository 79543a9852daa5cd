import pytest

from resomap import text


@pytest.mark.parametrize(
    ("number", "noun", "shown"),
    [
        (1, "job", "1 job"),
        (0, "job", "0 jobs"),
        (1120, "job", "1,120 jobs"),
        (3, "class", "3 classes"),
    ],
)
def test_format_count_adds_noun_in_its_number(number, noun, shown):
    assert text.format_count(number, noun) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(75.4, "75 s"), (119, "119 s"), (719, "12 min"), (12240, "3.4 h")]
)
def test_format_duration_picks_unit(seconds, shown):
    assert text.format_duration(seconds) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        *[(0, "0 KiB"), (2**10, "1 KiB"), (3.25 * 2**20, "3.2 MiB"), (2**30, "1.00 GiB")],
        *[(1500.5 * 2**30, "1,500.50 GiB")],
    ],
)
def test_format_bytes_picks_unit(size, shown):
    assert text.format_bytes(size) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        *[(0, "0 %"), (1, "100 %"), (0.12, "12 %"), (0.997, "99.7 %"), (0.0003, "0.03 %")],
        *[(0.00001, "less than 0.01 %"), (0.99999, "more than 99.99 %"), (1.7, "170 %")],
    ],
)
def test_format_percent_keeps_parts_apart_from_none_and_all(share, shown):
    assert text.format_percent(share) == shown


@pytest.mark.parametrize(
    ("difference", "shown"),
    [(0.01, "1 point"), (0.02, "2 points"), (-0.004, "\N{MINUS SIGN}0.4 points")],
)
def test_format_points_counts_hundredths(difference, shown):
    assert text.format_points(difference) == shown


@pytest.mark.parametrize(
    ("ends", "digits", "shown"),
    [
        ((0.31, 0.43), 2, "0.31\N{EN DASH}0.43"),
        ((-0.1, 0.43), 2, "\N{MINUS SIGN}0.10 to 0.43"),
        ((-0.001, 0.2), 2, "0.00 to 0.20"),
        ((0.9781, 0.9889), 3, "0.978\N{EN DASH}0.989"),
    ],
)
def test_format_interval_has_true_minus_signs(ends, digits, shown):
    assert text.format_interval(*ends, digits) == shown


def test_format_milliseconds_and_ratio_keep_significant_digits():
    assert [text.format_milliseconds(ms) for ms in (2.3149, 99.4, 1204.3)] == [
        "2.31 ms",
        "99.4 ms",
        "1204 ms",
    ]
    assert [text.format_ratio(ratio) for ratio in (5.21, 1204)] == ["5.2 times", "1,204 times"]
    assert text.format_confidence(0.95) == "95 % interval"


def test_align_columns_pads_to_widest_cell():
    rows = [("a", "1", "10"), ("bcd", "200", "3")]
    assert list(text.align_columns(rows)) == ["a      1  10", "bcd  200   3"]


def test_wrap_lines_indents_what_continues_and_keeps_every_word():
    line = "Why not    tiny_cnn at 24 px: not shown to cost less"
    wrapped = list(text.wrap_lines([line, "short"], 30, 11))
    assert wrapped[0] == "Why not    tiny_cnn at 24 px:"
    assert wrapped[1] == " " * 11 + "not shown to cost"
    assert wrapped[-1] == "short"
    assert " ".join(wrapped).split() == f"{line} short".split()
