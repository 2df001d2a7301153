"""The four shipped studies from download to report, small, on real data from local stand-ins of their servers."""

import json
import re
import shutil
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
import yaml
from stand_ins import ELEMENT, StandIns, served
from workflow_tools import clone, environment, planned, snakemake

pytestmark = pytest.mark.slow
CNNS = {
    "basset": {"filters": [12, 8, 8], "hidden": 8},
    "deepsea": {"filters": [8, 8, 8], "hidden": 8},
    "basenji": {"filters": [8, 8, 8], "dilated": 8, "blocks": 2, "hidden": 8},
}
# Models of each study here: every line of the shipped files runs in one of them, all of them would take an hour.
MODELS = {
    "sequences": ["composition", "nearest", "kmer-logistic", "basset", "dnabert2-probe"],
    "deepsea": ["position", "kmer-logistic", "deepsea", "nt-v2-500m"],
    "roadmap": ["kmer-logistic", "basenji", "dnabert2"],
    "encode": ["kmer-logistic", "basset", "nt-v2-50m", "nt-v2-500m-probe"],
}
# What of a study's targets there are peaks for, as ENCODE's own accessions of hg19.
PEAKS = {
    "GM12878": {"dnase": "ENCFF097LEF", "h3k4me3": "ENCFF295GNH", "h3k27ac": "ENCFF816AHV", "ctcf": "ENCFF833FTF"},
    "pancreas": {"dnase": "ENCFF897PRD", "h3k4me3": "ENCFF931ZDN", "ctcf": "ENCFF823LGP"},
    "uterus": {"dnase": "ENCFF775GBM", "h3k4me3": "ENCFF056LGK", "ctcf": "ENCFF517CGI"},
    "ovary": {"dnase": "ENCFF883WWT", "h3k4me3": "ENCFF320JHG", "ctcf": "ENCFF522DLJ"},
}


def smaller(name: str, study: dict) -> dict:
    """A shipped study at the size of a test; every change stands here, with its reason."""
    # Fewer models, one seed, one epoch and one trial: time.
    study["models"] = {model: study["models"][model] for model in MODELS[name]}
    study["seeds"] = [1]
    study["tuning"] = {"trials": 1, "share": 0.5}
    study["training"]["epochs"] = 1
    for model, entry in study["models"].items():
        entry.get("training", {}).pop("epochs", None)
        entry["parameters"] = entry.get("parameters", {}) | {key: value for key, value in CNNS.get(model, {}).items()}
        entry["controls"] = entry.get("controls", [])[:1]
    study["evaluation"] |= {"replicates": 100}
    if "contexts" in study["evaluation"]:
        study["evaluation"]["contexts"] = [200]
        study["interactions"] |= {"spacings": [0, 4]} | ({"positions": 2} if "positions" in study["interactions"] else {})
    if "shifts" in study.get("effects", {}):
        study["effects"]["shifts"] = [0, 3]
    for dataset, entry in study["datasets"].items():
        # Two megabases have no chromosomes to hold out, and no twenty blocks of a megabase.
        if entry["split"]["rule"] == "chromosomes":
            entry["split"] = {"rule": "chromosomes", "test": ["chr22:20,000,001-20,600,000"], "validation": ["chr22:20,600,001-21,000,000"]}
        if "block" in entry:
            entry["block"] = 20_000
        # Every bin, since there are few; too few to match negatives in more than GC, or to take 200,000 of them.
        if "windows" in entry:
            entry["windows"]["stride"] = 200
            entry["negatives"]["match"] = ["gc"]
            entry["training_sites"] = 500
        # The only loci that lie in the sequence that is served.
        if "loci" in entry:
            entry["loci"] = ["dgcr8-promoter", ELEMENT[0].lower()]
        # A thousand training windows of each set, and the slow models on the smallest set: time.
        if name == "sequences":
            entry["training_sites"] = 1000
        if name == "deepsea":
            entry |= {"training_sites": 300} if dataset == "bundle-50k" else {}
    if name == "sequences":
        for model in ("nearest", "dnabert2-probe"):
            study["models"][model]["datasets"] = ["core-promoter-tata"]
    if name == "roadmap":
        # Three epigenomes of five are enough for transfer; a file is a job.
        targets = study["datasets"]["marks"]["targets"]
        study["datasets"]["marks"]["targets"] = {one: targets[one] for one in targets if one.startswith(("gm12878-", "hepg2-", "liver-"))}
    if name == "encode":
        encode_of_hg19(study["datasets"]["elements"])
    return study


def encode_of_hg19(entry: dict) -> None:
    """The dataset of `encode` on the data at hand: its assembly, and the cell types and marks that there are peaks for."""
    text = yaml.safe_dump(entry)
    for old, new in (("gencode-v49/gencode.v49", "gencode-v19/gencode.v19"), ("blacklist-hg38/ENCFF356LFX.bed.gz",
                     "blacklist-hg19/hg19-blacklist.v2.bed.gz"), ("hg38", "hg19")):  # fmt: skip
        text = text.replace(old, new)
    entry |= yaml.safe_load(text)
    targets = {name: one for name, one in entry["targets"].items() if "cell_type" not in one}
    for cell, files in PEAKS.items():
        for assay, accession in files.items():
            shipped = entry["targets"][f"gm12878-{assay}"]
            targets[f"{cell.lower()}-{assay}"] = shipped | {"intervals": f"encode-hg19/{accession}.bed.gz", "cell_type": cell}
    entry["targets"] = targets


