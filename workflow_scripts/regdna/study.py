"""Studies: read, completed with defaults and cross-checked before any job starts."""

import re

import pandas as pd

from regdna.cell_types import check_transfer
from regdna.dependencies import check_dependencies
from regdna.manifest import nearest
from regdna.step import InputError

PUBLISHED_TARGETS = "deepsea-names/predictor.names"  # what the outputs of DeepSEA's published weights are
# The columns of resources/loci.tsv.
LOCUS = {"locus": str, "assembly": str, "chrom": str, "start": int, "end": int, "variants": str, "title": str, "why": str}
SUBSTITUTION = re.compile(r"^(?P<chrom>[^\s:]+):(?P<position>\d+)(?P<ref>[ACGT])>(?!(?P=ref))(?P<alt>[ACGT])$")


def weight_files(study: dict, sources: dict) -> list[str]:
    """Every ``source/file`` of the weights that a study names, in order, once.

    Args:
        study: validated.
        sources: every source, completed.
    """
    used = {entry["weights"] for entry in study["models"].values() if "weights" in entry}
    used = sorted(used | ({study["effects"]["published"]} if "published" in study["effects"] else set()))
    return [f"{source}/{file}" for source in used for file in sources[source]["files"]]


def shared_files(study: dict, sources: dict) -> list[str]:
    """Every ``source/file`` that a study names outside its datasets, or that comes with what it names: weights, their targets, motifs."""
    effects = study["effects"]
    targets = [PUBLISHED_TARGETS] if "published" in effects else []
    return weight_files(study, sources) + targets + ([effects["motifs"]] if "motifs" in effects else [])


def references(entry: dict) -> list[tuple[str, str]]:
    """Every ``source/file`` that a dataset names, with the key that names it."""
    sequences, windows = entry.get("sequences", {}), entry.get("windows", {})
    found = [(f"sequences.files.{at}.file", one["file"]) for at, one in enumerate(sequences.get("files", []))]
    found += [(f"sequences.{key}", sequences[key]) for key in ("positions", "names") if key in sequences]
    found += [(key, entry[key]) for key in ("tss", "repeats") if key in entry]
    found += [("windows.centres", windows["centres"])] if "centres" in windows else []
    found += [(f"windows.exclude.{at}", path) for at, path in enumerate(windows.get("exclude", []))]
    for target, one in entry.get("targets", {}).items():
        found += [(f"targets.{target}.{key}", one[key]) for key in ("intervals", "signal") if key in one]
    return found + [(f"variants.{variants}.file", one["file"]) for variants, one in entry["variants"].items()]


def apply_preset(split: dict, presets: dict, key: str) -> dict:
    """A split with its published preset's rule in place of the preset's name.

    Args:
        split: as the study says it.
        presets: content of ``resources/splits.yaml``.

    Raises:
        InputError: no such preset, or both a preset and a rule.
    """
    if "preset" not in split:
        return split
    name = split["preset"]
    if name not in presets:
        raise InputError(f"{key}.preset: {name!r} is not in resources/splits.yaml{nearest(name, presets)}")
    if "rule" in split or "test" in split or "validation" in split:
        raise InputError(f"{key}: give either 'preset' or 'rule', 'test' and 'validation'")
    return {**split, **presets[name]}


