"""ENCODE files by accession: a table that freezes what was meant, and the portal that is asked whether it still holds."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from regdna.manifest import nearest, read_table
from regdna.sources.http import get_json
from regdna.step import InputError
from regdna.store import atomic

PORTAL = "https://www.encodeproject.org"
ASSEMBLIES = {"hg19": "hg19", "hg38": "GRCh38"}  # this house's name to the portal's
SUFFIXES = {"bed": ".bed.gz", "bigBed": ".bigBed", "bigWig": ".bigWig"}  # by the first word of the file type
CCRES = "candidate Cis-Regulatory Elements"
ACCESSION = r"ENCFF\d{3}[A-Z]{3}"
# Every column of the table, and what its values look like.
COLUMNS = {
    "accession": (ACCESSION, "an accession such as ENCFF123ABC"),
    "experiment": (r"(ENCSR\d{3}[A-Z]{3})?", "empty or an accession such as ENCSR123ABC"),
    "assembly": ("(hg19|hg38)", "hg19 or hg38"),
    "biosample": (".*", "a term of the portal"),
    "assay": (".+", "an assay of the portal, or annotation"),
    "target": (".*", "a target of the portal"),
    "output_type": (".*", "an output type of the portal"),
    "file_type": (r"(bed|bigBed|bigWig)( .+)?", "a type such as 'bed narrowPeak' or bigWig"),
    "bytes": (r"([1-9]\d*)?", "empty or a number of bytes"),
    "md5": (r"([0-9a-f]{32})?", "empty or 32 hex digits"),
    "preferred": ("(true|false|unknown)", "true, false or unknown"),
    "status": (".+", "a status of the portal, or unknown"),
    "verified": ("(true|false)", "true or false"),
    "why": (".*", "words"),
}
ORDER = ["biosample", "assay", "target", "accession"]
# What a query may ask for: the column, and the property of a file that the portal's search knows it by.
TERMS = {
    "biosample": "biosample_ontology.term_name",
    "assay": "assay_title",
    "target": "target.label",
    "output_type": "output_type",
    "file_type": "file_type",
    "experiment": "dataset",
}
# What a row states that the portal may contradict; verified and why are this house's own.
COMPARED = [name for name in COLUMNS if name not in ("verified", "why")]


def read_frozen(path: Path) -> pd.DataFrame:
    """The frozen table: one row a file, all columns str, in the order of the file; an empty field is not known.

    Raises:
        InputError: a value is not of its column's form, an accession is given twice, or a verified row has no md5 or bytes.
    """
    table = read_table(path, dict.fromkeys(COLUMNS, str))[list(COLUMNS)]
    for name, (form, words) in COLUMNS.items():
        wrong = np.flatnonzero(~table[name].str.fullmatch(form).astype(bool))
        if len(wrong):
            raise InputError(f"{path}: line {wrong[0] + 2}: {name} is {table[name].iloc[wrong[0]]!r}, not {words}; mend it")
    again = np.flatnonzero(table["accession"].duplicated())
    if len(again):
        raise InputError(f"{path}: line {again[0] + 2}: {table['accession'].iloc[again[0]]} is given twice; remove one")
    bare = np.flatnonzero((table["verified"] == "true") & ((table["md5"] == "") | (table["bytes"] == "")))
    if len(bare):
        raise InputError(f"{path}: line {bare[0] + 2}: verified, but without md5 or bytes; write verified as false and confirm the table")
    return table


def write_frozen(path: Path, rows: Iterable[dict]) -> None:
    """Write the table atomically, sorted by biosample, assay, target and accession: equal rows give equal bytes."""
    table = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(ORDER)
    with atomic(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, lineterminator="\n")


def files(table: pd.DataFrame, assembly: str, base: str = PORTAL) -> dict[str, dict]:
    """The files of one assembly, ``{accession}{suffix}`` to entry, sorted by name, as ``resources/sources.yaml`` holds them."""
    rows = table[table["assembly"] == assembly].sort_values("accession").to_dict("records")
    return {file_name(row): entry(row, base) for row in rows}


def file_name(row: dict) -> str:
    """What the portal calls the file of a row, such as ``ENCFF123ABC.bed.gz``."""
    return row["accession"] + SUFFIXES[row["file_type"].split()[0]]


def entry(row: dict, base: str = PORTAL) -> dict:
    """url of a row's file, with bytes (int) and md5 where they are known."""
    found = {"url": f"{base}/files/{row['accession']}/@@download/{file_name(row)}"}
    if row["bytes"]:
        found["bytes"] = int(row["bytes"])
    if row["md5"]:
        found["md5"] = row["md5"]
    return found


