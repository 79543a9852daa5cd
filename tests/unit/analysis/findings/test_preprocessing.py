from resomap.analysis.findings.preprocessing import beyond_limit, faithful_preprocessing
from tests.parity_tables import parity_frame, parity_rows

WORST = {"torch bilinear antialias": 0.02, "JPEG by OpenCV": 0.01}
OTHERS = {"JPEG by Pillow": 0.9, "OpenCV linear": 0.3, "BGR for RGB": 0.6}


def test_worst_faithful_preprocessing_is_found_over_all_cells():
    table = parity_frame(parity_rows(OTHERS), parity_rows(WORST | OTHERS, model="other"))
    finding = faithful_preprocessing(table)
    assert finding.state == "differs"
    subject = finding.subject
    assert (subject["model"], subject["preprocessing"]) == ("other", "torch bilinear antialias")
    assert finding.numbers["flipped"] == (0.02, None, None, 200)
    assert finding.numbers["compared"].value == 4
    (worst,) = finding.parts
    # Compression is no mistake of a preprocessing.
    assert worst.subject["preprocessing"] == "BGR for RGB"
    assert worst.numbers["accuracy_lost"][:3] == (0.3, 0.29, 0.31)


def test_preprocessings_without_a_flip_are_the_same():
    finding = faithful_preprocessing(parity_frame(parity_rows(OTHERS)))
    assert (finding.state, finding.numbers["flipped"].value) == ("same", 0.0)
    missing = dict.fromkeys(("torch bilinear antialias", "JPEG by OpenCV"))
    assert faithful_preprocessing(parity_frame(parity_rows(missing))).state == "unknown"
    nothing = parity_frame(parity_rows({}))[:0].astype({"judged": bool})
    assert faithful_preprocessing(nothing).state == "unknown"


def test_limit_holds_for_every_faithful_preprocessing_of_every_cell():
    table = parity_frame(parity_rows(WORST | OTHERS), parity_rows(WORST, eval_resolution=48))
    found = [
        (each.subject["eval_resolution"], each.subject["preprocessing"])
        for each in beyond_limit(table, 0.01)
    ]
    assert found == [(24, "torch bilinear antialias"), (48, "torch bilinear antialias")]
    assert len(beyond_limit(table, 0.005)) == 4
    assert beyond_limit(table, 0.02) == []
    assert beyond_limit(table, None) == []
