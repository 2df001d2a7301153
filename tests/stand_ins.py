"""Local stand-ins of the servers that the shipped studies download from: real data, at the path names of the real addresses."""

import functools
import gzip
import hashlib
import http.server
import itertools
import json
import re
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import made_up_bundle
import numpy as np
import pandas as pd
import scipy.io
import torch
import toy_models
import yaml

from regdna.alphabet import encode
from regdna.models import kipoi

MEGABASES = {"chr20": ("hg19_chr20_1000001-2000000.fa", 1_000_000), "chr22": ("hg19_chr22_20000001-21000000.fa", 20_000_000)}
LENGTH = 1_000_000
ELEMENT, BESIDE = ("HBB", "chr11", 5_248_251, 5_248_438), 1100  # of the saturation MPRA; Ns on both sides make room for a window
REPEAT = re.compile(r"([ACGT])\1{7,}|([ACGT]{2,3})\2{4,}")  # RepeatMasker's own table is not at hand; these are in lower case too
GAP = (20_509_431, 20_609_431)  # of chr22, the only run of N
# Whose peaks are at hand. Files of other cells and marks are served too, made of those that come nearest.
TISSUES = {"E116": "gm12878", "E123": "pancreas", "E118": "uterus", "E066": "liver", "E003": "ov"}
MARKS = {"DNase": "dnase", "H3K4me3": "h3k4me3", "H3K27ac": "h3k27ac", "H3K4me1": "h3k27ac", "H3K27me3": "h3k27me3",
         "H3K36me3": "h3k36me3", "H3K9me3": "h3k27me3"}  # fmt: skip
