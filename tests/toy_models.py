"""Models and datasets so small that their answers are known by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from regdna import models
from regdna.alphabet import encode
from regdna.certificate import digest
from regdna.genome import Genome, index_fasta
from regdna.models import linear
from regdna.targets import all_known, pack
from regdna.tokenisers import BytePair
from regdna.train.data import Data, Material

torch.set_num_threads(1)  # tensors this small lose time to threads, most of all where tests run side by side
MOTIF = "GATTACA"
SETTINGS = {
    "epochs": 4,
    "batch_size": 16,
    "learning_rate": 0.01,
    "weight_decay": 0.01,
    "warmup": 0.1,
    "clip": 1.0,
    "patience": 4,
    "reverse_complement": True,
    "shift": 2,
    "schedule": "cosine",
    "layer_decay": 1.0,
    "precision": "auto",
    "micro_batch": 0,
    "balance": False,
    "retries": 0,
}
DEEPSEA = {"filters": [6, 6, 4], "widths": [6, 3, 2], "pools": [3, 2, 1], "dropouts": [0.0, 0.0, 0.0], "hidden": 8}  # nothing random
BASSET = {"filters": [6, 6], "widths": [5, 3], "pools": [3, 2], "hidden": 8, "dropout": 0.3}
TRANSFORMER = {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 16, "dropout": 0.1,
               "pooling": "mean", "rank": 2, "alpha": 4, "adapter_dropout": 0.0}  # fmt: skip
NT = TRANSFORMER | {"version": 2, "k": 6}
DNABERT2 = TRANSFORMER | {"vocabulary": 64}
DNABERT = TRANSFORMER | {"k": 3}


def about(architecture: str, parameters: dict, length: int, targets: int = 1, labels: str = "multilabel", **more) -> dict:
    """A checkpoint's ``about.json``."""
    names = [f"target {i}" for i in range(targets)]
    return {
        "architecture": architecture,
        "parameters": parameters,
        "regime": "full",
        "initialisation": "random",
        "weights": "",
        "weights_digest": "",
        "model": "toy",
        "seed": 1,
        "length": length,
        "labels": labels,
        "targets": names,
        "split_digest": "0" * 16,
        "batch_size": 4,
        **more,
    }


def gc_checkpoint(folder: Path, length: int, slope: list[float], bias: list[float], labels: str = "multilabel") -> Path:
    """A 1-mer regression: the logit of target t is ``slope[t]`` times the share of G and C, plus ``bias[t]``."""
    folder.mkdir(parents=True)
    weight = np.stack([np.zeros(len(slope)), np.array(slope, float)], 1)  # columns: A with T, C with G
    linear.save(folder, about("kmer-logistic", {"k": 1, "l2": 1.0}, length, len(slope), labels), weight, np.array(bias, float))
    return folder


def motif_checkpoint(folder: Path, length: int, slope: list[float], bias: list[float], motif: str = MOTIF) -> Path:
    """A Basset whose logit of target t is ``bias[t]``, plus ``slope[t]`` if the motif, N for any base, is on the strand given."""
    folder.mkdir(parents=True)
    parameters = {"filters": [1], "widths": [len(motif)], "pools": [length - len(motif) + 1], "hidden": 1, "dropout": 0.5}
    entry = about("basset", parameters, length, len(slope))
    net = models.family("basset").build(entry, lambda: None)
    with torch.no_grad():
        for layer in net.layers:
            if isinstance(layer, torch.nn.BatchNorm1d):
                layer.running_var.fill_(1 - layer.eps)
            elif isinstance(layer, torch.nn.Linear):
                layer.weight.fill_(1)
                layer.bias.zero_()
        net.layers[0].weight.copy_(torch.eye(5)[encode(motif).astype(int)][:, :4].T[None])
        net.layers[0].bias.fill_(1 - len(motif.replace("N", "")))
        net.layers[-1].weight.copy_(torch.tensor(slope)[:, None])
        net.layers[-1].bias.copy_(torch.tensor(bias))
    models.family("basset").save(folder, entry, net)
    return folder


def genome_files(folder: Path, records: dict[str, str], lengths: dict[str, int] | None = None) -> list[Path]:
    """Codes, index and mask of a made-up assembly; record names as in FASTA, sequences as text."""
    folder.mkdir(parents=True, exist_ok=True)
    fasta = folder / "genome.fa"
    fasta.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in records.items()))
    files = [folder / name for name in ("genome.npy", "genome.tsv", "genome.mask.npy")]
    index = index_fasta([fasta], "hg38", lengths or {name: len(sequence) for name, sequence in records.items()}, files[0], files[2])
    index.to_csv(files[1], sep="\t", index=False)
    return files


def genome(folder: Path, records: dict[str, str], lengths: dict[str, int] | None = None) -> Genome:
    """A made-up assembly, opened."""
    return Genome(*genome_files(folder, records, lengths))


def letters(draw: np.random.Generator, length: int) -> str:
    """Random A, C, G, T."""
    return "".join(draw.choice(list("ACGT"), length))


