"""The shortest and the longest context that an architecture takes. No torch: Snakemake asks while it parses."""

from regdna.models import geometry

# Tokens that the published Nucleotide Transformers read at most, the first of them <cls>; by version.
POSITIONS = {1: 1000, 2: 2048}
DNABERT_KMERS = 510  # 512 positions less [CLS] and [SEP]


def context(architecture: str, parameters: dict) -> tuple[int, int | None]:
    """Shortest and longest context in bp; a longest of None is no limit.

    The longest is that of a sequence without N: where an N breaks 6-mers into single bases, more tokens are needed.

    Args:
        architecture: name in the registry.
        parameters: its sizes, complete.

    Raises:
        ValueError: the lists of a CNN, one entry a convolution, differ in length, k-mers are too long, or nothing is known of the
            architecture.
    """
    match architecture:
        case "kmer-logistic":
            return parameters["k"], None
        case "nearest":
            if parameters["word"] > 31:
                raise ValueError(f"word is {parameters['word']}, and k-mers of 31 bp are the longest; shorten it")
            return parameters["word"], None
        case "composition" | "position" | "dnabert2":
            return 1, None
        case "basset" | "deepsea":
            geometry.one_each(**_lists(parameters))
            return geometry.least(1, parameters["widths"], parameters["pools"]), None
        case "basenji":
            geometry.one_each(**_lists(parameters))
            return 1, None  # padding and pools that keep a part leave one position of anything
        case "nucleotide-transformer":
            return 1, (POSITIONS[parameters["version"]] - 1) * parameters["k"]
        case "dnabert":
            return parameters["k"], DNABERT_KMERS + parameters["k"] - 1
    raise ValueError(f"no context is known for the architecture {architecture!r}")


def _lists(parameters: dict) -> dict[str, list]:
    return {name: value for name, value in parameters.items() if isinstance(value, list)}
