from resomap.system import files
from resomap.system.locks import hold_lock
from resomap.workflow.sweep_results import run_status


def test_run_status_follows_lock_and_outputs(tmp_path):
    run = tmp_path / "runs/custom/tiny_cnn/r24/seed0"
    assert run_status(run) == "waiting"
    with hold_lock(tmp_path / ".state/train/custom/tiny_cnn/r24/seed0/lock", "this run"):
        assert run_status(run) == "training"
    assert run_status(run) == "failed"
    files.write_json(run / "metrics.json", {"status": "diverged"})
    assert run_status(run) == "waiting"  # not evaluated yet
    for name in ("evaluation.csv", "predictions.npz", "val_predictions.npz"):
        files.write_text(run / name, "")
    assert run_status(run) == "diverged"