class Portal:
    """The portal's answers, each asked for once.

    Args:
        pace: folder of the file through which jobs share the portal's pace of 10 requests a second.
        base: its address.
        first_wait: seconds before the first retry.
    """

    def __init__(self, pace: Path, base: str = PORTAL, first_wait: float = 1.0):
        self.pace, self.base, self.first_wait = pace, base.rstrip("/"), first_wait
        self._known: dict[str, dict | None] = {}

    def search(self, terms: list[tuple[str, str]]) -> list[dict]:
        """The file objects that fit all terms; none if the portal says that nothing does, which it does with a 404.

        Raises:
            InputError: it does not answer, or not to this.
        """
        url = f"{self.base}/search/?{urlencode([('type', 'File'), *terms, ('format', 'json'), ('frame', 'object'), ('limit', 'all')])}"
        status, found = get_json(url, self.pace, self.first_wait)
        if status not in (200, 404) or "@graph" not in found:
            raise InputError(f"{url}: the portal answered {status} ({found.get('description', found.get('title', 'no reason'))})")
        return found["@graph"]

    def find(self, link: object) -> dict | None:
        """The object at a path such as ``/files/ENCFF123ABC/``, or that an embedded object stands for; None if it is not shown.

        Raises:
            InputError: the portal does not answer.
        """
        path = _path(link)
        if path not in self._known:
            status, found = get_json(f"{self.base}{path}?format=json&frame=object", self.pace, self.first_wait)
            if status not in (200, 403, 404):
                raise InputError(f"{self.base}{path}: the portal answered {status} ({found.get('description', 'no reason')})")
            self._known[path] = found if status == 200 else None
        return self._known[path]

    def word(self, link: object, key: str) -> str:
        """``key`` of what a property links to, which is a path in the object frame and a dictionary in the embedded one."""
        if not link:
            return ""
        thing = link if isinstance(link, dict) and key in link else self.find(link) or {}
        return str(thing.get(key, ""))


def _path(link: object) -> str:
    return link["@id"] if isinstance(link, dict) else str(link)


def _name(link: object) -> str:
    """The last part of a link: ``/experiments/ENCSR123ABC/`` gives ENCSR123ABC."""
    return _path(link).strip("/").rpartition("/")[2]


def _accession(thing: dict) -> str:
    return thing.get("accession") or _name(thing)  # files that only other archives number have none of the portal's


def describe(thing: dict, portal: Portal, why: str = "") -> dict:
    """A portal's file object, in either frame, as a row of the table, verified.

    What the file does not state itself (assay, biosample, target) is read from its experiment; what is only a path there
    is asked for.

    Raises:
        InputError: the portal does not answer.
    """
    dataset = thing["dataset"]

    def stated(name: str) -> object:
        return thing[name] if thing.get(name) is not None else (portal.find(dataset) or {}).get(name)

    assembly = thing.get("assembly", "")
    return {
        "accession": _accession(thing),
        "experiment": _name(dataset),
        "assembly": next((ours for ours, theirs in ASSEMBLIES.items() if theirs == assembly), assembly),
        "biosample": portal.word(stated("biosample_ontology"), "term_name"),
        "assay": "annotation" if _path(dataset).startswith("/annotations/") else str(stated("assay_title") or ""),
        "target": portal.word(stated("target"), "label"),
        "output_type": thing.get("output_type", ""),
        "file_type": thing.get("file_type", ""),
        "bytes": str(thing.get("file_size", "")),
        "md5": thing.get("md5sum", ""),
        "preferred": "true" if thing.get("preferred_default") else "false",
        "status": thing.get("status", "unknown"),
        "verified": "true",
        "why": why,
    }