def check_datasets(study: dict, sources: dict, assemblies: pd.DataFrame, loci: pd.DataFrame, name: str) -> None:
    """Checks that need more than one key or more than one file.

    Args:
        study: a validated study.
        sources: every source, completed.
        assemblies: assembly, chrom, length.
        loci: chrom, start, end; indexed by locus and assembly.
        name: file to name in messages.

    Raises:
        InputError: one line on the first thing that does not fit.
    """
    for dataset, entry in study["datasets"].items():
        key = f"{name}: datasets.{dataset}"
        known = assemblies["assembly"].unique()
        if entry["assembly"] and entry["assembly"] not in known:
            raise InputError(f"{key}.assembly: {entry['assembly']!r} is not in resources/assemblies.tsv{nearest(entry['assembly'], known)}")
        lengths = assemblies[assemblies["assembly"] == entry["assembly"]].set_index("chrom")["length"]
        if ("sequences" in entry) == ("windows" in entry):
            raise InputError(f"{key}: give either 'sequences' or 'windows'")
        if "windows" in entry and not ("genome" in entry and "targets" in entry):
            raise InputError(f"{key}: a dataset with 'windows' needs 'genome' and 'targets'")
        if "sequences" in entry and ("targets" in entry or "negatives" in entry):
            raise InputError(f"{key}: sequences carry their labels; take out 'targets' and 'negatives', which are for 'windows'")
        _check_sources(entry, sources, key)
        _check_split(entry["split"], entry["assembly"], lengths, f"{key}.split")
        _check_targets(entry.get("targets", {}), f"{key}.targets")
        check_transfer(entry, key)
        if entry["labels"] == "exclusive" and len(entry.get("targets", "two")) < 2:
            raise InputError(f"{key}.labels: one target excludes nothing; say multilabel")
        if dataset in ("logs", "benchmarks"):
            raise InputError(f"{key}: {dataset!r} is a folder of results; rename the dataset")
        length = _check_windows(entry, key)
        here = {model: one for model, one in study["models"].items() if dataset in one["datasets"]}
        if not here:
            raise InputError(f"{key}: no model runs on it; list it in a model's 'datasets' or remove it")
        for model, one in here.items():
            if length and one["context"] > length:
                raise InputError(f"{name}: models.{model}.context: {one['context']} bp, but windows of {dataset} have {length}; shorten it")
            _check_context(one, length, dataset, f"{name}: models.{model}.context")
        if entry["loci"] and not length:
            raise InputError(f"{key}.loci: loci need to know the length of the sequences; say it in sequences.length")
        for locus in entry["loci"]:
            _check_locus(locus, loci, entry, lengths, length, reach(study), sources, f"{key}.loci")
            _check_views(loci.loc[locus, entry["assembly"]], here, length, study, "sequences" in entry, f"{key}.loci: {locus}")
        for variants, one in entry["variants"].items():
            _check_variants(one, entry, length, f"{key}.variants.{variants}")
            _check_moved(study, here, length, f"{key}.variants.{variants}")
    _check_effects(study, sources, f"{name}: effects")
    check_dependencies(study, name)
    for dataset, entry in study["datasets"].items():
        asked = any(one["mutagenesis"] and dataset in one["datasets"] for one in study["models"].values())
        for kind in ("loci", "variants"):
            if entry[kind] and not asked:
                key = f"{name}: datasets.{dataset}.{kind}"
                raise InputError(f"{key}: no model on it has 'mutagenesis: true'; give it to one, or take the key out")


def check_loci(loci: pd.DataFrame, name: str) -> None:
    """Refuse a known variant of a locus that is none, or none of it.

    Args:
        loci: chrom, start, end (0-based, half-open) and variants; indexed by locus and assembly.
        name: file to name in messages.

    Raises:
        InputError: one that is not written chr1:12345A>G (1-based, a substitution), or lies outside.
    """
    for (locus, assembly), row in loci.iterrows():
        for text in row["variants"].split():
            match = SUBSTITUTION.match(text)
            if not match:
                raise InputError(
                    f"{name}: {locus} on {assembly}: {text!r} is no substitution; write {row.chrom}:{row.start + 1}A>G, several with spaces"
                )
            if match["chrom"] != row.chrom or not row.start < int(match["position"]) <= row.end:
                raise InputError(
                    f"{name}: {locus} on {assembly}: {text} lies outside {row.chrom}:{row.start + 1}-{row.end}; mend or remove it"
                )


