"""What goes into a `DataLoader`: token datasets, batches of texts of similar length, padding and masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler


@dataclass(frozen=True)
class SequenceDataset(Dataset):
    """What `TokenDataset` and `StatesDataset` share: n sequences of their own lengths, and labels if there are any.

    Labels are int64 (n,), or float (n, C) for the probabilities that a teacher gives, or None for texts to predict.
    Item i is a dict with the sequence, under the name that the model's argument has, and `labels`.
    """

    sequences: tuple[np.ndarray, ...]
    labels: np.ndarray | None = None
    name: ClassVar[str]

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        item = {self.name: torch.from_numpy(self.sequences[index])}
        return item if self.labels is None else item | {"labels": torch.as_tensor(self.labels[index])}

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each text, int64 (n,)."""
        return np.array([len(sequence) for sequence in self.sequences], dtype=np.int64)

    def take(self, indices: np.ndarray) -> Self:
        """Return the texts at `indices`, in that order."""
        labels = None if self.labels is None else self.labels[indices]
        return type(self)(tuple(self.sequences[i] for i in indices), labels)


class TokenDataset(SequenceDataset):
    """Token ids of n texts, each int64 (T,), with labels as in `SequenceDataset`."""

    name = "input_ids"

    @property
    def input_ids(self) -> tuple[np.ndarray, ...]:
        """The ids of each text, int64 (T,)."""
        return self.sequences


class StatesDataset(SequenceDataset):
    """Hidden states of n texts, each float32 (T, D), cached below some layer, with labels as in `SequenceDataset`."""

    name = "hidden_states"

    @property
    def hidden_states(self) -> tuple[np.ndarray, ...]:
        """The states of each text, float32 (T, D)."""
        return self.sequences


def collate(items: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return one padded batch of dataset items, as the `collate_fn` of a `DataLoader`.

    `input_ids` int64 (B, T) or `hidden_states` float32 (B, T, D), padded with 0 to the longest text; `attention_mask`
    int64 (B, T), 1 at real tokens and 0 at padding; `labels` (B,) or (B, C), if the items have any.
    """
    name = "hidden_states" if "hidden_states" in items[0] else "input_ids"
    lengths = torch.tensor([len(item[name]) for item in items])  # (B,)
    batch = {name: pad_sequence([item[name] for item in items], batch_first=True)}  # (B, T) or (B, T, D)
    batch["attention_mask"] = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    if "labels" in items[0]:
        batch["labels"] = torch.stack([item["labels"] for item in items])
    return batch


def make_batches(
    lengths: np.ndarray,
    *,
    batch_size: int | None = None,
    max_batch_tokens: int | None = None,
    generator: torch.Generator | None = None,
    bucketed: bool = True,
) -> list[np.ndarray]:
    """Return batches of indices that cover every text once.

    Args:
        lengths: tokens per text, int (n,).
        batch_size: the most texts of a batch; the last batch may be smaller. None: no limit.
        max_batch_tokens: the most tokens B x T of a batch, padding included, so that batches of short texts
            are large and batches of long texts small. A longer text is a batch of its own. None: no limit.
        generator: shuffles texts of similar length among batches, and the batches; None keeps a fixed order.
        bucketed: put texts of similar length together, which saves padding.

    Raises:
        ValueError: neither limit is given, or one is below 1.
    """
    for name, limit in (("batch_size", batch_size), ("max_batch_tokens", max_batch_tokens)):
        if limit is not None and limit < 1:
            raise ValueError(f"{name} must be 1 or more, not {limit}.")
    if batch_size is None and max_batch_tokens is None:
        raise ValueError("How large is a batch? Give batch_size=32, or max_batch_tokens=2048, or both.")
    lengths, count = np.asarray(lengths), len(lengths)
    order = torch.randperm(count, generator=generator).numpy() if generator else np.arange(count)
    if bucketed:
        noise = torch.rand(count, generator=generator).numpy() if generator else np.zeros(count)
        order = order[np.argsort((lengths + 2 * noise)[order], kind="stable")]
    batches = _split(order, lengths, batch_size or math.inf, max_batch_tokens or math.inf)
    if generator and bucketed:
        batches = [batches[i] for i in torch.randperm(len(batches), generator=generator)]
    return batches


def _split(order: np.ndarray, lengths: np.ndarray, batch_size: float, max_batch_tokens: float) -> list[np.ndarray]:
    """Return `order` split into batches within the limits."""
    starts, longest = [0], 0
    for position, length in enumerate(lengths[order].tolist()):
        texts, longest = position - starts[-1] + 1, max(longest, length)
        if texts > 1 and (texts > batch_size or texts * longest > max_batch_tokens):
            starts.append(position)
            longest = length
    return np.split(order, starts[1:]) if len(order) else []


class LengthBucketSampler(Sampler[list[int]]):
    """A `batch_sampler` for a `DataLoader`: batches of texts of similar length, shuffled anew in every epoch.

    The order depends on `seed` and epoch alone, so a run that is repeated sees the same batches; `set_epoch` chooses the
    epoch, as in torch's `DistributedSampler`. The batches of an epoch are made once, however often they are asked for.
    Limits as in `make_batches`; `seed=None` keeps a fixed order.
    """

    drop_last = False  # Accelerate asks, when it shares batches among processes

    def __init__(
        self,
        lengths: np.ndarray,
        *,
        batch_size: int | None = None,
        max_batch_tokens: int | None = None,
        seed: int | None = None,
    ) -> None:
        self.lengths, self.batch_size, self.max_batch_tokens = lengths, batch_size, max_batch_tokens
        self.seed, self.epoch = seed, 0
        self._made: tuple[int, list[np.ndarray]] | None = None  # the epoch that was asked for last, and its batches

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, whose order the next pass gets."""
        self.epoch = epoch

    def _batches(self) -> list[np.ndarray]:
        if self._made is None or self._made[0] != self.epoch:
            generator = None if self.seed is None else torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch)
            limits: dict[str, Any] = {"batch_size": self.batch_size, "max_batch_tokens": self.max_batch_tokens}
            self._made = self.epoch, make_batches(self.lengths, generator=generator, **limits)
        return self._made[1]

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self._batches())

    def __len__(self) -> int:
        return len(self._batches())


def make_loader(
    dataset: SequenceDataset,
    *,
    batch_size: int | None = None,
    max_batch_tokens: int | None = None,
    seed: int | None = None,
) -> DataLoader:
    """Return a `DataLoader` of padded batches of similar length; arguments as in `LengthBucketSampler`."""
    limits: dict[str, Any] = {"batch_size": batch_size, "max_batch_tokens": max_batch_tokens}
    sampler = LengthBucketSampler(dataset.lengths, seed=seed, **limits)
    pinned = torch.cuda.is_available()  # copies to a GPU from pinned memory overlap with its work
    return DataLoader(dataset, batch_sampler=sampler, collate_fn=collate, pin_memory=pinned)


def padding_waste(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Return the share of padding among all tokens of the batches, 0 to 1."""
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    return float(1 - sum(lengths[batch].sum() for batch in batches) / padded)
