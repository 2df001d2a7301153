import copy
from pathlib import Path

import pandas as pd
import pytest
import yaml

from regdna.manifest import read_yaml, validate
from regdna.models import ARCHITECTURES
from regdna.models.limits import context
from regdna.roster import complete_models
from regdna.shelf import read_studies, read_study
from regdna.sources.catalogue import complete
from regdna.step import InputError
from regdna.study import apply_preset, check_datasets, check_loci, references, weight_files

ROOT = Path(__file__).parents[2]
SCHEMA = read_yaml(ROOT / "rules/schemas/study.schema.yaml")
SPACES = validate(read_yaml(ROOT / "resources/tuning.yaml"), read_yaml(ROOT / "rules/schemas/tuning.schema.yaml"), "tuning.yaml")
SOURCES = {
    "dhs": {"assembly": "hg38", "files": {"1.npz": {}, "2.npz": {}, "open.bed.gz": {}}},
    "part": {"assembly": "hg19", "regions": [["chr2", 20_000, 90_000]], "files": {"sequence.fa.gz": {}}},
    "annotation": {"assembly": "hg19", "files": {"tss.bed": {}, "islands.bed": {}, "calls.vcf": {}, "k562.bigWig": {}}},
    "other": {"assembly": "hg38", "files": {"tss.bed": {}, "calls.vcf": {}, "k562.bigWig": {}}},
    "genes": {"assembly": "", "files": {"own.csv": {}}},
    "nt": {"assembly": "", "files": {"n.json": {}, "n.bin": {}}, "checkpoint": {"architecture": "nucleotide-transformer", "context": 600}},
    "bpe": {"assembly": "", "files": {"b.bin": {}}, "checkpoint": {"architecture": "dnabert2", "context": 0}},
    "kipoi": {"assembly": "", "files": {"k.pth": {}}, "checkpoint": {"architecture": "basset", "context": 600}},
    "strange": {"assembly": "", "files": {"s.bin": {}}, "checkpoint": {"architecture": "dnabert3", "context": 0}},
}
PRESETS = {
    "published": {"assembly": "hg38", "rule": "chromosomes", "test": ["chr1"], "validation": ["chr2:1-30,000"], "unused": ["chr3"],
                  "known": "touches"},
    "elsewhere": {"assembly": "hg38", "rule": "chromosomes", "test": ["chr21"], "validation": ["chr2"]},
}  # fmt: skip
ASSEMBLIES = pd.DataFrame(
    [("hg19", "chr1", 50_000), ("hg19", "chr2", 100_000), ("hg38", "chr1", 50_000), ("hg38", "chr2", 60_000), ("hg38", "chr3", 60_000)],
    columns=["assembly", "chrom", "length"],
)
LOCI = pd.DataFrame(
    [
        ("good", "hg19", "chr2", 50_000, 50_200),
        ("beyond", "hg19", "chr2", 99_900, 100_100),
        ("nowhere", "hg19", "chr9", 1, 200),
        ("turned", "hg19", "chr2", 50_200, 50_000),
        ("long", "hg19", "chr2", 50_000, 53_000),
        ("edge", "hg19", "chr2", 20_100, 20_300),
        ("fits", "hg19", "chr2", 20_401, 20_601),
        ("far", "hg19", "chr1", 10_000, 10_200),
        ("site", "hg38", "chr1", 400, 600),
    ],
    columns=["locus", "assembly", "chrom", "start", "end"],
).set_index(["locus", "assembly"])
STUDY = """
title: t
question: q
seeds: [1, 2]
datasets:
  sites:
    title: Sites
    assembly: hg38
    sequences: {files: [{file: dhs/1.npz}], length: 200}
    labels: exclusive
    split: {rule: chromosomes, test: [chr1], validation: [chr2]}
    loci: [site]
  region:
    title: Region
    assembly: hg19
    genome: part
    windows: {bin: 200, context: 1000}
    tss: annotation/tss.bed
    labels: multilabel
    targets:
      promoter: {intervals: annotation/tss.bed, upstream: 500, downstream: 500, rule: bin_half_covered}
      island: {intervals: annotation/islands.bed, rule: any_overlap}
    split: {rule: blocks, block: 5000, test: 2, validation: 2, gap: 1000}
    loci: [good]
    variants: {calls: {file: annotation/calls.vcf}}
models:
  kmer: {architecture: kmer-logistic, parameters: {k: 4}, mutagenesis: true}
  basset: {architecture: basset, training: {epochs: 2}, datasets: [sites], context: 200}
training: {epochs: 5, learning_rate: 0.01}
"""
REMOVED = object()


def edited(changes):
    """The study with values set, or removed, under dotted keys."""
    study = yaml.safe_load(STUDY)
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        place = study
        for key in path:
            place = place[key]
        if value is REMOVED:
            del place[last]
        else:
            place[last] = value
    return study


def completed(study, name="s", sources=SOURCES):
    """A validated study with its models completed as the workflow does."""
    return complete_models(study, ARCHITECTURES, sources, context, SCHEMA, name, SPACES)


def read(tmp_path, study, sources=SOURCES):
    """A study read and checked as the workflow does."""
    path = tmp_path / "s.yaml"
    path.write_text(study if isinstance(study, str) else yaml.safe_dump(study))
    found = completed(read_study(path, SCHEMA, PRESETS), str(path), sources)
    check_datasets(found, sources, ASSEMBLIES, LOCI, str(path))
    return found


def refused(tmp_path, study, *parts, sources=SOURCES):
    with pytest.raises(InputError) as error:
        read(tmp_path, study, sources)
    message = str(error.value)
    assert "\n" not in message
    for part in (str(tmp_path / "s.yaml"), *parts):
        assert part in message, message


def test_a_valid_study_is_completed(tmp_path):
    study = read(tmp_path, STUDY)
    assert study["models"]["kmer"]["parameters"] == {"k": 4, "l2": 1.0}
    assert study["models"]["kmer"]["seeds"] == [1]
    assert study["models"]["kmer"]["datasets"] == ["sites", "region"]
    basset = study["models"]["basset"]
    assert basset["parameters"] == ARCHITECTURES["basset"].sizes | ARCHITECTURES["basset"].parameters
    assert basset["initialisation"] == "random" and "weights" not in basset
    assert basset["seeds"] == [1, 2] and basset["datasets"] == ["sites"] and basset["regime"] == "full"
    assert (basset["training"]["epochs"], basset["training"]["learning_rate"], basset["training"]["batch_size"]) == (2, 0.01, 64)
    assert study["training"]["epochs"] == 5
    assert study["evaluation"] == {"replicates": 1000, "margin": 0.01, "contexts": []}
    assert study["datasets"]["region"]["targets"]["island"]["cell_type"] == ""
    assert study["datasets"]["sites"]["block"] == 1_000_000 and study["datasets"]["sites"]["variants"] == {}


def test_completing_changes_neither_the_study_nor_the_registry(tmp_path):
    content = yaml.safe_load(STUDY)
    before, registry = copy.deepcopy(content), copy.deepcopy(ARCHITECTURES)
    study = completed(validate(content, SCHEMA, "s"))
    study["models"]["basset"]["parameters"]["hidden"] = 1
    assert content == before
    assert registry == ARCHITECTURES


