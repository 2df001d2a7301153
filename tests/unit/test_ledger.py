import json
import sys
import time
from types import SimpleNamespace

import pytest

from regdna import ledger as ledgers
from regdna.ledger import PACKAGES, Ledger, energy, peak, rates, spent

A100 = "NVIDIA A100-SXM4-80GB"


def written(ledger, tmp_path) -> dict:
    ledger.write(tmp_path / "compute.json")
    return json.loads((tmp_path / "compute.json").read_text())


class Nvml:
    """NVML of a machine whose GPUs have used so many mJ; None: has no counter."""

    class NVMLError(Exception):
        pass

    def __init__(self, **counters):
        self.counters, self.open = counters, 0

    def nvmlInit(self):
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlDeviceGetCount(self):
        return len(self.counters)

    def nvmlDeviceGetHandleByIndex(self, at):
        return list(self.counters)[at]

    def nvmlDeviceGetUUID(self, device):
        return f"GPU-{device}"

    def nvmlDeviceGetTotalEnergyConsumption(self, device):
        if self.counters[device] is None:
            raise self.NVMLError
        return self.counters[device]


@pytest.fixture
def gpus(monkeypatch):
    """Give the process GPUs that torch sees, by UUID, and NVML's of the whole machine."""

    def give(seen, nvml, name=A100):
        cuda = SimpleNamespace(
            is_available=lambda: True, device_count=lambda: len(seen), get_device_name=lambda: name, max_memory_allocated=lambda: 77,
            get_device_properties=lambda at: SimpleNamespace(uuid=seen[at]),
        )  # fmt: skip
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
        monkeypatch.setitem(sys.modules, "pynvml", nvml)

    return give


