"""The door for checkpoint folders: which architecture lies there, is it whole, and the model and tokeniser that open it.

Published layouts are read as they are: DNABERT-2, Nucleotide Transformer, DNABERT (``config.json``, weights, tokeniser
files) and the Kipoi files of DeepSEA and Basset (one ``.pth``). No code that comes with a checkpoint is run.
"""

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from transformers import PretrainedConfig, PreTrainedModel

from regdna import models
from regdna.models import weights
from regdna.step import InputError
from regdna.tokenisers import SingleBase, Tokeniser

HEADS = {"masked_lm": ("cls.predictions.", "lm_head."), "classifier": ("classifier.",)}
WAYS = ("eager", "sdpa", "flex_attention")

# What a config.json says that decides an answer, by kind of value. Heads are not seen in the weights: a default would be a guess.
REQUIRED = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "vocab_size")
SIZES = (*REQUIRED, "max_position_embeddings", "type_vocab_size")
LARGEST = 2**24
SHARES = ("attention_probs_dropout_prob", "classifier_dropout", "hidden_dropout_prob", "initializer_range", "layer_norm_eps")
FLAGS = ("add_bias_fnn", "emb_layer_norm_before", "tie_word_embeddings", "token_dropout")
OTHER_MODELS = ("add_cross_attention", "is_decoder", "is_folding_model")  # no architecture here has any of these


def recognise(folder: Path) -> str:
    """The registry's name of the architecture whose checkpoint lies in a folder.

    Raises:
        InputError: no layout that is known.
    """
    folder = Path(folder)
    return _architecture(folder, read_config(folder), weights.shapes(weights.read(folder)))


def load(folder: Path, initialisation: str = "published", seed: int = 0, attention: str = "sdpa") -> tuple[torch.nn.Module, Tokeniser]:
    """A folder's model, in evaluation mode on the CPU in float32, and its tokeniser.

    A transformer is called with ``input_ids`` and ``attention_mask``, int64 (n, T), a CNN with codes, uint8 (n, L); what
    they answer with says ``regdna.models.outputs.Output``.

    Args:
        initialisation: ``published``, or ``random``: the same architecture and sizes with fresh weights.
        seed: of fresh weights.
        attention: ``eager``, ``sdpa`` or ``flex_attention``; the same function computed in other ways.

    Raises:
        InputError: no known layout, or a checkpoint that is not whole, not safe or not of one piece; one line says what.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; give the folder that holds the checkpoint")
    if (folder / "about.json").is_file():
        if initialisation == "random":
            raise InputError(f"{folder}: was trained here, and has no random twin; name the weights that it began with")
        net = importlib.import_module("regdna.models.network").load(folder, _way(attention))
        return net.eval(), getattr(net, "tokeniser", None) or SingleBase()
    content, tensors = read_config(folder), weights.read(folder)
    shapes, name = weights.shapes(tensors), weights.called(folder)
    weights.refuse_wrapped(tensors, name)
    architecture = _architecture(folder, content, shapes)
    module = models.module(architecture)
    if content is None:
        kipoi = _kipoi()
        net = kipoi.open(tensors, kipoi.recognise(shapes), name)
        weights.finite(tensors, name)
        if initialisation == "random":
            torch.manual_seed(seed)
            net.apply(lambda part: part.reset_parameters() if hasattr(part, "reset_parameters") else None)
        return net.eval(), SingleBase()
    config, kind = _checked(module, folder, content, shapes)
    config._attn_implementation = _way(attention)
    tokeniser = module.tokeniser_of(folder, config)
    chosen = module.classes(config)[kind]
    with torch.device("meta"):  # sizes are compared before memory is asked for
        plan = _built(empty, chosen, config, folder=folder)
    tensors = _matched(plan, module, kind, tensors, name)
    if initialisation == "random":
        torch.manual_seed(seed)
        return chosen(config).eval(), tokeniser
    weights.finite(tensors, name)
    model = empty(chosen, config)
    model.load_state_dict(tensors, strict=True)
    model.tie_weights()
    return model.eval(), tokeniser


def _matched(model: torch.nn.Module, module: ModuleType, kind: str, tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """Published tensors under the keys of a model, whether an encoder was saved alone or inside a model with a head."""
    prefix = f"{model.base_model_prefix}."
    if not any(key.startswith(prefix) for key in tensors):
        tensors = {prefix + key: value for key, value in tensors.items()}
    tensors = module.renamed(tensors, model.config, name)
    patterns = module.unused(model.config, kind)
    if kind == "encoder":
        found = weights.match({prefix + key: value for key, value in model.state_dict().items()}, tensors, patterns, {}, name)
        return {key.removeprefix(prefix): value for key, value in found.items()}
    tied = module.TIED if kind == "masked_lm" and model.config.tie_word_embeddings else {}
    return weights.match(model.state_dict(), tensors, patterns, tied, name)


def empty(kind: type, config: PretrainedConfig) -> torch.nn.Module:
    """A model whose weights are about to be read, and so not drawn: that would take minutes for billions."""
    from transformers.initialization import no_init_weights

    with no_init_weights():
        return kind(config)


def read_config(folder: Path) -> dict | None:
    """What ``config.json`` says; None where there is none and a ``.pth`` must speak for itself."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        if any(Path(folder).glob("*.pth")):
            return None
        raise InputError(f"{path}: not found; give a folder with a whole checkpoint, or fetch it again")
    return _json(path)