# what is changed, and what the message must hold besides the file
WRONG = {
    "unknown key at the top": ({"trainings": {}}, ["trainings: unknown key", "did you mean 'training'"]),
    "unknown key below": ({"datasets.region.windows.bins": 3}, ["datasets.region.windows.bins: unknown key", "did you mean 'bin'"]),
    "unknown key in training": ({"training.epoch": 3}, ["training.epoch: unknown key", "did you mean 'epochs'"]),
    "missing at the top": ({"question": REMOVED}, ["'question' is missing"]),
    "missing below": ({"datasets.sites.labels": REMOVED}, ["datasets.sites: 'labels' is missing"]),
    "missing in windows": ({"datasets.region.windows": {"bin": 200}}, ["datasets.region.windows: 'context' is missing"]),
    "no trials": ({"tuning": {"trials": 0}}, ["tuning.trials: 0"]),
    "trials of nothing": ({"tuning": {"trials": 2, "share": 0}}, ["tuning.share: 0"]),
    "more than all": ({"tuning": {"trials": 2, "share": 1.5}}, ["tuning.share: 1.5"]),
    "tuning without trials": ({"tuning": {}}, ["tuning: 'trials' is missing"]),
    "no such control": ({"models.kmer.controls": ["flank"]}, ["models.kmer.controls.0: 'flank'", "did you mean 'flank-only'"]),
    "a control twice": ({"models.kmer.controls": ["flank-only", "flank-only"]}, ["models.kmer.controls"]),
    "a twin of random weights": (
        {"models.basset.controls": ["random-init"]},
        ["models.basset.controls: random-init", "begins with random ones", "take it out"],
    ),
    "a twin of a random twin": (
        {"models.nt": {"weights": "nt", "initialisation": "random", "context": 200, "controls": ["random-init"]}},
        ["models.nt.controls: random-init"],
    ),
    "the id of a control is taken": (
        {"models.kmer.controls": ["flank-only"], "models.kmer-flank-only": {"architecture": "composition"}},
        ["models.kmer.controls: flank-only would be called 'kmer-flank-only'", "rename"],
    ),
    "no flank is seen": (
        {
            "models.basset": {
                "architecture": "basset",
                "context": 200,
                "datasets": ["region"],
                "controls": ["shuffled-labels", "centre-only"],
            }
        },
        ["models.basset.controls: centre-only needs a flank", "of region the model sees 200 bp and the bin has 200"],
    ),
    "an unknown schedule": ({"training.schedule": "cosin"}, ["training.schedule: 'cosin'", "did you mean 'cosine'"]),
    "a decay above one": ({"models.basset.training": {"layer_decay": 1.5}}, ["models.basset.training.layer_decay: 1.5"]),
    "an unknown precision": ({"training.precision": "fp16"}, ["training.precision: 'fp16' is none of auto, bf16, float32"]),
    "retries below none": ({"training.retries": -1}, ["training.retries: -1"]),
    "no GPU": ({"models.basset.gpu": 0}, ["models.basset.gpu: 0"]),
    "wrong type": ({"training.epochs": "five"}, ["training.epochs: 'five' is not of type integer"]),
    "text for a number": ({"datasets.sites.block": "1Mb"}, ["datasets.sites.block", "'1Mb'"]),
    "boolean for a number": ({"datasets.region.windows.bin": True}, ["datasets.region.windows.bin: True is not of type integer"]),
    "none for a mapping": ({"models": None}, ["models: None is not of type object"]),
    "too small": ({"training.epochs": 0}, ["training.epochs: 0"]),
    "unknown choice": ({"datasets.sites.labels": "exclusif"}, ["datasets.sites.labels", "did you mean 'exclusive'"]),
    "unknown assembly": (
        {"datasets.sites.assembly": "hg18"},
        ["datasets.sites.assembly: 'hg18' is not in resources/assemblies.tsv", "did you mean 'hg38'"],
    ),
    "unknown rule": ({"datasets.region.targets.island.rule": "any"}, ["datasets.region.targets.island.rule", "'any_overlap'"]),
    "bad id": ({"models.Big_Model": {"architecture": "basset"}}, ["models", "'Big_Model'", "small letters, digits and hyphens"]),
    "same seed twice": ({"seeds": [1, 1]}, ["seeds"]),
    "the same pair of motifs twice": (
        {"interactions": {"motifs": {"a": "GATA"}, "pairs": [["a", "a"], ["a", "a"]]}},
        ["interactions.pairs", "non-unique"],
    ),
    "no seed": ({"seeds": []}, ["seeds"]),
    "unknown architecture": ({"models.kmer.architecture": "bassett"}, ["models.kmer.architecture: 'bassett'", "did you mean 'basset'"]),
    "unknown parameter": ({"models.kmer.parameters": {"kk": 4}}, ["models.kmer.parameters.kk: unknown key", "did you mean 'k'"]),
    "wrong parameter": ({"models.kmer.parameters": {"k": 4.5}}, ["models.kmer.parameters.k: 4.5 is not of type int"]),
    "boolean parameter": ({"models.kmer.parameters": {"k": True}}, ["models.kmer.parameters.k: True is not of type int"]),
    "text parameter": ({"models.basset.parameters": {"filters": "96"}}, ["models.basset.parameters.filters", "list"]),
    "unknown setting": ({"models.basset.training": {"epoch": 4}}, ["models.basset.training.epoch: unknown key", "'epochs'"]),
    "wrong setting": ({"models.basset.training": {"shift": "4"}}, ["models.basset.training.shift: '4'", "int"]),
    "number for a switch": ({"models.basset.training": {"reverse_complement": 1}}, ["basset.training.reverse_complement: 1", "bool"]),
    "regime it has not": ({"models.basset.regime": "probe"}, ["models.basset.regime", "basset has full, not probe"]),
    "adapters it has not": ({"models.basset.regime": "lora"}, ["models.basset.regime", "basset has full, not lora"]),
    "unknown regime": ({"models.basset.regime": "lorra"}, ["models.basset.regime: 'lorra'", "did you mean 'lora'"]),
    "setting out of range": ({"models.basset.training": {"warmup": 2.0}}, ["models.basset.training.warmup: 2.0"]),
    "no architecture": ({"models.kmer": {}}, ["models.kmer: 'architecture' is missing", "or 'weights'"]),
    "nothing published": ({"models.basset.initialisation": "published"}, ["models.basset.initialisation", "need 'weights'", "say random"]),
    "unknown start": ({"models.basset.initialisation": "pretrained"}, ["basset.initialisation: 'pretrained'", "published, random"]),
    "unknown weights": ({"models.kmer": {"weights": "nt2"}}, ["models.kmer.weights: source 'nt2' is neither in", "did you mean 'nt'"]),
    "weights that are none": ({"models.kmer": {"weights": "genes"}}, ["models.kmer.weights: source 'genes' has no 'checkpoint'"]),
    "weights of nothing known": (
        {"models.kmer": {"weights": "strange"}},
        ["models.kmer.weights: source strange: checkpoint.architecture: 'dnabert3' is not known", "did you mean 'dnabert"],
    ),
    "weights of another architecture": (
        {"models.kmer": {"weights": "nt", "architecture": "dnabert2"}},
        ["models.kmer.architecture: dnabert2, but source nt is nucleotide-transformer"],
    ),
    "a size beside weights": (
        {"models.kmer": {"weights": "nt", "parameters": {"l2": 2.0, "layers": 3}}},
        ["models.kmer.parameters.layers: a size, and sizes are those of the weights"],
    ),
    "unknown parameter beside weights": (
        {"models.kmer": {"weights": "nt", "parameters": {"lay": 3}}},
        ["models.kmer.parameters.lay: unknown key"],
    ),
    "sizes of no network": ({"models.basset.parameters": {"widths": [8]}}, ["models.basset.parameters", "3, 1 and 3"]),
    "model's dataset": ({"models.basset.datasets": ["site"]}, ["models.basset.datasets: 'site'", "did you mean 'sites'"]),
    "both kinds": ({"datasets.sites.windows": {"bin": 200, "context": 200}}, ["datasets.sites", "either 'sequences' or 'windows'"]),
    "neither kind": ({"datasets.sites.sequences": REMOVED}, ["datasets.sites", "either 'sequences' or 'windows'"]),
    "genome without targets": ({"datasets.region.targets": REMOVED}, ["datasets.region", "needs 'genome' and 'targets'"]),
    "windows without genome": ({"datasets.region.genome": REMOVED}, ["datasets.region", "needs 'genome' and 'targets'"]),
    "sequences with targets": (
        {"datasets.sites.targets": {"a": {"intervals": "other/tss.bed", "rule": "any_overlap"}}},
        ["datasets.sites: sequences carry their labels", "take out 'targets'"],
    ),
    "sequences with negatives": ({"datasets.sites.negatives": {}}, ["datasets.sites: sequences carry their labels"]),
    "no files": ({"datasets.sites.sequences": {"files": []}}, ["datasets.sites.sequences.files"]),
    "no such part": (
        {"datasets.sites.sequences": {"files": [{"file": "dhs/1.npz", "part": "tests"}]}},
        ["datasets.sites.sequences.files.0.part: 'tests'", "did you mean 'test'"],
    ),
    "chrom without start": (
        {"datasets.sites.sequences": {"files": [{"file": "dhs/1.npz"}], "columns": {"chrom": "c"}}},
        ["datasets.sites.sequences.columns", "'start'"],
    ),
    "intervals without genome": (
        {"datasets.sites.sequences": {"files": [{"file": "dhs/1.npz"}, {"file": "dhs/open.bed.gz"}], "length": 200}},
        ["datasets.sites.sequences.files.1: intervals have no sequence", "'genome' and 'sequences.length'"],
    ),
    "intervals without length": (
        {
            "datasets.region.sequences": {"files": [{"file": "annotation/tss.bed"}]},
            "datasets.region.windows": REMOVED,
            "datasets.region.targets": REMOVED,
        },
        ["datasets.region.sequences.files.0: intervals have no sequence"],
    ),
    "loci without length": (
        {"datasets.sites.sequences": {"files": [{"file": "dhs/1.npz"}]}},
        ["datasets.sites.loci: loci need to know the length", "sequences.length"],
    ),
    "unknown source": ({"datasets.region.genome": "pert"}, ["datasets.region.genome: 'pert'", "did you mean 'part'"]),
    "unknown source of sequences": (
        {"datasets.sites.sequences": {"files": [{"file": "dsh/1.npz"}]}},
        ["datasets.sites.sequences.files.0.file: source 'dsh'", "resources/sources.yaml", "'dhs'"],
    ),
    "unknown file of sequences": (
        {"datasets.sites.sequences": {"files": [{"file": "dhs/1.npz"}, {"file": "dhs/3.npz"}]}},
        ["datasets.sites.sequences.files.1.file: source dhs has no file '3.npz'", "did you mean"],
    ),
    "unknown positions": (
        {"datasets.sites.sequences": {"files": [{"file": "dhs/1.npz"}], "positions": "dhs/p.bed"}},
        ["datasets.sites.sequences.positions: source dhs has no file 'p.bed'"],
    ),
    "unknown names": (
        {"datasets.sites.sequences": {"files": [{"file": "dhs/1.npz"}], "names": "names/p"}},
        ["datasets.sites.sequences.names: source 'names'"],
    ),
    "unknown repeats": ({"datasets.region.repeats": "annotation/rmsk.txt.gz"}, ["datasets.region.repeats", "no file 'rmsk.txt.gz'"]),
    "unknown centres": (
        {"datasets.region.windows": {"bin": 200, "context": 1000, "centres": "annotation/ts.bed"}},
        ["datasets.region.windows.centres", "did you mean 'tss.bed'"],
    ),
    "unknown exclusion": (
        {"datasets.region.windows": {"bin": 200, "context": 1000, "exclude": ["annotation/tss.bed", "blacklist/b.bed"]}},
        ["datasets.region.windows.exclude.1: source 'blacklist'"],
    ),
    "unknown signal": (
        {"datasets.region.targets.island": {"signal": "annotation/gm12878.bigWig", "threshold": 2}},
        ["datasets.region.targets.island.signal", "did you mean 'k562.bigWig'"],
    ),
    "unknown file": ({"datasets.region.tss": "annotation/tts.bed"}, ["datasets.region.tss", "no file 'tts.bed'", "did you mean 'tss.bed'"]),
    "no file": ({"datasets.region.tss": "annotation"}, ["datasets.region.tss", "no file ''"]),
    "unknown target source": (
        {"datasets.region.targets.island.intervals": "annotations/islands.bed"},
        ["datasets.region.targets.island.intervals: source 'annotations'", "did you mean 'annotation'"],
    ),
    "unknown variants": (
        {"datasets.region.variants": {"calls": {"file": "annotation/call.vcf"}}},
        ["datasets.region.variants.calls", "'calls.vcf'"],
    ),
    "mixed tss": ({"datasets.region.tss": "other/tss.bed"}, ["datasets.region.tss: source other is hg38, the dataset hg19", "never mix"]),
    "mixed variants": (
        {"datasets.region.variants": {"calls": {"file": "other/calls.vcf"}}},
        ["datasets.region.variants.calls", "never mix"],
    ),
    "mixed sequences": (
        {"datasets.sites.assembly": "hg19"},
        ["datasets.sites.sequences.files.0.file: source dhs is hg38, the dataset hg19"],
    ),
    "mixed genome": ({"datasets.region.assembly": "hg38"}, ["datasets.region.genome: source part is hg19, the dataset hg38"]),
    "no assembly of its own": ({"datasets.sites.assembly": ""}, ["sequences.files.0.file: source dhs is hg38, the dataset of none"]),
    "mixed signal": (
        {"datasets.region.targets.island": {"signal": "other/k562.bigWig", "threshold": 2}},
        ["datasets.region.targets.island.signal: source other is hg38", "never mix"],
    ),
    "mixed exclusion": (
        {"datasets.region.windows": {"bin": 200, "context": 1000, "exclude": ["other/tss.bed"]}},
        ["datasets.region.windows.exclude.0", "never mix"],
    ),
    "chromosome in two parts": ({"datasets.sites.split.validation": ["chr2", "chr1"]}, ["datasets.sites.split: chr1 in both"]),
    "unknown chromosome": ({"datasets.sites.split.test": ["chr33"]}, ["datasets.sites.split.test: 'chr33'", "did you mean 'chr3'"]),
    "chromosome not a list": ({"datasets.sites.split.test": "chr1"}, ["datasets.sites.split.test", "list them by name"]),
    "unknown chromosome of a region": (
        {"datasets.sites.split.test": ["chr33:1-500"]},
        ["datasets.sites.split.test: 'chr33:1-500'", "'chr3'"],
    ),
    "unknown unused": ({"datasets.sites.split.unused": ["chr33"]}, ["datasets.sites.split.unused: 'chr33'", "did you mean 'chr3'"]),
    "region in two parts": (
        {"datasets.sites.split.test": ["chr1:1-500"], "datasets.sites.split.validation": ["chr1:1-500"]},
        ["datasets.sites.split: chr1:1-500 in both"],
    ),
    "chromosomes empty": ({"datasets.sites.split.test": []}, ["datasets.sites.split.test", "list them by name"]),
    "chromosome as number": ({"datasets.sites.split.test": [1]}, ["datasets.sites.split.test", "list them by name"]),
    "blocks not a number": ({"datasets.region.split.test": ["chr1"]}, ["datasets.region.split.test", "number of blocks"]),
    "no blocks": ({"datasets.region.split.test": 0}, ["datasets.region.split.test", "at least 1"]),
    "true blocks": ({"datasets.region.split.validation": True}, ["datasets.region.split.validation", "number of blocks"]),
    "no rule": ({"datasets.sites.split": {"test": ["chr1"]}}, ["datasets.sites.split: 'rule' is missing", "'preset'"]),
    "no test": ({"datasets.sites.split.test": REMOVED}, ["datasets.sites.split: 'test' is missing"]),
    "no validation": ({"datasets.region.split.validation": REMOVED}, ["datasets.region.split: 'validation' is missing"]),
    "chromosomes for a share": ({"datasets.sites.split.rule": "homology"}, ["datasets.sites.split.test: ['chr1'] is no share"]),
    "a share above one": (
        {"datasets.sites.split": {"rule": "homology", "test": 1, "validation": 0.1}},
        ["datasets.sites.split.test: 1 is no share", "between 0 and 1"],
    ),
    "a share of nothing": (
        {"datasets.sites.split": {"rule": "homology", "test": 0.1, "validation": 0}},
        ["datasets.sites.split.validation: 0 is no share"],
    ),
    "true share": (
        {"datasets.sites.split": {"rule": "homology", "test": True, "validation": 0.1}},
        ["datasets.sites.split.test: True is no share"],
    ),
    "shares of all": (
        {"datasets.sites.split": {"rule": "homology", "test": 0.6, "validation": 0.4}},
        ["datasets.sites.split: test and validation are all of the windows"],
    ),
    "shares for blocks": ({"datasets.region.split.test": 0.1}, ["datasets.region.split.test", "number of blocks"]),
    "unknown preset": (
        {"datasets.sites.split": {"preset": "publish"}},
        ["datasets.sites.split.preset: 'publish' is not in resources/splits.yaml", "did you mean 'published'"],
    ),
    "preset and rule": (
        {"datasets.sites.split": {"preset": "published", "rule": "given"}},
        ["datasets.sites.split: give either 'preset' or 'rule'"],
    ),
    "preset and test": ({"datasets.sites.split": {"preset": "published", "test": ["chr1"]}}, ["datasets.sites.split", "either 'preset'"]),
    "preset of other chromosomes": ({"datasets.sites.split": {"preset": "elsewhere"}}, ["datasets.sites.split.test: 'chr21'"]),
    "preset of another assembly": (
        {"datasets.region.split": {"preset": "published"}},
        ["datasets.region.split.preset: published is for hg38, the dataset is hg19", "never mix"],
    ),
    "no block length": ({"datasets.region.split.block": REMOVED}, ["datasets.region.split", "'block' is missing"]),
    "gap below a window": ({"datasets.region.split.gap": 999}, ["datasets.region.split.gap: 999 bp is less than one window (1000)"]),
    "upstream alone": (
        {"datasets.region.targets.promoter.downstream": REMOVED},
        ["datasets.region.targets.promoter", "both 'upstream' and 'downstream'"],
    ),
    "no way to go": (
        {"datasets.region.targets.promoter.downstream": 0, "datasets.region.targets.promoter.upstream": 0},
        ["datasets.region.targets.promoter", "both 0"],
    ),
    "intervals and signal": (
        {"datasets.region.targets.island.signal": "annotation/k562.bigWig"},
        ["datasets.region.targets.island: give either 'intervals' or 'signal'"],
    ),
    "neither intervals nor signal": (
        {"datasets.region.targets.island": {"rule": "any_overlap"}},
        ["datasets.region.targets.island: give either 'intervals' or 'signal'"],
    ),
    "intervals without rule": (
        {"datasets.region.targets.island.rule": REMOVED},
        ["datasets.region.targets.island: intervals need 'rule' and not 'threshold'"],
    ),
    "intervals with threshold": (
        {"datasets.region.targets.island.threshold": 2},
        ["datasets.region.targets.island: intervals need 'rule'"],
    ),
    "signal without threshold": (
        {"datasets.region.targets.island": {"signal": "annotation/k562.bigWig"}},
        ["datasets.region.targets.island: a signal needs", "'threshold' and not 'rule'"],
    ),
    "signal with rule": (
        {"datasets.region.targets.island": {"signal": "annotation/k562.bigWig", "threshold": 1, "rule": "any_overlap"}},
        ["datasets.region.targets.island: a signal needs", "'threshold' and not 'rule'"],
    ),
    "column without values": (
        {"datasets.region.targets.island.column": 4},
        ["datasets.region.targets.island: give both 'column' and 'values'"],
    ),
    "values without column": ({"datasets.region.targets.island.values": ["PLS"]}, ["datasets.region.targets.island", "both 'column' and"]),
    "kinds of a signal": (
        {"datasets.region.targets.island": {"signal": "annotation/k562.bigWig", "threshold": 1, "column": 4, "values": ["a"]}},
        ["datasets.region.targets.island: 'column' is for intervals", "take it out"],
    ),
    "a widened signal": (
        {"datasets.region.targets.island": {"signal": "annotation/k562.bigWig", "threshold": 1, "upstream": 4, "downstream": 4}},
        ["datasets.region.targets.island: 'upstream' is for intervals"],
    ),
    "widened summits": (
        {"datasets.region.targets.promoter.rule": "summit_in_bin"},
        ["datasets.region.targets.promoter: summits are not widened", "choose another rule"],
    ),
    "column of coordinates": (
        {"datasets.region.targets.island.column": 3, "datasets.region.targets.island.values": ["5"]},
        ["datasets.region.targets.island.column: 3"],
    ),
    "one exclusive target": (
        {"datasets.region.labels": "exclusive", "datasets.region.targets.island": REMOVED},
        ["datasets.region.labels: one target excludes nothing"],
    ),
    "unknown distance": (
        {"datasets.region.negatives": {"match": ["gc", "tss_distance"]}, "datasets.region.tss": REMOVED},
        ["datasets.region.negatives.match: tss_distance is not known", "'tss'"],
    ),
    "unknown match": ({"datasets.region.negatives": {"match": ["cpg"]}}, ["datasets.region.negatives.match.0: 'cpg'"]),
    "negative negatives": ({"datasets.region.negatives": {"per_positive": -1}}, ["datasets.region.negatives.per_positive"]),
    "uneven flanks": ({"datasets.region.windows.context": 1001}, ["datasets.region.windows", "context 1001", "bin 200"]),
    "context below bin": ({"datasets.region.windows.context": 100}, ["datasets.region.windows", "context 100"]),
    "context above window": ({"models.basset.context": 201}, ["models.basset.context: 201 bp, but windows of sites have 200"]),
    "context above genome window": ({"models.kmer.context": 500}, ["models.kmer.context: 500 bp, but windows of sites have 200"]),
    "unknown locus": ({"datasets.region.loci": ["goood"]}, ["datasets.region.loci: 'goood'", "did you mean 'good'"]),
    "locus of another assembly": ({"datasets.region.loci": ["site"]}, ["datasets.region.loci: site is on hg38", "never mix"]),
    "locus of a dataset without assembly": (
        {"datasets.sites.assembly": "", "datasets.sites.sequences": {"files": [{"file": "genes/own.csv"}], "length": 200}},
        ["datasets.sites.loci: site is on hg38, the dataset on none"],
    ),
    "locus outside the assembly": ({"datasets.region.loci": ["beyond"]}, ["beyond at chr2:99900-100100 lies outside hg19"]),
    "locus on no chromosome": ({"datasets.region.loci": ["nowhere"]}, ["nowhere at chr9:1-200 lies outside hg19"]),
    "locus turned round": ({"datasets.region.loci": ["turned"]}, ["turned", "mend resources/loci.tsv"]),
    "locus longer than a window": ({"datasets.region.loci": ["long"]}, ["long at chr2:50000-53000 is longer than a window (1000 bp)"]),
    "locus at the edge of the source": ({"datasets.region.loci": ["edge"]}, ["edge", "outside what source part holds"]),
    "locus outside the source": ({"datasets.region.loci": ["far"]}, ["far", "outside what source part holds"]),
    "variants without genome": (
        {"datasets.sites.variants": {"v": {"file": "other/calls.vcf"}}},
        ["datasets.sites.variants.v", "'genome'", "genome: elements"],
    ),
    "a target that is not the dataset's": (
        {"datasets.region.variants": {"calls": {"file": "annotation/calls.vcf", "against": {"LDLR": "promotor"}}}},
        ["datasets.region.variants.calls.against.LDLR", "'promotor'", "did you mean 'promoter'"],
    ),
    "shifts of sequences without flanks": (
        {"effects": {"shifts": [0, 3]}, "models.basset.mutagenesis": True},
        ["datasets.sites.loci: site: effects.shifts", "read 3 bp beside what model basset sees (200 bp)", "context of 194 bp or less"],
    ),
    "deletions of sequences without flanks": (
        {"effects": {"deletions": True}, "models.basset.mutagenesis": True},
        ["effects.deletions", "context of 198 bp or less"],
    ),
    "shifts beyond the source": (
        {"effects": {"shifts": [0, -1]}, "datasets.region.loci": ["fits"]},
        ["fits", "outside what source part holds"],
    ),
    "a locus that shifts move out of a view": (
        {"effects": {"shifts": [0, 5]}, "models.kmer.mutagenesis": True, "models.kmer.context": 205, "datasets.sites.loci": []},
        ["datasets.region.loci: good has 200 bp and is moved by 5", "sees 205"],
    ),
    "loci that no model has effects at": (
        {"models.kmer.mutagenesis": False},
        ["datasets.region.loci: no model on it has 'mutagenesis: true'"],
    ),
    "variants that no model scores": (
        {"models.kmer.mutagenesis": False, "datasets.sites.loci": [], "datasets.region.loci": []},
        ["datasets.region.variants: no model on it has 'mutagenesis: true'"],
    ),
    "variants that shifts move out of a view": (
        {"effects": {"shifts": [0, -500]}, "datasets.region.loci": [], "datasets.sites.loci": []},
        ["datasets.region.variants.calls: effects.shifts move variants by 500 bp", "model kmer sees"],
    ),
    "a background that is no set": ({"effects": {"background": "call"}}, ["effects.background: 'call'", "did you mean 'calls'"]),
    "published weights of another network": ({"effects": {"published": "annotation"}}, ["effects.published: 'annotation'", "DeepSEA"]),
    "motifs from nowhere": ({"effects": {"motifs": "annotation/jaspar.pfm"}}, ["effects.motifs", "no file 'jaspar.pfm'"]),
    "motifs of an unknown source": ({"effects": {"motifs": "jasper/jaspar.pfm"}}, ["effects.motifs", "source 'jasper'"]),
    "variants of sequences whose length is not known": (
        {
            "datasets.sites.sequences": {"files": [{"file": "dhs/1.npz"}]},
            "datasets.sites.loci": [],
            "datasets.sites.variants": {"v": {"file": "dhs/1.npz", "genome": "elements"}},
        },
        ["datasets.sites.variants.v", "sequences.length"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_with_file_key_and_what_to_do(tmp_path, case):
    changes, parts = WRONG[case]
    refused(tmp_path, edited(changes), *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (STUDY + "training: {}\n", ["line 30", "key 'training' is given twice"]),
        (STUDY.replace("{epochs: 2}", "{epochs: 2, epochs: 3}"), ["line 28", "key 'epochs' is given twice"]),
        (STUDY.replace("  kmer:", "  kmer: {architecture: basset}\n  kmer:"), ["line 28", "key 'kmer'"]),
        ("title: [", ["not YAML", "mend it"]),
        ("- a\n- b\n", ["holds no keys"]),
        ("", ["holds no keys"]),
        ("title: a\n\tquestion: b\n", ["line 2", "not YAML"]),
        ("? [a, b]\n: 1\n", ["s.yaml"]),
    ],
    ids=["top key twice", "inner key twice", "model twice", "open list", "a list", "empty", "tab", "a list as key"],
)
def test_what_is_no_mapping_of_single_keys_is_refused(tmp_path, text, parts):
    refused(tmp_path, text, *parts)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="absent.yaml: not found"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "b.yaml").write_bytes(b"title: \xff\xfe\n")
    with pytest.raises(InputError, match="b.yaml"):
        read_yaml(tmp_path / "b.yaml")


# a model, the length of the windows of sites (those of region have 1000), and what the message must hold
LENGTHS = {
    "windows longer than weights": ({"weights": "nt"}, 200, ["kmer.context", "1000 bp of the windows of region", "nt take at most 600 bp"]),
    "one base too long": ({"weights": "nt", "context": 601}, 601, ["sees 601 bp of the windows of", "at most 600 bp; set it to 600"]),
    "context longer than weights": (
        {"weights": "nt", "context": 700, "datasets": ["region"]},
        200,
        ["sees 700 bp of the windows of region (1000 bp)", "at most 600 bp; set it to 600"],
    ),
    "longer than an architecture takes": (
        {"architecture": "dnabert", "parameters": {"k": 3}, "datasets": ["region"]},
        200,
        ["kmer.context: the model sees 1000 bp of the windows of region", "dnabert of these sizes takes at most 512 bp"],
    ),
    "exactly one length": (
        {"weights": "kipoi", "datasets": ["region"]},
        200,
        ["sees 1000 bp of the windows of region, but", "exactly 600 bp; set it to 600"],
    ),
    "windows shorter than weights": (
        {"weights": "kipoi", "datasets": ["sites"]},
        200,
        ["200 bp of the windows of sites", "exactly 600 bp; give sites windows of 600 bp or more"],
    ),
    "context shorter than weights": (
        {"weights": "kipoi", "context": 500, "datasets": ["region"]},
        200,
        ["sees 500 bp of the windows of region (1000 bp)", "exactly 600 bp; set it to 600"],
    ),
    "shorter than an architecture takes": (
        {"architecture": "basset", "context": 60, "datasets": ["region"]},
        200,
        ["sees 60 bp of the windows of region (1000 bp)", "basset of these sizes takes at least"],
    ),
    "length known of the context alone": (
        {"weights": "nt", "context": 900, "datasets": ["sites"]},
        0,
        ["sees 900 bp of the windows of sites, but", "at most 600 bp; set it to 600"],
    ),
    "too short, of unknown length": ({"weights": "kipoi", "context": 90, "datasets": ["sites"]}, 0, ["exactly 600 bp; set it to 600"]),
}  # fmt: skip


def of_length(model, length):
    """The study with one model more or less, and sites of a length."""
    return edited({
        "models.kmer": model, "models.basset": {"architecture": "composition"}, "datasets.sites.sequences.length": length,
        "datasets.sites.loci": [], "datasets.region.loci": [], "datasets.region.variants": {},
    })  # fmt: skip


@pytest.mark.parametrize("case", LENGTHS)
def test_a_context_that_the_model_does_not_take_is_refused_with_the_limit(tmp_path, case):
    model, length, parts = LENGTHS[case]
    refused(tmp_path, of_length(model, length), "models.kmer.context", *parts)


@pytest.mark.parametrize(
    ("model", "length", "limits"),
    [
        ({"weights": "nt", "context": 600}, 600, [1, 600]),
        ({"weights": "nt", "context": 200}, 1000, [1, 600]),
        ({"weights": "bpe"}, 30_000, [1, None]),
        ({"weights": "kipoi", "context": 600}, 601, [600, 600]),
        ({"weights": "kipoi", "datasets": ["sites"]}, 600, [600, 600]),
        ({"weights": "kipoi", "datasets": ["sites"]}, 0, [600, 600]),
        ({"architecture": "dnabert", "context": 515}, 1000, [6, 515]),
        ({"architecture": "dnabert2"}, 30_000, [1, None]),
        ({"architecture": "nucleotide-transformer"}, 12_282, [1, 12_282]),
        ({"architecture": "nucleotide-transformer", "parameters": {"version": 1}}, 5994, [1, 5994]),
    ],
)
def test_a_context_within_the_limits_is_taken(tmp_path, model, length, limits):
    assert read(tmp_path, of_length(model, length))["models"]["kmer"]["limits"] == limits


def test_a_model_of_position_is_refused_where_sequences_have_none(tmp_path):
    position = {"models.where": {"architecture": "position"}, "datasets.sites.sequences": {"files": [{"file": "dhs/1.csv"}], "length": 200}}
    refused(tmp_path, edited(position), "models.where", "sequences of sites have no coordinates", "'datasets'")
    placed = {
        "dhs/1.csv": {"columns": {"chrom": "c", "start": "s"}},
        "dhs/1.bed.gz": {},
        "dhs/1.npz": {},
        "dhs/1.mat": {"positions": "dhs/1.bed"},
    }
    for file, more in placed.items():
        position["datasets.sites.sequences"] = {"files": [{"file": file}], "length": 200, **more}
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(edited(position)))
        found = completed(read_study(tmp_path / "s.yaml", SCHEMA, PRESETS))
        assert set(found["models"]["where"]["datasets"]) == {"sites", "region"}


