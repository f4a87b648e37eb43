"""What fine-tuning does to a pretrained stack of layers: freeze, keep, adapt, tune by layer, cache states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from .batching import SequenceDataset, StatesDataset, TokenDataset, make_loader
from .device import autocast, lowered
from .models import pool


class Counts(NamedTuple):
    """Numbers of parameters (scalars) of a model."""

    trainable: int
    total: int


def count_parameters(model: torch.nn.Module) -> Counts:
    """Return how many parameters training changes, and how many there are."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return Counts(sum(n for n, trainable in sizes if trainable), sum(n for n, _ in sizes))


def freeze_below(model, layer: int) -> int:
    """Freeze the embeddings and the first `layer` encoder layers of a BERT; return parameters frozen.

    Raises:
        ValueError: the model has no such layer.
    """
    encoder = model.base_model
    layers = encoder.encoder.layer
    if not 0 <= layer <= len(layers):
        raise ValueError(f"This model has {len(layers)} layers: choose layer from 0 to {len(layers)}, not {layer}.")
    frozen = [*encoder.embeddings.parameters(), *(p for block in layers[:layer] for p in block.parameters())]
    for parameter in frozen:
        parameter.requires_grad_(False)
    return sum(parameter.numel() for parameter in frozen)


def keep_layers(classifier, kept: Sequence[int]) -> int:
    """Keep these layers of a BERT, in this order, and drop the others, in place; return parameters dropped.

    Source: Sajjad et al., 2023, section 3 (which layers to drop). Taught in: notebook 07.

    Raises:
        ValueError: nothing is kept, or the model has no such layer.
    """
    encoder = classifier.base_model
    layers, before = encoder.encoder.layer, count_parameters(classifier).total
    if not kept or not set(kept) <= set(range(len(layers))):
        raise ValueError(f"This model has {len(layers)} layers: choose from 0 to {len(layers) - 1}, not {list(kept)}.")
    encoder.encoder.layer = nn.ModuleList([layers[i] for i in kept])
    encoder.config.num_hidden_layers = len(kept)
    return before - count_parameters(classifier).total


