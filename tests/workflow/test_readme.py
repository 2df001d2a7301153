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

PAGES = {path.name: path.read_text() for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]}
MASTER = "profiles/slurm/master.sh"
README, MODELS = PAGES["README.md"], PAGES["models.md"]
# What is run here as it stands, in a clone.
RUN = (
    "df -h .",
    "du -sh results/* .snakemake .venv",
    "cp profiles/slurm/site.template.yaml profiles/slurm/site.yaml",
    "export https_proxy=",
    "python -c",
    "source .venv/bin/activate",
    "mkdir -p .snakemake",
)
# What is not run by any test of this folder, by how it begins, and why.
NOT_RUN = {
    "sbatch": "needs Slurm: tests/slurm runs master.sh; what follows its name is tried as Snakemake's",
    "squeue": "needs Slurm: tests/slurm",
    "exec": "of a job of Slurm; tests/e2e runs resume.py",
    "sacct": "needs Slurm: tests/slurm",
    "tmux": "needs a terminal",
    "apptainer": "needs Apptainer; the command within is tried",
    "pip": "needs a network",
    "module": "of a cluster",
    "git clone": "needs a network",
    "nvidia-smi": "needs a GPU's driver",
    "dmesg": "needs the right to read the kernel's log",
    "cd": "of a notebook",
    "cp -a": "of a notebook's mounted drive",
    "mkdir -p /content": "of a notebook's mounted drive",
    "cat results/": "needs a finished run: test_chain.py",
    "sed -i": "a recipe: test_chain.py",
    "rm ": "a recipe: test_chain.py",
    "mv results/demo": "needs a finished run: test_compare.py does it",
    "snakemake --config studies=": "needs two finished studies: test_compare.py",
    "snakemake --report": "needs a finished run: test_chain.py",
    "snakemake --summary": "needs a finished run: test_chain.py",
    "snakemake --rulegraph": "test_docs.py",
    "snakemake --profile slurm --software-deployment-method": "needs conda, even to plan",
    "snakemake --profile mysite": "a profile that the reader has",
}


