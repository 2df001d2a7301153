"""The door for checkpoint folders: parity with reference implementations, and what it refuses."""

import collections
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
    @pytest.mark.parametrize(
        ("wrap", "said"),
        [
            (lambda key: f"module.{key}", "keys begin with 'module.', which a wrapper adds; save the state_dict of the model within it"),
            (lambda key: f"_orig_mod.{key}", "keys begin with '_orig_mod.'"),
            (lambda key: f"base_model.model.{key}".replace(".weight", ".lora_A.weight"), r"fold them in \(peft: merge_and_unload\(\)\)"),
        ],
    )
    def test_a_wrapped_checkpoint_says_how_to_unwrap_it(self, tmp_path, layout, wrap, said):
        def change(held):
            for key in [*held]:
                held[wrap(key)] = held.pop(key)

        folder = self.mended(toy_models.published(tmp_path / "c", layout), change)
        with pytest.raises(InputError, match=f"model.safetensors: .*{said}"):
            models.load(folder)

    def test_adapters_without_their_model_are_refused(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "nt-v2")
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
        with pytest.raises(InputError, match="holds adapters alone; fold them into their model"):
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
batch = torch.load(folder + "/batch.pt", weights_only=True)
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
        return torch.load(out, weights_only=True)

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
    "nt-v1-2500m": ({"hidden": 2560, "layers": 32, "heads": 20, "intermediate": 10240}, 2_547_801_226, 2_547_801_226),
    "dnabert-6": ({"hidden": 768, "layers": 12, "heads": 12, "intermediate": 3072}, 89_196_549, 0),
}


@pytest.mark.parametrize("name", FULL)
def test_published_sizes_have_the_published_number_of_parameters(name):
    sizes, parameters, with_positions = FULL[name]
    layout = {"dnabert2": "dnabert2", "dnabert-6": "dnabert"}.get(name, name[:5])
    content = toy_models.published_config(layout, **sizes)
    content |= {"dnabert2": {"vocab_size": 4096}, "dnabert": {"vocab_size": 4101}}.get(layout, {})
    module = models.module(ARCHITECTURE[layout])
    shapes = toy_models.published_keys(layout, **sizes)
    config = module.config_of(content, shapes)
    with torch.device("meta"):
        model = module.classes(config)["masked_lm"](config)
    assert sum(value.numel() for value in model.parameters()) == parameters
    if layout.startswith("nt"):  # the published file: with positions that nothing reads, less buffers
        assert sum(np.prod(shape) for key, shape in shapes.items() if not key.endswith("inv_freq")) == with_positions


def logits(folder):
    model, tokeniser = models.load(folder)
    return answer(model, *batch(tokeniser)).logits


def configured(folder, without=(), **settings):
    path = folder / "config.json"
    content = {name: value for name, value in json.loads(path.read_text()).items() if name not in without}
    path.write_text(json.dumps(content | settings))
    return folder


def refused(folder, said):
    with pytest.raises(InputError) as error:
        models.load(folder)
    assert said in str(error.value) and "\n" not in str(error.value), str(error.value)


def pickled(folder, content, **how):
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin", **how)
    return folder


