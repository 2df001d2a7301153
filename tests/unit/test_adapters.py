import copy
import socket

import pytest
import torch
import toy_models
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import BertConfig, EsmConfig
from transformers.models.bert.modeling_bert import BertModel
from transformers.models.esm.modeling_esm import EsmModel

from regdna.models.adapters import LORA, adapted, attach, merge
from regdna.models.dnabert2 import DNABert2Config, DNABert2Model
from regdna.models.heads import EncoderClassifier
from regdna.models.nucleotide_transformer import GatedConfig, NucleotideTransformerModel

SIZES = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "pad_token_id": 1}
ROTARY = {"position_embedding_type": "rotary", "mask_token_id": 2, "token_dropout": False}
ENCODERS = ["dnabert2", "nt-v2", "esm", "bert"]
KINDS = [("lora", {}), ("lora", {"targets": "all", "rank": 2}), ("ia3", {})]
WIDE = (1e-6, 0.5)  # adapters are a large share of encoders this small
SEPARATE = {"attention.self.query", "attention.self.key", "attention.self.value"}
DENSE = {"attention.output.dense", "intermediate.dense", "output.dense"}


def encoder(name, **more):
    given = {**SIZES, **STILL, **more}
    if name == "dnabert2":
        return DNABert2Model(DNABert2Config(**given))
    if name == "nt-v2":
        return NucleotideTransformerModel(GatedConfig(**given, **ROTARY))
    return EsmModel(EsmConfig(**given, **ROTARY)) if name == "esm" else BertModel(BertConfig(**given))


def network(name, **more):
    """A classifier whose weights and biases are all far from their start."""
    torch.manual_seed(4)
    net = EncoderClassifier(encoder(name, **more), None, 32, 3, "attention")
    for key, parameter in net.named_parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.15)
        elif "LayerNorm" not in key and "layer_norm" not in key:
            nn.init.normal_(parameter, std=0.3)
    return net.eval()


