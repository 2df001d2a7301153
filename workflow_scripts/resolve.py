"""Find ENCODE files on the portal and freeze them in a table, or confirm the table; no rule runs this, the table is in git.

    python workflow_scripts/resolve.py --table resources/encode.tsv --assembly hg38 \\
        --query '{biosample: K562, assay: TF ChIP-seq, target: CTCF}'
    python workflow_scripts/resolve.py --table resources/encode.tsv --assembly hg38 --accessions ENCFF769AUF
    python workflow_scripts/resolve.py --table resources/encode.tsv --confirm true
"""

from pathlib import Path

from regdna.sources.encode import PORTAL, Portal, confirm_table, read_frozen, resolve, write_frozen
from regdna.step import InputError, progress, run


def main(
    table: Path,
    assembly: str = "",
    query: dict | None = None,
    accessions: list[str] | None = None,
    confirm: bool = False,
    any_output: bool = False,
    base: str = PORTAL,
    pace: Path = Path("results/sources"),
) -> None:
    """Add rows to the table, or confirm all of them; exactly one of query, accessions and confirm is given.

    Args:
        table: the frozen table; made if absent when rows are added.
        assembly: hg19 or hg38; needed to add rows.
        query: values by biosample, assay, target, output_type, file_type and experiment; a list of values means any.
        accessions: files to add.
        confirm: ask the portal for every row and write down what agrees.
        any_output: take also outputs that the portal does not prefer.
        base: address of the portal.
        pace: folder of the file through which jobs share the portal's pace.

    Raises:
        InputError: wrong arguments, no answer; or, after the table was written, a file that was refused or a row that disagrees.
    """
    if [query is not None, accessions is not None, confirm].count(True) != 1:
        raise InputError("resolve.py: give exactly one of --query, --accessions and --confirm true")
    portal = Portal(pace, base)
    if confirm:
        frozen = read_frozen(table)
        rows, lines = confirm_table(frozen, portal, progress(len(frozen), "asking the portal", "files"))
        agreeing = sum(row["verified"] == "true" for row in rows)
        print(f"{table}: {agreeing} of {len(rows)} files are as the portal has them")
        trouble, advice = "files that disagree with the portal", "correct their rows and confirm again"
    else:
        old = read_frozen(table).to_dict("records") if table.is_file() else []
        found, lines = resolve(accessions if query is None else query, assembly, portal, any_output)
        held = {row["accession"] for row in old}
        for row in found:
            print(f"{'replaced' if row['accession'] in held else 'added'} {describe_row(row)}")
        new = {row["accession"] for row in found}
        rows = [row for row in old if row["accession"] not in new] + found
        trouble, advice = "files refused", "what was found is in the table"
    if rows:
        write_frozen(table, rows)
    for line in lines:
        print(line)
    if lines:
        raise InputError(f"{table}: {trouble}: {len({line.partition(':')[0] for line in lines})} (lines above); {advice}")


def describe_row(row: dict) -> str:
    """A row in words."""
    return " ".join(row[name] for name in ("accession", "assembly", "biosample", "assay", "target", "output_type") if row[name])


if __name__ == "__main__":
    run(main)