class TestConfigurations:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_what_may_be_left_out_is_as_published(self, tmp_path, layout):
        optional = [
            "layer_norm_eps",
            "initializer_range",
            "torch_dtype",
            "architectures",
            "auto_map",
            "max_position_embeddings",
            "position_embedding_type",
            "tie_word_embeddings",
            "pad_token_id",
            "mask_token_id",
            "emb_layer_norm_before",
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "type_vocab_size",
            "hidden_act",
            "add_bias_fnn",
            "model_type",
        ]
        folder = toy_models.published(tmp_path / "c", layout)
        expected, limit = logits(folder), door.longest(*models.load(folder))
        configured(folder, optional)
        assert torch.equal(logits(folder), expected) and door.longest(*models.load(folder)) == limit

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_settings_of_transformers_and_of_trainers_change_nothing(self, tmp_path, layout):
        folder = toy_models.published(tmp_path / "c", layout)
        expected = logits(folder)
        configured(
            folder, return_dict=False, output_attentions=True, dtype="bfloat16", _attn_implementation="flash_attention_2", num_labels=7,
            id2label={"0": "a"}, problem_type="regression", quantization_config={"a": 1}, torchscript=True, pruned_heads={"0": [1]},
            hidden_dropout_prob=0, attention_probs_dropout_prob=0, layer_norm_eps=None, is_decoder=False, chunk_size_feed_forward=2,
        )  # fmt: skip
        assert torch.equal(logits(folder), expected)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_sizes_that_are_none_are_refused_before_memory_is_asked_for(self, tmp_path, layout):
        folder = toy_models.published(tmp_path / "c", layout)
        sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
        for name in sizes:
            text = (folder / "config.json").read_text()
            refused(configured(folder, [name]), f"config.json: {name} is missing; ")
            for value in (0, -16, 2**24, 10**12, "16", 16.0, True, [16], float("nan")):
                refused(configured(folder, **{name: value}), f"config.json: {name} is ")
            refused(configured(folder, **{name: None}), f"config.json: {name} is missing; ")
            for value in (3, 8, 2**24 - 1):
                if (name, value) != ("num_attention_heads", 8):
                    refused(configured(folder, **{name: value}), str(tmp_path))
                    with pytest.raises(InputError):
                        models.load(folder, "random")
            (folder / "config.json").write_text(text)

    def test_a_model_that_does_not_fit_is_never_given_memory(self, tmp_path, monkeypatch):
        built, empty = [], door.empty
        monkeypatch.setattr(door, "empty", lambda *how: built.append(torch.get_default_device().type) or empty(*how))
        folder = toy_models.published(tmp_path / "c", "dnabert2")
        models.load(folder)
        refused(configured(folder, hidden_size=32), "the configuration asks for")
        assert built == ["meta", "cpu", "meta"]

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_number_of_layers_is_that_of_the_weights(self, tmp_path, layout):
        for layers in (1, 3, 10**7):
            folder = configured(toy_models.published(tmp_path / str(layers), layout), num_hidden_layers=layers)
            refused(folder, f"config.json: num_hidden_layers is {layers}, the weights have 2 layers; ")

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_heads_divide_the_width(self, tmp_path, layout):
        folder = configured(toy_models.published(tmp_path / "c", layout), num_attention_heads=5)
        refused(folder, "config.json: hidden_size 16 is no multiple of num_attention_heads 5; ")

    @pytest.mark.parametrize(("layout", "heads"), [("nt-v1", 4), ("nt-v2", 4), ("nt-v2", 1)])
    def test_heads_are_those_of_the_contact_head_and_of_the_frequencies(self, tmp_path, layout, heads):
        refused(configured(toy_models.published(tmp_path / "c", layout), num_attention_heads=heads), "do not belong together")

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize(
        "setting",
        [{"layer_norm_eps": "1e-12"}, {"layer_norm_eps": -1}, {"layer_norm_eps": 1}, {"hidden_dropout_prob": 1.5}, {"is_decoder": True},
         {"attention_probs_dropout_prob": -0.1}, {"tie_word_embeddings": "yes"}, {"add_cross_attention": True}, {"hidden_act": "foo"},
         {"is_folding_model": 1}, {"token_dropout": "false"}, {"emb_layer_norm_before": 0}, {"initializer_range": "a"}],
        ids=str,
    )  # fmt: skip
    def test_settings_of_another_kind_are_refused(self, tmp_path, layout, setting):
        refused(configured(toy_models.published(tmp_path / "c", layout), **setting), "config.json: ")

    @pytest.mark.parametrize(
        ("layout", "setting", "said"),
        [
            ("nt-v1", {"position_embedding_type": "relative_key"}, "neither 'absolute' nor 'rotary'"),
            ("dnabert", {"position_embedding_type": "relative_key"}, "DNABERT has 'absolute'"),
            ("nt-v2", {"position_embedding_type": "absolute"}, "inv_freq' is unknown"),
            ("nt-v1", {"position_embedding_type": "rotary"}, "weights of version 1, which has a table"),
            ("nt-v1", {"pad_token_id": 0}, "pad_token_id is 0, in the vocabulary of Nucleotide Transformer it is 1"),
            ("nt-v1", {"mask_token_id": 9}, "mask_token_id is 9, in the vocabulary of Nucleotide Transformer it is 2"),
            ("nt-v1", {"max_position_embeddings": 700}, "max_position_embeddings is 700, the weights have 1002 positions"),
            ("nt-v2", {"max_position_embeddings": 10**6}, "max_position_embeddings is 1000000, the weights have 2050 positions"),
            ("nt-v1", {"hidden_act": "silu"}, "hidden_act is 'silu'"),
            ("nt-v1", {"emb_layer_norm_before": True}, "layer_norm.bias' is missing"),
            ("nt-v2", {"add_bias_fnn": True}, "dense.bias' is missing"),
        ],
    )
    def test_settings_that_would_change_the_answer_unseen_are_refused(self, tmp_path, layout, setting, said):
        refused(configured(toy_models.published(tmp_path / "c", layout), **setting), said)

    def test_positions_are_as_many_as_the_weights_have_where_it_is_not_said(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "nt-v1")
        tensors = load_file(folder / "model.safetensors")
        table = "esm.embeddings.position_embeddings.weight"
        save_file({**tensors, table: tensors[table][:700].clone()}, folder / "model.safetensors")
        assert door.longest(*models.load(configured(folder, ["max_position_embeddings"]))) == 697 * 6

    def test_rotary_heads_are_of_even_width(self, tmp_path):
        refused(toy_models.published(tmp_path / "c", "nt-v2", hidden=12, heads=4), "is odd, but rotary positions turn pairs")

    @pytest.mark.parametrize("content", [b"", b"[]", b"null", b"<html>", b"[" * 100_000, b"\xff\xfe", b"version https://git-lfs"])
    @pytest.mark.parametrize("file", ["config.json", "about.json", "model.safetensors.index.json", "tokenizer.json"])
    def test_files_of_json_that_hold_something_else(self, tmp_path, file, content):
        folder = toy_models.published(tmp_path / "c", "dnabert2")
        if "index" in file:
            (folder / "model.safetensors").unlink()
        (folder / file).write_bytes(content)
        refused(folder, file)

    def test_an_unknown_architecture_of_ours_is_refused(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "dnabert2")
        (folder / "about.json").write_text('{"architecture": "perceptron"}')
        refused(folder, "about.json: names no architecture that is known; ")

    def test_untied_or_tied_is_seen_where_it_is_not_said(self, tmp_path):
        folder = configured(toy_models.published(tmp_path / "c", "nt-v1"), ["tie_word_embeddings"])
        assert not models.load(folder)[0].config.tie_word_embeddings
        tensors = load_file(folder / "model.safetensors")
        del tensors["lm_head.decoder.weight"]
        save_file(tensors, folder / "model.safetensors")
        model = models.load(folder)[0]
        assert model.lm_head.decoder.weight is model.esm.embeddings.word_embeddings.weight
        refused(configured(folder, tie_word_embeddings=False), "key 'lm_head.decoder.weight' is missing")


