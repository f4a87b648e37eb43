"""Conversations with a language model: their ids and labels, the loss of the answers, and a loop that fine-tunes on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from .batching import make_batches
from .device import autocast
from .training import linear_schedule

IGNORED = -100  # the label of what is not in the loss
Row = tuple[list[int], list[int]]  # ids and labels of one conversation


def prompt_text(tokenizer, messages: Sequence[dict[str, str]]) -> str:
    """Return the conversation in the format of the model, up to where its answer begins.

    Args:
        messages: dicts with "role" ("system", "user" or "assistant") and "content", the last one of the user.

    Raises:
        ValueError: the tokenizer has no chat template.
    """
    if not tokenizer.chat_template:
        raise ValueError(
            f"{tokenizer.name_or_path or 'This model'} has no chat template, because it was never trained to answer. Choose "
            "an instruction-tuned model, or write a format of your own into tokenizer.chat_template and train on it."
        )
    return tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)


def encode(tokenizer, messages: Sequence[dict[str, str]], answer: str, *, longest: int | None = None) -> Row:
    """Return ids and labels (T,) of a conversation with its answer and the end token; only these two have labels.

    Args:
        longest: positions that the model has; None takes the tokenizer's.

    Raises:
        ValueError: no chat template, no end token, or more tokens than positions.
    """
    if tokenizer.eos_token_id is None:
        raise ValueError("The tokenizer has no end token, so the model cannot learn to stop. Set tokenizer.eos_token.")
    prompt = tokenizer(prompt_text(tokenizer, messages), add_special_tokens=False)["input_ids"]
    ending = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    count, longest = len(prompt) + len(ending), longest or tokenizer.model_max_length
    if count > longest:
        raise ValueError(
            f"The conversation has {count:,} tokens, and the model reads at most {longest:,}. Shorten the text, or split it."
        )
    return prompt + ending, [IGNORED] * len(prompt) + ending


def collate(rows: Sequence[Row], *, padding: int, device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
    """Return a batch, padded on the right: `input_ids`, `attention_mask` and `labels`, int64 (B, T).

    Args:
        padding: the id of the padding token, `tokenizer.pad_token_id`.
    """
    ids, labels = ([torch.tensor(row[part], device=device) for row in rows] for part in (0, 1))
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=padding),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
    }


def answer_logits(model, input_ids, attention_mask, labels) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits float32 (N, V) of the N tokens that have labels, these labels (N,), and the row of each (N,).

    Only these positions are multiplied with the head's V x D matrix; transformers does it for all of them.
    """
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model  # without the wrapper of peft
    states = whole.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (B, T, D)
    counted = labels[:, 1:] != IGNORED  # the state at position t predicts token t + 1
    logits = whole.get_output_embeddings()(states[:, :-1][counted])
    return logits.float(), labels[:, 1:][counted], counted.nonzero()[:, 0]


def answer_loss(model, input_ids, attention_mask, labels) -> torch.Tensor:
    """Return the mean cross-entropy of the tokens that have labels, in nats; labels int64 (B, T), -100 is ignored.

    Taught in: notebook 14, section 3.
    """
    logits, targets, _ = answer_logits(model, input_ids, attention_mask, labels)
    return nn.functional.cross_entropy(logits, targets)


def loss_of_rows(model, rows: Sequence[Row], *, padding: int) -> Callable[[np.ndarray], torch.Tensor]:
    """Return what `fine_tune` calls: the `answer_loss` of the rows at some indices."""
    return lambda indices: answer_loss(
        model, **collate([rows[i] for i in indices], padding=padding, device=next(model.parameters()).device)
    )


def answer_log_probabilities(model, input_ids, attention_mask, labels) -> torch.Tensor:
    """Return log p(answer | prompt), float32 (B,): the sum over the tokens of each row that have labels.

    Taught in: notebook 14, section 8.
    """
    logits, targets, rows = answer_logits(model, input_ids, attention_mask, labels)
    each = -nn.functional.cross_entropy(logits, targets, reduction="none")
    return torch.zeros(len(labels), device=each.device).index_add(0, rows, each)