def batch():
    ids = torch.randint(3, 40, (4, 11), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(11) < torch.tensor([11, 7, 11, 4])[:, None]
    return {"input_ids": torch.where(mask, ids, 1), "attention_mask": mask}


def logits(net):
    with torch.no_grad():
        return net(**batch()).logits


def shake(net, seed=5):
    """Adapters as after training: far from a fresh one."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for module in adapted(net.encoder).values():
            for name, parameter in module.named_parameters():
                if "lora_" in name or "ia3_" in name:
                    parameter.add_(torch.randn_like(parameter) * 0.3)


def targets(name, kind, settings):
    """The matrices of a layer that shall be adapted, written down by family."""
    fused = name == "dnabert2"
    if kind == "ia3":
        return {"attention.self.Wqkv", "mlp.wo"} if fused else {"attention.self.key", "attention.self.value", "output.dense"}
    if settings.get("targets") == "all":
        return {"attention.self.Wqkv", "attention.output.dense", "mlp.gated_layers", "mlp.wo"} if fused else SEPARATE | DENSE
    return {"attention.self.Wqkv"} if fused else SEPARATE


class TestAttach:
    @pytest.mark.parametrize("name", ENCODERS)
    @pytest.mark.parametrize(("kind", "settings"), KINDS)
    def test_exactly_the_named_matrices_of_every_layer_are_adapted(self, name, kind, settings):
        net = attach(network(name), kind, settings, WIDE)
        expected = {f"encoder.layer.{i}.{inner}" for i in range(2) for inner in targets(name, kind, settings)}
        assert set(adapted(net.encoder)) == expected
        for at, module in adapted(net.encoder).items():
            if kind == "ia3":
                assert module.is_feedforward == at.endswith(("mlp.wo", "output.dense"))

    @pytest.mark.parametrize("layers", [1, 13])
    def test_layers_of_two_digits_are_found_too(self, layers):
        net = attach(network("esm", num_hidden_layers=layers), "ia3", {}, WIDE)
        assert len(adapted(net.encoder)) == 3 * layers
        assert sum(module.is_feedforward for module in adapted(net.encoder).values()) == layers

    @pytest.mark.parametrize("name", ENCODERS)
    @pytest.mark.parametrize(("kind", "settings"), KINDS)
    def test_a_fresh_adapter_changes_no_output(self, name, kind, settings):
        net = network(name)
        before = logits(net)
        assert torch.equal(logits(attach(net, kind, settings, WIDE)), before)

    @pytest.mark.parametrize("name", ENCODERS)
    @pytest.mark.parametrize(("kind", "settings"), KINDS)
    def test_training_changes_adapters_and_head_and_nothing_else(self, name, kind, settings):
        net = attach(network(name), kind, settings, WIDE)
        learning = {key for key, one in net.named_parameters() if one.requires_grad}
        mark = "lora_" if kind == "lora" else "ia3_"
        assert learning == {key for key, _ in net.named_parameters() if mark in key} | {"head.weight", "head.bias", "pooling.query"}
        before = copy.deepcopy(net.state_dict())
        optimiser = torch.optim.AdamW(net.parameters(), lr=0.05, weight_decay=0.1)
        net.train()
        for _ in range(2):  # LoRA's first factor moves only once the second is not zero
            net(**batch()).logits.square().sum().backward()
            assert all((one.grad is not None) == (key in learning) for key, one in net.named_parameters() if "pooler" not in key)
            optimiser.step()
            optimiser.zero_grad()
        assert {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])} == learning

    @pytest.mark.parametrize(("kind", "settings"), KINDS)
    @pytest.mark.parametrize("training", [False, True])
    def test_the_mode_is_kept(self, kind, settings, training):
        net = attach(network("nt-v2").train(training), kind, settings, WIDE)
        assert {module.training for module in net.modules()} == {training}
        assert {module.training for module in merge(net).modules()} == {training}

    def test_lora_has_the_published_defaults(self):
        net = attach(network("esm"), "lora", {}, WIDE)
        assert LORA == {"rank": 8, "alpha": 16, "dropout": 0.05, "targets": "attention"}
        for module in adapted(net.encoder).values():
            assert module.lora_A["default"].weight.shape == (8, 32) and module.lora_B["default"].weight.shape == (32, 8)
            assert module.scaling["default"] == 2 and module.lora_dropout["default"].p == 0.05

    def test_settings_of_lora_are_taken(self):
        net = attach(network("dnabert2"), "lora", {"rank": 3, "alpha": 6.0, "dropout": 0.5}, WIDE)
        module = net.encoder.encoder.layer[1].attention.self.Wqkv
        assert module.lora_A["default"].weight.shape == (3, 32) and module.scaling["default"] == 2
        assert module.lora_dropout["default"].p == 0.5
        shake(net)
        assert torch.equal(logits(net), logits(net))
        net.encoder.train()
        assert not torch.equal(logits(net), logits(net))

    @pytest.mark.parametrize("name", ["dnabert2", "esm"])
    def test_a_lora_learns_in_bfloat16_autocast(self, name):
        net = attach(network(name), "lora", {}, WIDE).train()
        with torch.autocast("cpu", torch.bfloat16):
            net(**batch()).logits.float().square().sum().backward()
        assert all(torch.isfinite(one.grad).all() for one in net.parameters() if one.grad is not None)

    def test_queries_of_a_fused_matrix_can_express_nothing_that_keys_cannot(self):
        net = attach(network("dnabert2"), "ia3", {}, WIDE)
        shake(net)
        before = logits(net)
        with torch.no_grad():
            for layer in net.encoder.encoder.layer:
                vector = layer.attention.self.Wqkv.ia3_l["default"]
                vector[32:64] *= vector[:32]
                vector[:32] = 1
        assert torch.allclose(logits(net), before, atol=1e-5)

    @pytest.mark.parametrize(("kind", "settings"), KINDS)
    def test_nothing_is_looked_up_on_a_network(self, kind, settings, monkeypatch):
        def refuse(*_, **__):
            raise AssertionError("a connection was tried")

        for name in ("connect", "connect_ex"):
            monkeypatch.setattr(socket.socket, name, refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        merge(attach(network("nt-v2"), kind, settings, WIDE))


class TestRefusals:
    @pytest.mark.parametrize("kind", ["lora", "ia3"])
    def test_matrices_of_other_names_are_listed(self, kind):
        net = nn.Module()
        net.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8), 2, enable_nested_tensor=False)
        with pytest.raises(
            ValueError, match=r"no matrix in the encoder is called (attention.self|mlp.wo).* or .*; its matrices are layers.\{i\}"
        ) as said:
            attach(net, kind, {})
        assert "layers.{i}.linear1, layers.{i}.linear2, layers.{i}.self_attn.out_proj" in str(said.value) and "layers.0" not in str(
            said.value
        )

    @pytest.mark.parametrize(("kind", "settings"), KINDS)
    @pytest.mark.parametrize("at", [0, 11])
    def test_a_layer_without_an_adapter_is_named(self, kind, settings, at):
        net = network("dnabert2", num_hidden_layers=12)
        attention = net.encoder.encoder.layer[at].attention.self
        attention.other = attention.Wqkv
        del attention.Wqkv
        with pytest.raises(ValueError, match=f"no matrix in layer {at} is called"):
            attach(net, kind, settings, WIDE)
        assert not adapted(net.encoder)

    def test_ia3_needs_a_second_feed_forward_matrix(self):
        net = network("esm")
        for layer in net.encoder.encoder.layer:
            layer.output.other = layer.output.dense
            del layer.output.dense
        with pytest.raises(ValueError, match="no matrix in the encoder is called mlp.wo or output.dense; .*encoder.layer.{i}.output.other"):
            attach(net, "ia3", {}, WIDE)
        attach(net, "lora", {}, WIDE)

    def test_a_name_that_is_no_matrix_does_not_count(self):
        net = network("esm")
        net.encoder.encoder.layer[1].output.dense = nn.Identity()
        with pytest.raises(ValueError, match="no matrix in layer 1 is called mlp.wo or output.dense"):
            attach(net, "ia3", {}, WIDE)

    @pytest.mark.parametrize(
        ("kind", "settings", "said"),
        [
            ("bitfit", {}, "no adapter is called 'bitfit'; there are lora, ia3"),
            ("lora", {"r": 8}, "lora has no setting 'r'; it has rank, alpha, dropout, targets"),
            ("ia3", {"rank": 8}, "ia3 has no setting 'rank'; it has none"),
            ("lora", {"targets": "query"}, "lora's targets are 'query'; choose attention or all"),
        ],
    )
    def test_what_there_is_not_is_refused(self, kind, settings, said):
        with pytest.raises(ValueError, match=said):
            attach(network("esm"), kind, settings)

    def test_a_share_outside_the_band_is_refused_with_the_share(self):
        own = sum(one.numel() for one in network("esm").encoder.parameters())
        added = 2 * 3 * 4 * 64  # layers, matrices, rank, width in and out
        share = added / own
        for band in ((share * 1.01, 1), (0, share * 0.99)):
            with pytest.raises(
                ValueError, match=f"lora trains {share:.4%} of the encoder's {own} parameters, not {band[0]:.4%} to {band[1]:.4%}"
            ):
                attach(network("esm"), "lora", {"rank": 4}, band)
        attach(network("esm"), "lora", {"rank": 4}, (share * 0.99, share * 1.01))
        with pytest.raises(ValueError, match="lora trains"):
            attach(network("esm"), "lora", {"rank": 64})

    def test_adapters_do_not_lie_on_adapters(self):
        net = attach(network("esm"), "lora", {}, WIDE)
        with pytest.raises(ValueError, match="has adapters already; merge them first"):
            attach(net, "ia3", {}, WIDE)
        attach(merge(net), "ia3", {}, WIDE)

    def test_there_must_be_something_to_merge(self):
        with pytest.raises(ValueError, match="no adapters to merge"):
            merge(network("esm"))
        with pytest.raises(ValueError, match="no adapters to merge"):
            merge(merge(attach(network("esm"), "lora", {}, WIDE)))


FULL = {
    "dnabert2": {"vocab_size": 4096, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "nt-v2": {"vocab_size": 4107, "hidden_size": 1024, "num_hidden_layers": 29, "num_attention_heads": 16, "intermediate_size": 4096},
    "esm": {"vocab_size": 4105, "hidden_size": 2560, "num_hidden_layers": 32, "num_attention_heads": 20, "intermediate_size": 10240},
}


class TestShares:
    """Numbers of parameters worked out from the published sizes: layers * (rank * (in + out)) and layers * (length of the vectors)."""

    @pytest.mark.parametrize(
        ("name", "kind", "settings", "expected"),
        [
            ("dnabert2", "lora", {}, 12 * 8 * (768 + 2304)),
            ("dnabert2", "lora", {"targets": "all"}, 12 * 8 * (768 + 2304 + 768 + 768 + 768 + 6144 + 3072 + 768)),
            ("dnabert2", "ia3", {}, 12 * (2304 + 3072)),
            ("nt-v2", "lora", {}, 29 * 8 * 3 * 2048),
            ("nt-v2", "lora", {"targets": "all"}, 29 * 8 * (4 * 2048 + 1024 + 8192 + 4096 + 1024)),
            ("nt-v2", "ia3", {}, 29 * (2 * 1024 + 4096)),
            ("esm", "lora", {}, 32 * 8 * 3 * 5120),
            ("esm", "ia3", {}, 32 * (2 * 2560 + 10240)),
        ],
    )
    def test_published_sizes_are_within_the_bands(self, name, kind, settings, expected):
        net = nn.Module()
        with torch.device("meta"):
            net.encoder = encoder(name, **FULL[name])
        attach(net, kind, settings)
        assert sum(one.numel() for one in net.encoder.parameters() if one.requires_grad) == expected

    @pytest.mark.parametrize("name", ["dnabert2", "nt-v2"])
    @pytest.mark.parametrize(("kind", "settings"), [("lora", {}), ("lora", {"targets": "all", "rank": 2}), ("ia3", {})])
    def test_toys_are_within_the_bands(self, name, kind, settings):
        toy = toy_models.DNABERT2 if name == "dnabert2" else toy_models.NT
        sizes = {"hidden_size": toy["hidden"], "num_hidden_layers": toy["layers"], "num_attention_heads": toy["heads"],
                 "intermediate_size": toy["intermediate"], "vocab_size": toy.get("vocabulary", 4107)}  # fmt: skip
        net = nn.Module()
        net.encoder = encoder(name, **sizes)
        attach(net, kind, settings)


class TestMerge:
    @pytest.mark.parametrize("name", ENCODERS)
    @pytest.mark.parametrize(("kind", "settings"), KINDS)
    def test_a_merged_network_is_a_plain_one_that_answers_as_the_adapted(self, name, kind, settings):
        net = network(name)
        plain, keys = logits(net), list(net.state_dict())
        modules = [(at, type(module)) for at, module in net.named_modules()]
        attach(net, kind, settings, WIDE)
        shake(net)
        tuned = logits(net)
        assert (tuned - plain).abs().max() > 1e-2
        assert merge(net) is net
        assert torch.allclose(logits(net), tuned, atol=1e-5)
        assert list(net.state_dict()) == keys
        assert [(at, type(module)) for at, module in net.named_modules()] == modules
        assert not any(isinstance(module, BaseTunerLayer) for module in net.modules()) and not hasattr(net.encoder, "peft_config")
        assert all(one.requires_grad for one in net.parameters())
        other = network(name)
        other.load_state_dict(net.state_dict(), strict=True)
        assert torch.equal(logits(other), logits(net))

    @pytest.mark.parametrize("alpha", [16, 3])
    def test_lora_adds_the_scaled_product_of_its_factors(self, alpha):
        net = attach(network("esm"), "lora", {"rank": 4, "alpha": alpha}, WIDE)
        shake(net)
        module = net.encoder.encoder.layer[0].attention.self.value
        weight, bias = module.get_base_layer().weight.clone(), module.get_base_layer().bias.clone()
        expected = weight + alpha / 4 * module.lora_B["default"].weight @ module.lora_A["default"].weight
        merge(net)
        merged = net.encoder.encoder.layer[0].attention.self.value
        assert torch.allclose(merged.weight, expected, atol=1e-6) and torch.equal(merged.bias, bias)

    def test_ia3_scales_outputs_of_keys_and_values_and_inputs_of_the_second_feed_forward_matrix(self):
        net = attach(network("esm"), "ia3", {}, WIDE)
        shake(net)
        layer = net.encoder.encoder.layer[1]
        before = {}
        for at, module in adapted(layer).items():
            base = module.get_base_layer()
            before[at] = base.weight.clone(), base.bias.clone(), module.ia3_l["default"].flatten().clone()
        query = layer.attention.self.query.weight.clone()
        merge(net)
        for at, (weight, bias, vector) in before.items():
            inputs = at == "output.dense"
            found = layer.get_submodule(at)
            assert len(vector) == (24 if inputs else 32)
            assert torch.allclose(found.weight, weight * (vector[None] if inputs else vector[:, None]), atol=1e-6)
            assert torch.allclose(found.bias, bias if inputs else bias * vector, atol=1e-6)
        assert torch.equal(layer.attention.self.query.weight, query)

    def test_what_is_not_finite_is_not_merged(self):
        net = attach(network("esm"), "lora", {}, WIDE)
        with torch.no_grad():
            net.encoder.encoder.layer[1].attention.self.key.lora_B["default"].weight[0, 0] = float("nan")
        with pytest.raises(ValueError, match="(?i)nan"):
            merge(net)

    @pytest.mark.parametrize(("kind", "settings"), KINDS)
    def test_training_goes_on_from_a_saved_state(self, kind, settings):
        net = attach(network("dnabert2"), kind, settings, WIDE)
        shake(net)
        torch.manual_seed(9)
        other = attach(network("dnabert2"), kind, settings, WIDE)
        other.load_state_dict(net.state_dict(), strict=True)
        assert torch.equal(logits(other), logits(net))