class TestSavedAgain:
    @pytest.mark.parametrize(
        ("layout", "kind"),
        [("nt-v1", "EsmForMaskedLM"), ("nt-v1", "EsmForSequenceClassification"), ("nt-v1", "EsmModel"),
         ("dnabert", "BertForMaskedLM"), ("dnabert", "BertForSequenceClassification"), ("dnabert", "BertForPreTraining")],
    )  # fmt: skip
    def test_by_transformers_in_shards_it_opens(self, tmp_path, layout, kind):
        import transformers

        config = getattr(transformers, "EsmConfig" if layout == "nt-v1" else "BertConfig")(**toy_models.published_config(layout))
        config.num_labels = 5
        torch.manual_seed(1)
        theirs = getattr(transformers, kind)(config).eval()
        with torch.no_grad():
            for value in theirs.parameters():
                value.add_(0.1 * torch.randn(value.shape))
        theirs.save_pretrained(tmp_path, max_shard_size="100KB")
        model, tokeniser = models.load(tmp_path)
        ids, mask = (torch.as_tensor(one).long() for one in batch(tokeniser))
        found, expected = answer(model, ids, mask), answer(theirs, ids, mask)
        pair = (found.last_hidden_state, expected.last_hidden_state) if kind == "EsmModel" else (
            found.logits, expected.get("logits", expected.get("prediction_logits")))  # fmt: skip
        assert torch.allclose(*pair, atol=1e-5)

    def test_names_of_tensorflow_are_read_and_not_mixed(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "dnabert")
        expected = logits(folder)
        tensors = load_file(folder / "model.safetensors")
        old = {key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
               for key, value in tensors.items()}  # fmt: skip
        save_file(old, folder / "model.safetensors")
        assert torch.equal(logits(folder), expected)
        norm = "bert.embeddings.LayerNorm.bias"
        save_file({**old, norm: tensors[norm].clone()}, folder / "model.safetensors")
        refused(folder, f"key '{norm}' is there twice")

    @pytest.mark.parametrize("name", [None, "esm.rotary_embeddings.inv_freq",
                                      "esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq"])  # fmt: skip
    def test_rotary_frequencies_lie_anywhere(self, tmp_path, name):
        folder = toy_models.published(tmp_path / "c", "nt-v2")
        expected = logits(folder)
        tensors = load_file(folder / "model.safetensors")
        held = [key for key in tensors if key.endswith("inv_freq")]
        kept = {key: value for key, value in tensors.items() if key not in held and "position" not in key}
        save_file(kept | ({name: tensors[held[0]]} if name else {}), folder / "model.safetensors")
        assert torch.equal(logits(folder), expected)
        configured(folder, ["position_embedding_type", "max_position_embeddings", "add_bias_fnn"])
        assert torch.equal(logits(folder), expected) and door.longest(*models.load(folder)) == 2047 * 6
        if name:
            save_file({**kept, name: tensors[held[0]] * 1.1}, folder / "model.safetensors")
            refused(folder, "its rotary frequencies are not those of 2 heads")

    def test_every_layer_has_the_same_rotary_frequencies(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "nt-v2")
        tensors = load_file(folder / "model.safetensors")
        last = "esm.encoder.layer.1.attention.self.rotary_embeddings.inv_freq"
        save_file({**tensors, last: tensors[last] * 1.001}, folder / "model.safetensors")
        refused(folder, f"key '{last}' differs from that of layer 0")
        del tensors[last]
        save_file(tensors, folder / "model.safetensors")
        refused(folder, "rotary frequencies of 1 layers, config.json has 2")

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_classifier_needs_all_of_its_head(self, tmp_path, layout):
        folder = toy_models.published(tmp_path / "c", layout)
        encoder = {key: value for key, value in load_file(folder / "model.safetensors").items() if key.startswith(("bert.", "esm."))}
        encoder = {key: value for key, value in encoder.items() if "pooler" not in key}
        first, last = ("classifier.dense", "classifier.out_proj") if layout.startswith("nt") else ("bert.pooler.dense", "classifier")
        head = {f"{first}.weight": torch.randn(16, 16), f"{first}.bias": torch.randn(16)}
        head |= {f"{last}.weight": torch.randn(3, 16), f"{last}.bias": torch.randn(3)}
        save_file(encoder | head, folder / "model.safetensors")
        assert logits(folder).shape == (3, 3)
        for gone in head:
            save_file(encoder | {key: value for key, value in head.items() if key != gone}, folder / "model.safetensors")
            refused(folder, f"key '{gone}' is missing")
            save_file(encoder | head | {gone: torch.tensor(1.0)}, folder / "model.safetensors")
            refused(folder, f"key '{gone}' is ()")