def _refusal(thing: dict, row: dict, wanted: dict[str, list[str]], assembly: str, any_output: bool) -> str | None:
    """Why a file cannot be taken, or None."""
    donors = [_path(donor) for donor in thing.get("donors", [])]
    if row["status"] != "released":
        heirs = _successors(thing)
        return f"{row['status']} on the portal; " + (f"superseded by {heirs}, take that" if heirs else "choose another file")
    if any(not donor.startswith("/human-donors/") for donor in donors):
        return f"not human ({', '.join(donors)})"
    if row["assembly"] != assembly:
        return f"of assembly {row['assembly'] or 'unknown'}, not {assembly}; ask for that one"
    for name, values in wanted.items():
        if row[name] not in values:
            return f"{name} is {row[name]!r}, not {' or '.join(values)} as asked"
    if row["preferred"] != "true" and not any_output:
        return f"{row['output_type']!r} is not the output that the portal prefers; take it with --any-output true"
    if not re.fullmatch(ACCESSION, row["accession"]):
        return "has no accession of the portal; it is kept elsewhere"
    if row["file_type"].split(" ")[0] not in SUFFIXES:
        return f"file type {row['file_type']!r} is none of {', '.join(SUFFIXES)}"
    if not (row["md5"] and row["bytes"]):
        return "the portal states no md5 or no size of it"
    return None


def _successors(thing: dict) -> str:
    return ", ".join(sorted(_name(link) for link in thing.get("superseded_by", [])))


def resolve(asked: dict | list[str], assembly: str, portal: Portal, any_output: bool = False) -> tuple[list[dict], list[str]]:
    """Turn a query or accessions into verified rows of the table.

    Args:
        asked: values (or lists of them: any fits) by a column of ``TERMS``; or accessions. A query that names no file
            type asks for ``bed narrowPeak``, or for any BED if the assay is ``annotation`` (cCREs).
        assembly: hg19 or hg38.
        any_output: take also what the portal does not prefer (``preferred_default``) of an experiment's outputs.

    Returns:
        the rows, sorted by biosample, assay, target and accession; and for each file that was refused a line saying why.

    Raises:
        InputError: an unknown assembly or key, a malformed accession, nothing that fits, or no answer.
    """
    if assembly not in ASSEMBLIES:
        raise InputError(f"assembly: {assembly!r} is none of {', '.join(ASSEMBLIES)}{nearest(assembly, ASSEMBLIES)}")
    wanted: dict[str, list[str]] = {}
    if isinstance(asked, dict):
        wanted, why, found = _search(asked, assembly, portal, any_output)
    else:
        why, found = "asked for by accession", {accession: portal.find(f"/files/{_checked(accession)}/") for accession in asked}
    rows, refusals = [], []
    for accession, thing in found.items():
        if thing is None:
            refusals.append(f"{accession}: the portal shows no such file; correct the accession, or the file is not released")
            continue
        row = describe(thing, portal, why)
        if row["accession"] != accession:
            refusals.append(f"{accession}: replaced by {row['accession']} on the portal; take that")
        elif reason := _refusal(thing, row, wanted, assembly, any_output):
            refusals.append(f"{accession}: {reason}")
        else:
            rows.append(row)
    return sorted(rows, key=lambda row: [row[name] for name in ORDER]), sorted(refusals)


def _checked(accession: str) -> str:
    if not re.fullmatch(ACCESSION, accession):
        raise InputError(f"accession: {accession!r} is not one such as ENCFF123ABC; correct it")
    return accession