def stand_in(name: str, stands: StandIns, study: dict) -> None:
    """Serve what a study reads."""
    if name == "sequences":
        stands.gue()
    elif name == "deepsea":
        stands.bundle()
    else:
        stands.genome()
        stands.tables()
        stands.measured()
    if name == "roadmap":
        stands.roadmap(study["datasets"]["marks"]["targets"])
        stands.published_deepsea()
    if name == "encode":
        stands.encode([accession for files in PEAKS.values() for accession in files.values()])
        stands.elements()
    stands.weights(*sorted({entry["weights"] for entry in study["models"].values() if "weights" in entry}))
    stands.write()


@pytest.fixture(scope="module", params=["sequences", "roadmap", "encode", "deepsea"])
def finished(request, tmp_path_factory):
    """A clone in which a study was run to its report: its name, the folder, and the study as it ran."""
    name, shared = request.param, Path(__file__).resolve().parents[3] / "shared"
    if not shared.is_dir():
        pytest.skip(f"{shared} is not there: real data lie only beside the project's own checkout")
    if shutil.which("bedtools", path=environment()["PATH"]) is None:
        pytest.skip("bedtools is not installed")
    base = tmp_path_factory.mktemp(name)
    folder = clone(base / "regdna")
    study = smaller(name, yaml.safe_load((folder / f"resources/studies/{name}.yaml").read_text()))
    (folder / "small").mkdir()
    (folder / f"small/{name}.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    (base / "served").mkdir()
    with served(base / "served") as address:
        stand_in(name, StandIns(folder, base / "served", address, shared / "data"), study)
        result = snakemake(folder, "all", study=name, studies="small")
    assert result.returncode == 0, result.stderr[-5000:]
    return name, folder, study


def words(page: Path) -> str:
    """What a reader sees of a page: no tags, styles or scripts."""
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", page.read_text(), flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", " ", text))


class TestFinished:
    def test_the_report_has_a_verdict_and_names_all_that_was_run(self, finished):
        name, folder, study = finished
        said = json.loads((folder / f"results/{name}/report.json").read_text())
        assert set(said["datasets"]) == set(study["datasets"])
        seen = words(folder / f"results/{name}/report.html")
        for dataset, entry in study["datasets"].items():
            shown, verdict = said["datasets"][dataset], said["datasets"][dataset]["verdict"]
            assert verdict["headline"] in seen and entry["title"] in seen
            run = {model for model, one in study["models"].items() if dataset in one.get("datasets", [dataset])}
            controls = {f"{model}-{control}" for model in run for control in study["models"][model]["controls"]}
            assert {one["model"] for one in shown["leaderboard"]} == run | controls
            assert all(model in seen for model in run | controls)
            assert all(one in seen for one in [*entry.get("loci", []), *entry.get("variants", {})])
            for model in (one for one in run if study["models"][one].get("mutagenesis")):
                made = folder / f"results/{name}/{dataset}/{model}"
                assert all((made / f"mutagenesis/{locus}.npz").is_file() for locus in entry.get("loci", []))
                assert all(len(pd.read_parquet(made / f"variants/{one}.parquet")) > 500 for one in entry.get("variants", {}))

    def test_no_page_says_nan(self, finished):
        name, folder, _ = finished
        pages = [*folder.glob(f"results/{name}/**/*.html")]
        assert pages
        for page in pages:
            assert not (found := re.search(r".{40}\b(nan|NaN|None|inf)\b.{40}", words(page), flags=re.DOTALL)), (page.name, found)

    def test_words_of_five_bases_tell_sites_from_others(self, finished):
        name, folder, study = finished  # CTCF alone is at chance in encode: some 20 positive bins train
        for dataset in study["models"]["kmer-logistic"].get("datasets", study["datasets"]):
            metrics = pd.read_parquet(folder / f"results/{name}/{dataset}/kmer-logistic/metrics.parquet")
            mean = metrics[(metrics["part"] == "test") & (metrics["metric"] == "auroc") & (metrics["seed"] == -1)].set_index("target")[
                "value"
            ]
            assert mean[-1] > 0.55, (dataset, mean[-1])

    def test_what_was_fetched_is_what_was_served_and_the_rest_is_pinned(self, finished):
        name, folder, _ = finished
        sources = yaml.safe_load((folder / "resources/sources.yaml").read_text())
        served_files = {path.read_bytes() for path in folder.parent.glob("served/*.*/**/*") if path.is_file()}
        fetched = [path for path in folder.glob("results/sources/*/*") if path.name in sources.get(path.parent.name, {}).get("files", {})]
        unpacked = {"train.mat", "valid.mat", "test.mat", "allTFs.pos.bed"}
        assert len(fetched) > 5 and all(path.read_bytes() in served_files for path in fetched if path.name not in unpacked)
        pinned = pd.read_csv(folder / "resources/sources.lock.tsv", sep="\t")
        assert pinned["url"].str.startswith("http://127.0.0.1").all()

    def test_nothing_runs_again_though_the_servers_are_gone(self, finished):
        name, folder, _ = finished
        assert planned(folder, "all", study=name, studies="small") == {}
