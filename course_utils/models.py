"""Small networks of the course."""

from __future__ import annotations

import torch
from torch import nn

from .text import UNKNOWN_ID

POOLINGS = ("max", "mean", "last")


class LSTMClassifier(nn.Module):
    """Embedding -> LSTM -> one state per text, pooled under the mask -> linear layer.

    Batches are padded, not packed: padding comes after the words, so no word's state has seen it, and fused kernels
    apply. For the backward direction the words of each text are reversed, and its states are reversed back.
    Source: Hochreiter and Schmidhuber, 1997; gates as in the documentation of `torch.nn.LSTM`.
    Taught in: notebook 03.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        embedding_size: int = 64,
        hidden_size: int = 64,
        num_classes: int = 2,
        dropout: float = 0.3,
        pooling: str = "max",
        bidirectional: bool = False,
        word_dropout: float = 0.0,
        vectors: torch.Tensor | None = None,
    ) -> None:
        """Build the network.

        Args:
            dropout: the share of values set to zero while training, in word vectors and in the pooled state.
            word_dropout: the share of words that training reads as the unknown word, so that no single word is
                relied on. Source: Bowman et al., 2016, section 3.1.
            vectors: float32 (V, D), if given, fill the embedding.

        Raises:
            ValueError: unknown pooling, a share outside [0, 1), or vectors of another shape than
                (vocab_size, embedding_size).
        """
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"There is no pooling {pooling!r}. Choose one of: {', '.join(POOLINGS)}.")
        if not 0 <= word_dropout < 1:
            raise ValueError(f"word_dropout is a share of words, from 0 to below 1, not {word_dropout}.")
        self.pooling, self.word_dropout = pooling, word_dropout
        self.embedding = nn.Embedding(vocab_size, embedding_size, padding_idx=0)
        if vectors is not None:
            if vectors.shape != self.embedding.weight.shape:
                want, got = tuple(self.embedding.weight.shape), tuple(vectors.shape)
                raise ValueError(f"vectors have shape {got}, but vocab_size and embedding_size ask for {want}.")
            self.embedding.weight.data.copy_(vectors)
            self.embedding.weight.data[0] = 0
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.lstm_back = nn.LSTM(embedding_size, hidden_size, batch_first=True) if bidirectional else None
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear((1 + bidirectional) * hidden_size, num_classes)

    def states(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the state after each word, float (B, T, H), or (B, T, 2H) for two directions."""
        if self.training and self.word_dropout:
            replaced = torch.rand(input_ids.shape, device=input_ids.device) < self.word_dropout
            input_ids = input_ids.masked_fill(replaced & attention_mask.bool(), UNKNOWN_ID)
        embedded = self.dropout(self.embedding(input_ids))  # (B, T, D)
        with torch.autocast(embedded.device.type, enabled=False):  # not every CPU has a fused bfloat16 LSTM
            states = self.lstm(embedded)[0]
            if self.lstm_back is None:
                return states
            order = reversed_positions(attention_mask)[:, :, None]  # (B, T, 1)
            back = self.lstm_back(embedded.take_along_dim(order, dim=1))[0]
            return torch.cat([states, back.take_along_dim(order, dim=1)], dim=2)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits float (B, C), unnormalised, for input_ids and attention_mask int64 (B, T)."""
        states = self.states(input_ids, attention_mask)
        pooled = pool(states, attention_mask, self.pooling, hidden_size=self.lstm.hidden_size)
        return self.classifier(self.dropout(pooled))


def reversed_positions(attention_mask: torch.Tensor) -> torch.Tensor:
    """Return int64 (B, T): for each position the one whose word comes there when a text is read from its end.

    Padding keeps its positions, and reversing twice gives back the original order.
    """
    positions = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    lengths = attention_mask.sum(dim=1, keepdim=True)  # (B, 1)
    return torch.where(positions < lengths, lengths - 1 - positions, positions)


def pool(states: torch.Tensor, attention_mask: torch.Tensor, pooling: str, *, hidden_size: int) -> torch.Tensor:
    """Return one vector per text, float (B, H or 2H), from the states of its real words.

    "last" takes each direction after it has read everything: at the last word, and in the backward direction at the first.
    """
    real = attention_mask[:, :, None].bool()  # (B, T, 1)
    if pooling == "max":
        return states.masked_fill(~real, float("-inf")).amax(dim=1)
    if pooling == "mean":
        return states.masked_fill(~real, 0.0).sum(dim=1) / real.sum(dim=1)
    last = attention_mask.sum(dim=1) - 1  # (B,)
    forward = states[torch.arange(len(states), device=states.device), last, :hidden_size]
    return torch.cat([forward, states[:, 0, hidden_size:]], dim=1)