def _search(query: dict, assembly: str, portal: Portal, any_output: bool) -> tuple[dict[str, list[str]], str, dict[str, dict]]:
    """What was asked for as lists, the query in words, and the portal's hits by accession."""
    if not query:
        raise InputError(f"query: empty; name some of {', '.join(TERMS)}")
    for key in query:
        if key not in TERMS:
            raise InputError(f"query: {key!r} is none of {', '.join(TERMS)}{nearest(str(key), TERMS)}")
    wanted = {key: [str(one) for one in (value if isinstance(value, list) else [value])] for key, value in sorted(query.items())}
    annotation = wanted.get("assay") == ["annotation"]
    terms = [("assembly", ASSEMBLIES[assembly]), ("status", "released")]
    terms += [] if any_output else [("preferred_default", "true")]
    if annotation:
        terms += [("annotation_type", CCRES)] + ([] if "file_type" in wanted else [("file_format", "bed")])
    else:
        wanted.setdefault("file_type", ["bed narrowPeak"])
    place = "annotations" if annotation else "experiments"
    for key, values in wanted.items():
        if not (annotation and key == "assay"):
            terms += [(TERMS[key], f"/{place}/{one}/" if key == "experiment" else one) for one in values]
    words = ", ".join(f"{key} {' or '.join(values)}" for key, values in wanted.items()) + (", any output" if any_output else "")
    hits = portal.search(terms)
    if not hits:
        hint = "ask for less" if any_output else "ask for less, or also for outputs that are not preferred with --any-output true"
        raise InputError(f"query: no released {assembly} file of the portal fits {words}; {hint}")
    return wanted, f"found by {words}", {_accession(hit): hit for hit in hits}


def confirm(row: dict, found: dict) -> list[str]:
    """Where a row's known fields and the portal's file differ: one ``field: ...`` each, none if they agree.

    Args:
        row: of the frozen table; a status that is not known must be released.
        found: the file as ``describe`` gives it.
    """
    if row["accession"] != found["accession"]:
        return [f"accession: replaced by {found['accession']}"]
    known = {name: row[name] for name in COMPARED if row[name] not in ("", "unknown")} | {
        "status": row["status"].replace("unknown", "released")
    }
    differences = [
        f"{name}: {value} here, {found[name] or 'nothing'} on the portal" for name, value in known.items() if value != found[name]
    ]
    bare = [name for name in ("md5", "bytes") if not found[name] and not row[name]]
    return differences + [f"{name}: the portal states none" for name in bare]


def confirm_table(table: pd.DataFrame, portal: Portal, show: Callable[[int], None]) -> tuple[list[dict], list[str]]:
    """Ask the portal for every row.

    Args:
        show: called with the number of rows done.

    Returns:
        the rows, verified and completed where the portal agrees, else with verified false; and a line for each disagreement.

    Raises:
        InputError: the portal does not answer.
    """
    rows, lines = [], []
    for done, row in enumerate(table.to_dict("records"), start=1):
        completed, differences = _ask(row, portal)
        rows.append(completed)
        lines += [f"{row['accession']}: {difference}" for difference in differences]
        show(done)
    return rows, lines


def _ask(row: dict, portal: Portal) -> tuple[dict, list[str]]:
    thing = portal.find(f"/files/{row['accession']}/")
    if thing is None:
        return row | {"verified": "false"}, ["the portal shows no such file"]
    found = describe(thing, portal)
    differences = confirm(row, found)
    if differences:
        heirs = _successors(thing)
        return row | {"verified": "false"}, differences + ([f"superseded_by: {heirs}, take that"] if heirs else [])
    return found | {"why": row["why"]}, []


def vouch(row: dict, pace: Path, base: str = PORTAL) -> dict:
    """The entry of a row's file with its md5 and bytes; of a row that is not verified, after asking the portal.

    Args:
        pace: folder of the file through which jobs share the portal's pace.

    Raises:
        InputError: the portal disagrees with the row, or does not answer.
    """
    if row["verified"] == "true":
        return entry(row, base)
    completed, differences = _ask(row, Portal(pace, base))
    if differences:
        raise InputError(f"{row['accession']}: {'; '.join(differences)}; correct resources/encode.tsv")
    return entry(completed, base)
