"""The vault: what is written down of published weights, and what is refused."""

import hashlib
import json
import shutil

import pytest
import torch
from toy_models import published
from workflow_tools import step

from regdna import models
from regdna.models import weights
from regdna.step import InputError

DECLARED = {
    "nt-v1": {"architecture": "nucleotide-transformer", "context": 5994},
    "nt-v2": {"architecture": "nucleotide-transformer", "context": 12282},
    "dnabert2": {"architecture": "dnabert2", "context": 0},
    "dnabert": {"architecture": "dnabert", "context": 512},
}


def verify(folder, **declared):
    """What the vault says of a folder; ``declared`` is its checkpoint in the catalogue."""
    vault = folder / "vault.json"
    files = sorted(path for path in folder.iterdir() if path != vault)
    about = {"origin": "made up", "licence": "MIT", "citation": "nobody", "checkpoint": declared}
    step("verify").main(files, vault, "toy", about)
    return json.loads(vault.read_text())


def refused(folder, *parts, **declared):
    with pytest.raises(InputError) as error:
        verify(folder, **declared)
    assert "\n" not in str(error.value)
    assert all(part in str(error.value) for part in parts), str(error.value)
    assert not (folder / "vault.json").exists()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder as the hub has it of every layout."""
    root = tmp_path_factory.mktemp("weights")
    return {layout: published(root / layout, layout) for layout in DECLARED}


@pytest.fixture
def folder(folders, tmp_path):
    """A copy of one that may be broken."""
    return lambda layout: shutil.copytree(folders[layout], tmp_path / layout)


@pytest.mark.parametrize("layout", DECLARED)
def test_what_the_weights_are_is_written_down(folder, layout):
    place = folder(layout)
    found = verify(place, **DECLARED[layout])
    content = {path.name: path.read_bytes() for path in place.iterdir() if path.name != "vault.json"}
    assert found["files"] == {name: {"bytes": len(one), "sha256": hashlib.sha256(one).hexdigest()} for name, one in content.items()}
    assert (found["source"], found["origin"], found["licence"], found["citation"]) == ("toy", "made up", "MIT", "nobody")
    assert {name: found[name] for name in DECLARED[layout]} == DECLARED[layout]
    model, _ = models.load(place)
    assert found["parameters"] == sum(one.numel() for one in model.parameters())
    assert found["parameter_digest"] == weights.digest(model.state_dict())
    assert set(found["versions"]) == {"torch", "transformers"} and found["versions"]["torch"].startswith(torch.__version__.split("+")[0])


@pytest.mark.parametrize("layout", DECLARED)
def test_golden_outputs_are_what_the_model_makes_of_the_sequences(folder, layout):
    place = folder(layout)
    golden = verify(place, **DECLARED[layout])["golden"]
    model, tokeniser = models.load(place)
    assert golden["what"] == "logits" and len(golden["sequences"]) == 2 and {len(one) for one in golden["sequences"]} == {48}
    assert "N" in golden["sequences"][1] and len(golden["columns"]) == 16
    for sequence, tokens, values in zip(golden["sequences"], golden["tokens"], golden["values"], strict=True):
        # One sequence alone: what stands beside it must not matter, nor its padding.
        ids, mask = tokeniser.encode(step("verify").encode(sequence)[None])
        assert ids[0].tolist() == tokens
        with torch.inference_mode():
            logits = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits[0]
        torch.testing.assert_close(torch.tensor(values), logits[:, golden["columns"]], rtol=2e-5, atol=2e-5)
        assert all(value == float(f"{value:.6g}") for row in values for value in row)


def test_the_same_weights_give_the_same_bytes_and_others_do_not(folder, tmp_path):
    place = folder("nt-v2")
    first = verify(place, **DECLARED["nt-v2"])
    text = (place / "vault.json").read_text()
    assert verify(place, **DECLARED["nt-v2"]) == first and (place / "vault.json").read_text() == text
    other = verify(published(tmp_path / "other", "nt-v2", seed=1), **DECLARED["nt-v2"])
    assert other["parameters"] == first["parameters"]
    assert other["parameter_digest"] != first["parameter_digest"] and other["golden"] != first["golden"]


def test_a_network_on_bases_is_asked_at_its_own_length(tmp_path, shared):
    """The published layout of Basset, with random weights."""
    torch.manual_seed(0)
    keys = [line.split("\t") for line in (shared / "golden/basset/keys.tsv").read_text().splitlines()]
    tensors = {}
    for key, shape, *_ in (row for row in keys if row[0] != "key"):
        sizes = [int(one) for one in shape.strip("()[]").replace(",", " ").split()]
        tensors[key] = torch.rand(sizes) + 0.5 if key.endswith("running_var") else torch.randn(sizes) * 0.05
        if key.endswith("num_batches_tracked"):
            tensors[key] = torch.tensor(1)
    torch.save(tensors, tmp_path / "basset.pth")
    found = verify(tmp_path, architecture="basset", context=600)
    golden = found["golden"]
    assert found["parameters"] == 4_135_064 and golden["what"] == "probabilities" and "tokens" not in golden
    assert [len(row) for row in golden["values"]] == [16, 16] and all(0 <= value <= 1 for row in golden["values"] for value in row)
    (tmp_path / "vault.json").unlink()
    refused(tmp_path, "context: 601 bp", "exactly 600 bp; write 600", architecture="basset", context=601)
    refused(tmp_path, "context: 599 bp", "exactly 600 bp; write 600", architecture="basset", context=599)
    refused(tmp_path, "files are basset", "says deepsea", architecture="deepsea", context=1000)


@pytest.mark.parametrize(
    ("layout", "declared", "parts"),
    [
        ("nt-v2", {"architecture": "dnabert2"}, ["source toy: its files are nucleotide-transformer", "says dnabert2"]),
        ("dnabert", {"architecture": "dnabert2"}, ["source toy: its files are dnabert,", "says dnabert2"]),
        ("nt-v2", {"context": 12283}, ["context: 12283 bp", "at most 12282 bp; write 12282"]),
        ("nt-v1", {"context": 12282}, ["context: 12282 bp", "at most 5994 bp; write 5994"]),
        ("dnabert", {"context": 513}, ["context: 513 bp", "at most 512 bp"]),
        ("dnabert", {"context": 0}, ["context: no limit (0)", "at most 512 bp"]),
    ],
)
def test_what_is_not_as_declared_is_refused(folder, layout, declared, parts):
    refused(folder(layout), *parts, **DECLARED[layout] | declared)


@pytest.mark.parametrize(("layout", "context"), [("nt-v2", 1000), ("dnabert2", 5000)])
def test_a_shorter_context_than_the_weights_take_may_be_declared(folder, layout, context):
    assert verify(folder(layout), **DECLARED[layout] | {"context": context})["context"] == context


def test_a_broken_checkpoint_is_refused_at_the_door(folder):
    place = folder("nt-v2")
    path = place / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    refused(place, str(path), "cut short", **DECLARED["nt-v2"])


def test_a_file_that_the_source_does_not_list_is_refused(folder):
    place = folder("dnabert2")
    listed = sorted(place.iterdir())
    (place / ".config.json.part").touch()  # of a download
    (place / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match=r"pytorch_model.bin: not among the files of source toy"):
        step("verify").main(listed, place / "vault.json", "toy", {"checkpoint": DECLARED["dnabert2"]})
