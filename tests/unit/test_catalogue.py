import copy
import gzip
import hashlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest

from regdna.manifest import read_table, read_yaml, validate
from regdna.models import ARCHITECTURES
from regdna.models.limits import context
from regdna.roster import complete_models
from regdna.shelf import read_study
from regdna.sources.catalogue import check_at_hand, complete
from regdna.sources.encode import COLUMNS, write_frozen
from regdna.step import InputError
from regdna.study import check_datasets, references, weight_files

ROOT = Path(__file__).parents[2]
SCHEMA = read_yaml(ROOT / "rules/schemas/sources.schema.yaml")
SHIPPED = validate(read_yaml(ROOT / "resources/sources.yaml"), SCHEMA, "resources/sources.yaml")
ASSEMBLIES = {"hg19", "hg38"}
SOURCES = {
    "plain": {"title": "Plain", "assembly": "hg19", "files": {"a.bed": {"path": "a.bed"}}},
    "many": {
        "title": "Many", "assembly": "hg19", "names": r"E\d{3}-[A-Za-z0-9.]+\.narrowPeak\.gz", "about": 7, "url": "https://x.org/{file}?f={file}",
    },
    "bundle": {
        "title": "Bundle",
        "files": {"b.tar.gz": {"url": "https://x.org/b.tar.gz"}, "b.mat": {"archive": "b.tar.gz", "member": "d/b.mat"}},
    },
}  # fmt: skip


def study(*named, sources=None):
    """A study whose datasets name these files."""
    targets = {f"t{at}": {"intervals": path} for at, path in enumerate(named)}
    return {"sources": sources or {}, "datasets": {"d": {"targets": targets, "variants": {}}}}


def completed(sources=None, studies=None, assemblies=ASSEMBLIES):
    given = validate(SOURCES | (sources or {}), SCHEMA, "sources")
    before = copy.deepcopy(given)
    found = complete(given, studies or {}, SCHEMA, assemblies)
    assert given == before, "what was given is changed"
    return found


def refused(message, *args, **options):
    with pytest.raises(InputError, match=message) as error:
        completed(*args, **options)
    assert "\n" not in str(error.value)


def test_sources_are_completed_with_their_defaults():
    found = completed()
    assert found["plain"]["files"] == {"a.bed": {"path": "a.bed"}}
    assert found["many"]["files"] == {} and found["bundle"]["assembly"] == ""


# --- studies' own sources ---

OWN = {"mine": {"title": "Mine", "files": {"own.csv": {"path": "data/own.csv"}}}}


def test_a_studys_own_sources_join():
    found = completed(studies={"s": study("mine/own.csv", sources=OWN)})
    assert found["mine"]["files"] == {"own.csv": {"path": "data/own.csv"}} and found["mine"]["licence"] == ""


def test_two_studies_may_state_one_source_alike():
    assert "mine" in completed(studies={"s": study(sources=OWN), "t": study("mine/own.csv", sources=OWN)})
    alike = {"plain": SOURCES["plain"]}
    assert completed(studies={"s": study(sources=alike)})["plain"]["files"] == {"a.bed": {"path": "a.bed"}}


@pytest.mark.parametrize("name", ["mine", "plain"])
def test_one_name_for_two_sources_is_refused(name):
    other = {name: {"title": "Other", "files": {"own.csv": {"path": "elsewhere/own.csv"}}}}
    refused(
        f"study t: sources.{name}: {'study s' if name == 'mine' else 'resources/sources.yaml'} has another source of this name; rename one",
        studies={"s": study(sources=OWN), "t": study(sources=other)},
    )


def test_a_tables_files_do_not_make_two_studies_differ(tmp_path):
    own = {"frozen": {"title": "F", "assembly": "hg19", "table": frozen(tmp_path)}}
    assert len(completed(studies={"s": study(sources=own), "t": study(sources=own)})["frozen"]["files"]) == 2


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"mine": {"files": {}}}, r"study s: sources.mine: 'title' is missing"),
        ({"mine": {"title": "M", "file": {}}}, r"study s: sources.mine.file: unknown key; did you mean 'files'"),
        ({"mine": {"title": "M", "files": {"a": {"pth": "x"}}}}, r"study s: sources.mine.files.a"),
        ({"mine": {"title": "M", "files": {"a": {"path": "x", "url": "https://x.org/a"}}}}, r"study s: sources.mine.files.a"),
        ({"mine": {"title": "M", "files": {"a": {"url": "ftp://x.org/a"}}}}, r"study s: sources.mine.files.a"),
        ({"Mine": {"title": "M"}}, r"study s: sources.*'Mine' may hold only small letters"),
    ],
)
def test_a_studys_own_source_is_checked_as_any(sources, message):
    refused(message, studies={"s": study(sources=sources)})


