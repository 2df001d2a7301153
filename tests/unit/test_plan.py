import socket
import threading

import pytest

from regdna.plan import absent, disk, downloads, extent, reachable, restricted, size, words

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
    "weights": {"assembly": "", "licence": "CC BY-NC-SA 4.0: not for commercial use", "checkpoint": {},
                "files": {"w.json": {"url": "u", "about": 20}, "w.bin": {"url": "u", "bytes": 7000}}},
    "own": {"assembly": "", "licence": "", "checkpoint": {}, "files": {"o.pth": {"path": "p", "bytes": 3}}},
}  # fmt: skip
LENGTHS = {"hg19": 1_000_000}


def study(datasets, weights=(), **models):
    """A study of datasets, of models as (datasets, seeds), and of weights that two models of no dataset name."""
    runs = {name: {"datasets": some, "seeds": list(range(seeds))} for name, (some, seeds) in models.items()}
    runs |= {f"{source}-{at}": {"datasets": [], "seeds": [], "weights": source} for source in weights for at in range(2)}
    return {"datasets": {name: {"variants": {}} | entry for name, entry in datasets.items()}, "models": runs, "effects": {}}


def windows(source="part", targets=("marks/a.bed",), **changed):
    wanted = {f"t{at}": {"intervals": path} for at, path in enumerate(targets)}
    return {"genome": source, "windows": {"bin": 200, "stride": 0, "context": 600} | changed, "targets": wanted}


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


def test_the_extent_of_a_dataset_is_its_windows_and_their_bases():
    assert extent(windows(), SOURCES, LENGTHS) == (4, 4 * 600)
    assert extent(windows("whole", stride=100), SOURCES, LENGTHS) == (10_000, 6_000_000)
    assert extent(windows("whole", centres="marks/a.bed"), SOURCES, LENGTHS) == (200, 200 * 600)
    assert extent(sequences("bundle/y.npz", "bundle/y.csv", length=20), SOURCES, LENGTHS) == (4, 84)
    assert extent(sequences("bundle/y.csv"), SOURCES, LENGTHS) == (None, 40)


def test_variants_and_what_windows_are_described_by_are_counted():
    entry = sequences("bundle/y.csv", tss="marks/a.bed", variants={"v": {"file": "marks/b.bed.gz"}})
    assert disk(study({"d": entry}), SOURCES, LENGTHS) == 80 + 5000 + 5000


def test_weights_are_held_once():
    entry = sequences("bundle/y.csv")
    assert disk(study({"d": entry}, weights=["weights", "own"]), SOURCES, LENGTHS) == 80 + 7020 + 3


@pytest.mark.parametrize(
    ("licence", "kept"),
    [
        ("CC BY-NC-SA 4.0", True), ("CC BY-NC-SA 4.0: not for commercial use", True), ("Non-commercial use only", True),
        ("noncommercial", True), ("free for academic use", True), ("CC BY 3.0", False), ("Apache-2.0", False), ("MIT", False), ("", False),
    ],
)  # fmt: skip
def test_a_licence_against_commercial_use_is_noticed(licence, kept):
    sources = SOURCES | {"weights": SOURCES["weights"] | {"licence": licence}}
    assert restricted(study({}, weights=["own", "weights"]), sources) == ({"weights": licence} if kept else {})
    assert restricted(study({}, weights=["own"]), sources) == {}


def test_what_must_come_over_the_network_is_what_is_neither_at_hand_nor_downloaded(tmp_path):
    paths = ["weights/w.json", "weights/w.bin", "own/o.pth", "bundle/train.mat"]
    assert absent(paths, SOURCES, None) == absent(paths, SOURCES, tmp_path) == {"weights/w.json": "u", "weights/w.bin": "u"}
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w.json").touch()
    assert absent(paths, SOURCES, tmp_path) == {"weights/w.bin": "u"}
    (tmp_path / "w.bin").touch()
    assert absent(paths, SOURCES, tmp_path) == {}


@pytest.fixture
def bare(monkeypatch):
    """An environment that names no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.fixture
def open_port():
    """A port that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port():
    """A port that refuses connections."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, so that nobody else listens there meanwhile
        yield held.getsockname()[1]


def test_one_host_that_answers_is_a_network(bare, open_port, closed_port):
    here, away = f"http://127.0.0.1:{open_port}/a", f"https://127.0.0.1:{closed_port}/b"
    assert reachable([here]) and reachable([away, here]) and reachable([here, f"{here}/c"])
    assert not reachable([away]) and not reachable([away, f"{away}/c"])
    assert not reachable(["https://127.0.0.1:99999/a"])


def test_where_there_is_a_proxy_it_is_the_proxy_that_must_answer(bare, open_port, closed_port):
    here, away = f"http://127.0.0.1:{open_port}/a", f"https://127.0.0.1:{closed_port}/b"
    bare.setenv("HTTPS_PROXY", f"http://127.0.0.1:{open_port}")
    assert reachable([away])
    bare.setenv("HTTPS_PROXY", f"127.0.0.1:{open_port}")  # without a scheme, as some write it
    assert reachable([away])
    bare.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    assert not reachable([here])
    bare.setenv("no_proxy", "127.0.0.1")
    assert reachable([here]) and not reachable([away])


def test_a_name_that_is_looked_up_for_ever_is_not_waited_for(bare, open_port):
    end, connect = threading.Event(), socket.create_connection

    def look_up(*_):
        end.wait(20)
        return connect(("127.0.0.1", open_port))

    bare.setattr(socket, "create_connection", look_up)
    assert not reachable(["https://a.org/x", "https://b.org/x"], seconds=0.2)  # it is, for who waits
    end.set()


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1500, "1.5 kB"), (17_845_123, "17.8 MB"), (999_499, "999 kB"), (999_999, "1 MB"),
        (3_821_872_019, "3.82 GB"), (30_900_000_000, "30.9 GB"), (999_999_999_999, "1 TB"), (12_345_678_901_234, "12.3 TB"),
    ],
)  # fmt: skip
def test_bytes_in_words(count, said):
    assert words(count) == said