def test_a_genome_of_no_assembly_is_refused(tmp_path):
    sources = SOURCES | {"part": SOURCES["part"] | {"assembly": ""}}
    refused(tmp_path, STUDY, "datasets.region.genome: source part says of no assembly", "give it its 'assembly'", sources=sources)


def test_weights_bring_architecture_sizes_and_start(tmp_path):
    models = {
        "plain": {"weights": "nt", "context": 200},
        "said": {"weights": "nt", "context": 200, "architecture": "nucleotide-transformer", "initialisation": "published", "regime": "ia3"},
        "twin": {"weights": "nt", "context": 200, "initialisation": "random", "parameters": {"rank": 3}},
        "own": {"architecture": "nucleotide-transformer", "parameters": {"layers": 2, "rank": 3}, "mutagenesis": True},
    }
    study = read(tmp_path, edited({"models": models}))
    known = ARCHITECTURES["nucleotide-transformer"]
    plain, said, twin, own = (study["models"][name] for name in models)
    assert plain["architecture"] == own["architecture"] == "nucleotide-transformer"
    assert [one["initialisation"] for one in (plain, said, twin, own)] == ["published", "published", "random", "random"]
    assert [one.get("weights") for one in (plain, said, twin, own)] == ["nt", "nt", "nt", None]
    assert plain["parameters"] == known.parameters and twin["parameters"] == known.parameters | {"rank": 3}
    assert own["parameters"] == known.sizes | known.parameters | {"layers": 2, "rank": 3}
    assert said["regime"] == "ia3" and plain["regime"] == "full"


