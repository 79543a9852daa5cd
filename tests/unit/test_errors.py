from resomap.errors import suggest


def test_suggest_finds_close_name_in_any_case():
    assert suggest("cifar1", ["reef", "CIFAR10"]) == "did you mean CIFAR10?"
    assert suggest("zzz", ["reef", "csv"]) == "known are reef, csv"
    assert suggest("zzz", ["reef", "csv"], listed=["csv"]) == "known are csv"
    assert suggest("zzz", [f"layer.{n}" for n in range(30)]).endswith("layer.19, and 10 more")