WEIGHTS = {"hub-dnabert2": "dnabert2", "hub-nt-v2-50m": "nt-v2", "hub-nt-v2-500m": "nt-v2"}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; the ENCODE portal's objects are files too, asked for with a slash and a query."""

    def log_message(self, *_: object) -> None: ...

    def translate_path(self, path: str) -> str:
        return super().translate_path(path.partition("?")[0].rstrip("/") + (".json" if "frame=object" in path else ""))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which ``folder`` is served on this machine; a host's files lie in a folder of its name."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class StandIns:
    """Makes the files of sources from real data and moves a clone's addresses to where they are served.

    Args:
        clone: a copy of the checkout, whose ``resources/sources.yaml`` is changed.
        folder: what is served.
        address: where.
        data: real data, as they lie beside the project's own checkout.
    """

    def __init__(self, clone: Path, folder: Path, address: str, data: Path):
        self.clone, self.folder, self.address, self.data = clone, folder, address, data
        self.sources = yaml.safe_load((clone / "resources/sources.yaml").read_text())

    def moved(self, url: str) -> str:
        """The local address of a file, under the path name of the real one."""
        parts = urlsplit(url)
        return f"{self.address}/{parts.netloc}{parts.path}"

    def put(self, source: str, file: str, content: bytes) -> None:
        """Serve a file; where a checksum of it is published, that of the stand-in is stated instead, if it is another."""
        entry = self.sources[source]
        stated = entry if "names" in entry else entry["files"][file]
        stated["url"] = stated["url"] if stated["url"].startswith(self.address) else self.moved(stated["url"])
        place = self.folder / stated["url"].replace("{file}", file).removeprefix(f"{self.address}/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        stated.pop("mirrors", None)
        for kind in ("sha256", "sha1", "md5"):
            if kind in stated:
                stated[kind] = hashlib.new(kind, content).hexdigest()
        if "bytes" in stated:
            stated["bytes"] = len(content)

    def write(self) -> None:
        """Write the clone's sources down; what another assembly's source says follows the data, which are of hg19."""
        (self.clone / "resources/sources.yaml").write_text(yaml.safe_dump(self.sources, sort_keys=False, width=1000))

    # What the files are made of.

    def text(self, name: str) -> str:
        content = (self.data / name).read_bytes()
        return (gzip.decompress(content) if name.endswith(".gz") else content).decode()

    def sequence(self, chrom: str) -> str:
        return self.text(f"genome/{MEGABASES[chrom][0]}").partition("\n")[2].replace("\n", "")

    def peaks(self, tissue: str, assay: str) -> list[tuple[str, int, int]]:
        """Peaks of a tissue in the megabases; of GM12878, or of the liver, where the tissue has none of this assay, or under ten."""
        for one in (tissue, "gm12878", "liver"):
            for path in sorted((self.data / "annotation/encode_hg19").glob("*.bed.gz")):
                if path.name.lower().startswith((f"{assay}_{one}_", f"histones_{one}_")) and assay in path.name.lower():
                    rows = self.inside(f"annotation/encode_hg19/{path.name}")
                    if len(rows) >= 10:
                        return rows
        raise AssertionError(f"no peaks of {assay}")

    @functools.cache  # noqa: B019 - one object a study
    def inside(self, name: str) -> list[tuple[str, int, int]]:
        """Intervals of a file that lie in the megabases, sorted."""
        rows = (line.split("\t", 3)[:3] for line in self.text(name).splitlines() if line.startswith(("chr20\t", "chr22\t")))
        rows = [(chrom, int(start), int(end)) for chrom, start, end in rows]
        return sorted(row for row in rows if MEGABASES[row[0]][1] <= row[1] and row[2] <= MEGABASES[row[0]][1] + LENGTH)

    @functools.cached_property
    def starts(self) -> list[tuple[str, int, str]]:
        """Transcription start sites: chromosome, 0-based position, strand."""
        rows = [line.split("\t") for line in self.text("annotation/RefSeqTSS_strand.hg19.txt.gz").splitlines()]
        return sorted(
            {
                (chrom, int(at), strand)
                for chrom, at, strand in rows
                if chrom in MEGABASES and MEGABASES[chrom][1] + 2000 < int(at) < MEGABASES[chrom][1] + LENGTH - 2000
            }
        )

    # Sources, one method each.

    def genome(self) -> None:
        """hg19: the two megabases, and one element of the saturation MPRA between Ns."""
        records = {}
        for chrom, (_, start) in MEGABASES.items():
            records[f"{chrom}:{start + 1}-{start + LENGTH}"] = REPEAT.sub(lambda found: found[0].lower(), self.sequence(chrom))
        name, chrom, start, end = ELEMENT
        table = pd.read_csv(self.data / "variants/satmut_elements.tsv.gz", sep="\t", dtype=str)
        table = table[(table["Element"] == name) & (table["Release"] == "GRCh37")]
        bases = dict(zip(table["Pos"].astype(int), table["Ref"], strict=True))
        element = "".join(bases.get(at, "N") for at in range(start + 1, end + 1))
        records[f"{chrom}:{start - BESIDE + 1}-{end + BESIDE}"] = "N" * BESIDE + element + "N" * BESIDE
        fasta = "".join(f">{record}\n{sequence}\n" for record, sequence in records.items())
        self.put("ucsc-hg19", "hg19.fa.gz", gzip.compress(fasta.encode(), 1))
        self.sources["ucsc-hg19"]["regions"] = [[chrom, start, start + LENGTH] for chrom, (_, start) in MEGABASES.items()]
        self.sources["ucsc-hg19"]["regions"].append([chrom, start - BESIDE, end + BESIDE])

    def tables(self) -> None:
        """Gaps, repeats, the blacklist and genes, each in its own layout."""
        gap = "\t".join(map(str, (590, "chr22", *GAP, 8, "N", GAP[1] - GAP[0], "clone", "no")))
        self.put("ucsc-hg19-tables", "gap.txt.gz", gzip.compress(f"{gap}\n".encode()))
        repeats = []
        for chrom, (_, start) in MEGABASES.items():
            for found in REPEAT.finditer(self.sequence(chrom)):
                place = (585, 500, 0, 0, 0, chrom, start + found.start(), start + found.end(), 0, "+", "(A)n", "Simple_repeat")
                repeats.append("\t".join(map(str, (*place, "Simple_repeat", 1, found.end() - found.start(), 0, 1))))
        self.put("ucsc-hg19-tables", "rmsk.txt.gz", gzip.compress("\n".join([*repeats, ""]).encode()))
        self.put("blacklist-hg19", "hg19-blacklist.v2.bed.gz", gzip.compress(b"chr22\t20500000\t20509431\tLow Mappability\n"))
        genes = [
            "\t".join((chrom, "HAVANA", "transcript", *(str(one) for one in ((at + 1, at + 1000) if strand == "+" else (at - 998, at + 1))),
                       ".", strand, ".", 'gene_id "G"; gene_type "protein_coding";'))
            for chrom, at, strand in self.starts
        ]  # fmt: skip
        self.put("gencode-v19", "gencode.v19.annotation.gtf.gz", gzip.compress("\n".join(["##format: gtf", *genes, ""]).encode()))

    def measured(self) -> None:
        """The saturation MPRA as published, whole; JASPAR in its layout of four rows a motif."""
        self.put("mpra-saturation", "elements.tsv.gz", (self.data / "variants/satmut_elements.tsv.gz").read_bytes())
        motifs = []
        for block in self.text("motifs/JASPAR2022_vertebrates.pfm").split(">")[1:]:
            title, *rows = block.strip().splitlines()
            columns = zip(*(row.split() for row in rows), strict=True)
            motifs += [f">{title}", *(f"{base}  [ {' '.join(column)} ]" for base, column in zip("ACGT", columns, strict=True))]
        self.put("jaspar-2022", "vertebrates.txt", "\n".join([*motifs, ""]).encode())

    def weights(self, *names: str) -> None:
        """Toy checkpoints in the published layouts, with the published vocabulary."""
        specials = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
        words = [*specials, *map("".join, itertools.product("ATCG", repeat=6)), *"ATCGN"]
        for at, name in enumerate(names):
            safe = "model.safetensors" in self.sources[name]["files"]
            made = toy_models.published(self.folder / "made" / name, WEIGHTS[name], seed=at, safe=safe)
            for file in self.sources[name]["files"]:
                content = (made / file).read_bytes() if (made / file).is_file() else b"{}"
                self.put(name, file, "\n".join(words).encode() if file == "vocab.txt" else content)

    def published_deepsea(self) -> None:
        """DeepSEA's weights in Kipoi's layout with few filters, and the real names of its 919 outputs."""
        draw, filters, hidden = torch.Generator().manual_seed(0), (4, 4, 4), 8
        shapes, before = {}, 4
        for number, width in zip(kipoi.Layout.convolutions, filters, strict=True):
            shapes[f"1.{number}"], before = (width, before, 1, 8), width
        shapes |= {"1.12.1": (hidden, before * 53), "1.14.1": (919, hidden)}
        tensors = {f"{key}.weight": torch.randn(shape, generator=draw) * 0.2 for key, shape in shapes.items()}
        tensors |= {f"{key}.bias": torch.zeros(shape[0]) for key, shape in shapes.items()}
        made = self.folder / "made" / "deepsea.pth"
        made.parent.mkdir(parents=True, exist_ok=True)
        torch.save(tensors, made)
        self.put("kipoi-deepsea-variant-effects", "deepsea_variant_effects.pth", made.read_bytes())
        self.names()

    def names(self) -> None:
        self.put("deepsea-names", "predictor.names", (self.data / "labelled/DeepSEA_predictor.names").read_bytes())

    def roadmap(self, targets: dict) -> None:
        """Peaks and 15 states under the names that the targets ask for; states are made of the marks, as their names say."""
        for path in sorted({one["intervals"] for one in targets.values()}):
            source, _, file = path.partition("/")
            tissue = TISSUES[file[:4]]
            if source == "roadmap-chromhmm":
                promoter, enhancer = self.peaks(tissue, "h3k4me3"), self.peaks(tissue, "h3k27ac")
                active = [row for row in enhancer if not any(touch(row, one) for one in promoter)]
                kinds = [(row, "1_TssA" if at % 2 else "2_TssAFlnk") for at, row in enumerate(promoter)]
                kinds += [(row, "7_Enh" if at % 4 else "6_EnhG") for at, row in enumerate(active)]
                rows = ["\t".join(map(str, (*row, state))) for row, state in sorted(kinds)]
            else:
                mark = re.match(r"E\d+-(\w+)", file)[1]
                rows = ["\t".join(map(str, (*row, f"Rank_{at}", 100, ".", 5.0, 4.0, 3.0, (row[2] - row[1]) // 2)))
                        for at, row in enumerate(self.peaks(tissue, MARKS[mark]))]  # fmt: skip
            self.put(source, file, gzip.compress("\n".join([*rows, ""]).encode()))

    def gue(self) -> None:
        """GUE's human sets, as published."""
        for path in sorted((self.data / "labelled/GUE").glob("*.csv.gz")):
            name = path.name.removesuffix(".gz").replace("prom_prom_core_", "core-promoter-").replace("_", "-")
            self.put("gue", name, gzip.decompress(path.read_bytes()))

    def encode(self, accessions: list[str]) -> None:
        """The portal: a file's object and, at its download address, the file."""
        portal = self.folder / "www.encodeproject.org/files"
        for accession in accessions:
            path = next((self.data / "annotation/encode_hg19").glob(f"*{accession}*"))
            content = path.read_bytes()
            place = portal / accession / "@@download" / f"{accession}.bed.gz"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            row = self.table.loc[accession]
            thing = {name: row[name] for name in ("output_type", "file_type")} | {
                "accession": accession,
                "dataset": f"/experiments/{row['experiment'] or 'ENCSR000AAA'}/",
                "assembly": "hg19",
                "status": "released",
                "biosample_ontology": {"term_name": row["biosample"]},
                "assay_title": row["assay"],
                "target": {"label": row["target"]} if row["target"] else "",
                "file_size": len(content),
                "md5sum": hashlib.md5(content).hexdigest(),
                "preferred_default": True,
            }
            (portal / f"{accession}.json").write_text(json.dumps(thing))
        module = self.clone / "workflow_scripts/regdna/sources/encode.py"
        module.write_text(module.read_text().replace('"https://www.encodeproject.org"', f'"{self.address}/www.encodeproject.org"'))

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.clone / "resources/encode.tsv", sep="\t", dtype=str, keep_default_na=False).set_index("accession")

    def elements(self) -> None:
        """cCREs in their layout: GM12878's H3K27ac peaks, by their distance to a start site."""
        rows = []
        for at, (chrom, start, end) in enumerate(self.peaks("gm12878", "h3k27ac")):
            near = min((abs((start + end) // 2 - site) for name, site, _ in self.starts if name == chrom))
            kind = "PLS" if near < 200 else "pELS,CTCF-bound" if near < 2000 else "dELS"
            rows.append("\t".join(map(str, (chrom, start, end, f"EH38D{at:07}", f"EH38E{at:07}", kind))))
        self.sources["ccre-v3"]["assembly"] = "hg19"
        self.put("ccre-v3", "GRCh38-cCREs.bed", "\n".join([*rows, ""]).encode())

    def bundle(self) -> None:
        """The DeepSEA bundle: bins of the megabases with any CTCF peak, 919 profiles; both strands, channels A, G, C, T.

        Training and validation bins are of chr20; the test bins, of chr22, are called chr8, where the reader knows them to be.
        """
        names = self.text("labelled/DeepSEA_predictor.names").split("\n")
        kinds = [line.split("|")[1] for line in names if "|" in line]
        files = sorted((self.data / "annotation/encode_hg19").glob("*.bed.gz"))
        called = {path: self.inside(f"annotation/encode_hg19/{path.name}") for path in files}
        groups = {kind: [path for path in files if path.name.startswith(kind)] for kind in ("dnase", "ctcf", "h")}
        codes, labels, bed = [], [], []
        for chrom, (_, begin) in sorted(MEGABASES.items()):
            sequence = encode(self.sequence(chrom))
            covered = {path: bins_of(rows, chrom, begin) for path, rows in called.items()}
            columns = [
                covered[group[at % len(group)]]
                for at, kind in enumerate(kinds)
                for group in [groups["dnase" if kind == "DNase" else "h" if re.match(r"H\d|H2A", kind) else "ctcf"]]
            ]
            truth = np.stack(columns, 1)
            kept = np.flatnonzero(truth.any(1))
            kept = kept[(kept >= 5) & (kept < LENGTH // 200 - 5)]
            codes.append(np.stack([sequence[200 * at - 400 : 200 * at + 600] for at in kept]))
            labels.append(truth[kept])
            bed += [("chr8" if chrom == "chr22" else chrom, begin + 200 * at, begin + 200 * (at + 1)) for at in kept]
        held = len(codes[0]) * 4 // 5
        sets = {"train": (codes[0][:held], labels[0][:held]), "valid": (codes[0][held:], labels[0][held:]), "test": (codes[1], labels[1])}
        folder = self.folder / "made/deepsea_train"
        folder.mkdir(parents=True)
        for prefix, part in sets.items():
            strands, truth = made_up_bundle.both_strands(*part)
            arrays = {f"{prefix}xdata": made_up_bundle.one_hot(strands), f"{prefix}data": truth.astype(np.uint8)}
            if prefix == "train":
                made_up_bundle.write_hdf5(folder / "train.mat", arrays, compression="gzip", compression_opts=3)
            else:
                scipy.io.savemat(folder / f"{prefix}.mat", arrays, do_compression=True)
        (self.folder / "made/allTFs.pos.bed").write_text("".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in bed))
        for source, archive, member in (
            ("deepsea-bundle", "deepsea_train_bundle.v0.9.tar.gz", "deepsea_train"),
            ("deepsea-bins", "allTFs.pos.bed.tar.gz", "allTFs.pos.bed"),
        ):
            with tarfile.open(self.folder / "made" / archive, "w:gz", compresslevel=1) as opened:
                opened.add(self.folder / "made" / member, member)
            self.put(source, archive, (self.folder / "made" / archive).read_bytes())
        self.names()


def touch(one: tuple[str, int, int], other: tuple[str, int, int]) -> bool:
    """Whether two intervals overlap."""
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def bins_of(rows: list[tuple[str, int, int]], chrom: str, begin: int) -> np.ndarray:
    """Which 200-bp bins of a megabase are covered by more than half, bool."""
    bases = np.zeros(LENGTH, bool)
    for name, start, end in rows:
        if name == chrom:
            bases[start - begin : end - begin] = True
    return bases.reshape(-1, 200).sum(1) > 100