def test_the_files_of_weights_are_named_once_in_order(tmp_path):
    models = {
        "a": {"weights": "nt", "context": 9},
        "b": {"weights": "bpe"},
        "c": {"weights": "nt", "context": 8},
        "d": {"architecture": "dnabert2", "mutagenesis": True},
    }
    study = read(tmp_path, edited({"models": models}))
    assert weight_files(study, SOURCES) == ["bpe/b.bin", "nt/n.json", "nt/n.bin"]
    assert weight_files(read(tmp_path, STUDY), SOURCES) == []


def shelved(path, others):
    return read_study(path, SCHEMA, PRESETS)


def test_an_unknown_study_is_refused_with_the_nearest(tmp_path):
    (tmp_path / "demo.yaml").write_text(STUDY)
    with pytest.raises(InputError, match="study 'dmo' is not in .*did you mean 'demo'"):
        read_studies(tmp_path, "dmo", shelved)


@pytest.mark.parametrize("name", ["sources", "store", "logs", "compare", "Big_Study"])
def test_a_study_whose_name_cannot_be_a_folder_of_results_is_refused(tmp_path, name):
    (tmp_path / f"{name}.yaml").write_text(STUDY)
    with pytest.raises(InputError, match=f"{name}.*rename it"):
        read_studies(tmp_path, name, shelved)