# --- weights ---

WEIGHTS = {
    "w": {"title": "W", "files": {"config.json": {"path": "w/config.json"}}, "checkpoint": {"architecture": "dnabert2", "context": 0}}
}


def test_a_study_may_bring_weights_of_its_own():
    found = completed(studies={"s": study(sources=WEIGHTS)})
    assert found["w"]["checkpoint"] == {"architecture": "dnabert2", "context": 0} and "checkpoint" not in found["plain"]


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ({"architecture": "dnabert2"}, "sources.w.checkpoint: 'context' is missing"),
        ({"context": 5}, "sources.w.checkpoint: 'architecture' is missing"),
        ({"architecture": "dnabert2", "context": -1}, "sources.w.checkpoint.context: -1"),
        ({"architecture": "dnabert2", "context": "long"}, "sources.w.checkpoint.context: 'long' is not of type integer"),
        ({"architecture": "dnabert2", "context": 0, "licence": "MIT"}, "sources.w.checkpoint.licence: unknown key"),
    ],
)
def test_a_checkpoint_that_says_too_little_or_too_much_is_refused(checkpoint, message):
    refused(message, studies={"s": study(sources={"w": WEIGHTS["w"] | {"checkpoint": checkpoint}})})


def test_the_name_of_what_the_vault_writes_is_kept():
    refused("file 'vault.json' has a name that is kept", {"w": {"title": "W", "files": {"vault.json": {"path": "v"}}}})


def test_weights_at_hand_must_be_there_or_fetched(tmp_path):
    found = completed(studies={"s": study(sources=WEIGHTS)})
    content = {"datasets": {}, "models": {"m": {"weights": "w"}}, "effects": {}}
    assert weight_files(content, found) == ["w/config.json"]
    with pytest.raises(InputError, match=r"study s: sources.w.files.config.json.path: w/config.json is not there"):
        check_at_hand("s", content, found, tmp_path)
    check_at_hand("s", content | {"models": {"m": {}}}, found, tmp_path)
    (tmp_path / "w").mkdir()
    (tmp_path / "w/config.json").write_text("{}")
    check_at_hand("s", content, found, tmp_path)


# --- assemblies, names, archives ---


def test_an_unknown_assembly_is_refused():
    refused("source plain: assembly 'hg19' is not in resources/assemblies.tsv; add its chromosomes", assemblies={"hg38"})
    refused("source m: assembly 'mm10'", studies={"s": study(sources={"m": {"title": "M", "assembly": "mm10"}})})


@pytest.mark.parametrize("left_out", ["names", "url"])
def test_names_and_address_come_together(left_out):
    refused("source many: give both 'names' and 'url'", {"many": {k: v for k, v in SOURCES["many"].items() if k != left_out}})


def test_names_that_cannot_be_read_are_refused():
    refused(r"source many: names: 'E\(' is no regular expression", {"many": SOURCES["many"] | {"names": "E("}})


def test_a_file_by_the_look_of_its_name_becomes_an_entry():
    found = completed(studies={"s": study("many/E116-H3K27ac.narrowPeak.gz"), "t": study("many/E003-DNase.macs2.narrowPeak.gz")})
    address = "https://x.org/E116-H3K27ac.narrowPeak.gz?f=E116-H3K27ac.narrowPeak.gz"
    assert found["many"]["files"]["E116-H3K27ac.narrowPeak.gz"] == {"url": address, "about": 7}
    assert set(found["many"]["files"]) == {"E116-H3K27ac.narrowPeak.gz", "E003-DNase.macs2.narrowPeak.gz"}


def test_a_file_that_is_listed_keeps_its_entry():
    listed = SOURCES["many"] | {"files": {"E001-X.narrowPeak.gz": {"url": "https://y.org/x.gz", "bytes": 5}}}
    found = completed({"many": listed}, {"s": study("many/E001-X.narrowPeak.gz")})
    assert found["many"]["files"] == listed["files"]


