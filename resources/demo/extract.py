"""Re-extract the embedded demo data from the public packages it came from, and compare digests.

    python resources/demo/extract.py [--write]

Three packages are read, none of their code is run and no pickle is opened:

* pip ``dnadiffusion==0.0.0.dev0`` (MIT): one text table of 47,872 DNase hypersensitive sites (hg38);
* apt ``hisat2`` (GPL-3+; the sequence and dbSNP records in its examples are public): hg19 chr22:20,000,001-21,000,000;
* apt ``chromhmm-example`` (GPL-3+; UCSC and RefSeq tables): TSS, CpG islands and exons of hg19.

Without ``--write`` the files in git are compared with what the packages give and nothing is changed. Needs apt
(``apt-get download``) and pip with a network; the workflow itself never runs this.
"""

import argparse
import csv
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import yaml

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "sources.yaml"
TABLE = "dnadiffusion/data/K562_hESCT0_HepG2_GM12878_12k_sequences_per_group.txt"
CELL_TYPES = {"GM12878": "GM12878_ENCLB441ZZZ", "HepG2": "HepG2_ENCLB029COU", "K562": "K562_ENCLB843GMH",
              "hESC": "hESCT0_ENCLB449ZZZ"}  # fmt: skip
CHROMOSOMES = [f"chr{name}" for name in [*range(1, 23), "X", "Y"]]
SHARDS = 4
REGION = ("chr22", 20_000_000, 21_000_000)  # 0-based, half-open
LETTERS = np.full(256, 255, np.uint8)
LETTERS[list(b"ACGT")] = np.arange(4)


def window(start: int, end: int, summit: int, length: int = 200) -> int:
    """Start (0-based) of the window that the table's sequence covers.

    The table gives the site's bounds and its 200-bp sequence, not where the sequence lies. It starts at the site's
    start if the summit is within 100 bp of it, ends at the site's end if the summit is within 100 bp of that, and is
    centred on the summit otherwise. A test compares windows with assembly sequence where some is at hand.
    """
    half = length // 2
    if summit - start < half:
        return start
    return end - length if end - summit < half else summit - half


def sites(wheel: bytes) -> dict[str, bytes]:
    """The DNase sites as ``SHARDS`` npz files: chrom, start, label, sequence (two bits a base, first base highest)."""
    rows = []
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive, archive.open(TABLE) as handle:
        for row in csv.DictReader(io.TextIOWrapper(handle), delimiter="\t"):
            start = window(int(row["start"]), int(row["end"]), int(row["summit"]))
            label = list(CELL_TYPES.values()).index(row["TAG"])
            rows.append((CHROMOSOMES.index(row["chr"]), start, label, row["sequence"]))
    rows.sort()
    chrom, start, label = (np.array([row[i] for row in rows], kind) for i, kind in enumerate((np.uint8, np.int32, np.uint8)))
    codes = LETTERS[np.frombuffer("".join(row[3] for row in rows).encode(), np.uint8)].reshape(len(rows), 200)
    if codes.max() > 3:
        sys.exit(f"{TABLE}: a sequence holds a letter other than A, C, G, T; the two-bit packing would lose it")
    quads = codes.reshape(len(rows), 50, 4)
    packed = quads[..., 0] << 6 | quads[..., 1] << 4 | quads[..., 2] << 2 | quads[..., 3]
    files = {}
    for shard, part in enumerate(np.array_split(np.arange(len(rows)), SHARDS), start=1):
        out = io.BytesIO()
        np.savez(out, chrom=chrom[part], start=start[part], label=label[part], sequence=packed[part],
                 chromosomes=np.array(CHROMOSOMES), targets=np.array(list(CELL_TYPES)))  # fmt: skip
        files[f"dhs/sites-{shard}.npz"] = out.getvalue()
    return files


