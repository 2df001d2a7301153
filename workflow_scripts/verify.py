"""Open published weights through the one door, refuse what is broken or is not what was said, and write down what they are."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from regdna import models
from regdna.alphabet import encode
from regdna.models import door, weights
from regdna.sources.fetch import checksum
from regdna.step import InputError, run
from regdna.store import write_json

# Of one length, all four bases and an N; a CNN sees them again and again until its length is full.
SEQUENCES = ("ATCGATCGGCTAAGCTTAGCGGATTACAGGCATGAGCCACCGCGCCCG", "TATAAAAGGCGCGCCATGANNCACGTGACTTCCGGTTGCGCAATCTGA")
COLUMNS = 16  # numbers kept of each row that a model answers with
LIBRARIES = ("torch", "transformers")


def main(files: list[Path], vault: Path, source: str, about: dict, threads: int = 1) -> None:
    """Write ``vault``: JSON with each file's bytes and sha256, licence, architecture, parameters, their digest, golden outputs.

    Args:
        files: all of the source's files, in one folder.
        source: its id.
        about: of its entry in resources/sources.yaml or the study: origin, licence, citation, and checkpoint (architecture, context).
    """
    folder, declared = files[0].parent, about["checkpoint"]
    strange = sorted({path.name for path in folder.iterdir() if path.name[0] != "."} - {path.name for path in [*files, vault]})
    if strange:
        raise InputError(f"{folder / strange[0]}: not among the files of source {source}, and could be opened for one; remove it")
    torch.set_num_threads(threads)
    found = door.recognise(folder)
    if found != declared["architecture"]:
        raise InputError(
            f"source {source}: its files are {found}, its 'checkpoint' says {declared['architecture']}; mend 'architecture', or the files"
        )
    model, tokeniser = models.load(folder)
    cnn = models.ARCHITECTURES[found].family == "cnn"
    check_context(source, declared["context"], door.longest(model, tokeniser), cnn)
    write_json(
        vault,
        {
            "source": source,
            "origin": about["origin"],
            "licence": about["licence"],
            "citation": about["citation"],
            "files": {path.name: {"bytes": path.stat().st_size, "sha256": checksum(path)} for path in files},
            "architecture": found,
            "context": declared["context"],
            "parameters": sum(one.numel() for one in model.parameters()),
            "parameter_digest": weights.digest(model.state_dict()),
            "golden": answer(model, tokeniser, declared["context"] if cnn else 0),
            "versions": {name: version(name) for name in LIBRARIES},
        },
    )


def check_context(source: str, said: int, longest: int | None, exact: bool) -> None:
    """Refuse a stated context in bp that is not one of the model's; 0 states that there is no limit.

    Raises:
        InputError: with both lengths.
    """
    if longest is not None and (not 0 < said <= longest or (exact and said != longest)):
        bound = "exactly" if exact else "at most"
        stated = f"{said} bp" if said else "no limit (0)"
        raise InputError(
            f"source {source}: its 'checkpoint' says context: {stated}, but the weights take {bound} {longest} bp; write {longest}"
        )


@torch.inference_mode()
def answer(model: torch.nn.Module, tokeniser: object, length: int) -> dict:
    """What a model makes of the fixed sequences: some of the numbers, to six digits, of each sequence or of each of its tokens.

    Args:
        length: that a CNN takes in bp; 0 for a transformer, which takes the sequences as they are.
    """
    codes = np.stack([encode(sequence) for sequence in SEQUENCES])
    if length:
        output = model(codes[:, np.arange(length) % codes.shape[1]])
        rows, tokens = list(output.probabilities), {}
    else:
        ids, mask = tokeniser.encode(codes)
        output = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
        values = output.last_hidden_state if output.get("logits") is None else output.logits
        kept = [torch.from_numpy(row) if values.ndim == 3 else slice(None) for row in mask]  # what stands at padding has no meaning
        rows = [row[some] for row, some in zip(values, kept, strict=True)]
        tokens = {"tokens": [one[some].tolist() for one, some in zip(ids, mask, strict=True)]}
    what = "probabilities" if length else "hidden states" if output.get("logits") is None else "logits"
    columns = np.unique(np.linspace(0, rows[0].shape[-1] - 1, COLUMNS).astype(int)).tolist()
    numbers = [np.vectorize(lambda value: float(f"{value:.6g}"))(row[..., columns].numpy()).tolist() for row in rows]
    return {"sequences": SEQUENCES, **tokens, "what": what, "columns": columns, "values": numbers}


if __name__ == "__main__":
    run(main)
