import pytest

from regdna.plan import disk, downloads, size, words

SOURCES = {
    "whole": {"assembly": "hg19", "files": {"w.fa.gz": {"url": "u", "bytes": 900, "about": 1}}},
    "part": {
        "assembly": "hg19", "regions": [["chr1", 100, 500], ["chr2", 0, 400]],
        "files": {"p1.fa": {"path": "p"}, "p2.fa": {"url": "u"}},
    },
    "marks": {
        "assembly": "hg19",
        "files": {"a.bed": {"url": "u", "about": 5000}, "b.bed.gz": {"url": "u", "bytes": 5000}, "c.bigWig": {"url": "u", "about": 7}},
    },
    "bundle": {
        "assembly": "",
        "files": {
            "x.tar.gz": {"url": "u", "bytes": 300},
            "train.mat": {"archive": "x.tar.gz", "member": "train.mat", "about": 8000},
            "test.mat": {"archive": "x.tar.gz", "member": "test.mat", "about": 800},
            "y.csv": {"path": "y", "bytes": 40},
            "y.npz": {"path": "y", "bytes": 11},
        },
    },
}  # fmt: skip
LENGTHS = {"hg19": 1_000_000}


def study(datasets, **models):
    """A study of datasets, and of models as (datasets, seeds)."""
    runs = {name: {"datasets": some, "seeds": list(range(seeds))} for name, (some, seeds) in models.items()}
    return {"datasets": {name: {"variants": {}} | entry for name, entry in datasets.items()}, "models": runs}


def windows(source="part", targets=("marks/a.bed",), **changed):
    wanted = {f"t{at}": {"intervals": path} for at, path in enumerate(targets)}
    return {"genome": source, "windows": {"bin": 200, "stride": 0} | changed, "targets": wanted}


def sequences(*files, length=0, **more):
    return {"sequences": {"files": [{"file": file} for file in files], "length": length}} | more


def test_exact_sizes_go_before_those_known_about():
    assert [size(one) for one in ({"bytes": 5, "about": 9}, {"about": 9}, {})] == [5, 9, 0]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], (0, 0, 0)),
        (["whole/w.fa.gz"], (1, 900, 0)),
        (["whole/w.fa.gz", "whole/w.fa.gz", "marks/a.bed"], (2, 5900, 0)),
        (["part/p1.fa"], (0, 0, 0)),
        (["part/p2.fa", "marks/a.bed"], (2, 5000, 1)),
        (["bundle/train.mat"], (1, 300, 0)),
        (["bundle/train.mat", "bundle/test.mat", "bundle/x.tar.gz"], (1, 300, 0)),
    ],
    ids=["nothing", "one", "once each", "at hand", "of unknown size", "its archive", "their archive once"],
)
def test_downloads_are_what_comes_over_the_network(paths, expected):
    assert downloads(iter(paths), SOURCES) == expected


def test_a_genome_takes_a_byte_a_base_and_a_bit_for_repeats_once():
    one = study({"d": windows(bin=10**9)})
    both = study({"d": windows(bin=10**9), "e": windows(bin=10**9)})
    # 800 bases of two regions; the files of the source and of the target. Not one window of 1 Gb.
    assert disk(one, SOURCES, LENGTHS) == disk(both, SOURCES, LENGTHS) == 900 + 5000
    assert disk(study({"d": windows("whole", bin=10**9)}), SOURCES, LENGTHS) == 1_125_000 + 900 + 5000


def test_windows_take_their_rows_labels_signals_and_predictions():
    fixed = 900 + 5000
    # 4 windows of 200 bp in 800 bp: 80 bytes a row, 2 bits a target.
    assert disk(study({"d": windows()}), SOURCES, LENGTHS) == fixed + 4 * 80 + 1
    # 40 windows with a stride of 20, of three targets of one file; two models with 1 and 3 seeds, 0.2 of windows predicted.
    entry = windows(targets=["marks/a.bed"] * 3, stride=20)
    found = disk(study({"d": entry}, a=(["d"], 1), b=(["d", "x"], 3), c=(["x"], 9)), SOURCES, LENGTHS)
    assert found == fixed + int(40 * (80 + 3 * (1 / 4 + 4 * 0.2 * 4)))
    entry["targets"]["t0"] = {"signal": "marks/c.bigWig"}
    assert disk(study({"d": entry}), SOURCES, LENGTHS) == fixed + 7 + int(40 * (80 + 4 + 3 / 4))


def test_bins_on_centres_are_as_many_as_their_file_has_lines():
    plain, packed = (disk(study({"d": windows("whole", centres=path)}), SOURCES, LENGTHS) for path in ("marks/a.bed", "marks/b.bed.gz"))
    assert plain == 1_125_000 + 900 + 5000 + int(200 * 80.25)
    assert packed == 1_125_000 + 900 + 5000 + 5000 + int(800 * 80.25)


@pytest.mark.parametrize(
    ("entry", "files", "bases"),
    [
        (sequences("bundle/y.csv"), 40, 40),
        (sequences("bundle/y.npz"), 11, 44),
        (sequences("bundle/train.mat", "bundle/test.mat"), 8000 + 800 + 300, 1000 + 100),
        (sequences("bundle/y.csv", "bundle/y.npz"), 51, 84),
        (sequences("marks/a.bed", "marks/b.bed.gz", length=50, genome="part"), 5000 + 5000, 200 * 50 + 800 * 50 + 900),
    ],
    ids=["text", "packed", "one-hot in an archive", "two files", "intervals"],
)
def test_sequences_take_a_byte_a_base_beside_their_files(entry, files, bases):
    assert disk(study({"d": entry}, a=(["d"], 5)), SOURCES, LENGTHS) == files + bases


def test_variants_and_what_windows_are_described_by_are_counted():
    entry = sequences("bundle/y.csv", tss="marks/a.bed", variants={"v": "marks/b.bed.gz"})
    assert disk(study({"d": entry}), SOURCES, LENGTHS) == 80 + 5000 + 5000


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1500, "1.5 kB"), (17_845_123, "17.8 MB"), (999_499, "999 kB"), (999_999, "1 MB"),
        (3_821_872_019, "3.82 GB"), (30_900_000_000, "30.9 GB"), (999_999_999_999, "1 TB"), (12_345_678_901_234, "12.3 TB"),
    ],
)  # fmt: skip
def test_bytes_in_words(count, said):
    assert words(count) == said