def _check_context(entry: dict, length: int, dataset: str, key: str) -> None:
    """Refuse what a model would see of a dataset's windows where it is shorter or longer than the model takes."""
    (shortest, longest), view = entry["limits"], entry["context"] or length
    whose = f"the weights of {entry['weights']} take" if "weights" in entry else f"{entry['architecture']} of these sizes takes"
    if not view or (shortest <= view and (longest is None or view <= longest)):
        return
    limit = longest if longest is not None and view > longest else shortest
    bound = "exactly" if shortest == longest else "at most" if limit == longest else "at least"
    if view > limit:
        advice = f"set it to {limit}" if bound == "exactly" else f"set it to {limit} or less"
    else:
        advice = f"give {dataset} windows of {limit} bp or more" if 0 < length < limit else f"set it to {limit}"
    said = f"sees {view} bp of the windows of {dataset}" + (f" ({length} bp)" if length not in (0, view) else "")
    raise InputError(f"{key}: the model {said}, but {whose} {bound} {limit} bp; {advice}")


def _check_sources(entry: dict, sources: dict, key: str) -> None:
    if "genome" in entry and entry["genome"] not in sources:
        raise InputError(f"{key}.genome: {entry['genome']!r} is not in resources/sources.yaml{nearest(entry['genome'], sources)}")
    if "genome" in entry and not sources[entry["genome"]]["assembly"]:
        raise InputError(
            f"{key}.genome: source {entry['genome']} says of no assembly what its chromosomes are; give it its 'assembly', "
            "one of resources/assemblies.tsv"
        )
    files = references(entry)
    for where, path in files:
        source, _, file = path.partition("/")
        if source not in sources:
            raise InputError(f"{key}.{where}: source {source!r} is not in resources/sources.yaml{nearest(source, sources)}")
        if file not in sources[source]["files"]:
            raise InputError(f"{key}.{where}: source {source} has no file {file!r}{nearest(file, sources[source]['files'])}")
    used = [("genome", entry["genome"])] if "genome" in entry else []
    for where, source in used + [(where, path.partition("/")[0]) for where, path in files]:
        held = sources[source]["assembly"]
        if held and held != entry["assembly"]:
            raise InputError(f"{key}.{where}: source {source} is {held}, the dataset {entry['assembly'] or 'of none'}; never mix them")


def _check_split(split: dict, assembly: str, lengths: pd.Series, key: str) -> None:
    if "rule" not in split:
        raise InputError(f"{key}: 'rule' is missing; give it, or a 'preset'")
    if split.get("assembly", assembly) != assembly:
        raise InputError(
            f"{key}.preset: {split['preset']} is for {split['assembly']}, the dataset is {assembly or 'of none'}; never mix them"
        )
    if split["rule"] == "given":
        return
    for part in ("test", "validation"):
        if part not in split:
            raise InputError(f"{key}: {part!r} is missing; add it")
        _check_part(split["rule"], split[part], lengths, f"{key}.{part}")
    if split["rule"] == "chromosomes":
        for place in split.get("unused", []):
            _check_place(place, lengths, f"{key}.unused")
        both = sorted(set(split["test"]) & set(split["validation"]))
        if both:
            raise InputError(f"{key}: {', '.join(both)} in both test and validation; keep each chromosome in one part")
    if split["rule"] == "homology" and split["test"] + split["validation"] >= 1:
        raise InputError(f"{key}: test and validation are all of the windows; leave some to train")
    if split["rule"] == "blocks" and "block" not in split:
        raise InputError(f"{key}: 'block' is missing; give its length in bp")


def _check_part(rule: str, chosen: object, lengths: pd.Series, key: str) -> None:
    number = isinstance(chosen, int | float) and not isinstance(chosen, bool)
    if rule == "chromosomes":
        if not isinstance(chosen, list) or not chosen or not all(isinstance(one, str) for one in chosen):
            raise InputError(f"{key}: {chosen!r} names no chromosomes; list them by name, such as [chr1]")
        for place in chosen:
            _check_place(place, lengths, key)
    elif rule == "blocks" and (not number or isinstance(chosen, float) or chosen < 1):
        raise InputError(f"{key}: give a number of blocks, at least 1")
    elif rule == "homology" and (not number or not 0 < chosen < 1):
        raise InputError(f"{key}: {chosen!r} is no share of the windows; give one between 0 and 1, such as 0.1")