def blocks(page: str, language: str) -> list[str]:
    """Fenced blocks of a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def simple(line: str) -> list[list[str]]:
    """The commands of a line, each as its arguments: parts of a pipe, and what another program is told to run."""
    found = []
    for part in re.split(r" \|\|? | && ", line.lstrip("!%")):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"[A-Za-z_]+=.*", words[0]):
            words = words[1:]
        words = [words[0].removeprefix(".venv/bin/"), *words[1:]] if words else words
        found.append(words)
        if "--wrap" in words:
            found += simple(words[words.index("--wrap") + 1])
        elif words[:2] == ["apptainer", "exec"]:
            found.append(words[words.index("regdna.sif") + 1 :])
        elif MASTER in words:
            found.append(["snakemake", "--profile", "slurm", *words[words.index(MASTER) + 1 :]])
    return [words for words in found if words]


def typed() -> dict[str, list[str]]:
    """Every command that a page tells to type, in a block or in backquotes, as arguments; by its text."""
    fences = [found for page in PAGES.values() for found in re.findall(r"^```(.*?)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)]
    inside = [line for language, block in fences if language in ("", "sh") for line in block.splitlines() if line.strip()]
    known = {words[0] for line in inside for words in simple(line)} | {one.split()[0] for one in NOT_RUN}
    prose = [re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL) for page in PAGES.values()]
    inline = [one for page in prose for one in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page) if one.split()[0] in known and " " in one]
    found = {shlex.join(words): words for line in inside + inline for words in simple(line)}
    return {text: words for text, words in found.items() if "..." not in text and "{" not in words[min(1, len(words) - 1)]}


TYPED = typed()
SNAKEMAKE = {text: words for text, words in TYPED.items() if words[0] == "snakemake"}
PYTHON = {text: words for text, words in TYPED.items() if words[0] == "python" and words[1] != "-c"}
STEPS = {text: words for text, words in PYTHON.items() if words[1].startswith("workflow_scripts/") and "resume.py" not in words[1]}
MAKE = {text: words for text, words in TYPED.items() if words[0] == "make"}


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


def excused(text: str) -> bool:
    """Whether a command is one that no test here runs, for a stated reason."""
    return any(text.startswith(one) for one in NOT_RUN)


def test_every_command_is_run_here_or_says_why_not():
    covered = {*SNAKEMAKE, *PYTHON, *MAKE, *(text for text in TYPED if text.replace("'", "").startswith(RUN))}
    left = [text for text in TYPED if text not in covered and not excused(text) and TYPED[text][0] != "grep"]
    assert not left, "no test runs these; put them into RUN, or into NOT_RUN with the reason"
    for one in NOT_RUN:
        assert any(text.startswith(one) for text in TYPED), f"no page says {one} any more"


def test_the_shell_takes_every_block():
    for name, page in PAGES.items():
        done = subprocess.run(["bash", "-n"], input="\n".join(blocks(page, "sh")), capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {done.stderr}"


def test_what_needs_nothing_is_run_as_it_stands(fresh):
    for folder in (".venv/bin", ".snakemake"):
        (fresh / folder).mkdir(parents=True, exist_ok=True)
    (fresh / ".venv/bin/activate").touch()
    for text in TYPED:
        if text.replace("'", "").startswith(RUN):
            # As it is typed: what the shell is to expand must not be quoted.
            line = text if text.startswith("python") else text.replace("'", "")
            done = subprocess.run(["bash", "-c", line], cwd=fresh, env=environment(), capture_output=True, text=True)
            assert done.returncode == 0, f"{line}: {done.stderr}"
    (fresh / "profiles/slurm/site.yaml").unlink()
    done = subprocess.run([sys.executable, "-m", "snakemake", "--unlock"], cwd=fresh, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and "snakemake --unlock" in SNAKEMAKE, done.stderr


def test_every_target_of_a_command_can_be_asked_for(fresh):
    """One dry run for each study that the commands are about, of all the targets that they name."""
    wanted = {}
    for text, arguments in SNAKEMAKE.items():
        given = parsed(arguments[1:])
        if not excused(text):
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


def test_options_of_commands_are_taken_in_a_dry_run(fresh):
    """All of them at once; those of recipes are tried on a finished run (test_chain.py), profiles without Slurm (test_dry_run.py)."""
    names = ("--cores", "--latency-wait", "--rerun-triggers", "--resources", "--set-resources")
    words = [word for name in names for word in option(next(one for one in SNAKEMAKE.values() if name in one), name)]
    result = dry_run(fresh, ["-q", "host", *words, "--", "sources"])
    assert result.returncode == 0, f"{words}: {result.stderr}"


def option(arguments: list[str], name: str) -> list[str]:
    """An option of a command line with its values."""
    start = arguments.index(name)
    after = [at for at, word in enumerate(arguments) if at > start and word.startswith("-")]
    return arguments[start : min(after, default=len(arguments))]


@pytest.mark.parametrize("text", MAKE)
def test_make_knows_what_it_is_told(text):
    done = subprocess.run(["make", "-n", *MAKE[text][1:]], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", sorted({words[1] for words in STEPS.values()}))
def test_every_script_that_is_named_says_how_it_is_called(script):
    done = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


def test_every_script_that_is_named_is_there():
    assert all((ROOT / words[1]).is_file() for words in PYTHON.values())


@pytest.mark.parametrize("text", STEPS)
def test_every_step_that_is_named_takes_its_options(text):
    script, *options = STEPS[text][1:]
    takes = inspect.signature(step(script.removeprefix("workflow_scripts/").removesuffix(".py")).main).parameters
    named = [one.removeprefix("--").replace("-", "_") for one in options if one.startswith("--")]
    assert set(named) - {"help"} <= set(takes)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    folder = ROOT if (ROOT / page).is_file() else ROOT / "docs"
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


# --- docs/models.md ---


def test_the_three_ways_to_begin_are_a_study(fresh):
    study = yaml.safe_load((fresh / "studies/mine.yaml").read_text())
    study |= {"models": yaml.safe_load(blocks(MODELS, "yaml")[0])["models"], "seeds": [1]}
    (fresh / "ways").mkdir()
    (fresh / "ways/ways.yaml").write_text(yaml.safe_dump(study))
    result = dry_run(fresh, ["-q", "host", "--config", "study=ways", "study_folder=ways", "--"])
    assert result.returncode == 0, result.stderr
    assert "weights hub-nt-v2-50m: CC BY-NC-SA 4.0" in result.stderr
    assert re.search(r"^train_model +3$", result.stdout + result.stderr, flags=re.MULTILINE)


def test_a_checkpoint_of_your_own_is_opened_as_the_page_shows(fresh):
    given = yaml.safe_load(blocks(MODELS, "yaml")[1].replace("/data/mine", str(published(fresh / "own", "dnabert2"))))
    study = yaml.safe_load((fresh / "studies/mine.yaml").read_text()) | {"seeds": [1]}
    study |= given | {"sources": merged(study["sources"], given["sources"])}
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