def test_another_study_that_is_wrong_is_named_and_stops_nothing(tmp_path):
    (tmp_path / "b.yaml").write_text(STUDY)
    (tmp_path / "e.yaml").mkdir()
    (tmp_path / ".lock.yaml").write_text("of an editor")
    for name, text in {
        "f": "a: 2020-99-99",
        "a": STUDY.replace("exclusive", "exclusif"),
        "c": "title: [",
        "d": STUDY,
        "logs": STUDY,
    }.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    studies, wrong = read_studies(tmp_path, "b", shelved)
    assert list(studies) == ["b", "d"] and list(wrong) == ["a", "c", "e", "f", "logs"]
    assert all(wrong[name].startswith(f"{tmp_path / name}.yaml: ") and "\n" not in wrong[name] for name in wrong)
    with pytest.raises(InputError, match="a.yaml: .*exclusif"):
        read_studies(tmp_path, "a", shelved)


def test_a_whole_number_is_fine_where_a_fraction_may_stand(tmp_path):
    study = read(tmp_path, edited({"models.basset.training": {"clip": 2}, "models.kmer.parameters": {"l2": 3}}))
    assert study["models"]["basset"]["training"]["clip"] == 2


def test_a_model_may_set_a_fraction_where_the_study_wrote_a_whole_number(tmp_path):
    study = read(tmp_path, edited({"training.clip": 2, "models.basset.training": {"clip": 0.5}}))
    assert study["models"]["basset"]["training"]["clip"] == 0.5


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("batch_size", 1), ("learning_rate", -1.0), ("warmup", 2.0), ("patience", 0)])
def test_a_models_own_settings_keep_the_bounds_of_the_studys(tmp_path, name, value):
    refused(tmp_path, edited({f"training.{name}": value}), f"training.{name}")
    refused(tmp_path, edited({"models.basset.training": {name: value}}), f"models.basset.training.{name}")


