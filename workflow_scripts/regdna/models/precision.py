"""Where a network computes and with how many bits."""

import contextlib

import torch

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def device() -> torch.device:
    """CUDA if there is a GPU, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve(precision: str) -> str:
    """``bf16`` or ``float32`` of ``auto``: bf16 on a GPU that computes with it, float32 elsewhere.

    # ASSUME: networks compute matrix products in bfloat16 on GPUs that can, weights, sums and heads stay float32; on CPUs all is float32.
    """
    if precision != "auto":
        return precision
    return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"


def autocast(where: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """A context in which matrix products are computed as ``resolve`` says."""
    return torch.autocast(where.type, torch.bfloat16, enabled=resolve(precision) == "bf16")


def full(where: torch.device) -> contextlib.AbstractContextManager:
    """A context without ``autocast``, for the last layer: variants differ in the small bits of their logits."""
    return torch.autocast(where.type, enabled=False) if where.type in ("cpu", "cuda") else contextlib.nullcontext()


def ran_out(error: RuntimeError) -> bool:
    """Whether memory, of the GPU or the host, was not there."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY)