class TestFilesOfWeights:
    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_pickles_of_any_age_open(self, tmp_path, layout, zipped):
        tensors = toy_models.published_tensors(layout)
        expected = logits(toy_models.published(tmp_path / "c", layout))
        ordered = collections.OrderedDict((key, torch.nn.Parameter(value.t().contiguous().t() if value.ndim == 2 else value))
                                          for key, value in tensors.items())  # fmt: skip
        folder = pickled(toy_models.published(tmp_path / "o", layout), ordered, _use_new_zipfile_serialization=zipped)
        for name in ("training_args.bin", "rng_state.pth", "optimizer.pt", "special_tokens_map.json", "bert_layers.py"):
            (folder / name).write_text("neither read nor run")
        assert torch.equal(logits(folder), expected)

    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize("where", ["value", "nested", "key", "ordered", "whole"])
    def test_code_anywhere_in_a_pickle_is_refused_and_not_run(self, tmp_path, where, zipped):
        trace, tensors = tmp_path / "ran", toy_models.published_tensors("nt-v1")
        touch = Touch(trace)
        held = {"value": {**tensors, "x": touch}, "nested": {**tensors, "x": {"y": [(touch,)]}}, "key": {**tensors, touch: torch.ones(1)},
                "ordered": collections.OrderedDict({**tensors, "x": touch}), "whole": touch}[where]  # fmt: skip
        refused(pickled(toy_models.published(tmp_path / "c", "nt-v1"), held, _use_new_zipfile_serialization=zipped), "not opened")
        assert not trace.exists()

    @pytest.mark.parametrize(
        "held", [{}, [torch.ones(2)], torch.ones(2), {3: torch.ones(2)}, {"model": {"a": torch.ones(2)}}, {"epoch": 3}], ids=str
    )
    def test_pickles_that_are_no_state_dict(self, tmp_path, held):
        refused(pickled(toy_models.published(tmp_path / "c", "dnabert"), held), "state_dict")

    @pytest.mark.parametrize(
        "value", [torch.ones(16, device="meta"), torch.ones(16).to_sparse(), torch.ones(16, dtype=torch.int64), torch.ones(16) + 0j],
        ids=["without values", "sparse", "whole numbers", "complex"],
    )  # fmt: skip
    def test_tensors_that_are_no_weights(self, tmp_path, value):
        tensors = toy_models.published_tensors("dnabert") | {"bert.embeddings.LayerNorm.bias": value}
        refused(pickled(toy_models.published(tmp_path / "c", "dnabert"), tensors), "key 'bert.embeddings.LayerNorm.bias'")

    @pytest.mark.parametrize(
        ("value", "dtype"),
        [(value, dtype) for value in (torch.nan, torch.inf) for dtype in (torch.float32, torch.bfloat16, torch.float8_e5m2)]
        + [(torch.nan, torch.float8_e4m3fn)],  # which has no infinity
    )
    def test_values_that_are_not_finite(self, tmp_path, value, dtype):
        folder = toy_models.published(tmp_path / "c", "dnabert2")
        tensors = load_file(folder / "model.safetensors")
        tensors["bert.embeddings.LayerNorm.bias"] = torch.full((16,), value).to(dtype)
        save_file(tensors, folder / "model.safetensors")
        refused(folder, "holds what is no weight (NaN or infinity)")

    @pytest.mark.parametrize("shape", [(1, 16), (16, 1), (4, 4)])
    def test_as_many_values_in_another_shape(self, tmp_path, shape):
        folder = toy_models.published(tmp_path / "c", "dnabert2")
        tensors = load_file(folder / "model.safetensors")
        norm = "bert.embeddings.LayerNorm.bias"
        save_file({**tensors, norm: tensors[norm].reshape(shape)}, folder / "model.safetensors")
        refused(folder, f"key '{norm}' is {shape}, the configuration asks for (16,)")

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
    def test_a_tied_pair_may_be_of_two_types(self, tmp_path, dtype):
        folder = toy_models.published(tmp_path / "c", "dnabert")
        tensors = load_file(folder / "model.safetensors")
        first, second = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
        rounded = tensors[first].to(dtype)
        save_file({**tensors, first: rounded, second: rounded.float()}, folder / "model.safetensors")
        assert torch.equal(models.load(folder)[0].cls.predictions.decoder.weight, rounded.float())
        save_file({**tensors, first: rounded}, folder / "model.safetensors")
        refused(folder, "are one tensor in this architecture but differ")

    @pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
    @pytest.mark.parametrize(
        "content",
        [b"", b"\0", b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1", b"PK\x03\x04junk", b"\x80\x02.", b"\x80\x02}.",
         b"\xff" * 64, b'\x10\0\0\0\0\0\0\0{"a":1}         ', b"\x02\0\0\0\0\0\0\0{}"],
    )  # fmt: skip
    def test_files_that_are_no_weights(self, tmp_path, name, content):
        folder = toy_models.published(tmp_path / "c", "nt-v1")
        (folder / "model.safetensors").unlink()
        (folder / name).write_bytes(content)
        refused(folder, str(folder))

    @pytest.mark.parametrize("how", ["safe", "zipped", "legacy"])
    def test_bytes_of_chance_are_refused_or_read_and_never_end_in_another_error(self, tmp_path, how):
        draw = np.random.default_rng(0)
        folder = toy_models.published(tmp_path / "c", "dnabert2", layers=1, hidden=4, intermediate=4)
        if how != "safe":
            pickled(folder, load_file(folder / "model.safetensors"), _use_new_zipfile_serialization=how == "zipped")
        path = next(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin"))
        whole, seen = path.read_bytes(), 0
        for _ in range(40):
            spoilt = bytearray(whole)
            for at in draw.integers(0, min(3500, len(whole)), 2):
                spoilt[at] = draw.integers(256)
            path.write_bytes(spoilt)
            try:
                models.load(folder)
            except InputError as error:
                seen += "\n" not in str(error)
        assert seen > 10

    @pytest.mark.parametrize(
        "content", ['{"weight_map": 3}', "{}", '{"weight_map": {}}', '{"weight_map": {"a": 3}}', '{"weight_map": {"a": [1]}}',
                    '{"weight_map": {"a": "../c/config.json"}}', '{"weight_map": {"a": "."}}', '{"weight_map": {"a": "/etc/hosts"}}'],
    )  # fmt: skip
    def test_an_index_that_leads_nowhere(self, tmp_path, content):
        folder = toy_models.published(tmp_path / "c", "nt-v1")
        (folder / "model.safetensors").rename(folder / "part.safetensors")
        (folder / "model.safetensors.index.json").write_text(content)
        refused(folder, "model.safetensors.index.json: ")

    def test_a_key_in_two_shards_and_a_key_in_none(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "nt-v1")
        tensors = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        names = sorted(tensors)
        index = {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        for at, part in ((1, names[:20]), (2, names[19:])):
            save_file({key: tensors[key] for key in part}, folder / f"{at}.safetensors")
        refused(folder, f"2.safetensors: key {names[19]!r} is there twice")
        save_file({key: tensors[key] for key in names[21:]}, folder / "2.safetensors")
        refused(folder, f"{folder}: key {names[20]!r} is missing")

    def test_links_names_and_relative_paths(self, tmp_path, monkeypatch):
        folder = toy_models.published(tmp_path / "c", "nt-v2")
        expected = logits(folder)
        (folder / "model.safetensors").rename(tmp_path / "blob")
        (folder / "model.safetensors").symlink_to(tmp_path / "blob")
        monkeypatch.chdir(tmp_path)
        assert torch.equal(logits(str(folder)), expected) and torch.equal(logits("c"), expected)
        assert door.recognise("c") == "nucleotide-transformer"
        (tmp_path / "blob").unlink()
        refused(folder, "no weights")

    def test_a_published_model_leaves_the_generator_alone(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "nt-v2")
        torch.manual_seed(5)
        before = torch.get_rng_state()
        models.load(folder)
        assert torch.equal(torch.get_rng_state(), before)


class TestVocabularies:
    @pytest.mark.parametrize("layout", ["nt-v1", "nt-v2", "dnabert"])
    @pytest.mark.parametrize("end", ["", "\n", "\n\n"])
    @pytest.mark.parametrize("windows", [True, False])
    def test_ends_of_lines_and_of_files_decide_nothing(self, tmp_path, layout, end, windows):
        folder = toy_models.published(tmp_path / "c", layout)
        text = models.load(folder)[1].files()["vocab.txt"] + end
        (folder / "vocab.txt").write_bytes(text.replace("\n", "\r\n" if windows else "\n").encode())
        models.load(folder)

    def test_version_1_may_lack_the_tokens_without_rows(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "nt-v1")
        lines = models.load(folder)[1].files()["vocab.txt"].split("\n")
        assert len(lines) == 4107
        (folder / "vocab.txt").write_text("\n".join(lines[:4105]))
        models.load(folder)
        for wrong in (lines[:4104], lines[:4105] + ["<bos>", "<eos>"], [*lines, "<x>"]):
            (folder / "vocab.txt").write_text("\n".join(wrong))
            refused(folder, "vocab.txt gives the token")

    def test_a_size_of_7_mers_is_no_vocabulary(self, tmp_path):
        folder = toy_models.published(tmp_path / "c", "nt-v1")
        tensors = load_file(folder / "model.safetensors")
        rows = 4**7 + 9
        for key in ("esm.embeddings.word_embeddings.weight", "lm_head.decoder.weight", "lm_head.bias"):
            tensors[key] = torch.zeros(rows, *tensors[key].shape[1:])
        save_file(tensors, folder / "model.safetensors")
        refused(configured(folder, vocab_size=rows), f"vocab_size {rows} is no vocabulary of k-mers")


class TestKipoi:
    """Refusals of ``.pth`` files; what they compute is in TestGolden and test_cnns."""

    def folder(self, tmp_path, change=lambda held: None, **how):
        draw = torch.Generator().manual_seed(0)
        shapes = {"2.0": (6, 4, 1, 8), "2.4": (5, 6, 1, 8), "2.8": (4, 5, 1, 8), "2.12.1": (7, 4 * 53), "2.14.1": (3, 7)}
        tensors = {f"{key}.weight": torch.randn(shape, generator=draw) for key, shape in shapes.items()}
        tensors |= {f"{key}.bias": torch.randn(shape[0], generator=draw) for key, shape in shapes.items()}
        change(tensors)
        folder = tmp_path / f"k{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        torch.save(collections.OrderedDict(tensors), folder / "deepsea.pth", **how)
        return folder

    def test_old_serialisation_opens(self, tmp_path):
        one, other = (models.load(self.folder(tmp_path, _use_new_zipfile_serialization=zipped))[0] for zipped in (True, False))
        assert one.length == 1000 and weights.digest(one.state_dict()) == weights.digest(other.state_dict())

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_values_that_are_not_finite(self, tmp_path, value):
        refused(self.folder(tmp_path, lambda held: held["2.4.bias"].fill_(value)), "key '2.4.bias' holds what is no weight")

    def test_whole_numbers_are_no_weights(self, tmp_path):
        refused(self.folder(tmp_path, lambda held: held.update({"2.4.bias": torch.ones(5).long()})), "2.4.bias holds torch.int64")

    def test_a_variance_is_not_negative(self):
        weights.finite({"1.running_var": torch.zeros(2), "1.weight": -torch.ones(2)}, "x.pth")
        with pytest.raises(InputError, match=r"x.pth: key '1\.running_var' holds a negative variance"):
            weights.finite({"1.running_var": torch.tensor([1.0, -1e-3])}, "x.pth")

    def test_a_twin_has_other_weights_of_its_seed(self, tmp_path):
        folder = self.folder(tmp_path)
        published, one, same, other = (
            weights.digest(models.load(folder, *how)[0].state_dict()) for how in ((), ("random", 1), ("random", 1), ("random", 2))
        )
        assert one == same and len({published, one, other}) == 3


class TestOurs:
    """Folders that were trained here."""

    def test_a_regression_is_no_network(self, tmp_path):
        folder = toy_models.gc_checkpoint(tmp_path / "c", 8, [4.0], [1.0])
        with pytest.raises(InputError, match="a regression on features, not a network"):
            models.load(folder)

    def test_one_that_was_trained_here_has_no_twin_and_lacks_nothing(self, tmp_path):
        folder = toy_models.motif_checkpoint(tmp_path / "c", 40, [3.0], [-2.0])
        model, tokeniser = models.load(folder)
        assert door.longest(model, tokeniser) == 40
        with pytest.raises(InputError, match="was trained here, and has no random twin"):
            models.load(folder, "random")
        about = json.loads((folder / "about.json").read_text())
        for key in ("targets", "labels", "parameters", "length", "architecture"):
            (folder / "about.json").write_text(json.dumps({name: value for name, value in about.items() if name != key}))
            with pytest.raises(InputError, match="about.json: "):
                models.load(folder)
