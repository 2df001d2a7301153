"""Models from published layouts against slow references, over sizes that no published checkpoint has."""

import json

import numpy as np
import pytest
import references
import torch
import toy_models
from safetensors.torch import load_file, save_file

from regdna import models
from regdna.models.dnabert2 import alibi_slopes
from regdna.tokenisers import BytePair, KmerBlocks, OverlappingKmers

# hidden, layers, heads, intermediate, layer_norm_eps
SIZES = [
    (24, 2, 3, 40, 1e-12),
    (36, 3, 6, 17, 1e-5),
    (60, 1, 10, 96, 1e-3),
    (80, 2, 20, 30, 1e-12),
    (32, 2, 1, 64, 1e-12),
    (48, 2, 12, 192, 1e-6),
    (128, 4, 8, 128, 1e-12),
]
VOCABULARY_KEYS = ("word_embeddings.weight", "decoder.weight", "decoder.bias", "lm_head.bias", "cls.predictions.bias")


def checkpoint(folder, layout, size, vocabulary=None, seed=0, **settings):
    """A folder of random weights in a published layout; its tensors as float64 and its configuration."""
    hidden, layers, heads, intermediate, eps = size
    sizes = {"hidden": hidden, "layers": layers, "heads": heads, "intermediate": intermediate}
    tensors = toy_models.published_tensors(layout, seed, **sizes)
    config = toy_models.published_config(layout, **sizes) | {"layer_norm_eps": eps} | settings
    if vocabulary:
        config["vocab_size"] = vocabulary
        draw = torch.Generator().manual_seed(seed + 1)
        for key in tensors:
            if key.endswith(VOCABULARY_KEYS):
                tensors[key] = torch.randn((vocabulary, *tensors[key].shape[1:]), generator=draw) * hidden**-0.5
        if "cls.predictions.decoder.weight" in tensors:
            tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
    folder.mkdir()
    if layout == "dnabert2":
        sample = np.random.default_rng(0).integers(0, 4, (60, 200)).astype(np.uint8)
        (folder / "tokenizer.json").write_text(BytePair.learn(sample, config["vocab_size"]).definition)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return {key: value.double().numpy() for key, value in tensors.items()}, config