def _json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no JSON ({error}); fetch it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no keys; fetch it again")
    return content


def _architecture(folder: Path, content: dict | None, shapes: dict[str, tuple[int, ...]]) -> str:
    if content is None:
        layout = _kipoi().recognise(shapes)
        if layout is None:
            raise InputError(f"{folder}: its .pth file has the keys of no known network (Kipoi's DeepSEA and Basset are)")
        return layout.split("-")[0]
    # By any of an architecture's own names, so that what lacks a key is still called by its name.
    if any(".attention.self.Wqkv." in key or ".mlp.gated_layers." in key for key in shapes):
        return "dnabert2"
    if any(".attention.self.query." in key or ".attention.self.key." in key for key in shapes):
        # ESM normalises before attention, under a name that BERT has not.
        return "nucleotide-transformer" if any(".attention.LayerNorm." in key for key in shapes) else "dnabert"
    raise InputError(f"{folder}: its keys are those of no architecture that is known ({', '.join(models.ARCHITECTURES)})")


def _kipoi():
    """By name, as all architectures: a CNN's code is no matter of a transformer's digest."""
    return importlib.import_module("regdna.models.kipoi")


def _checked(module: ModuleType, folder: Path, content: dict, shapes: dict[str, tuple[int, ...]]) -> tuple[PretrainedConfig, str]:
    """Configuration of the model whose keys these are, and its kind.

    Raises:
        InputError: a setting that is missing, of another kind, out of range, or of another number of layers.
    """
    kind = next((head for head, starts in HEADS.items() if any(key.startswith(starts) for key in shapes)), "encoder")
    content = {name: value for name, value in content.items() if value is not None}
    if kind == "classifier":
        last = [f"classifier.{name}" for name in ("out_proj.weight", "out_proj.bias", "weight", "bias")]
        content["num_labels"] = next((shapes[key][0] for key in last if shapes.get(key)), 2)
    _check_values(folder / "config.json", content)
    content |= {name: float(content[name]) for name in SHARES if name in content}  # transformers refuses a 0 for 0.0
    layers = 1 + max((int(match[1]) for key in shapes if (match := re.search(r"\blayer\.(\d+)\.", key))), default=-1)
    if content["num_hidden_layers"] != layers:
        raise InputError(
            f"{folder / 'config.json'}: num_hidden_layers is {content['num_hidden_layers']}, the weights have {layers} layers; "
            "they do not belong together: fetch both again"
        )
    return _built(module.config_of, content, shapes, folder=folder), kind


def _check_values(path: Path, content: dict) -> None:
    """Refuse a configuration of which transformers would take a default, fail later, or compute something else."""
    for name in REQUIRED:
        if name not in content:
            raise InputError(f"{path}: {name} is missing; fetch the file again")
    for names, fits, what in (
        (SIZES, lambda value: type(value) is int and 0 < value < LARGEST, f"a whole number from 1 to {LARGEST - 1}"),
        (SHARES, lambda value: type(value) in (int, float) and 0 <= value < 1, "a number from 0 to below 1"),
        (FLAGS, lambda value: type(value) is bool, "true or false"),
        (OTHER_MODELS, lambda value: value is False, "false"),
    ):
        for name in names:
            if name in content and not fits(content[name]):
                raise InputError(f"{path}: {name} is {str(content[name])[:60]!r}, and must be {what}; fetch the file again")
    if content["hidden_size"] % content["num_attention_heads"]:
        raise InputError(
            f"{path}: hidden_size {content['hidden_size']} is no multiple of num_attention_heads "
            f"{content['num_attention_heads']}; fetch the file again"
        )


def _built(make: Callable, *arguments: object, folder: Path) -> object:
    """What ``make`` gives; what is wrong with a configuration is said with its file's name."""
    try:
        return make(*arguments)
    except InputError as error:
        raise InputError(f"{folder}/{error}") from None
    except Exception as error:  # whatever transformers finds wrong with a configuration, it says in its own way
        raise InputError(f"{folder / 'config.json'}: {' '.join(str(error).split())[:200]}; fetch it again") from None


def _way(attention: str) -> str:
    if attention not in WAYS:
        raise InputError(f"attention: {attention!r} is not one of {', '.join(WAYS)}")
    return attention


def save(folder: Path, model: PreTrainedModel, tokeniser: Tokeniser) -> None:
    """Write a transformer as a folder in its published layout, which this door opens again: weights, configuration, tokeniser."""
    model.save_pretrained(folder)
    for file, text in tokeniser.files().items():
        (Path(folder) / file).write_text(text, encoding="utf-8")


def longest(model: torch.nn.Module, tokeniser: Tokeniser) -> int | None:
    """The longest context in bp that a model of this door takes; None where there is no limit."""
    if isinstance(tokeniser, SingleBase):
        return model.length
    encoder = getattr(model, "encoder", model) if not hasattr(model, "base_model") else model
    limit = importlib.import_module(type(encoder).__module__).longest_tokens(encoder.config)
    if limit is None:
        return None
    # A remainder of less than k bases is tokens of its own, so that a longer sequence may have fewer tokens: count down.
    return next(length for length in range(limit * tokeniser.k + tokeniser.k, 0, -1) if tokeniser.tokens(length) <= limit)