def test_a_locus_outside_the_regions_of_a_source_of_sites_is_refused(tmp_path):
    sources = {**SOURCES, "dhs": {**SOURCES["dhs"], "regions": [["chr1", 1000, 2000]]}}
    refused(tmp_path, edited({}), "datasets.sites.loci", "outside what source dhs holds", sources=sources)


def test_a_locus_whose_window_just_fits_is_taken(tmp_path):
    loci = LOCI.copy()
    # 1000 bp around 200: 400 on either side, and one for an odd remainder
    loci.loc[("edge", "hg19"), ["start", "end"]] = [20_401, 20_601]
    study = completed(validate(edited({"datasets.region.loci": ["edge"]}), SCHEMA, "s"))
    check_datasets(study, SOURCES, ASSEMBLIES, loci, "s")
    loci.loc[("edge", "hg19"), ["start", "end"]] = [20_399, 20_599]
    with pytest.raises(InputError, match="outside what source part holds"):
        check_datasets(study, SOURCES, ASSEMBLIES, loci, "s")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rs174887", "'rs174887' is no substitution; write chr2:50001A>G"),
        ("chr2:50100A>G,chr2:50101C>T", "is no substitution"),
        ("chr2:50100AC>A", "is no substitution"),
        ("chr2:50100A>A", "is no substitution"),
        ("chr2:50100A>G chr2:50000A>G", "chr2:50000A>G lies outside chr2:50001-50200"),
        ("chr2:50201A>G", "lies outside"),
        ("chr1:50100A>G", "lies outside"),
    ],
)
def test_known_variants_of_loci_are_checked_before_any_job(text, said):
    loci = LOCI.assign(variants="").drop(index=("turned", "hg19"))
    loci.loc[("good", "hg19"), "variants"] = "chr2:50001A>G chr2:50200C>T"
    check_loci(loci, "loci.tsv")
    loci.loc[("good", "hg19"), "variants"] = text
    with pytest.raises(InputError, match="loci.tsv: good on hg19: ") as error:
        check_loci(loci, "loci.tsv")
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_message_without_a_key_to_blame_still_names_the_place():
    schema = {"type": "object", "properties": {"a": {"type": "array", "maxItems": 1}}}
    with pytest.raises(InputError, match=r"f.yaml: a: \[1, 2\]"):
        validate({"a": [1, 2]}, schema, "f.yaml")