@pytest.mark.parametrize(
    "file", ["E116_H3K27ac.narrowPeak.gz", "xE116-H3K27ac.narrowPeak.gz", "E116-H3K27ac.narrowPeak.gz.tmp", "E116-H3K27ac.bed.gz", ""]
)
def test_a_name_of_another_look_is_refused_downstream_in_one_line(file):
    content = study(f"many/{file}")
    content["datasets"]["d"] |= {"assembly": "hg19", "windows": {}, "genome": "plain"}
    found = completed(studies={"s": content})
    assert found["many"]["files"] == {}
    known = pd.DataFrame([("hg19", "chr1", 9)], columns=["assembly", "chrom", "length"])
    with pytest.raises(InputError, match=re.escape(f"s: datasets.d.targets.t0.intervals: source many has no file {file!r}")) as error:
        check_datasets(content, found, known, None, "s")
    assert "\n" not in str(error.value)


def test_an_unknown_source_is_left_to_the_studys_check():
    assert "other" not in completed(studies={"s": study("other/a.bed")})


def test_a_name_that_is_a_path_is_no_file():
    loose = {"many": SOURCES["many"] | {"names": ".*"}}
    assert completed(loose, {"s": study("many/../../evil")})["many"]["files"] == {}
    own = {name: {"plain": SOURCES["plain"] | {"files": {name: {"path": "a"}}}} for name in ("genome.npy", "genome.fa")}
    refused("source plain: file 'genome.npy' has a name that is kept for the workflow", own["genome.npy"])
    assert "genome.fa" in completed(own["genome.fa"])["plain"]["files"]
    refused("source plain: file '../evil' is a path", {"plain": SOURCES["plain"] | {"files": {"../evil": {"path": "a"}}}})


@pytest.mark.parametrize(
    "files",
    [
        {"b.mat": {"archive": "b.tar.gz", "member": "b.mat"}},
        {"b.mat": {"archive": "b.mat", "member": "b.mat"}},
        {"b.mat": {"archive": "c.tar", "member": "b.mat"}, "c.tar": {"archive": "b.mat", "member": "x"}},
    ],
    ids=["not listed", "in itself", "in each other"],
)
def test_an_archive_must_be_a_file_that_is_brought(files):
    refused(
        "source bundle: b.mat is in .*, which is not among the files that it downloads; list it", {"bundle": {"title": "B", "files": files}}
    )


# --- tables ---

ROW = dict.fromkeys(COLUMNS, "") | {"assay": "TF ChIP-seq", "preferred": "true", "status": "released", "biosample": "K562"}


def frozen(tmp_path):
    rows = [
        ROW
        | {
            "accession": "ENCFF001AAA",
            "assembly": "hg19",
            "file_type": "bed narrowPeak",
            "verified": "true",
            "bytes": "9",
            "md5": "a" * 32,
        },
        ROW | {"accession": "ENCFF002AAA", "assembly": "hg19", "file_type": "bigWig", "verified": "false"},
        ROW | {"accession": "ENCFF003AAA", "assembly": "hg38", "file_type": "bed narrowPeak", "verified": "false"},
    ]
    write_frozen(tmp_path / "t.tsv", rows)
    return str(tmp_path / "t.tsv")


def test_rows_of_a_table_are_files_of_their_assembly(tmp_path):
    of = {assembly: {"title": "F", "assembly": assembly, "table": frozen(tmp_path), "about": 55} for assembly in ("hg19", "hg38")}
    found = completed(of)
    assert set(found["hg19"]["files"]) == {"ENCFF001AAA.bed.gz", "ENCFF002AAA.bigWig"} and set(found["hg38"]["files"]) == {
        "ENCFF003AAA.bed.gz"
    }
    sure, unsure = found["hg19"]["files"]["ENCFF001AAA.bed.gz"], found["hg19"]["files"]["ENCFF002AAA.bigWig"]
    assert sure["bytes"] == 9 and sure["md5"] == "a" * 32 and "frozen" not in sure
    assert unsure["frozen"]["accession"] == "ENCFF002AAA" and unsure["about"] == 55
    assert all(urlsplit(one["url"]).hostname == "www.encodeproject.org" for one in (sure, unsure))


