"""Slow transformers in float64, from published tensors and config.json alone: what the models of the library must equal.

Written from the papers and the published layouts, one operation a line, and of nothing that the library has.
Sources: DNABERT-2: Zhou et al. 2024 (arXiv:2306.15006), ALiBi: Press et al. 2022 (arXiv:2108.12409); Nucleotide
Transformer: Dalla-Torre et al. 2024 (Nature Methods 22:287), ESM: Lin et al. 2023 (Science 379:1123), rotary positions:
Su et al. 2021 (arXiv:2104.09864).
"""

import math

import numpy as np
from scipy.special import erf

Tensors = dict[str, np.ndarray]


def gelu(x: np.ndarray) -> np.ndarray:
    """The exact one."""
    return x * (1 + erf(x / math.sqrt(2))) / 2


def silu(x: np.ndarray) -> np.ndarray:
    """x * sigmoid(x)."""
    return x / (1 + np.exp(-x))


def dense(tensors: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    """x W^T, and the bias where there is one."""
    return x @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", 0.0)


def norm(tensors: Tensors, name: str, x: np.ndarray, eps: float) -> np.ndarray:
    """Layer normalisation over the last axis, by the variance of the whole."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def attend(query: np.ndarray, key: np.ndarray, value: np.ndarray, bias: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """One head of one sequence: softmax(query key^T + bias) value over the keys that count; (T, d) from (T, d)."""
    scores = query @ key.T + bias
    share = np.exp(scores - scores[:, counts].max(-1, keepdims=True)) * counts
    return share / share.sum(-1, keepdims=True) @ value


def slopes(heads: int) -> list[float]:
    """ALiBi's, as its authors give them for any number of heads."""
    if heads & (heads - 1) == 0:
        return [2 ** (-8 * (one + 1) / heads) for one in range(heads)]
    below = 2 ** (heads.bit_length() - 1)
    return slopes(below) + slopes(2 * below)[::2][: heads - below]


def dnabert2(tensors: Tensors, config: dict, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Last hidden state, (n, T, H), zero at padding, and logits, (n, T, vocabulary).

    Args:
        tensors: float64, by published key.
        config: what ``config.json`` says.
        ids, mask: (n, T).
    """
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]
    at = np.arange(ids.shape[1])
    apart = np.abs(at[:, None] - at[None])
    answers = []
    for row, counts in zip(ids, mask.astype(bool), strict=True):
        x = tensors["bert.embeddings.word_embeddings.weight"][row] + tensors["bert.embeddings.token_type_embeddings.weight"][0]
        x = norm(tensors, "bert.embeddings.LayerNorm", x, eps)
        for number in range(config["num_hidden_layers"]):
            layer = f"bert.encoder.layer.{number}"
            query, key, value = np.split(dense(tensors, f"{layer}.attention.self.Wqkv", x), 3, axis=1)
            width = x.shape[1] // heads
            mixed = []
            for head, slope in enumerate(slopes(heads)):
                own = slice(head * width, (head + 1) * width)
                mixed.append(attend(query[:, own] / math.sqrt(width), key[:, own], value[:, own], -slope * apart, counts))
            mixed = dense(tensors, f"{layer}.attention.output.dense", np.concatenate(mixed, 1))
            x = norm(tensors, f"{layer}.attention.output.LayerNorm", mixed + x, eps)
            gate, up = np.split(dense(tensors, f"{layer}.mlp.gated_layers", x), 2, axis=1)
            x = norm(tensors, f"{layer}.mlp.layernorm", dense(tensors, f"{layer}.mlp.wo", gelu(gate) * up) + x, eps)
        answers.append(x * counts[:, None])
    hidden = np.stack(answers)
    head = "cls.predictions"
    logits = norm(tensors, f"{head}.transform.LayerNorm", gelu(dense(tensors, f"{head}.transform.dense", hidden)), 1e-12)
    return hidden, dense(tensors, f"{head}.decoder", logits)


def turned(x: np.ndarray) -> np.ndarray:
    """Rotary positions: of token p, the pair (i, i + d/2) is turned by p * 10000^(-2i/d); (T, d)."""
    half = x.shape[1] // 2
    angle = np.arange(len(x))[:, None] * 10000.0 ** (-np.arange(half) / half)
    first, second = x[:, :half], x[:, half:]
    return np.concatenate([first * np.cos(angle) - second * np.sin(angle), second * np.cos(angle) + first * np.sin(angle)], 1)


def nucleotide_transformer(
    tensors: Tensors, config: dict, ids: np.ndarray, mask: np.ndarray, version: int
) -> tuple[np.ndarray, np.ndarray]:
    """Last hidden state, (n, T, H), and logits, (n, T, vocabulary); arguments as of ``dnabert2``."""
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]
    pad, hidden_token = 1, 2
    answers = []
    for row, counts in zip(ids, mask.astype(bool), strict=True):
        x = tensors["esm.embeddings.word_embeddings.weight"][row]
        if version == 1:
            # Token dropout: [MASK] is zero, and the rest is scaled as if 12 % were; positions count what is not padding, from 2.
            hidden = row == hidden_token
            x = np.where(hidden[:, None], 0, x) * (1 - 0.15 * 0.8) / (1 - hidden.sum() / counts.sum())
            positions = np.where(row == pad, pad, pad + np.cumsum(row != pad))
            x = x + tensors["esm.embeddings.position_embeddings.weight"][positions]
        x = x * counts[:, None]
        for number in range(config["num_hidden_layers"]):
            layer = f"esm.encoder.layer.{number}"
            inner = norm(tensors, f"{layer}.attention.LayerNorm", x, eps)
            query, key, value = (dense(tensors, f"{layer}.attention.self.{name}", inner) for name in ("query", "key", "value"))
            width = x.shape[1] // heads
            mixed = []
            for head in range(heads):
                own = slice(head * width, (head + 1) * width)
                asks, has = query[:, own] / math.sqrt(width), key[:, own]
                if version == 2:
                    asks, has = turned(asks), turned(has)
                mixed.append(attend(asks, has, value[:, own], np.zeros((len(row), len(row))), counts))
            x = x + dense(tensors, f"{layer}.attention.output.dense", np.concatenate(mixed, 1))
            inner = dense(tensors, f"{layer}.intermediate.dense", norm(tensors, f"{layer}.LayerNorm", x, eps))
            if version == 2:
                gate, up = np.split(inner, 2, axis=1)
                inner = silu(gate) * up
            else:
                inner = gelu(inner)
            x = x + dense(tensors, f"{layer}.output.dense", inner)
        answers.append(norm(tensors, "esm.encoder.emb_layer_norm_after", x, eps))
    hidden = np.stack(answers)
    logits = norm(tensors, "lm_head.layer_norm", gelu(dense(tensors, "lm_head.dense", hidden)), eps)
    return hidden, logits @ tensors["lm_head.decoder.weight"].T + tensors["lm_head.bias"]
