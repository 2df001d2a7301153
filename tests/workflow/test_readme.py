"""What the README and the pages of docs/ tell a user to type is there, and does what they say."""

import inspect
import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from toy_models import about, published
from workflow_tools import ROOT, clone, environment, step

from regdna import models
from regdna.alphabet import encode

PAGES = {path.name: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
MASTER = "profiles/slurm/master.sh"
README, MODELS = PAGES["README.md"], PAGES["models.md"]


def blocks(page: str, language: str) -> list[str]:
    """Fenced blocks of a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def commands(program: str) -> dict[str, list[str]]:
    """Every command that a page tells to type, in a block or in backquotes, as arguments; by its text."""
    lines = [line for page in PAGES.values() for block in blocks(page, "sh") for line in block.splitlines()]
    lines += [inline for page in PAGES.values() for inline in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page)]
    found = [shlex.split(line, comments=True) for line in lines if line.startswith(program + " ")]
    return {shlex.join(one): one for one in found if "..." not in "".join(one) and "{" not in one[1]}


SNAKEMAKE = commands("snakemake")
PYTHON = {text: one for text, one in commands("python").items() if one[1] != "-c"}
# What is given to profiles/slurm/master.sh is given to Snakemake.
SNAKEMAKE |= {
    text: ["snakemake", "--profile", "slurm", *one[one.index(MASTER) + 1 :]] for text, one in commands("sbatch").items() if MASTER in one
}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone in which nothing was run, with the README's study and table, its further models beside it."""
    folder = clone(tmp_path_factory.mktemp("readme") / "regdna")
    (folder / "studies").mkdir()
    (folder / "enhancers.csv").write_text("sequence,enhancer\n" + "".join(f"{'ACGT' * 50},{i % 2}\n" for i in range(20)))
    first, more = (yaml.safe_load(block) for block in blocks(README, "yaml")[:2])
    first["models"] |= more["models"]
    (folder / "studies/mine.yaml").write_text(yaml.safe_dump(first))
    return folder


def dry_run(folder, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """A snakemake command with `-n` before all else."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", *arguments], cwd=folder, env=environment(), capture_output=True, text=True
    )


def test_there_are_commands_and_snippets_to_try():
    assert len(SNAKEMAKE) >= 18 and len(PYTHON) >= 4
    assert len(blocks(README, "yaml")) == 4 and len(blocks(MODELS, "yaml")) == 2 and len(blocks(MODELS, "python")) == 2


def parsed(arguments: list[str]) -> dict:
    """What Snakemake makes of a command line."""
    from snakemake.cli import get_argument_parser

    return vars(get_argument_parser().parse_args(arguments))


@pytest.mark.parametrize("text", SNAKEMAKE)
def test_snakemake_takes_every_command_line(text, capsys):
    try:
        given = parsed(SNAKEMAKE[text][1:])
    except SystemExit:
        pytest.fail(f"{text}: {capsys.readouterr().err.splitlines()[-1]}")
    assert all((ROOT / one / "config.v9+.yaml").is_file() for one in given["profile"] or [] if one != "mysite"), text
    # An option that takes a list must not have taken the targets.
    assert all("=" in one for one in given["config"] or []), text


def test_every_target_of_a_command_can_be_asked_for(fresh):
    """One dry run for each study that the commands are about, of all the targets that they name."""
    wanted = {}
    for arguments in SNAKEMAKE.values():
        given = parsed(arguments[1:])
        if not (given["report"] or "compare" in given["targets"]):  # which needs two finished studies
            settings = tuple(one for one in given["config"] or [] if not one.startswith("downloaded="))
            if "study=mine" in settings:
                settings = ("study=mine", "study_folder=studies")
            if any(target.startswith("results/tiny/") for target in given["targets"]):  # the recipes of reruns.md
                settings = ("study=tiny", "study_folder=tests/studies")
            wanted.setdefault(settings, set()).update(given["targets"])
    assert len(wanted) >= 3
    for settings, targets in wanted.items():
        result = dry_run(fresh, ["-q", "host", *(["--config", *settings] if settings else []), "--", *sorted(targets)])
        assert result.returncode == 0, result.stdout + result.stderr
        assert re.search(r"^total +\d+$", result.stdout + result.stderr, flags=re.MULTILINE)


@pytest.mark.parametrize("text", PYTHON)
def test_every_script_that_is_named_takes_its_options(text):
    script, *options = PYTHON[text][1:]
    assert (ROOT / script).is_file()
    takes = inspect.signature(step(script.removeprefix("workflow_scripts/").removesuffix(".py")).main).parameters
    named = [one.removeprefix("--").replace("-", "_") for one in options if one.startswith("--")]
    assert set(named) - {"help"} <= set(takes)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    folder = ROOT if page == "README.md" else ROOT / "docs"
    for link in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        path, _, place = link.partition("#")
        target = folder / path if path else folder / page
        assert target.exists(), link
        if place:
            heads = re.findall(r"^#+ (.+)$", target.read_text(), flags=re.MULTILINE)
            assert place in {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}, link


def merged(study: dict, more: dict) -> dict:
    """A study with lines of another beside its own."""
    return study | {key: merged(study[key], one) if isinstance(one, dict) and key in study else one for key, one in more.items()}


def test_a_cell_type_and_a_locus_are_added_to_the_demo_as_the_readme_shows(fresh):
    study = yaml.safe_load((fresh / "resources/studies/demo.yaml").read_text())
    for block in blocks(README, "yaml")[2:]:
        study = merged(study, yaml.safe_load(block))
    (fresh / "added").mkdir()
    (fresh / "added/added.yaml").write_text(yaml.safe_dump(study))
    (fresh / "liver.narrowPeak.gz").write_bytes(b"")
    with (fresh / "resources/loci.tsv").open("a") as loci:
        loci.write(blocks(README, "text")[0])
    wanted = ["results/added/chr22/targets.npy", "results/added/chr22/kmer-logistic/mutagenesis/my-promoter.npz"]
    result = dry_run(fresh, ["-q", "host", "--config", "study=added", "study_folder=added", "--", *wanted])
    assert result.returncode == 0, result.stdout + result.stderr
    assert "results/sources/liver/peaks.bed.gz" in result.stdout


def test_every_make_target_the_readme_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z]+)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


# --- docs/models.md ---


def test_the_three_ways_to_begin_are_a_study(fresh):
    study = yaml.safe_load((fresh / "studies/mine.yaml").read_text())
    study["models"] = yaml.safe_load(blocks(MODELS, "yaml")[0])["models"]
    (fresh / "ways").mkdir()
    (fresh / "ways/ways.yaml").write_text(yaml.safe_dump(study))
    result = dry_run(fresh, ["-q", "host", "--config", "study=ways", "study_folder=ways", "--"])
    assert result.returncode == 0, result.stderr
    assert "weights hub-nt-v2-50m: CC BY-NC-SA 4.0" in result.stderr
    assert re.search(r"^train_model +3$", result.stdout + result.stderr, flags=re.MULTILINE)


def test_a_checkpoint_of_your_own_is_opened_as_the_page_shows(fresh):
    given = yaml.safe_load(blocks(MODELS, "yaml")[1].replace("/data/mine", str(published(fresh / "own", "dnabert2"))))
    study = yaml.safe_load((fresh / "studies/mine.yaml").read_text()) | given
    (fresh / "others").mkdir()
    (fresh / "others/own.yaml").write_text(yaml.safe_dump(study))
    settings = ["--config", "study=own", "study_folder=others", "--"]
    result = dry_run(fresh, ["-q", "host", *settings, "train"])
    assert re.search(r"^train_model +2$", result.stdout + result.stderr, flags=re.MULTILINE), result.stderr
    real = [sys.executable, "-m", "snakemake", "-c1", "-q", "all", *settings, "vault"]
    done = subprocess.run(real, cwd=fresh, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((fresh / "results/sources/mine/vault.json").read_text())["architecture"] == "dnabert2"


def trained(folder, layout: str):
    """A checkpoint as training writes it, of made-up published weights, and its network."""
    entry = about("nucleotide-transformer", {"pooling": "attention", "l2": 1.0}, 60, 3, weights="made-up", initialisation="published")
    family = models.family("nucleotide-transformer")
    net = family.build(entry, lambda: None, published(folder.parent / f"published-{layout}", layout)).eval()
    folder.mkdir(parents=True)
    family.save(folder, entry, net)
    return net


def hidden(net) -> np.ndarray:
    """Last hidden state of the sequence that the page's snippets are about."""
    ids, mask = net.tokeniser.encode(encode("ACGTGACTACNGGATCCATTG")[None])
    with torch.no_grad():
        return net(torch.from_numpy(ids), torch.from_numpy(mask)).last_hidden_state.numpy()


def run_snippet(text: str, folder, name: str) -> np.ndarray:
    """Run a page's Python in a fresh process of a folder; what it left in a variable."""
    (folder / "snippet.py").write_text(f"{text}\nimport numpy\nnumpy.save('left.npy', {name}.numpy())\n")
    done = subprocess.run([sys.executable, "snippet.py"], cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "left.npy")


def test_a_trained_model_opens_with_the_library_as_the_page_shows(fresh):
    snippet = blocks(MODELS, "python")[0]
    net = trained(fresh / re.search(r'models\.load\("([^"]+)"\)', snippet)[1], "nt-v2")
    assert np.array_equal(run_snippet(snippet, fresh, "answer.last_hidden_state"), hidden(net))
    assert run_snippet(snippet, fresh, "answer.logits").shape == (1, 3)


def test_an_encoder_opens_in_transformers_alone_as_the_page_shows(tmp_path):
    snippet = blocks(MODELS, "python")[1]
    net = trained(tmp_path / re.search(r'AutoModel\.from_pretrained\("([^"]+)"\)', snippet)[1], "nt-v1")
    assert "workflow_scripts" not in snippet
    assert np.abs(run_snippet(snippet, tmp_path, "hidden") - hidden(net)).max() < 1e-6


def test_the_page_names_every_architecture_its_regimes_and_its_adapters_settings():
    table = MODELS.partition("| `architecture` |")[2].partition("\n\n")[0]
    rows = {row.split("|")[1].strip(" `"): row for row in table.splitlines() if row.startswith("| `")}
    assert set(rows) == set(models.ARCHITECTURES)
    for name, known in models.ARCHITECTURES.items():
        assert all(f"`{regime}`" in rows[name] for regime in known.regimes), name
        for setting in ("rank", "alpha", "adapter_dropout"):
            assert setting not in known.parameters or f"`{setting}: {known.parameters[setting]}`" in MODELS


def test_the_page_names_every_pooling():
    from regdna.models.pooling import POOLINGS

    for name in (*POOLINGS, "best"):
        assert f"\n| `{name}` |" in MODELS