def test_a_ledger_says_what_a_step_cost(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    ledger = Ledger()
    time.sleep(0.05)
    ledger.entries.update(sequences=7, attempts=3)
    found = written(ledger, tmp_path)
    assert 0.05 <= found["wall_seconds"] < 5
    assert 0 < found["cpu_seconds"] < 3600
    assert 10e6 < found["peak_host_bytes"] < 1e12
    assert (found["sequences"], found["attempts"], found["resumed_from"], found["job"]) == (7, 3, None, "12")
    assert set(found["versions"]) == {"python", *PACKAGES} and all(found["versions"].values())
    assert found["device"]


def test_seconds_of_earlier_attempts_are_counted_in(tmp_path):
    ledger = Ledger()
    ledger.entries["earlier_seconds"] = 100.0
    assert 100 <= written(ledger, tmp_path)["wall_seconds"] < 105


def test_a_gpu_is_named_only_where_there_is_one(tmp_path):
    import torch

    found = written(Ledger(), tmp_path)
    if torch.cuda.is_available():
        assert found["device"] == torch.cuda.get_device_name() and found["gpu_seconds"] > 0
    else:
        assert found["gpu_seconds"] == 0 and found["peak_gpu_bytes"] == 0
        assert found["joules"] is None and found["utilisation"] is None


def test_every_gpu_of_the_job_is_paid_for_and_no_other(tmp_path, gpus):
    nvml = Nvml(idle=5_000_000, b=2_000, a=1_000)
    gpus(["a", "b", "idle"], nvml)  # in another order than NVML's
    ledger = Ledger()
    nvml.counters |= {"idle": 6_000_000, "a": 4_500, "b": 4_000}
    ledger.entries.update(processes=2, precision="bf16", seconds=4.0, earlier_seconds=50.0, sequences=200, tokens=6, flops=624e12)
    found = written(ledger, tmp_path)
    assert found["joules"] == 5.5
    assert found["gpu_seconds"] == pytest.approx(2 * found["wall_seconds"], abs=0.002) and found["gpu_seconds"] >= 100
    assert (found["device"], found["peak_gpu_bytes"]) == (A100, 77)
    assert (found["sequences_per_second"], found["tokens_per_second"]) == (50, 1.5)
    assert found["utilisation"] == 0.25  # 624 TFLOP in 4 s on two of 312 TFLOP/s
    assert nvml.open == 0


@pytest.mark.parametrize("nvml", [None, Nvml(a=None), Nvml(other=5), Nvml(a=7)], ids=["no library", "no counter", "unseen", "still"])
def test_energy_that_nobody_read_is_null_and_never_0(tmp_path, gpus, nvml):
    gpus(["a"], nvml)
    assert written(Ledger(), tmp_path)["joules"] is None


def test_a_machine_without_a_driver_has_no_counters(gpus):
    class Bare(Nvml):
        def nvmlInit(self):
            raise self.NVMLError("library not found")

    gpus(["a"], Bare(a=1))
    assert energy() == {}


def test_energy_of_one_gpu_of_several_is_no_sum():
    assert spent({"a": 1000, "b": 1}, {"a": 3000, "b": 2001}, ["a"]) == 2
    assert spent({"a": 1000, "b": 1}, {"a": 3000, "b": 2001}, ["a", "b"]) == 4
    assert spent({"a": 1000}, {"a": 3000, "b": 2001}, ["a", "b"]) is None
    assert spent({"a": 1000}, {"a": 10}, ["a"]) is None  # the driver was loaded anew


def test_rates_without_what_they_need_are_null():
    nothing = {"sequences_per_second": None, "tokens_per_second": None, "utilisation": None}
    assert rates({}, 1e12) == rates({"sequences": 3, "tokens": 4, "flops": 5}, 1e12) == nothing
    assert rates({"sequences": 3, "tokens": None, "seconds": 2}, None) == nothing | {"sequences_per_second": 1.5}
    assert rates({"flops": 3e12, "seconds": 2.0}, None)["utilisation"] is None
    assert rates({"flops": 3e12, "seconds": 2.0}, 3e12)["utilisation"] == 0.5


@pytest.mark.parametrize(
    ("device", "half", "single"),
    [
        (A100, 312, 156), ("NVIDIA A100 80GB PCIe", 312, 156), ("A100-PCIE-40GB", 312, 156), ("NVIDIA A10", 125, 62.5),
        ("NVIDIA A40", 149.7, 74.8), ("NVIDIA L4", 121, 60), ("NVIDIA L40", 181, 90.5), ("NVIDIA L40S", 362, 183),
        ("NVIDIA H100 80GB HBM3", 989.5, 494.5), ("NVIDIA H100 PCIe", 756, 378), ("NVIDIA H100 NVL", 835.5, 417.5),
        ("NVIDIA H200", 989.5, 494.5), ("NVIDIA GH200 480GB", 989.5, 494.5), ("NVIDIA B200", 2250, 1125), ("Tesla T4", 65, 8.1),
        ("Tesla V100-SXM2-32GB", 125, 15.7), ("NVIDIA GeForce RTX 3090", 71, 35.6), ("NVIDIA GeForce RTX 4090", 165.2, 82.6),
        ("NVIDIA RTX 6000 Ada Generation", 364.2, 182.1),
    ],
)  # fmt: skip
def test_peaks_are_those_of_data_sheets(device, half, single):
    assert (peak(device, "bf16"), peak(device, "float32")) == (half * 1e12, single * 1e12)
    assert peak(device, None) is None


@pytest.mark.parametrize(
    "device", [f"{A100} MIG 1g.10gb", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 3090 Ti", "NVIDIA A1000", "cpu", ""]
)
def test_a_gpu_that_is_not_in_the_table_has_no_peak(device):
    assert peak(device, "bf16") is None


def test_every_peak_is_cited_and_below_it_is_float32():
    lines = ledgers.GPUS.read_text().splitlines()
    assert lines[0] == "name\thalf\tfloat32\tsource"
    for line in lines[1:]:
        _, half, single, source = line.split("\t")
        assert 0 < float(single) < float(half) and "NVIDIA" in source and "20" in source