def _check_place(place: str, lengths: pd.Series, key: str) -> None:
    chrom = place.partition(":")[0]
    # Sequences without an assembly may bring chromosome names of their own.
    if len(lengths) and chrom not in lengths.index:
        raise InputError(f"{key}: {place!r} is not a chromosome of the assembly{nearest(chrom, lengths.index)}")


def _check_targets(targets: dict, key: str) -> None:
    for target, one in targets.items():
        if ("intervals" in one) == ("signal" in one):
            raise InputError(f"{key}.{target}: give either 'intervals' or 'signal'")
        needed, other = ("rule", "threshold") if "intervals" in one else ("threshold", "rule")
        if needed not in one or other in one:
            raise InputError(f"{key}.{target}: {'intervals need' if needed == 'rule' else 'a signal needs'} {needed!r} and not {other!r}")
        idle = [name for name in ("column", "upstream", "downstream") if name in one and "signal" in one]
        if idle:
            raise InputError(f"{key}.{target}: {idle[0]!r} is for intervals and does nothing to a signal; take it out")
        if "upstream" in one and one.get("rule") == "summit_in_bin":
            raise InputError(f"{key}.{target}: summits are not widened; take out 'upstream' and 'downstream', or choose another rule")
        if ("upstream" in one) != ("downstream" in one):
            raise InputError(f"{key}.{target}: give both 'upstream' and 'downstream', or neither")
        if "upstream" in one and one["upstream"] + one["downstream"] == 0:
            raise InputError(f"{key}.{target}: 'upstream' and 'downstream' are both 0; make one larger")
        if ("column" in one) != ("values" in one):
            raise InputError(f"{key}.{target}: give both 'column' and 'values', or neither")


def _check_windows(entry: dict, key: str) -> int:
    """Length of a dataset's windows in bp; 0 where only its files tell."""
    if "sequences" in entry:
        for at, one in enumerate(entry["sequences"]["files"]):
            if one["file"].removesuffix(".gz").endswith(".bed") and not ("genome" in entry and entry["sequences"]["length"]):
                raise InputError(f"{key}.sequences.files.{at}: intervals have no sequence; give 'genome' and 'sequences.length'")
        return int(entry["sequences"]["length"])
    windows = entry["windows"]
    if windows["context"] < windows["bin"] or (windows["context"] - windows["bin"]) % 2:
        raise InputError(f"{key}.windows: context {windows['context']} must be bin {windows['bin']} plus equal flanks on both sides")
    if entry["split"]["rule"] == "blocks" and entry["split"].get("gap", 0) < windows["context"]:
        raise InputError(f"{key}.split.gap: {entry['split'].get('gap', 0)} bp is less than one window ({windows['context']}); widen it")
    if "tss_distance" in entry.get("negatives", {}).get("match", []) and "tss" not in entry:
        raise InputError(f"{key}.negatives.match: tss_distance is not known; give the dataset 'tss'")
    return int(windows["context"])


def _check_locus(locus: str, loci: pd.DataFrame, entry: dict, lengths: pd.Series, length: int, reach: int, sources: dict, key: str) -> None:
    known = loci.index.unique("locus")
    if locus not in known:
        raise InputError(f"{key}: {locus!r} is not in resources/loci.tsv{nearest(locus, known)}")
    if (locus, entry["assembly"]) not in loci.index:
        held = " and ".join(loci.loc[locus].index)
        raise InputError(f"{key}: {locus} is on {held}, the dataset on {entry['assembly'] or 'none'}; never mix them")
    row = loci.loc[locus, entry["assembly"]]
    place = f"{row.chrom}:{row.start}-{row.end}"
    if row.chrom not in lengths.index or not 0 <= row.start < row.end <= lengths[row.chrom]:
        raise InputError(f"{key}: {locus} at {place} lies outside {entry['assembly']}; mend resources/loci.tsv")
    if row.end - row.start > length:
        raise InputError(f"{key}: {locus} at {place} is longer than a window ({length} bp); shorten it")
    source = entry["genome"] if "windows" in entry else entry["sequences"]["files"][0]["file"].partition("/")[0]
    regions = sources[source].get("regions")
    flank = (length - (row.end - row.start)) // 2 + 1 + reach if "windows" in entry else 0
    held = regions is None or any(
        chrom == row.chrom and first + flank <= row.start and row.end + flank <= last for chrom, first, last in regions
    )
    if not held:
        raise InputError(f"{key}: {locus} at {place}, with its window, lies outside what source {source} holds; choose another")


