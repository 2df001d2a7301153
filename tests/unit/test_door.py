"""The door for checkpoint folders: parity with reference implementations, and what it refuses."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import toy_models
from safetensors.torch import load_file, save_file

from regdna import models
from regdna.models import door, weights
from regdna.step import InputError

LAYOUTS = ["nt-v1", "nt-v2", "dnabert2", "dnabert"]
ARCHITECTURE = {"nt-v1": "nucleotide-transformer", "nt-v2": "nucleotide-transformer", "dnabert2": "dnabert2", "dnabert": "dnabert"}


def answer(model, ids, mask, **more):
    with torch.no_grad():
        return model(input_ids=torch.as_tensor(ids), attention_mask=torch.as_tensor(mask), **more)


def batch(tokeniser, seed=0, rows=3, length=50):
    """Ids and mask of random sequences with N, so that rows differ in length."""
    codes = np.random.default_rng(seed).integers(0, 4, (rows, length)).astype(np.uint8)
    codes[1:, 7] = 4
    return tokeniser.encode(codes)


class TestGolden:
    @pytest.mark.parametrize(("attention", "tolerance"), [("eager", 1e-5), ("sdpa", 2e-5), ("flex_attention", 2e-5)])
    @pytest.mark.parametrize("name", ["dnabert2", "nt_v2"])
    def test_published_layouts_answer_as_their_reference_implementations(self, shared, device, name, attention, tolerance):
        folder = shared / "golden" / name
        model, _ = models.load(folder, attention=attention)
        io = np.load(folder / "io.npz")
        model.to(device)
        for prefix in ("", "long_"):
            if f"{prefix}input_ids" not in io:
                continue
            ids, mask = (torch.from_numpy(io[prefix + one]).to(device) for one in ("input_ids", "attention_mask"))
            found = answer(model, ids, mask, output_hidden_states=True)
            pairs = {"last_hidden_state": found.last_hidden_state, "mlm_logits": found.logits}
            pairs |= {f"hidden_state_{at}": one for at, one in enumerate(found.hidden_states)}
            held = [key for key in pairs if prefix + key in io]
            assert "last_hidden_state" in held
            for key in held:
                # Padding included: DNABERT-2's is zero, Nucleotide Transformer's whatever the reference has there.
                assert np.abs(pairs[key].cpu().numpy() - io[prefix + key]).max() < tolerance, key

    @pytest.mark.parametrize("name", ["deepsea_predict", "deepsea_variant_effects", "basset"])
    def test_kipoi_files_answer_as_their_reference_implementations(self, shared, tmp_path, name):
        rows = [line.split("\t") for line in (shared / f"golden/{name}/keys.tsv").read_text().splitlines()[1:]]
        torch.save({key: filled(at, key, json.loads(shape.replace("(", "[").replace(",)", "]").replace(")", "]")))
                    for at, (key, shape) in enumerate(rows)}, tmp_path / f"{name}.pth")  # fmt: skip
        model, tokeniser = models.load(tmp_path)
        io = np.load(shared / f"golden/{name}/io.npz")
        with torch.no_grad():
            found = model(torch.from_numpy(io["codes"])).probabilities.numpy()
        assert np.abs(found - io["probabilities"]).max() < 1e-5
        assert np.array_equal(tokeniser.encode(io["codes"])[0], io["codes"])
        assert door.longest(model, tokeniser) == io["codes"].shape[1]


def filled(at, key, shape):
    """The rule of FILL.txt beside the golden tensors."""
    draw = torch.Generator().manual_seed(1000 + at)
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("running_var"):
        return torch.rand(shape, generator=draw) + 0.5
    if len(shape) > 1:
        return torch.randn(shape, generator=draw) * (2 / np.prod(shape[1:])) ** 0.5
    return 0.1 * torch.randn(shape, generator=draw) + (1.0 if key.endswith("weight") else 0.0)


class TestOpening:
    @pytest.mark.parametrize("safe", [True, False])
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_published_folder_opens_with_its_tokeniser(self, tmp_path, layout, safe):
        folder = toy_models.published(tmp_path / "c", layout, safe=safe)
        model, tokeniser = models.load(folder)
        assert door.recognise(folder) == ARCHITECTURE[layout] and not model.training
        ids, mask = batch(tokeniser)
        found = answer(model, ids, mask)
        assert found.last_hidden_state.shape == (*ids.shape, 16) and found.logits.shape == (*ids.shape, model.config.vocab_size)
        assert torch.isfinite(found.logits).all()

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_every_way_to_compute_attention_answers_alike(self, tmp_path, layout):
        folder = toy_models.published(tmp_path / "c", layout)
        answers = []
        for attention in door.WAYS:
            model, tokeniser = models.load(folder, attention=attention)
            assert model.config._attn_implementation == attention
            answers.append(answer(model, *batch(tokeniser)).logits)
        assert all(torch.allclose(answers[0], one, atol=1e-5) for one in answers[1:])

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_padding_changes_nothing(self, tmp_path, layout):
        model, tokeniser = models.load(toy_models.published(tmp_path / "c", layout))
        ids, mask = batch(tokeniser, rows=1)
        wide = np.concatenate([ids, np.full((1, 9), tokeniser.pad)], 1)
        found = answer(model, wide, np.concatenate([mask, np.zeros((1, 9), bool)], 1)).logits[:, : ids.shape[1]]
        assert torch.allclose(found, answer(model, ids, mask).logits, atol=1e-5)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_shards_open_as_one_file_does(self, tmp_path, layout):
        whole, parts = (toy_models.published(tmp_path / name, layout) for name in ("whole", "parts"))
        tensors = load_file(parts / "model.safetensors")
        (parts / "model.safetensors").unlink()
        names = sorted(tensors)
        halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
        for file, keys in halves.items():
            save_file({key: tensors[key] for key in keys}, parts / file)
        index = {"metadata": {}, "weight_map": {key: file for file, keys in halves.items() for key in keys}}
        (parts / "model.safetensors.index.json").write_text(json.dumps(index))
        one, other = (dict(models.load(folder)[0].named_parameters()) for folder in (whole, parts))
        assert weights.digest(one) == weights.digest(other)
        (parts / "model-00002-of-00002.safetensors").unlink()
        with pytest.raises(InputError, match="shard 'model-00002-of-00002.safetensors' is not in its folder"):
            models.load(parts)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_half_precision_files_open_in_float32(self, tmp_path, layout):
        folder = toy_models.published(tmp_path / "c", layout)
        tensors = load_file(folder / "model.safetensors")
        save_file({key: value.to(torch.bfloat16) for key, value in tensors.items()}, folder / "model.safetensors")
        model, _ = models.load(folder)
        assert {value.dtype for value in model.parameters()} == {torch.float32}

    @pytest.mark.parametrize("layout", ["dnabert2", "dnabert"])
    @pytest.mark.parametrize("gone", ["cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"])
    def test_of_a_tied_pair_one_name_is_enough(self, tmp_path, layout, gone):
        folder = toy_models.published(tmp_path / "c", layout)
        before = weights.digest(dict(models.load(folder)[0].named_parameters()))
        tensors = load_file(folder / "model.safetensors")
        del tensors[gone]
        save_file(tensors, folder / "model.safetensors")
        model = models.load(folder)[0]
        assert weights.digest(dict(model.named_parameters())) == before
        assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_an_encoder_without_heads_opens_with_and_without_its_prefix(self, tmp_path, layout):
        folder = toy_models.published(tmp_path / "c", layout)
        model, tokeniser = models.load(folder)
        ids, mask = batch(tokeniser)
        expected = answer(model, ids, mask).last_hidden_state
        prefix = f"{model.base_model_prefix}."
        tensors = {key: value for key, value in load_file(folder / "model.safetensors").items() if key.startswith(prefix)}
        for kept in (tensors, {key.removeprefix(prefix): value for key, value in tensors.items()}):
            save_file(kept, folder / "model.safetensors")
            found = answer(models.load(folder)[0], ids, mask)
            assert found.logits is None and torch.equal(found.last_hidden_state, expected)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_fine_tuned_classifier_opens_and_answers_per_sequence(self, tmp_path, layout):
        folder = toy_models.published(tmp_path / "c", layout)
        masked_lm, tokeniser = models.load(folder)
        module = models.module(ARCHITECTURE[layout])
        masked_lm.config.num_labels = 3
        torch.manual_seed(0)
        fine_tuned = module.classes(masked_lm.config)["classifier"](masked_lm.config).eval()
        door.save(tmp_path / "f", fine_tuned, tokeniser)
        ids, mask = batch(tokeniser)
        model, _ = models.load(tmp_path / "f")
        found = answer(model, ids, mask)
        assert found.logits.shape == (3, 3) and torch.equal(found.logits, answer(fine_tuned, ids, mask).logits)

    def test_layer_norm_eps_is_the_files(self, tmp_path):
        answers = []
        for eps in (1e-12, 1e-2):
            folder = toy_models.published(tmp_path / str(eps), "nt-v2")
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": eps}))
            model, tokeniser = models.load(folder)
            answers.append(answer(model, *batch(tokeniser)).last_hidden_state)
        assert (answers[0] - answers[1]).abs().max() > 1e-4

    def test_a_model_type_that_says_bert_or_esm_deceives_nobody(self, tmp_path):
        for layout, said in (("dnabert2", "bert"), ("nt-v2", "esm")):
            folder = toy_models.published(tmp_path / layout, layout)
            model, tokeniser = models.load(folder)
            expected = answer(model, *batch(tokeniser)).logits
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(config | {"model_type": said}))
            assert torch.equal(answer(models.load(folder)[0], *batch(tokeniser)).logits, expected)

    def test_blocks_of_three_are_told_by_the_vocabulary(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "nt-v2")
        tensors = load_file(folder / "model.safetensors")
        for key in ("esm.embeddings.word_embeddings.weight", "lm_head.decoder.weight", "lm_head.bias"):
            tensors[key] = tensors[key][:75].clone()
        save_file(tensors, folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 75}))
        model, tokeniser = models.load(folder)
        assert tokeniser.k == 3 and door.longest(model, tokeniser) == 2047 * 3


class TestRandom:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_twin_has_the_sizes_and_none_of_the_weights(self, tmp_path, layout):
        folder = toy_models.published(tmp_path / "c", layout)
        published, twin, same, other = (
            dict(models.load(folder, *how)[0].named_parameters()) for how in ((), ("random", 1), ("random", 1), ("random", 2))
        )
        assert {key: value.shape for key, value in published.items()} == {key: value.shape for key, value in twin.items()}
        assert weights.digest(twin) == weights.digest(same)
        assert len({weights.digest(one) for one in (published, twin, other)}) == 3
        matrices = [key for key, value in published.items() if value.ndim > 1 and "contact" not in key]
        assert not any(torch.equal(published[key], twin[key]) for key in matrices)


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


class TestRefusals:
    def mended(self, folder, change):
        path = folder / "model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)
        return folder

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_every_single_missing_key_is_refused(self, tmp_path, layout):
        folder = toy_models.published(tmp_path / "c", layout, layers=1)
        whole = load_file(folder / "model.safetensors")
        unused = {"esm.embeddings.position_embeddings.weight"} if layout == "nt-v2" else set()
        tied = {"cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"}
        pooler = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
        frequencies = {key for key in whole if key.endswith("inv_freq")}  # of one layer: what is computed is the same
        for key in sorted(set(whole) - unused - tied - pooler - frequencies):
            save_file({name: value for name, value in whole.items() if name != key}, folder / "model.safetensors")
            with pytest.raises(InputError) as error:
                models.load(folder)
            assert key in str(error.value), key
            assert "\n" not in str(error.value)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_an_extra_key_is_refused(self, tmp_path, layout):
        folder = self.mended(toy_models.published(tmp_path / "c", layout), lambda held: held.update({"surplus.weight": torch.ones(2)}))
        with pytest.raises(InputError, match="model.safetensors: key 'surplus.weight' is unknown; "):
            models.load(folder)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_wrong_shape_is_refused(self, tmp_path, layout):
        norm = {"nt-v1": "esm.encoder.emb_layer_norm_after.bias", "nt-v2": "esm.encoder.emb_layer_norm_after.bias"}.get(
            layout, "bert.embeddings.LayerNorm.bias"
        )
        folder = self.mended(toy_models.published(tmp_path / "c", layout), lambda held: held.update({norm: torch.ones(17)}))
        with pytest.raises(InputError, match=rf"key '{norm}' is \(17,\), the configuration asks for \(16,\)"):
            models.load(folder)

    def test_nan_is_refused(self, tmp_path):
        def spoil(held):
            held["lm_head.bias"][3] = float("nan")

        with pytest.raises(InputError, match="'lm_head.bias' holds what is no weight"):
            models.load(self.mended(toy_models.published(tmp_path / "c", "nt-v1"), spoil))

    def test_a_pair_that_is_tied_but_differs_is_refused(self, tmp_path):
        def untie(held):
            held["cls.predictions.decoder.weight"] += 1

        with pytest.raises(InputError, match="are one tensor in this architecture but differ"):
            models.load(self.mended(toy_models.published(tmp_path / "c", "dnabert2"), untie))

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pth"])
    def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(self, tmp_path, name):
        folder = toy_models.published(tmp_path / "c", "nt-v1", safe=False)
        trace = tmp_path / "ran"
        (folder / "pytorch_model.bin").unlink()
        if name.endswith(".pth"):
            (folder / "config.json").unlink()
        torch.save({"esm.x": Touch(trace)}, folder / name)
        with pytest.raises(InputError, match="not opened: it is damaged, or holds more than tensors"):
            models.load(folder)
        (folder / name).write_bytes(pickle.dumps(Touch(trace)))
        with pytest.raises(InputError) as error:
            models.load(folder)
        assert "\n" not in str(error.value) and not trace.exists()

    @pytest.mark.parametrize("safe", [True, False])
    @pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
    def test_a_cut_file_is_refused(self, tmp_path, safe, share):
        folder = toy_models.published(tmp_path / "c", "dnabert", safe=safe)
        path = folder / ("model.safetensors" if safe else "pytorch_model.bin")
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(InputError, match=path.name) as error:
            models.load(folder)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("layout", "file", "said"),
        [
            ("dnabert2", "nothing", "tokenizer.json: not found"),
            ("dnabert2", "other-size", "tokens, but the model has 64"),
            ("dnabert2", "no-json", "tokenizer.json"),
            ("nt-v2", "v1-vocabulary", "vocab.txt"),
            ("nt-v1", "v2-vocabulary", "vocab.txt"),
            ("nt-v2", "byte-pairs", "tokenizer.json"),
            ("dnabert", "v2-vocabulary", "vocab.txt"),
        ],
    )
    def test_another_models_tokeniser_is_refused(self, tmp_path, layout, file, said):
        from regdna.tokenisers import BytePair, KmerBlocks

        folder = toy_models.published(tmp_path / "c", layout)
        if file == "nothing":
            (folder / "tokenizer.json").unlink()
        elif file in ("other-size", "byte-pairs"):
            sample = np.random.default_rng(1).integers(0, 4, (40, 100)).astype(np.uint8)
            (folder / "tokenizer.json").write_text(BytePair.learn(sample, 48).definition)
        elif file == "no-json":
            (folder / "tokenizer.json").write_text("{")
        else:
            (folder / "vocab.txt").write_text(KmerBlocks(6, int(file[1])).files()["vocab.txt"])
        with pytest.raises(InputError, match=said) as error:
            models.load(folder)
        assert "\n" not in str(error.value)

    def test_folders_that_are_none(self, tmp_path):
        with pytest.raises(InputError, match="not a folder"):
            models.load(tmp_path / "nowhere")
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="config.json: not found"):
            models.load(tmp_path / "empty")
        folder = toy_models.published(tmp_path / "c", "nt-v2")
        (folder / "config.json").write_text("{")
        with pytest.raises(InputError, match="config.json: no JSON"):
            models.load(folder)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").unlink()
        with pytest.raises(InputError, match="no weights"):
            models.load(folder)
        save_file({"a.weight": torch.ones(2)}, folder / "model.safetensors")
        with pytest.raises(InputError, match="those of no architecture that is known"):
            models.load(folder)

    def test_a_protein_esm_is_refused(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "nt-v1")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 33}))
        with pytest.raises(InputError, match="vocab_size 33 is no vocabulary of k-mers"):
            models.load(folder)

    @pytest.mark.parametrize(("layout", "length"), [("nt-v1", 5995), ("nt-v2", 12283), ("dnabert", 513)])
    def test_a_sequence_beyond_the_limit_is_refused_with_the_limit(self, tmp_path, layout, length):
        model, tokeniser = models.load(toy_models.published(tmp_path / "c", layout, layers=1))
        limit = door.longest(model, tokeniser)
        assert limit == length - 1
        codes = np.random.default_rng(0).integers(0, 4, (1, length)).astype(np.uint8)
        assert torch.isfinite(answer(model, *tokeniser.encode(codes[:, :limit])).last_hidden_state).all()
        with pytest.raises(ValueError, match=r"takes (1000|2048|512)"):
            answer(model, *tokeniser.encode(codes))


FRESH = """
import sys, torch, transformers
kind, folder, out = sys.argv[1:]
if kind.startswith("regdna"):
    import importlib
    module, _, name = kind.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
