"""What tests share: the material beside the checkout, and the devices of this machine."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def shared() -> Path:
    """The folder of golden tensors and real data beside the checkout; a user's clone has none."""
    path = ROOT.parent / "shared"
    if not path.is_dir():
        pytest.skip(f"{path} is not there: golden tensors and real data lie only beside the project's own checkout")
    return path


@pytest.fixture(params=["cpu", "cuda"])
def device(request) -> str:
    """Each device that a network may run on."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU that this torch can use")
    return request.param
