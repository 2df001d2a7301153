"""Scores of variants a line a variant: a summary to read, and VCF for variant tools."""

from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd

from regdna.store import atomic
from regdna.variants.table import read_blocks, strongest

MANY = 50  # targets whose scores are too many for a record of a VCF


def write_summary(path: Path, scores: Path) -> None:
    """One line a variant as TSV: where and what it is, then its scores at the target with its largest ``|logit|``.

    Columns: chrom, pos (1-based), id, ref, alt, kind, measured where the file has it, target (name), every score there, and
    below_views: yes where ``|logit|`` is no
    larger than ``logit_views``, so that framing alone may have made it. No number is empty.

    Args:
        scores: parquet of ``regdna.variants.write_scores``.
    """
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8") as out:
        for number, block in enumerate(read_blocks(scores)):
            one = strongest(block)
            one = one.assign(pos=one["position"] + 1, target=one["name"], below_views=np.where(one["below_views"], "yes", "no"))
            known = ["measured"] if "measured" in one else []
            shown = one[["chrom", "pos", "id", "ref", "alt", "kind", *known, "target", *block.values, "below_views"]]
            shown.to_csv(out, sep="\t", index=False, header=not number, float_format="%.6g")


def write_vcf(path: Path, index: Path, scores: Path, lengths: dict[str, int]) -> None:
    """Scored variants as bgzipped VCF, sorted and indexed for tabix; alleles are written in their leftmost and shortest way.

    Of fewer than ``MANY`` targets every score has one value a target. Of more, the scores are those at each variant's strongest target;
    those of all are in the table of scores.

    Args:
        index: .tbi to write.
        scores: parquet of ``regdna.variants.write_scores``.
        lengths: bp of the assembly's chromosomes, which also give their order.
    """
    import pysam

    about, parts, each = {}, [], []
    for block in read_blocks(scores):
        about, one = block.about, strongest(block)
        parts.append(one[["chrom", "position", "id", "ref", "alt", "name", "below_views"]])
        each.append(block.values if len(about["targets"]) < MANY else {name: one[[name]].to_numpy() for name in block.values})
    table = pd.concat(parts, ignore_index=True)
    values = {name: np.concatenate([some[name] for some in each]) for name in each[0]}
    there = table["chrom"].unique().tolist()
    contigs = [*(chrom for chrom in lengths if chrom in there), *(chrom for chrom in there if chrom not in lengths)]
    order = np.lexsort([table["position"], table["chrom"].map({chrom: at for at, chrom in enumerate(contigs)})])
    known = {name: some for name, some in values.items() if not np.isnan(some).all()}  # spread over seeds with one seed is none
    layout = ";".join(f"{name}={','.join(['%.6g'] * some.shape[1])}" for name, some in known.items())
    numbers = np.concatenate(list(known.values()), 1)
    with atomic(path) as temporary, atomic(index) as beside:
        with pysam.BGZFile(str(temporary), "wb") as out:
            out.write("".join(f"{line}\n" for line in _vcf_header(contigs, lengths, list(values), about)).encode())
            for row, record in zip(order, table.iloc[order].itertuples(index=False), strict=True):
                out.write(_vcf_record(record, (layout % tuple(numbers[row].tolist())).replace("nan", ".")).encode())
        pysam.tabix_index(str(temporary), preset="vcf", index=str(beside), force=True)


def _vcf_header(contigs: list[str], lengths: dict[str, int], names: list[str], about: dict) -> list[str]:
    targets = about["targets"]
    which = f"one value a target: {'; '.join(targets)}" if len(targets) < MANY else f"at the strongest of {len(targets)} targets"
    info = [
        ("strongest", 1, "String", "target with the largest |logit|, percent-encoded"),
        ("below_views", 0, "Flag", "|logit| at the strongest target is no larger than logit_views: framing alone may have made it"),
        *((name, len(targets) if len(targets) < MANY else 1, "Float", f"{about['definitions'][name]}; {which}") for name in names),
    ]
    return [
        "##fileformat=VCFv4.2",
        f"##reference={about['assembly']}",
        *(f"##contig=<ID={chrom}{f',length={lengths[chrom]}' if chrom in lengths else ''}>" for chrom in contigs),
        *(f'##INFO=<ID={name},Number={number},Type={kind},Description="{_quoted(meaning)}">' for name, number, kind, meaning in info),
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _vcf_record(one: tuple, numbers: str) -> str:
    flag = "below_views;" if one.below_views else ""
    name = "_".join(one.id.split()) or "."
    place = f"{one.chrom}\t{one.position + 1}\t{name}\t{one.ref}\t{one.alt}"
    return f"{place}\t.\t.\tstrongest={quote(one.name, safe='/+()|')};{flag}{numbers}\n"
