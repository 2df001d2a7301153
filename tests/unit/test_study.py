import copy
from pathlib import Path

import pandas as pd
import pytest
import yaml

from regdna.manifest import read_yaml, validate
from regdna.models import ARCHITECTURES
from regdna.step import InputError
from regdna.study import check_datasets, complete_models, read_studies

ROOT = Path(__file__).parents[2]
SCHEMA = read_yaml(ROOT / "rules/schemas/study.schema.yaml")
SOURCES = {
    "dhs": {"assembly": "hg38", "length": 200, "files": {"1.npz": {}}},
    "part": {"assembly": "hg19", "regions": [["chr2", 20_000, 90_000]], "files": {"sequence.fa.gz": {}}},
    "annotation": {"assembly": "hg19", "files": {"tss.bed": {}, "islands.bed": {}, "calls.vcf": {}}},
    "other": {"assembly": "hg38", "files": {"tss.bed": {}, "calls.vcf": {}}},
}
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
        ("far", "hg19", "chr1", 10_000, 10_200),
        ("site", "hg38", "chr1", 400, 600),
    ],
    columns=["locus", "assembly", "chrom", "start", "end"],
).set_index("locus")
STUDY = """
title: t
question: q
seeds: [1, 2]
datasets:
  sites:
    title: Sites
    assembly: hg38
    sites: dhs
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
    variants: {calls: annotation/calls.vcf}
models:
  kmer: {architecture: kmer-logistic, parameters: {k: 4}}
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


def read(tmp_path, study, sources=SOURCES):
    (tmp_path / "s.yaml").write_text(study if isinstance(study, str) else yaml.safe_dump(study))
    return read_studies(tmp_path, "s", SCHEMA, ARCHITECTURES, sources, ASSEMBLIES, LOCI)["s"]


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
    assert basset["parameters"] == ARCHITECTURES["basset"].parameters
    assert basset["seeds"] == [1, 2] and basset["datasets"] == ["sites"] and basset["regime"] == "full"
    assert (basset["training"]["epochs"], basset["training"]["learning_rate"], basset["training"]["batch_size"]) == (2, 0.01, 64)
    assert study["training"]["epochs"] == 5
    assert study["evaluation"] == {"replicates": 1000, "margin": 0.01}
    assert study["datasets"]["region"]["targets"]["island"]["cell_type"] == ""
    assert study["datasets"]["sites"]["block"] == 1_000_000 and study["datasets"]["sites"]["variants"] == {}


def test_completing_changes_neither_the_study_nor_the_registry(tmp_path):
    content = yaml.safe_load(STUDY)
    before, registry = copy.deepcopy(content), copy.deepcopy({name: one.parameters for name, one in ARCHITECTURES.items()})
    study = complete_models(validate(content, SCHEMA, "s"), ARCHITECTURES, "s")
    study["models"]["basset"]["parameters"]["hidden"] = 1
    assert content == before
    assert registry == {name: one.parameters for name, one in ARCHITECTURES.items()}


# what is changed, and what the message must hold besides the file
WRONG = {
    "unknown key at the top": ({"trainings": {}}, ["trainings: unknown key", "did you mean 'training'"]),
    "unknown key below": ({"datasets.region.windows.bins": 3}, ["datasets.region.windows.bins: unknown key", "did you mean 'bin'"]),
    "unknown key in training": ({"training.epoch": 3}, ["training.epoch: unknown key", "did you mean 'epochs'"]),
    "missing at the top": ({"question": REMOVED}, ["'question' is missing"]),
    "missing below": ({"datasets.sites.labels": REMOVED}, ["datasets.sites: 'labels' is missing"]),
    "missing in windows": ({"datasets.region.windows": {"bin": 200}}, ["datasets.region.windows: 'context' is missing"]),
    "wrong type": ({"training.epochs": "five"}, ["training.epochs: 'five' is not of type integer"]),
    "text for a number": ({"datasets.sites.block": "1Mb"}, ["datasets.sites.block", "'1Mb'"]),
    "boolean for a number": ({"datasets.region.windows.bin": True}, ["datasets.region.windows.bin: True is not of type integer"]),
    "none for a mapping": ({"models": None}, ["models: None is not of type object"]),
    "too small": ({"training.epochs": 0}, ["training.epochs: 0"]),
    "unknown choice": ({"datasets.sites.labels": "exclusif"}, ["datasets.sites.labels", "did you mean 'exclusive'"]),
    "unknown assembly": ({"datasets.sites.assembly": "hg18"}, ["datasets.sites.assembly: 'hg18'", "hg19, hg38"]),
    "unknown rule": ({"datasets.region.targets.island.rule": "any"}, ["datasets.region.targets.island.rule", "'any_overlap'"]),
    "bad id": ({"models.Big_Model": {"architecture": "basset"}}, ["models", "'Big_Model'", "small letters, digits and hyphens"]),
    "same seed twice": ({"seeds": [1, 1]}, ["seeds"]),
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
    "model's dataset": ({"models.basset.datasets": ["site"]}, ["models.basset.datasets: 'site'", "did you mean 'sites'"]),
    "both kinds": ({"datasets.sites.genome": "part"}, ["datasets.sites", "either 'sites' or 'genome'"]),
    "neither kind": ({"datasets.sites.sites": REMOVED}, ["datasets.sites", "either 'sites' or 'genome'"]),
    "genome without targets": ({"datasets.region.targets": REMOVED}, ["datasets.region", "'windows' and 'targets'"]),
    "unknown source": ({"datasets.region.genome": "pert"}, ["datasets.region.genome: 'pert'", "did you mean 'part'"]),
    "unknown sites": ({"datasets.sites.sites": "dsh"}, ["datasets.sites.sites: 'dsh'", "resources/sources.yaml", "'dhs'"]),
    "unknown file": ({"datasets.region.tss": "annotation/tts.bed"}, ["datasets.region.tss", "no file 'tts.bed'", "did you mean 'tss.bed'"]),
    "no file": ({"datasets.region.tss": "annotation"}, ["datasets.region.tss", "no file ''"]),
    "unknown target source": (
        {"datasets.region.targets.island.intervals": "annotations/islands.bed"},
        ["datasets.region.targets.island.intervals: source 'annotations'", "did you mean 'annotation'"],
    ),
    "unknown variants": ({"datasets.region.variants": {"calls": "annotation/call.vcf"}}, ["datasets.region.variants.calls", "'calls.vcf'"]),
    "mixed tss": ({"datasets.region.tss": "other/tss.bed"}, ["datasets.region.tss: source other is hg38, the dataset hg19", "never mix"]),
    "mixed variants": ({"datasets.region.variants": {"calls": "other/calls.vcf"}}, ["datasets.region.variants.calls", "never mix"]),
    "mixed genome": ({"datasets.sites.assembly": "hg19"}, ["datasets.sites.sites: source dhs is hg38, the dataset hg19"]),
    "chromosome in two parts": ({"datasets.sites.split.validation": ["chr2", "chr1"]}, ["datasets.sites.split: chr1 in both"]),
    "unknown chromosome": ({"datasets.sites.split.test": ["chr33"]}, ["datasets.sites.split.test: 'chr33'", "did you mean 'chr3'"]),
    "chromosome not a list": ({"datasets.sites.split.test": "chr1"}, ["datasets.sites.split.test", "list them by name"]),
    "chromosomes empty": ({"datasets.sites.split.test": []}, ["datasets.sites.split.test", "list them by name"]),
    "chromosome as number": ({"datasets.sites.split.test": [1]}, ["datasets.sites.split.test", "list them by name"]),
    "blocks not a number": ({"datasets.region.split.test": ["chr1"]}, ["datasets.region.split.test", "number of blocks"]),
    "no blocks": ({"datasets.region.split.test": 0}, ["datasets.region.split.test", "at least 1"]),
    "true blocks": ({"datasets.region.split.validation": True}, ["datasets.region.split.validation", "number of blocks"]),
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
    "uneven flanks": ({"datasets.region.windows.context": 1001}, ["datasets.region.windows", "context 1001", "bin 200"]),
    "context below bin": ({"datasets.region.windows.context": 100}, ["datasets.region.windows", "context 100"]),
    "context above window": ({"models.basset.context": 201}, ["models.basset.context: 201 bp, but windows of sites have 200"]),
    "context above genome window": ({"models.kmer.context": 500}, ["models.kmer.context: 500 bp, but windows of sites have 200"]),
    "unknown locus": ({"datasets.region.loci": ["goood"]}, ["datasets.region.loci: 'goood'", "did you mean 'good'"]),
    "locus of another assembly": ({"datasets.region.loci": ["site"]}, ["datasets.region.loci: site is on hg38", "never mix"]),
    "locus outside the assembly": ({"datasets.region.loci": ["beyond"]}, ["beyond at chr2:99900-100100 lies outside hg19"]),
    "locus on no chromosome": ({"datasets.region.loci": ["nowhere"]}, ["nowhere at chr9:1-200 lies outside hg19"]),
    "locus turned round": ({"datasets.region.loci": ["turned"]}, ["turned", "mend resources/loci.tsv"]),
    "locus longer than a window": ({"datasets.region.loci": ["long"]}, ["long at chr2:50000-53000 is longer than a window (1000 bp)"]),
    "locus at the edge of the source": ({"datasets.region.loci": ["edge"]}, ["edge", "outside what source part holds"]),
    "locus outside the source": ({"datasets.region.loci": ["far"]}, ["far", "outside what source part holds"]),
    "variants without genome": ({"datasets.sites.variants": {"v": "other/calls.vcf"}}, ["datasets.sites.variants", "need 'genome'"]),
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


def test_an_unknown_study_is_refused_with_the_nearest(tmp_path):
    (tmp_path / "demo.yaml").write_text(STUDY)
    with pytest.raises(InputError, match="study 'dmo' is not in .*did you mean 'demo'"):
        read_studies(tmp_path, "dmo", SCHEMA, ARCHITECTURES, SOURCES, ASSEMBLIES, LOCI)


@pytest.mark.parametrize("name", ["sources", "store", "logs", "Big_Study"])
def test_a_study_whose_name_cannot_be_a_folder_of_results_is_refused(tmp_path, name):
    (tmp_path / f"{name}.yaml").write_text(STUDY)
    with pytest.raises(InputError, match=f"{name}.*rename it"):
        read_studies(tmp_path, name, SCHEMA, ARCHITECTURES, SOURCES, ASSEMBLIES, LOCI)


def test_every_study_in_the_folder_is_checked_not_only_the_chosen(tmp_path):
    (tmp_path / "a.yaml").write_text(STUDY)
    (tmp_path / "b.yaml").write_text(STUDY.replace("exclusive", "exclusif"))
    with pytest.raises(InputError, match="b.yaml"):
        read_studies(tmp_path, "a", SCHEMA, ARCHITECTURES, SOURCES, ASSEMBLIES, LOCI)


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


def test_a_source_that_holds_no_sites_is_refused(tmp_path):
    refused(tmp_path, edited({"datasets.sites.sites": "other"}), "datasets.sites.sites", "other")


def test_a_locus_outside_the_regions_of_a_source_of_sites_is_refused(tmp_path):
    sources = {**SOURCES, "dhs": {**SOURCES["dhs"], "regions": [["chr1", 1000, 2000]]}}
    refused(tmp_path, edited({}), "datasets.sites.loci", "outside what source dhs holds", sources=sources)


def test_a_locus_whose_window_just_fits_is_taken(tmp_path):
    loci = LOCI.copy()
    # 1000 bp around 200: 400 on either side, and one for an odd remainder
    loci.loc["edge", ["start", "end"]] = [20_401, 20_601]
    study = complete_models(validate(edited({"datasets.region.loci": ["edge"]}), SCHEMA, "s"), ARCHITECTURES, "s")
    check_datasets(study, SOURCES, ASSEMBLIES, loci, "s")
    loci.loc["edge", ["start", "end"]] = [20_399, 20_599]
    with pytest.raises(InputError, match="outside what source part holds"):
        check_datasets(study, SOURCES, ASSEMBLIES, loci, "s")


def test_a_message_without_a_key_to_blame_still_names_the_place():
    schema = {"type": "object", "properties": {"a": {"type": "array", "maxItems": 1}}}
    with pytest.raises(InputError, match=r"f.yaml: a: \[1, 2\]"):
        validate({"a": [1, 2]}, schema, "f.yaml")


def test_the_shipped_studies_are_valid():
    sources = read_yaml(ROOT / "resources/sources.yaml")
    assemblies = pd.read_csv(ROOT / "resources/assemblies.tsv", sep="\t")
    loci = pd.read_csv(ROOT / "resources/loci.tsv", sep="\t", index_col="locus")
    studies = read_studies(ROOT / "resources/studies", "demo", SCHEMA, ARCHITECTURES, sources, assemblies, loci)
    assert "demo" in studies