else:
    cls = getattr(transformers, kind)
model = cls.from_pretrained(folder).eval()
batch = torch.load(folder + "/batch.pt")
with torch.no_grad():
    answer = model(**batch)
torch.save(answer.logits if answer.get("logits") is not None else answer.last_hidden_state, out)
"""


class TestSaving:
    def elsewhere(self, folder, kind, batch, out, ours):
        """What a class gives in a fresh process, which sees our library only if it is needed."""
        torch.save(batch, folder / "batch.pt")
        path = {"PYTHONPATH": ":".join(sys.path)} if ours else {}
        environment = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", **path}
        run = subprocess.run(
            [sys.executable, "-c", FRESH, kind, str(folder), str(out)], env=environment, cwd=out.parent, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr[-2000:]
        return torch.load(out)

    @pytest.mark.parametrize(
        ("layout", "kind"),
        [
            ("nt-v1", "EsmForMaskedLM"),
            ("nt-v1", "AutoModelForMaskedLM"),
            ("dnabert", "BertForMaskedLM"),
            ("nt-v2", "regdna.models.nucleotide_transformer.GatedForMaskedLM"),
            ("dnabert2", "regdna.models.dnabert2.DNABert2ForMaskedLM"),
        ],
    )
    def test_what_we_save_opens_with_from_pretrained_in_a_fresh_process(self, tmp_path, layout, kind):
        model, tokeniser = models.load(toy_models.published(tmp_path / "c", layout))
        ids, mask = (torch.as_tensor(one).long() for one in batch(tokeniser))
        expected = answer(model, ids, mask).logits
        door.save(tmp_path / "s", model, tokeniser)
        assert torch.equal(answer(models.load(tmp_path / "s")[0], ids, mask).logits, expected)
        found = self.elsewhere(tmp_path / "s", kind, {"input_ids": ids, "attention_mask": mask}, tmp_path / "out.pt", "regdna" in kind)
        assert torch.allclose(found, expected, atol=1e-5)

    def test_dnabert2_is_saved_under_its_published_keys(self, tmp_path):
        model, tokeniser = models.load(toy_models.published(tmp_path / "c", "dnabert2"))
        door.save(tmp_path / "s", model, tokeniser)
        saved = set(load_file(tmp_path / "s/model.safetensors"))
        assert set(toy_models.published_keys("dnabert2")) - saved <= {"cls.predictions.decoder.weight"} and saved <= set(
            toy_models.published_keys("dnabert2")
        )

    @pytest.mark.parametrize(("layout", "kind"), [("dnabert2", "AutoModelForMaskedLM"), ("nt-v2", "AutoModelForMaskedLM")])
    def test_transformers_does_not_open_them_as_a_plain_bert_or_esm(self, tmp_path, layout, kind):
        import transformers

        model, tokeniser = models.load(toy_models.published(tmp_path / "c", layout))
        door.save(tmp_path / "s", model, tokeniser)
        with pytest.raises(ValueError, match="model type"):
            getattr(transformers, kind).from_pretrained(tmp_path / "s")


FULL = {
    "dnabert2": ({"hidden": 768, "layers": 12, "heads": 12, "intermediate": 3072}, 117_074_176, 0),
    "nt-v2-50m": ({"hidden": 512, "layers": 12, "heads": 16, "intermediate": 2048}, 54_855_372, 55_904_972),
    "nt-v2-100m": ({"hidden": 512, "layers": 22, "heads": 16, "intermediate": 2048}, 96_839_532, 97_889_132),
    "nt-v2-250m": ({"hidden": 768, "layers": 24, "heads": 16, "intermediate": 3072}, 233_546_380, 235_120_780),
    "nt-v2-500m": ({"hidden": 1024, "layers": 29, "heads": 16, "intermediate": 4096}, 496_246_236, 498_345_436),
    "nt-v1-500m": ({"hidden": 1280, "layers": 24, "heads": 20, "intermediate": 5120}, 485_699_306, 485_699_306),
}


@pytest.mark.parametrize("name", FULL)
def test_published_sizes_have_the_published_number_of_parameters(name):
    sizes, parameters, with_positions = FULL[name]
    layout = name if name == "dnabert2" else name[:5]
    content = toy_models.published_config(layout, **sizes)
    content |= {"vocab_size": 4096} if layout == "dnabert2" else {}
    module = models.module(ARCHITECTURE[layout])
    shapes = toy_models.published_keys(layout, **sizes)
    config = module.config_of(content, shapes)
    with torch.device("meta"):
        model = module.classes(config)["masked_lm"](config)
    assert sum(value.numel() for value in model.parameters()) == parameters
    if layout != "dnabert2":  # the published file: with positions that nothing reads, less buffers
        assert sum(np.prod(shape) for key, shape in shapes.items() if not key.endswith("inv_freq")) == with_positions