def fine_tune(
    model: nn.Module,
    lengths: Sequence[int],
    loss_of: Callable[[np.ndarray], torch.Tensor],
    *,
    learning_rate: float = 3e-4,
    batch_size: int = 16,
    num_epochs: int = 1,
    seed: int = 0,
    on_step: Callable[[], object] | None = None,
) -> list[float]:
    """Train the parameters that require gradients, in the mode that the model is in, and return the loss of each step.

    Args:
        lengths: tokens of each example; batches contain examples of similar length.
        loss_of: returns the mean loss of the examples at these indices.
        seed: of the order of the examples.
        on_step: called after each step, for a progress bar.

    Raises:
        ValueError: every parameter is frozen.
    """
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    if not trained:
        raise ValueError("Every parameter is frozen, so there is nothing to train. Add LoRA: peft.get_peft_model.")
    generator, losses = torch.Generator().manual_seed(seed), []
    batches = [
        batch
        for _ in range(num_epochs)
        for batch in make_batches(np.array(lengths), batch_size=batch_size, generator=generator)
    ]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=0.0, fused=True)
    schedule = linear_schedule(optimizer, num_steps=len(batches))
    for batch in batches:
        with autocast(trained[0].device):
            loss = loss_of(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if on_step:
            on_step()
    return losses


def _padded(tokenizer, prompts: Sequence[str], batch_size: int, side: str, device: torch.device):
    """Yield the indices of prompts of similar length with their batch, padded on a side."""
    for rows in make_batches(np.array([len(prompt) for prompt in prompts]), batch_size=batch_size):
        texts = [prompts[row] for row in rows]
        batch = tokenizer(texts, padding=True, padding_side=side, add_special_tokens=False, return_tensors="pt")
        yield rows, {name: batch[name].to(device) for name in ("input_ids", "attention_mask")}


@torch.no_grad()
def label_logits(tokenizer, model, prompts: Sequence[str], words: Sequence[str], *, batch_size: int = 32) -> np.ndarray:
    """Return the logits float32 (n, C) of C label words after each prompt.

    Raises:
        ValueError: a word is not a single token, so its logit would be that of its beginning.
    """
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    if long := [word for word, tokens in zip(words, ids, strict=True) if len(tokens) != 1]:
        raise ValueError(f"{long[0]!r} is not one token. Choose another word for this class, or put a space before it.")
    found = np.zeros((len(prompts), len(words)), np.float32)
    for rows, batch in _padded(tokenizer, prompts, batch_size, "left", model.device):
        positions = (batch["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)  # models like GPT-2 count the padding otherwise
        with autocast(model.device):
            last = model(**batch, position_ids=positions, logits_to_keep=1).logits[:, -1]
        found[rows] = last[:, [tokens[0] for tokens in ids]].float().cpu()
    return found


@torch.no_grad()
def write_answers(
    tokenizer, model, prompts: Sequence[str], *, new_tokens: int, batch_size: int = 25, padding_side: str = "left"
) -> list[tuple[str, bool]]:
    """Return for each prompt the greedy answer, and whether it ended by itself within `new_tokens`.

    Args:
        padding_side: "right" is a mistake that notebook 14 measures.
    """
    answers: dict[int, tuple[str, bool]] = {}
    for rows, batch in _padded(tokenizer, prompts, batch_size, padding_side, model.device):
        with autocast(model.device):
            written = model.generate(**batch, max_new_tokens=new_tokens, do_sample=False)
        for row, ids in zip(rows.tolist(), written[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
            answers[row] = tokenizer.decode(ids, skip_special_tokens=True), tokenizer.eos_token_id in ids
    return [answers[row] for row in range(len(prompts))]