def test_every_file_that_a_dataset_names_is_known_by_its_key():
    changes = {
        "datasets.region.repeats": "r/r.bed",
        "datasets.region.windows": {"bin": 1, "context": 1, "centres": "c/c.bed", "exclude": ["e/1", "e/2"]},
        "datasets.region.targets.open": {"signal": "s/o.bw", "threshold": 1},
        "datasets.sites.sequences": {"files": [{"file": "dhs/1.npz"}, {"file": "dhs/2.npz"}], "positions": "d/p.bed", "names": "d/n"},
    }
    study = validate(edited(changes), SCHEMA, "s")["datasets"]
    assert sorted(references(study["sites"])) == [
        ("sequences.files.0.file", "dhs/1.npz"), ("sequences.files.1.file", "dhs/2.npz"), ("sequences.names", "d/n"),
        ("sequences.positions", "d/p.bed"),
    ]  # fmt: skip
    assert sorted(references(study["region"])) == [
        ("repeats", "r/r.bed"), ("targets.island.intervals", "annotation/islands.bed"), ("targets.open.signal", "s/o.bw"),
        ("targets.promoter.intervals", "annotation/tss.bed"), ("tss", "annotation/tss.bed"),
        ("variants.calls.file", "annotation/calls.vcf"),
        ("windows.centres", "c/c.bed"), ("windows.exclude.0", "e/1"), ("windows.exclude.1", "e/2"),
    ]  # fmt: skip


FINE = {
    "regions and chromosomes": {
        "datasets.sites.split": {"rule": "chromosomes", "test": ["chr1:1-20000"], "validation": ["chr1:20001-50000"], "unused": ["chr3"]},
    },
    "shares": {"datasets.sites.split": {"rule": "homology", "test": 0.2, "validation": 0.1}},
    "parts that the data say": {"datasets.sites.split": {"rule": "given"}},
    "a preset": {"datasets.sites.split": {"preset": "published", "drop_similar": True}},
    "a signal": {"datasets.region.targets.open": {"signal": "annotation/k562.bigWig", "threshold": 0.5}},
    "some of the intervals": {"datasets.region.targets.island.column": 4, "datasets.region.targets.island.values": ["PLS", "pELS"]},
    "distance to known sites": {"datasets.region.negatives": {"match": ["tss_distance"]}},
    "intervals on a genome": {
        "datasets.region.sequences": {"files": [{"file": "annotation/islands.bed", "class": "a"}], "length": 1000},
        "datasets.region.windows": REMOVED, "datasets.region.targets": REMOVED,
    },
    "sequences from nowhere": {
        "datasets.sites": {"title": "t", "labels": "multilabel", "sequences": {"files": [{"file": "genes/own.csv"}]},
                           "split": {"rule": "chromosomes", "test": ["scaffold-1"], "validation": ["scaffold-2"]}},
    },
    "an assembly for files that have none": {"datasets.sites.sequences": {"files": [{"file": "genes/own.csv"}], "length": 200}},
}  # fmt: skip


@pytest.mark.parametrize("case", FINE)
def test_what_can_be_asked_for_is_taken(tmp_path, case):
    read(tmp_path, edited(FINE[case]))


def test_a_preset_stands_for_its_rule(tmp_path):
    split = read(tmp_path, edited({"datasets.sites.split": {"preset": "published", "gap": 2000}}))["datasets"]["sites"]["split"]
    assert (split["rule"], split["test"], split["validation"]) == ("chromosomes", ["chr1"], ["chr2:1-30,000"])
    assert (split["unused"], split["known"], split["gap"], split["preset"]) == (["chr3"], "touches", 2000, "published")


def test_a_split_without_preset_is_left_as_it_is():
    split = {"rule": "given", "seed": 0}
    assert apply_preset(split, PRESETS, "s") == {"rule": "given", "seed": 0}


@pytest.mark.parametrize("shipped", ["resources/studies/demo.yaml", "tests/studies/tiny.yaml"])
def test_the_shipped_studies_are_valid(shipped, monkeypatch):
    monkeypatch.chdir(ROOT)
    schema = read_yaml(ROOT / "rules/schemas/sources.schema.yaml")
    assemblies = pd.read_csv("resources/assemblies.tsv", sep="\t")
    loci = pd.read_csv("resources/loci.tsv", sep="\t", index_col=["locus", "assembly"])
    path = Path(shipped)
    presets = read_yaml(ROOT / "resources/splits.yaml")
    studies, wrong = read_studies(path.parent, path.stem, lambda path, _: read_study(path, SCHEMA, presets))
    sources = validate(read_yaml(ROOT / "resources/sources.yaml"), schema, "sources.yaml")
    sources = complete(sources, studies, schema, set(assemblies["assembly"]))
    for name, study in studies.items():
        check_datasets(completed(study, name, sources), sources, assemblies, loci, name)
    assert path.stem in studies and not wrong