def tokens(vocabulary, pad, seed, rows=4, length=40):
    """Random ids, [MASK] among them, in rows of different lengths; one row has keys left out in its middle and at its start."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(5, vocabulary, (rows, length))
    ids[draw.random(ids.shape) < 0.1] = 2
    mask = np.arange(length) < np.array([length, *draw.integers(3, length, rows - 1)])[:, None]
    ids[~mask] = pad
    mask[0, [0, 1, length // 2]] = False
    return ids, mask


def ours(folder, ids, mask, **more):
    model, _ = models.load(folder, **more)
    with torch.no_grad():
        found = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask).long())
    return found.last_hidden_state.numpy(), found.logits.numpy()


def assert_equal(found, expected, mask):
    for one, other in zip(found, expected, strict=True):
        assert np.abs(other[mask]).mean() > 0.05
        assert np.abs(one - other)[mask].max() < 1e-5 * max(1, np.abs(other[mask]).max())


class TestDnabert2:
    @pytest.mark.parametrize("attention", ["sdpa", "eager", "flex_attention"])
    @pytest.mark.parametrize("size", SIZES)
    def test_it_equals_the_reference(self, tmp_path, size, attention):
        tensors, config = checkpoint(tmp_path / "c", "dnabert2", size, seed=size[0])
        ids, mask = tokens(64, 3, seed=size[2])
        found, expected = ours(tmp_path / "c", ids, mask, attention=attention), references.dnabert2(tensors, config, ids, mask)
        assert_equal(found, expected, mask)
        assert not found[0][~mask].any()

    def test_it_equals_the_reference_beyond_512_tokens_and_with_another_vocabulary(self, tmp_path):
        tensors, config = checkpoint(tmp_path / "c", "dnabert2", (24, 2, 6, 40, 1e-12), vocabulary=150)
        ids, mask = tokens(150, 3, seed=5, rows=2, length=700)
        assert_equal(ours(tmp_path / "c", ids, mask), references.dnabert2(tensors, config, ids, mask), mask)

    @pytest.mark.parametrize("heads", [1, 2, 3, 5, 6, 7, 8, 10, 12, 16, 20, 24, 33])
    def test_slopes_are_those_of_any_number_of_heads(self, heads):
        assert np.allclose(alibi_slopes(heads).numpy(), references.slopes(heads), rtol=1e-6)

    def test_the_published_twelve_slopes(self):
        assert np.allclose(references.slopes(12), [2.0**-i for i in range(1, 9)] + [2 ** -(i + 0.5) for i in range(4)], rtol=1e-12)


class TestNucleotideTransformer:
    @pytest.mark.parametrize("attention", ["sdpa", "eager"])
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("version", [1, 2])
    def test_it_equals_the_reference(self, tmp_path, version, size, attention):
        tensors, config = checkpoint(tmp_path / "c", f"nt-v{version}", size, seed=size[0])
        ids, mask = tokens(config["vocab_size"], 1, seed=size[2])
        expected = references.nucleotide_transformer(tensors, config, ids, mask, version)
        assert_equal(ours(tmp_path / "c", ids, mask, attention=attention), expected, mask)

    @pytest.mark.parametrize(("version", "k"), [(1, 3), (2, 3), (1, 5), (2, 4)])
    def test_other_vocabularies(self, tmp_path, version, k):
        vocabulary = KmerBlocks(k, version).vocabulary
        tensors, config = checkpoint(tmp_path / "c", f"nt-v{version}", (24, 1, 3, 40, 1e-5), vocabulary)
        ids, mask = tokens(vocabulary, 1, seed=k)
        assert_equal(ours(tmp_path / "c", ids, mask), references.nucleotide_transformer(tensors, config, ids, mask, version), mask)

    def test_heads_of_odd_width_as_in_agront(self, tmp_path):
        tensors, config = checkpoint(tmp_path / "c", "nt-v1", (300, 1, 20, 64, 1e-12))
        ids, mask = tokens(4105, 1, seed=1)
        assert_equal(ours(tmp_path / "c", ids, mask), references.nucleotide_transformer(tensors, config, ids, mask, 1), mask)

    @pytest.mark.parametrize(("version", "length"), [(1, 1000), (2, 1300)])
    def test_long_sequences(self, tmp_path, version, length):
        tensors, config = checkpoint(tmp_path / "c", f"nt-v{version}", (12, 1, 2, 20, 1e-12))
        ids, mask = tokens(4105, 1, seed=1, rows=1, length=length)
        assert_equal(ours(tmp_path / "c", ids, mask), references.nucleotide_transformer(tensors, config, ids, mask, version), mask)


class TestDnabert:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("k", [3, 4, 5, 6])
    def test_it_equals_transformers_bert(self, tmp_path, k, size):
        from transformers import BertConfig, BertForMaskedLM

        vocabulary = OverlappingKmers(k).vocabulary
        tensors, config = checkpoint(tmp_path / "c", "dnabert", size, vocabulary)
        ids, mask = tokens(vocabulary, 0, seed=k)
        theirs = BertForMaskedLM(BertConfig(**config)).double().eval()
        found = theirs.load_state_dict({key: torch.from_numpy(value) for key, value in tensors.items()}, strict=False)
        assert found.missing_keys == ["cls.predictions.decoder.bias"] and all("pooler" in key for key in found.unexpected_keys)
        with torch.no_grad():
            out = theirs(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask).long(), output_hidden_states=True)
        assert_equal(ours(tmp_path / "c", ids, mask), (out.hidden_states[-1].numpy(), out.logits.numpy()), mask)


class TestReferences:
    @pytest.mark.parametrize(("name", "file"), [("dnabert2", "pytorch_model.bin"), ("nt_v2", "model.safetensors")])
    def test_they_are_those_of_the_authors_code(self, shared, name, file):
        folder = shared / "golden" / name
        held = load_file(folder / file) if file.endswith("safetensors") else torch.load(folder / file, weights_only=True)
        tensors = {key: value.double().numpy() for key, value in held.items()}
        config, io = json.loads((folder / "config.json").read_text()), np.load(folder / "io.npz")
        ids, mask = io["input_ids"], io["attention_mask"]
        tensors.setdefault("cls.predictions.decoder.weight", tensors.get("bert.embeddings.word_embeddings.weight"))
        found = (
            references.dnabert2(tensors, config, ids, mask)
            if name == "dnabert2"
            else references.nucleotide_transformer(tensors, config, ids, mask, 2)
        )
        assert_equal([io["last_hidden_state"]], found[:1], mask.astype(bool))
