import json
import time

from regdna.ledger import PACKAGES, Ledger


def test_a_ledger_says_what_a_step_cost(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    ledger = Ledger()
    time.sleep(0.05)
    ledger.entries.update(sequences=7, attempts=3)
    ledger.write(tmp_path / "compute.json")
    found = json.loads((tmp_path / "compute.json").read_text())
    assert 0.05 <= found["wall_seconds"] < 5
    assert 0 < found["cpu_seconds"] < 3600
    assert 10e6 < found["peak_host_bytes"] < 1e12
    assert (found["sequences"], found["attempts"], found["resumed_from"], found["job"]) == (7, 3, None, "12")
    assert set(found["versions"]) == {"python", *PACKAGES} and all(found["versions"].values())
    assert found["device"]


def test_seconds_of_earlier_attempts_are_counted_in(tmp_path):
    ledger = Ledger()
    ledger.entries["earlier_seconds"] = 100.0
    ledger.write(tmp_path / "compute.json")
    assert 100 <= json.loads((tmp_path / "compute.json").read_text())["wall_seconds"] < 105


def test_a_gpu_is_named_only_where_there_is_one(tmp_path):
    import torch

    Ledger().write(tmp_path / "compute.json")
    found = json.loads((tmp_path / "compute.json").read_text())
    if torch.cuda.is_available():
        assert found["device"] == torch.cuda.get_device_name() and found["gpu_seconds"] > 0
    else:
        assert found["gpu_seconds"] == 0 and found["peak_gpu_bytes"] == 0