def test_new_settings_have_defaults_and_are_a_models_own(tmp_path):
    study = read(tmp_path, edited({"training.micro_batch": 16, "models.basset.training": {"schedule": "linear", "balance": True}}))
    expected = {"schedule": "linear", "layer_decay": 1.0, "precision": "auto", "micro_batch": 16, "balance": True, "retries": 0}
    found = study["models"]["basset"]["training"]
    assert {key: found[key] for key in expected} == expected
    assert study["models"]["basset"]["gpu"] == 1


def test_controls_stand_behind_their_base_with_one_seed_and_no_effects(tmp_path):
    controls = ["shuffled-labels", "flank-only"]
    changes = {"models.basset.controls": controls, "models.basset.mutagenesis": True, "models.last": {"architecture": "composition"}}
    models = read(tmp_path, edited(changes))["models"]
    assert list(models) == ["basset", "basset-shuffled-labels", "basset-flank-only", "kmer", "last"]
    base = models["basset"]
    assert (base["control"], base["mutagenesis"], base["seeds"]) == ("", True, [1, 2]) and "base" not in base
    for control in controls:
        twin = models[f"basset-{control}"]
        assert (twin["control"], twin["base"], twin["seeds"], twin["mutagenesis"]) == (control, "basset", [1], False)
        same = ("architecture", "parameters", "training", "regime", "initialisation", "context", "limits", "datasets")
        assert {key: twin[key] for key in same} == {key: base[key] for key in same}
        assert twin["parameters"] is not base["parameters"]
    assert all(one["control"] == "" for one in (models["kmer"], models["last"]))


def test_row_zero_may_have_controls_too(tmp_path):
    models = read(tmp_path, edited({"models.kmer.controls": ["shuffled-labels", "shuffled-sequences", "flank-only", "centre-only"]}))[
        "models"
    ]
    assert [one["control"] for one in models.values()] == ["", "", "shuffled-labels", "shuffled-sequences", "flank-only", "centre-only"]


def test_a_twin_begins_with_random_weights_of_the_same_sizes(tmp_path):
    entry = {"weights": "nt", "regime": "lora", "context": 200, "controls": ["random-init"]}
    models = read(tmp_path, edited({"models.nt": entry}))["models"]
    assert (models["nt"]["initialisation"], models["nt-random-init"]["initialisation"]) == ("published", "random")
    assert models["nt-random-init"]["weights"] == "nt"


TUNED = {
    "tuning": {"trials": 3},
    "models.kmer.controls": ["shuffled-labels"],
    "models.probe": {"weights": "nt", "regime": "probe", "context": 200},
    "models.nt": {"weights": "nt", "context": 200},
    "models.twin": {"weights": "nt", "context": 200, "initialisation": "random"},
    "models.adapted": {"weights": "bpe", "regime": "lora"},
    "models.kipoi": {"weights": "kipoi", "context": 600, "datasets": ["region"]},
}


def test_every_model_gets_the_same_trials_but_probes_and_controls(tmp_path):
    models = read(tmp_path, edited(TUNED))["models"]
    spaces = {name: one["tuning"]["space"]["name"] for name, one in models.items() if one["tuning"]}
    assert spaces == {"kmer": "row-zero", "basset": "cnn", "nt": "transformer", "twin": "transformer-random", "adapted": "lora",
                      "kipoi": "cnn-published"}  # fmt: skip
    assert all((one["tuning"]["trials"], one["tuning"]["share"]) == (3, 0.3) for one in models.values() if one["tuning"])
    assert set(models["kmer"]["tuning"]["space"]["parameters"]) == {"k", "l2"}
    assert set(models["basset"]["tuning"]["space"]["parameters"]) == {"dropout"}
    assert models["kipoi"]["tuning"]["space"]["parameters"] == {}


def test_without_the_key_nothing_is_tuned(tmp_path):
    assert all(one["tuning"] == {} for one in read(tmp_path, edited({"models.kmer.controls": ["shuffled-labels"]}))["models"].values())


@pytest.mark.parametrize(
    ("part", "content", "said"),
    [
        ("parameters", {"hidden": {"low": 2.0, "high": 9.0, "scale": "linear"}}, "parameters.hidden"),
        ("parameters", {"hidden": ["many"]}, "parameters.hidden: 'many'"),
        ("training", {"batch_size": {"low": 2, "high": 900, "scale": "log"}}, "training.batch_size"),
    ],
)
def test_a_draw_that_a_model_cannot_have_is_refused_before_any_job(tmp_path, part, content, said):
    spaces = {"cnn": {"family": "cnn", "regimes": ["full"], "starts": ["random"], "training": {}, "parameters": {}, part: content}}
    study = validate(edited({"tuning": {"trials": 2}}), SCHEMA, "s.yaml")
    with pytest.raises(InputError) as error:
        complete_models(study, ARCHITECTURES, SOURCES, context, SCHEMA, "s.yaml", spaces)
    message = str(error.value)
    assert all(one in message for one in ("s.yaml: models.basset", "trial 1", "space cnn of resources/tuning.yaml", said)), message


BARE = {
    "title": "t",
    "question": "q",
    "training": {},
    "datasets": {"d": {"title": "d", "labels": "multilabel", "split": {"rule": "given"}}},
}


class TestChoices:
    @pytest.mark.parametrize(
        ("regime", "pooling", "said"),
        [
            ("full", "average", "parameters.pooling: 'average' is not one of mean, bases, cls, max, attention, best"),
            ("probe", "attention", "a probe trains none; choose another"),
        ],
    )
    def test_a_pooling_that_cannot_be_is_refused_before_any_job(self, regime, pooling, said):
        content = {"models": {"m": {"architecture": "dnabert2", "regime": regime, "parameters": {"pooling": pooling}}}} | BARE
        with pytest.raises(InputError, match=said):
            completed(validate(content, SCHEMA, "s"))

    def test_the_choices_are_the_poolings_there_are(self):
        from regdna.models.pooling import POOLINGS

        for known in ARCHITECTURES.values():
            assert known.family != "transformer" or set(known.choices["pooling"]) == {*POOLINGS, "best"}

    def test_a_rate_without_a_point_is_told_how_to_be_written(self):
        content = {"models": {"m": {"architecture": "dnabert2", "parameters": {"adapter_dropout": "5e-2"}}}} | BARE
        with pytest.raises(InputError, match="'5e-2' is not of type float; write 5.0e-02"):
            completed(validate(content, SCHEMA, "s"))


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
def test_numbers_that_are_none_are_refused_by_key(value):
    schema = {
        "type": "object",
        "properties": {"rates": {"type": "object", "properties": {"one": {"type": "number", "exclusiveMinimum": 0}}}},
    }
    with pytest.raises(InputError, match=r"^s\.yaml: rates\.one: -?(nan|inf) is no number to compute with; write one such as 0\.003$"):
        validate({"rates": {"one": yaml.safe_load(value)}}, schema, "s.yaml")