def data(folder: Path, rows: int = 90, length: int = 60, exclusive: bool = False, seed: int = 0, unknown: float = 0.0) -> Data:
    """Random windows, the even ones with ``MOTIF`` in the middle; that is target 0, its opposite target 1, chance target 2.

    Args:
        unknown: share of the labels that are not known.
    """
    return material(folder, rows, length, exclusive, seed, unknown).open()


def material(folder: Path, rows: int = 90, length: int = 60, exclusive: bool = False, seed: int = 0, unknown: float = 0.0) -> Material:
    """The files of ``data``."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 4, (rows, length)).astype(np.uint8)
    has = np.arange(rows) % 2 == 0
    codes[has, length // 2 : length // 2 + len(MOTIF)] = encode(MOTIF)
    labels = np.stack([has, ~has] if exclusive else [has, ~has, draw.random(rows) < 0.5], 1)
    known = draw.random(labels.shape) >= unknown
    frame = pd.DataFrame({"chrom": "chr1", "start": np.arange(rows) * 1000})
    frame["end"] = frame["start"] + length
    frame["split"] = np.array(["train", "train", "validation"])[np.arange(rows) // 2 % 3]
    frame.to_parquet(folder / "windows.parquet")
    np.save(folder / "sequences.npy", codes)
    np.save(folder / "targets.npy", pack(labels & known))
    np.save(folder / "targets.known.npy", all_known(labels.shape[1]) if known.all() else pack(known))
    table = pd.DataFrame({"cell_type": "", "assay": "toy", "target": [f"t{i}" for i in range(labels.shape[1])], "source": "toy"})
    table.assign(positives=(labels & known).sum(0)).rename_axis("index").to_csv(folder / "targets.tsv", sep="\t")
    (folder / "splits.json").write_text(json.dumps({"digest": digest(frame), "sequence_digest": "1" * 16}))
    files = {name: folder / name for name in ("windows.parquet", "splits.json", "targets.npy", "targets.tsv")}
    return Material(
        *files.values(), "exclusive" if exclusive else "multilabel", known=folder / "targets.known.npy", sequences=folder / "sequences.npy"
    )


def published_keys(layout: str, hidden: int = 16, layers: int = 2, heads: int = 2, intermediate: int = 24) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a published checkpoint of small sizes, as the hub's files have them; written out, not asked of our classes."""
    h, i = hidden, intermediate
    if layout in ("nt-v1", "nt-v2"):
        vocabulary, positions = {"nt-v1": (4105, 1002), "nt-v2": (4107, 2050)}[layout]
        keys = {
            "esm.contact_head.regression.bias": (1,),
            "esm.contact_head.regression.weight": (1, layers * heads),
            "esm.embeddings.position_embeddings.weight": (positions, h),
            "esm.embeddings.word_embeddings.weight": (vocabulary, h),
            "lm_head.bias": (vocabulary,),
            "lm_head.decoder.weight": (vocabulary, h),
            "lm_head.dense.bias": (h,),
            "lm_head.dense.weight": (h, h),
        }
        for norm in ("esm.encoder.emb_layer_norm_after", "lm_head.layer_norm"):
            keys |= {f"{norm}.weight": (h,), f"{norm}.bias": (h,)}
        for at in range(layers):
            layer = f"esm.encoder.layer.{at}"
            for name in ("self.query", "self.key", "self.value", "output.dense"):
                keys |= {f"{layer}.attention.{name}.weight": (h, h), f"{layer}.attention.{name}.bias": (h,)}
            for name in ("LayerNorm", "attention.LayerNorm"):
                keys |= {f"{layer}.{name}.weight": (h,), f"{layer}.{name}.bias": (h,)}
            if layout == "nt-v2":
                keys |= {f"{layer}.intermediate.dense.weight": (2 * i, h), f"{layer}.output.dense.weight": (h, i)}
                keys[f"{layer}.attention.self.rotary_embeddings.inv_freq"] = (h // heads // 2,)
            else:
                keys |= {f"{layer}.intermediate.dense.weight": (i, h), f"{layer}.intermediate.dense.bias": (i,)}
                keys |= {f"{layer}.output.dense.weight": (h, i), f"{layer}.output.dense.bias": (h,)}
        return keys
    vocabulary = {"dnabert2": 64, "dnabert": 4**3 + 5}[layout]
    keys = {
        "bert.embeddings.token_type_embeddings.weight": (2, h),
        "bert.embeddings.word_embeddings.weight": (vocabulary, h),
        "cls.predictions.decoder.weight": (vocabulary, h),
        "cls.predictions.transform.dense.weight": (h, h),
        "cls.predictions.transform.dense.bias": (h,),
    }
    keys["cls.predictions.decoder.bias" if layout == "dnabert2" else "cls.predictions.bias"] = (vocabulary,)
    for norm in ("bert.embeddings.LayerNorm", "cls.predictions.transform.LayerNorm"):
        keys |= {f"{norm}.weight": (h,), f"{norm}.bias": (h,)}
    if layout == "dnabert":
        keys |= {"bert.embeddings.position_embeddings.weight": (512, h), "bert.pooler.dense.weight": (h, h), "bert.pooler.dense.bias": (h,)}
    for at in range(layers):
        layer = f"bert.encoder.layer.{at}"
        if layout == "dnabert2":
            keys |= {f"{layer}.attention.self.Wqkv.weight": (3 * h, h), f"{layer}.attention.self.Wqkv.bias": (3 * h,)}
            keys |= {f"{layer}.mlp.gated_layers.weight": (2 * i, h), f"{layer}.mlp.wo.weight": (h, i), f"{layer}.mlp.wo.bias": (h,)}
            norms = ("attention.output.LayerNorm", "mlp.layernorm")
        else:
            for name in ("query", "key", "value"):
                keys |= {f"{layer}.attention.self.{name}.weight": (h, h), f"{layer}.attention.self.{name}.bias": (h,)}
            keys |= {f"{layer}.intermediate.dense.weight": (i, h), f"{layer}.intermediate.dense.bias": (i,)}
            keys |= {f"{layer}.output.dense.weight": (h, i), f"{layer}.output.dense.bias": (h,)}
            norms = ("attention.output.LayerNorm", "output.LayerNorm")
        keys |= {f"{layer}.attention.output.dense.weight": (h, h), f"{layer}.attention.output.dense.bias": (h,)}
        for name in norms:
            keys |= {f"{layer}.{name}.weight": (h,), f"{layer}.{name}.bias": (h,)}
    return keys


def published_tensors(layout: str, seed: int = 0, heads: int = 2, **sizes) -> dict[str, torch.Tensor]:
    """Random weights of a published layout; what is tied is equal, norms are near one."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for key, shape in sorted(published_keys(layout, heads=heads, **sizes).items()):
        scale = 0.1 if len(shape) == 1 else shape[-1] ** -0.5
        tensors[key] = torch.randn(shape, generator=draw) * scale
        if len(shape) == 1 and key.endswith("weight"):
            tensors[key] += 1
        if key.endswith("inv_freq"):
            tensors[key] = 10000.0 ** (-torch.arange(0, 2 * shape[0], 2) / (2 * shape[0]))
    if "cls.predictions.decoder.weight" in tensors:
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
    return tensors


def published_config(layout: str, hidden: int = 16, layers: int = 2, heads: int = 2, intermediate: int = 24) -> dict:
    """``config.json`` of a published checkpoint, with what the hub's files have and lack."""
    shared = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": intermediate,
              "layer_norm_eps": 1e-12, "initializer_range": 0.02, "torch_dtype": "float32"}  # fmt: skip
    if layout == "dnabert2":
        return shared | {"vocab_size": 64, "alibi_starting_size": 512, "attention_probs_dropout_prob": 0.0, "hidden_act": "gelu",
                         "hidden_dropout_prob": 0.1, "max_position_embeddings": 512, "position_embedding_type": "absolute",
                         "type_vocab_size": 2, "auto_map": {"AutoModel": "bert_layers.BertModel"}}  # fmt: skip
    if layout == "dnabert":
        return shared | {"model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": 69, "max_position_embeddings": 512,
                         "type_vocab_size": 2, "hidden_act": "gelu", "attention_probs_dropout_prob": 0.1, "hidden_dropout_prob": 0.1,
                         "split": 10, "rnn": "lstm", "pad_token_id": 0}  # fmt: skip
    esm = {"architectures": ["EsmForMaskedLM"], "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0, "mask_token_id": 2,
           "pad_token_id": 1, "emb_layer_norm_before": False, "is_folding_model": False, "esmfold_config": None,
           "tie_word_embeddings": False, "vocab_list": None, "use_cache": False}  # fmt: skip
    if layout == "nt-v1":
        return shared | esm | {"model_type": "esm", "vocab_size": 4105, "max_position_embeddings": 1002,
                               "position_embedding_type": "absolute", "token_dropout": True}  # fmt: skip
    return shared | esm | {"vocab_size": 4107, "max_position_embeddings": 2050, "position_embedding_type": "rotary",
                           "token_dropout": False, "add_bias_fnn": False,
                           "auto_map": {"AutoConfig": "esm_config.EsmConfig"}}  # fmt: skip


def published(folder: Path, layout: str, seed: int = 0, safe: bool = True, **sizes) -> Path:
    """A folder as the hub has it: ``config.json``, weights, tokeniser files. Layouts: nt-v1, nt-v2, dnabert2, dnabert."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(published_config(layout, **sizes)))
    tensors = published_tensors(layout, seed, **sizes)
    if safe:
        save_file(tensors, folder / "model.safetensors")
    else:
        torch.save(tensors, folder / "pytorch_model.bin")
    if layout == "dnabert2":
        sample = np.random.default_rng(0).integers(0, 4, (40, 100)).astype(np.uint8)
        (folder / "tokenizer.json").write_text(BytePair.learn(sample, 64).definition)
    return folder