def layerwise_groups(classifier, *, learning_rate: float, decay: float, weight_decay: float = 0.01) -> list[dict[str, Any]]:
    """Return parameter groups for `torch.optim.AdamW`: each layer's learning rate is `decay` times that of the layer above.

    Pooler and head get `learning_rate`, the top layer `learning_rate * decay`, and so on down to the embeddings.
    Frozen parameters are left out; biases and norms get no weight decay.
    Source: Howard and Ruder, 2018, section 3.2 (discriminative fine-tuning). Taught in: notebook 07.

    Raises:
        ValueError: `decay` is not above 0 and at most 1, or every parameter is frozen.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"decay must be above 0 and at most 1 (1: the same learning rate everywhere), not {decay}.")
    parts = [classifier.base_model.embeddings, *classifier.base_model.encoder.layer]
    depth = {id(p): len(parts) - i for i, part in enumerate(parts) for p in part.parameters()}  # head: 0, not listed
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for p in classifier.parameters():
        if p.requires_grad:
            groups.setdefault((depth.get(id(p), 0), p.ndim < 2), []).append(p)
    if not groups:
        raise ValueError("Every parameter is frozen, so there is nothing to train. Unfreeze the head at least.")
    return [
        {"params": params, "lr": learning_rate * decay**d, "weight_decay": 0.0 if spared else weight_decay}
        for (d, spared), params in sorted(groups.items())
    ]


class Adapter(nn.Module):
    """A bottleneck beside the identity: h + W_up gelu(W_down h + b_down) + b_up, float (..., D) to (..., D).

    W_up and b_up start at 0, so a new adapter changes nothing.
    Source: Houlsby et al., 2019, section 2.1. Taught in: notebook 07.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, size), nn.Linear(size, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return states float (..., D)."""
        return states + self.up(nn.functional.gelu(self.down(states)))


def add_adapters(classifier, *, size: int = 16, seed: int = 0) -> int:
    """Freeze a BERT's encoder and put an adapter behind both sublayers of each layer; return parameters trained.

    Adapters, layer norms, pooler and head are trained. The answers are the same as before until training starts.
    Source: Houlsby et al., 2019, figure 2. Taught in: notebook 07.

    Raises:
        ValueError: the model has adapters already.
    """
    layers = classifier.base_model.encoder.layer
    if any(isinstance(module, Adapter) for module in classifier.modules()):
        raise ValueError("This model has adapters already. Load a fresh one: load_classifier().")
    torch.manual_seed(seed)
    freeze_below(classifier, len(layers))
    for layer in layers:
        for sublayer in (layer.attention.output, layer.output):
            dense = sublayer.dense
            with dense.weight.device:  # a model may be on a GPU already
                sublayer.dense = nn.Sequential(dense, Adapter(dense.out_features, size))
            sublayer.LayerNorm.requires_grad_(True)
    return count_parameters(classifier).trainable


class UpperLayers(nn.Module):
    """The top of a BERT classifier, whose input is the hidden states below layer `layer` instead of token ids.

    It shares its layers with `classifier`: training the one trains the other, with the losses of the whole model whose
    lower layers are frozen. `pooling` says which vector the pooler gets: the state of the first token ("cls"), or the
    "mean" or "max" over real tokens. Taught in: notebooks 07 and 08.

    Raises:
        ValueError: unknown pooling.
    """

    def __init__(self, classifier, layer: int, *, pooling: str = "cls") -> None:
        super().__init__()
        if pooling not in ("cls", "mean", "max"):
            raise ValueError(f"There is no pooling {pooling!r}. Choose one of: cls, mean, max.")
        self.pooling = pooling
        self.layers, self.pooler = classifier.bert.encoder.layer[layer:], classifier.bert.pooler
        self.dropout, self.classifier = classifier.dropout, classifier.classifier

    def states(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the last states float (B, T, D) for hidden states float (B, T, D) and attention_mask int64 (B, T)."""
        states = lowered(hidden_states)
        unseen = (attention_mask == 0)[:, None, None, :]  # (B, 1, 1, T)
        scores = torch.zeros_like(unseen, dtype=torch.float32).masked_fill(unseen, float("-inf"))  # added before softmax
        for layer in self.layers:
            states = layer(states, scores)
        return states

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits float (B, C) for hidden states float (B, T, D) and attention_mask int64 (B, T)."""
        states = self.states(hidden_states, attention_mask)
        if self.pooling != "cls":
            states = pool(states, attention_mask, self.pooling, hidden_size=states.shape[2])[:, None]  # (B, 1, D)
        return self.classifier(self.dropout(self.pooler(states)))


@torch.no_grad()
def _states_of_each(model, dataset: SequenceDataset, compute: Callable) -> Iterator[tuple[int, np.ndarray]]:
    """Yield indices of texts and float32 (T, D), what `compute(**inputs)` returns for their real tokens."""
    loader = make_loader(dataset, batch_size=64)
    for indices, batch in zip(loader.batch_sampler or (), loader, strict=True):
        inputs = {name: tensor.to(model.device) for name, tensor in batch.items() if name != "labels"}
        with autocast(model.device):
            states = compute(**inputs)  # (B, T, D)
        for index, row in zip(indices, states.float().cpu().numpy(), strict=True):
            yield index, row[: len(dataset.sequences[index])]


def hidden_states(model, dataset: SequenceDataset, *, layer: int, start: int = 0) -> StatesDataset:
    """Return each text as the float32 (T, D) states that enter layer `layer` (0: the embeddings).

    Frozen lower layers give the same states in every epoch, so they need computing only once: pass the result and
    `UpperLayers` to `training.fit`. It takes 4 D bytes a token, 1.5 KB for MiniLM. If `start` is above 0, `dataset`
    contains the states that enter layer `start`, and the model goes on from there. Taught in: notebooks 07 and 08.

    Raises:
        ValueError: `start` is above `layer`, or `dataset` is not what `start` asks for.
    """
    if start > layer:
        raise ValueError(f"These states enter layer {start}, above layer {layer}. Start from the token ids instead.")
    if isinstance(dataset, StatesDataset) != bool(start):
        raise ValueError("Give token ids with start=0, or the states that enter layer `start` with start above 0.")
    model.eval()
    states: list[np.ndarray] = [np.empty(0)] * len(dataset)
    stack = model.base_model.encoder.layer
    model.base_model.encoder.layer = stack[start:layer]
    try:
        compute = UpperLayers(model, 0).states if start else lambda **batch: model.base_model(**batch).last_hidden_state
        for index, entering in _states_of_each(model, dataset, compute):
            states[index] = entering.copy()
    finally:
        model.base_model.encoder.layer = stack
    return StatesDataset(tuple(states), dataset.labels)


def sentence_features(encoder, dataset: TokenDataset) -> np.ndarray:
    """Return float32 (n, D): the mean of each text's last hidden states over its real tokens.

    Source: Reimers and Gurevych, 2019, section 3 (mean pooling). Taught in: notebook 05.
    """
    encoder.eval()
    features = np.zeros((len(dataset), encoder.config.hidden_size), dtype=np.float32)
    for index, states in _states_of_each(encoder, dataset, lambda **batch: encoder(**batch).last_hidden_state):
        features[index] = states.mean(axis=0)
    return features