def test_a_missing_table_is_refused(tmp_path):
    refused("not a table of tab-separated values", {"f": {"title": "F", "assembly": "hg19", "table": str(tmp_path / "absent.tsv")}})


# --- resources/sources.yaml ---


@pytest.fixture(scope="module")
def shipped():
    """Everything that is shipped, with what the shipped studies name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        schema = read_yaml(Path("rules/schemas/study.schema.yaml"))
        presets = read_yaml(Path("resources/splits.yaml"))
        studies = {path.stem: read_study(path, schema, presets) for path in Path("resources/studies").glob("*.yaml")}
        table = read_table(Path("resources/assemblies.tsv"), {"assembly": str, "chrom": str, "length": int})
        sources = complete(SHIPPED, studies, SCHEMA, set(table["assembly"]))
        studies = {name: complete_models(one, ARCHITECTURES, sources, context, schema, name, {}) for name, one in studies.items()}
        return sources, studies, table


def test_every_file_that_a_shipped_study_names_is_there(shipped):
    found, studies, assemblies = shipped
    loci = read_table(ROOT / "resources/loci.tsv", {"locus": str, "start": int, "end": int}, key=["locus", "assembly"])
    for name, content in studies.items():
        check_datasets(content, found, assemblies, loci, name)
        for dataset in content["datasets"].values():
            for _, path in references(dataset):
                source, _, file = path.partition("/")
                assert {"path", "url", "archive"} & set(found[source]["files"][file]), path


@pytest.mark.parametrize("source", SHIPPED)
def test_every_source_says_whose_it_is(source):
    entry = SHIPPED[source]
    for key in ("title", "licence", "citation", "origin"):
        assert len(entry[key]) >= 3 and entry[key] == entry[key].strip() and "\n" not in entry[key], key
    assert entry["files"] or "names" in entry or "table" in entry


FILES = [(source, file) for source, entry in SHIPPED.items() for file in entry["files"]]


@pytest.mark.parametrize(("source", "file"), [pair for pair in FILES if "path" in SHIPPED[pair[0]]["files"][pair[1]]])
def test_files_at_hand_are_what_is_stated_of_them(source, file):
    entry = SHIPPED[source]["files"][file]
    content = (ROOT / entry["path"]).read_bytes()
    assert len(content) == entry["bytes"] and hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert Path(entry["path"]).name == file


def addresses():
    for source, entry in SHIPPED.items():
        for file, one in entry["files"].items():
            if "url" in one:
                yield source, file, [one["url"], *one.get("mirrors", [])]
        if "url" in entry:
            yield source, "{file}", [entry["url"]]


@pytest.mark.parametrize(("source", "file", "urls"), [*addresses()])
def test_addresses_are_secure_and_end_in_the_files_own_kind(source, file, urls):
    assert any(url.startswith("https://") for url in urls) and urls[0].startswith("https://")
    assert len(set(urls)) == len(urls)
    for url in urls:
        parts = urlsplit(url)
        assert parts.hostname and "." in parts.hostname and not parts.query and not parts.fragment and " " not in url
        name = unquote(parts.path).rpartition("/")[2]
        assert name == file or (Path(name).suffix == Path(file).suffix and source in RENAMED), f"{file} from {url}"


# Sources whose publishers gave their files numbers, or one name for all.
RENAMED = {"deepsea-variants", "gue", "jaspar-2022"}


@pytest.mark.parametrize("source", [name for name, entry in SHIPPED.items() if "names" in entry])
def test_the_example_in_a_title_has_the_look_of_the_names(source):
    examples = re.findall(r"\((\S+\.(?:gz|bigwig|bed))\)", SHIPPED[source]["title"])
    assert all(re.fullmatch(SHIPPED[source]["names"], example) for example in examples)
    assert examples or source == "ccre-v3-cells"


# Small files that come with weights and may be the same for several.
TOKENISERS = {"special_tokens_map.json", "tokenizer_config.json", "vocab.txt"}


def test_sizes_and_digests_are_of_their_form_and_no_file_is_stated_twice():
    files = [(file, one) for entry in SHIPPED.values() for file, one in entry["files"].items() if file not in TOKENISERS]
    digests = [one[kind] for _, one in files for kind in ("sha256", "md5") if kind in one]
    assert len(digests) == len(set(digests))
    urls = [one["url"] for entry in SHIPPED.values() for one in entry["files"].values() if "url" in one]
    assert len(urls) == len(set(urls))
    unknown = [f"{source}/{file}" for source, file in FILES if not {"bytes", "about"} & set(SHIPPED[source]["files"][file])]
    assert not unknown, "the estimate before a run needs their sizes"


CHECKPOINTS = [source for source, entry in SHIPPED.items() if "checkpoint" in entry]


@pytest.mark.parametrize("source", CHECKPOINTS)
def test_weights_are_of_a_known_architecture_and_pinned(source):
    entry = SHIPPED[source]
    known = ARCHITECTURES[entry["checkpoint"]["architecture"]]
    assert known.family in ("cnn", "transformer")
    if known.family == "transformer":
        assert "config.json" in entry["files"] and {"vocab.txt", "tokenizer.json"} & set(entry["files"])
    # A revision or a digest: an address that may give other weights tomorrow pins nothing.
    weights = {file: one for file, one in entry["files"].items() if file.endswith((".bin", ".safetensors", ".pth"))}
    assert weights
    for one in weights.values():
        assert {"sha256", "md5"} & set(one) or re.search(r"/resolve/[0-9a-f]{40}/", one["url"])
    assert "NC" not in entry["licence"] or "not for commercial use" in entry["licence"]


def test_every_repository_of_weights_is_one_revision():
    for source in CHECKPOINTS:
        revisions = {re.search(r"/(?:resolve|record)/([^/]+)/", one["url"])[1] for one in SHIPPED[source]["files"].values()}
        assert len(revisions) == 1, source


@pytest.mark.parametrize(
    ("source", "longest"),
    [
        ("hub-dnabert2", None), ("hub-dnabert-3", 512), ("hub-dnabert-4", 513), ("hub-dnabert-5", 514), ("hub-dnabert-6", 515),
        ("hub-nt-v1-500m-human-ref", 5994), ("hub-nt-v1-2500m-multi-species", 5994), ("hub-nt-v2-50m", 12282), ("hub-nt-v2-500m", 12282),
    ],
)  # fmt: skip
def test_the_stated_context_is_that_of_the_published_sizes(source, longest):
    checkpoint = SHIPPED[source]["checkpoint"]
    sizes = ARCHITECTURES[checkpoint["architecture"]].sizes
    k = int(source[-1]) if source.startswith("hub-dnabert-") else 6
    assert context(checkpoint["architecture"], sizes | {"version": 1 if "-v1-" in source else 2, "k": k})[1] == longest
    assert (checkpoint["context"] or None) == longest


def test_regions_lie_in_their_assembly(shipped):
    lengths = shipped[2].set_index(["assembly", "chrom"])["length"]
    for entry in SHIPPED.values():
        for chrom, start, end in entry.get("regions", []):
            assert 0 <= start < end <= lengths[entry["assembly"], chrom]


COPIES = {
    "deepsea-names/predictor.names": "labelled/DeepSEA_predictor.names",
    "mpra-saturation/elements.tsv.gz": "variants/satmut_elements.tsv.gz",
    "hub-dnabert2/tokenizer.json": "tokenizers/dnabert2_tokenizer.json",
    "hub-dnabert-6/vocab.txt": "tokenizers/dnabert_6mer_vocab.txt",
    **{
        f"gue/{ours}-{part}.csv": f"labelled/GUE/{theirs}_{part}.csv.gz"
        for ours, theirs in {"tf-0": "tf_0", "tf-1": "tf_1", "tf-2": "tf_2", "core-promoter-all": "prom_prom_core_all",
                             "core-promoter-notata": "prom_prom_core_notata", "core-promoter-tata": "prom_prom_core_tata"}.items()
        for part in ("train", "dev", "test")
    },
}  # fmt: skip


@pytest.mark.parametrize("path", COPIES)
def test_what_is_stated_of_a_download_is_true_of_the_copy_at_hand(shared, path):
    source, _, file = path.partition("/")
    content = (shared / "data" / COPIES[path]).read_bytes()
    if COPIES[path].endswith(".gz") and not file.endswith(".gz"):
        content = gzip.decompress(content)
    entry = SHIPPED[source]["files"][file]
    assert len(content) == entry["bytes"] and hashlib.sha256(content).hexdigest() == entry["sha256"]