def _check_variants(one: dict, entry: dict, length: int, key: str) -> None:
    if one["genome"] == "dataset" and "genome" not in entry:
        raise InputError(f"{key}: variants need the dataset's 'genome' (sequences alone have no flanks to fill from), or genome: elements")
    if not entry["assembly"]:
        raise InputError(f"{key}: variants have coordinates; give the dataset its 'assembly'")
    if not length:
        raise InputError(f"{key}: variants need to know the length of the sequences; say it in sequences.length")
    for label, target in one["against"].items():
        if "targets" in entry and target not in entry["targets"]:
            raise InputError(f"{key}.against.{label}: {target!r} is no target of the dataset{nearest(target, entry['targets'])}")


def _check_moved(study: dict, models: dict, length: int, key: str) -> None:
    """Refuse shifts that move a variant out of what a model sees: what would be left is a window that slid."""
    moved = max(map(abs, study["effects"]["shifts"]))
    for model, one in models.items():
        view = one["context"] or length
        if one["mutagenesis"] and moved >= view // 2:
            raise InputError(f"{key}: effects.shifts move variants by {moved} bp, out of the {view} that model {model} sees; shorten them")


def _check_effects(study: dict, sources: dict, key: str) -> None:
    effects = study["effects"]
    sets = {variants for entry in study["datasets"].values() for variants in entry["variants"]}
    if "background" in effects and effects["background"] not in sets:
        raise InputError(
            f"{key}.background: {effects['background']!r} is no set of variants of a dataset{nearest(effects['background'], sets)}"
        )
    if "published" in effects:
        held = {name for name, source in sources.items() if source.get("checkpoint", {}).get("architecture") == "deepsea"}
        if effects["published"] not in held:
            raise InputError(
                f"{key}.published: {effects['published']!r} is no source of DeepSEA's weights{nearest(effects['published'], held)}"
            )
    if "motifs" in effects:
        source, _, file = effects["motifs"].partition("/")
        if source not in sources:
            raise InputError(
                f"{key}.motifs: source {source!r} is not in resources/sources.yaml, nor in the study's 'sources'{nearest(source, sources)}"
            )
        if file not in sources[source]["files"]:
            raise InputError(f"{key}.motifs: source {source} has no file {file!r}{nearest(file, sources[source]['files'])}")


def reach(study: dict) -> int:
    """Bases beyond a model's view, on either side, that mutagenesis reads: by shifts, and for a base that takes a deleted one's place."""
    return max(map(abs, study["effects"]["shifts"])) + study["effects"]["deletions"]


def _check_views(row: pd.Series, models: dict, length: int, study: dict, closed: bool, key: str) -> None:
    """Refuse a locus that a model does not see whole in every shift, or, where sequences end (closed), one whose flanks are not held."""
    moved, beside = max(map(abs, study["effects"]["shifts"])), reach(study)
    for model, one in models.items():
        view, size = one["context"] or length, row.end - row.start
        if one["mutagenesis"] and closed and beside and view + 2 * beside > length:
            raise InputError(
                f"{key}: effects.shifts and effects.deletions read {beside} bp beside what model {model} sees ({view} bp), but the "
                f"sequences have {length}; give it a context of {length - 2 * beside} bp or less"
            )
        if one["mutagenesis"] and view < size + 2 * moved:
            more = f" and is moved by {moved} either way" if moved else ""
            raise InputError(f"{key} has {size} bp{more}, but model {model} sees {view}; shorten it or widen its context")