def region(hisat2: Path, chromhmm: Path) -> dict[str, bytes]:
    """Sequence, annotation and variants of ``REGION`` as gzipped FASTA, BED and VCF."""
    chrom, first, last = REGION
    lines = (hisat2 / "22_20-21M.fa").read_text().splitlines()
    sequence = "".join(lines[1:])
    name = f"{chrom}:{first + 1}-{last}"
    fasta = f">{name}\n" + "\n".join(sequence[i : i + 60] for i in range(0, len(sequence), 60)) + "\n"
    files = {"chr22/sequence.fa.gz": gzip.compress(fasta.encode(), 9, mtime=0)}

    def inside(path: Path) -> list[list[str]]:
        with gzip.open(path, "rt") as handle:
            rows = {tuple(line.split()) for line in handle}
        kept = [row for row in rows if row[0] == chrom and first <= int(row[1]) < last]
        return [list(row) for row in sorted(kept, key=lambda row: (int(row[1]), *row))]

    anchors = inside(chromhmm / "ANCHORFILES/hg19/RefSeqTSS.hg19.txt.gz")
    tss = [f"{row[0]}\t{row[1]}\t{int(row[1]) + 1}\t.\t0\t{row[2]}\n" for row in anchors]
    files["chr22/tss.bed"] = "".join(tss).encode()
    for table, out in {"CpGIsland": "cpg-islands", "RefSeqExon": "exons"}.items():
        rows = inside(chromhmm / f"COORDS/hg19/{table}.hg19.bed.gz")
        files[f"chr22/{out}.bed"] = "".join("\t".join(row[:3]) + "\n" for row in rows).encode()

    records = []
    for line in (hisat2 / "22_20-21M.snp").read_text().splitlines():
        identifier, kind, _, offset, change = line.split()
        at = int(offset)  # 0-based in the FASTA: the base replaced, the first base deleted, or the base inserted before
        if kind == "single":
            record = (at, sequence[at], change)
        elif kind == "deletion":
            record = (at - 1, sequence[at - 1 : at + int(change)], sequence[at - 1])
        else:
            record = (at - 1, sequence[at - 1], sequence[at - 1] + change)
        records.append((first + record[0] + 1, identifier, record[1], record[2]))
    header = f"##fileformat=VCFv4.2\n##reference=hg19\n##contig=<ID={chrom},assembly=hg19>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    body = "".join(f"{chrom}\t{pos}\t{name}\t{ref}\t{alt}\t.\t.\t.\n" for pos, name, ref, alt in sorted(records))
    files["chr22/dbsnp.vcf.gz"] = gzip.compress((header + body).encode(), 9, mtime=0)
    return files


def fetch(folder: Path) -> tuple[bytes, Path, Path]:
    """The wheel's bytes and the two packages' example folders, downloaded and unpacked below ``folder``."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), "dnadiffusion==0.0.0.dev0"]
    subprocess.run(pip, check=True)
    subprocess.run(["apt-get", "download", "-qq", "hisat2", "chromhmm-example"], check=True, cwd=folder)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package.name, "unpacked"], check=True, cwd=folder)
    examples = folder / "unpacked/usr/share/doc"
    return next(folder.glob("*.whl")).read_bytes(), examples / "hisat2/examples/reference", examples / "chromhmm/examples"


def content(name: str, data: bytes) -> str:
    """sha256 of what the file says: gzip streams are opened first, since zlib versions compress differently."""
    return hashlib.sha256(gzip.decompress(data) if name.endswith(".gz") else data).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="replace the files in resources/demo")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as folder:
        wheel, hisat2, chromhmm = fetch(Path(folder))
        files = {**sites(wheel), **region(hisat2, chromhmm)}
    different = []
    for name, data in sorted(files.items()):
        path = HERE / name
        same = path.is_file() and content(name, path.read_bytes()) == content(name, data)
        print(f"{'same' if same else 'DIFFERENT'}\t{content(name, data)}\t{len(data)}\t{name}")
        if write and not same:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        elif not same:
            different.append(name)
    listed = {str(entry["path"]): entry["sha256"] for source in yaml.safe_load(SOURCES.read_text()).values()
              for entry in source["files"].values() if "path" in entry}  # fmt: skip
    for name in files:
        path = HERE / name
        if listed.get(f"resources/demo/{name}") != hashlib.sha256(path.read_bytes()).hexdigest():
            different.append(f"{name} (resources/sources.yaml states another sha256)")
    if different:
        sys.exit("differs from its package: " + ", ".join(different))


if __name__ == "__main__":
    main()
