"""Freezing, keeping, adapters, cached states and features of a small BERT with random weights, against transformers."""

import copy
import types

import numpy as np
import pytest
import torch
from helpers import batch_of, make_encoded, quiet, weights

from course_utils import layers, prediction, training
from course_utils.batching import TokenDataset

ENCODED = make_encoded(10)


def test_bert_gives_a_text_alone_what_it_gives_in_a_batch(tiny_bert):
    together = prediction.predict_logits(tiny_bert, ENCODED, batch_size=10)
    alone = torch.cat([prediction.predict_logits(tiny_bert, ENCODED.take(np.array([i]))) for i in range(10)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    batch = batch_of(ENCODED)
    unmasked = tiny_bert(input_ids=batch["input_ids"]).logits.detach()
    assert (unmasked - together).abs().max() > 0.01  # so that a forgotten mask would show


def test_features_are_the_mean_over_real_tokens_of_the_library_states(tiny_bert):
    features = layers.sentence_features(tiny_bert.bert, ENCODED)
    for i, ids in enumerate(ENCODED.input_ids):
        with torch.no_grad():
            states = tiny_bert.bert(input_ids=torch.from_numpy(ids)[None]).last_hidden_state[0]
        np.testing.assert_allclose(features[i], states.mean(dim=0).numpy(), rtol=1e-3, atol=1e-5)


def test_features_are_computed_in_the_precision_of_the_machine(tiny_bert, monkeypatch):
    exact = layers.sentence_features(tiny_bert.bert, ENCODED)
    monkeypatch.setattr("course_utils.device.has_fast_bfloat16", lambda: True)
    rounded = layers.sentence_features(tiny_bert.bert, ENCODED)
    assert rounded.dtype == np.float32 and not np.array_equal(rounded, exact)
    np.testing.assert_allclose(rounded, exact, atol=4 * torch.finfo(torch.bfloat16).eps * np.abs(exact).max())


def test_hidden_states_are_those_of_the_library(tiny_bert):
    for layer in range(4):
        stack = tiny_bert.bert.encoder.layer
        states = layers.hidden_states(tiny_bert, ENCODED, layer=layer)
        assert tiny_bert.bert.encoder.layer is stack  # put back
        for i, ids in enumerate(ENCODED.input_ids):
            with torch.no_grad():
                every = tiny_bert.bert(input_ids=torch.from_numpy(ids)[None], output_hidden_states=True).hidden_states
            np.testing.assert_allclose(states.hidden_states[i], every[layer][0].numpy(), rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(states.labels, ENCODED.labels)


def test_the_layers_are_put_back_after_a_failure(tiny_bert):
    stack = tiny_bert.bert.encoder.layer
    with pytest.raises(IndexError):
        layers.hidden_states(tiny_bert, TokenDataset((np.array([99]),)), layer=1)
    assert tiny_bert.bert.encoder.layer is stack


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
    config = training.TrainingConfig(num_epochs=1, learning_rate=0.01, batch_size=4)
    training.fit(layers.UpperLayers(tiny_bert, 1), cached, cached, config, on_step=quiet)
    assert all(torch.equal(a, b) for a, b in zip(below, before, strict=True))
    assert not torch.equal(weights(tiny_bert.classifier), top)


@pytest.mark.parametrize("layer", [0, 2])
def test_training_through_the_cache_has_the_losses_of_the_whole_model_with_frozen_lower_layers(tiny_bert, layer):
    twin = copy.deepcopy(tiny_bert)
    layers.freeze_below(twin, layer)
    config = training.TrainingConfig(num_epochs=3, learning_rate=0.1, batch_size=4)

    def fit(model, encoded):  # by SGD: Adam takes whole steps along gradients that are nothing but rounding
        sgd = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=config.learning_rate)
        return training.fit(model, encoded, encoded, config, optimizer=sgd, on_step=quiet)

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


def test_a_layer_that_is_not_there_is_refused(tiny_bert):
    for layer in (-1, 4):
        with pytest.raises(ValueError, match=r"has 3 layers: choose layer from 0 to 3"):
            layers.freeze_below(tiny_bert, layer)


def test_hidden_states_go_on_from_cached_ones(tiny_bert):
    for start in range(4):
        below = layers.hidden_states(tiny_bert, ENCODED, layer=start)
        above = layers.hidden_states(tiny_bert, below if start else ENCODED, layer=3, start=start)
        for i, states in enumerate(layers.hidden_states(tiny_bert, ENCODED, layer=3).hidden_states):
            np.testing.assert_allclose(above.hidden_states[i], states, rtol=1e-3, atol=1e-5)
        with pytest.raises(ValueError, match="enter layer 3, above layer 2"):
            layers.hidden_states(tiny_bert, below, layer=2, start=3)


def test_cached_states_and_token_ids_are_not_mixed_up(tiny_bert):
    cached = layers.hidden_states(tiny_bert, ENCODED, layer=1)
    for dataset, start in ((cached, 0), (ENCODED, 1)):
        with pytest.raises(ValueError, match="Give token ids with start=0, or the states that enter layer `start`"):
            layers.hidden_states(tiny_bert, dataset, layer=2, start=start)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_another_pooling_hands_the_pooler_what_numpy_computes(tiny_bert, pooling):
    upper = layers.UpperLayers(tiny_bert, 1, pooling=pooling)
    logits = prediction.predict_logits(upper, layers.hidden_states(tiny_bert, ENCODED, layer=1))
    last = layers.hidden_states(tiny_bert, ENCODED, layer=3)
    pooled = np.stack([getattr(states, pooling)(axis=0) for states in last.hidden_states])
    dense, head = tiny_bert.bert.pooler.dense, tiny_bert.classifier
    with torch.no_grad():
        expected = np.tanh(pooled @ dense.weight.numpy().T + dense.bias.numpy()) @ head.weight.numpy().T + head.bias.numpy()
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-3, atol=1e-4)


def test_a_pooling_that_is_not_there_is_refused(tiny_bert):
    with pytest.raises(ValueError, match="no pooling 'last'"):
        layers.UpperLayers(tiny_bert, 1, pooling="last")


# --- structure and rates


def test_dropping_the_upper_layers_gives_the_hidden_states_of_the_library(tiny_bert):
    batch = batch_of(ENCODED)
    with torch.no_grad():
        every = tiny_bert(**batch, output_hidden_states=True).hidden_states
    layer = tiny_bert.bert.encoder.layer[2]
    dropped = layers.keep_layers(tiny_bert, [0, 1])
    assert dropped == sum(p.numel() for p in layer.parameters()) and tiny_bert.config.num_hidden_layers == 2
    with torch.no_grad():
        states = tiny_bert.bert(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    torch.testing.assert_close(states, every[2])


def test_layers_are_kept_in_the_order_asked_for(tiny_bert):
    before = list(tiny_bert.bert.encoder.layer)
    layers.keep_layers(tiny_bert, [2, 0])
    assert list(tiny_bert.bert.encoder.layer) == [before[2], before[0]]


def test_keeping_no_layer_or_one_that_is_not_there_is_refused(tiny_bert):
    for kept in ([], [0, 3], [-1]):
        with pytest.raises(ValueError, match="This model has 3 layers: choose from 0 to 2"):
            layers.keep_layers(tiny_bert, kept)
        assert len(tiny_bert.bert.encoder.layer) == 3


def test_each_layer_gets_its_rate_and_matrices_alone_decay(tiny_bert):
    groups = layers.layerwise_groups(tiny_bert, learning_rate=0.8, decay=0.5, weight_decay=0.1)
    given = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    for name, parameter in tiny_bert.named_parameters():
        rate = {"embeddings": 0.05, "0": 0.1, "1": 0.2, "2": 0.4}.get(name.split(".")[3 if "layer" in name else 1], 0.8)
        assert given.pop(id(parameter)) == (pytest.approx(rate), 0.1 if parameter.ndim > 1 else 0.0), name
    assert not given


def test_a_decay_of_one_is_the_plain_optimiser(tiny_bert):
    twin = copy.deepcopy(tiny_bert)
    config = training.TrainingConfig(num_epochs=1, learning_rate=0.01, batch_size=5, weight_decay=0.3)
    groups = layers.layerwise_groups(twin, learning_rate=0.01, decay=1.0, weight_decay=0.3)
    training.fit(tiny_bert, ENCODED, ENCODED, config, on_step=quiet)
    optimizer = torch.optim.AdamW(groups, fused=True)  # Adam's first step enlarges the rounding of another implementation
    training.fit(twin, ENCODED, ENCODED, config, optimizer=optimizer, on_step=quiet)
    torch.testing.assert_close(weights(twin), weights(tiny_bert))


def test_frozen_layers_are_in_no_group(tiny_bert):
    layers.freeze_below(tiny_bert, 2)
    groups = layers.layerwise_groups(tiny_bert, learning_rate=1.0, decay=0.5)
    assert sum(p.numel() for group in groups for p in group["params"]) == layers.count_parameters(tiny_bert).trainable
    assert {group["lr"] for group in groups} == {0.5, 1.0}
    tiny_bert.requires_grad_(False)
    with pytest.raises(ValueError, match="Every parameter is frozen"):
        layers.layerwise_groups(tiny_bert, learning_rate=1.0, decay=0.5)


def test_an_impossible_decay_is_refused(tiny_bert):
    for decay in (0.0, -0.5, 1.1, float("nan")):
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
    config = training.TrainingConfig(num_epochs=2, learning_rate=0.01, batch_size=5)
    training.fit(tiny_bert, ENCODED, ENCODED, config, on_step=quiet)
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
