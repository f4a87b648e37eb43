"""Small networks of the course."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

POOLINGS = ("max", "mean", "last")


class LSTMClassifier(nn.Module):
    """Embedding -> bidirectional LSTM over the real tokens -> pooling under the mask -> linear layer.

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
        dropout: float = 0.2,
        pooling: str = "max",
        vectors: torch.Tensor | None = None,
    ) -> None:
        """Build the network; `vectors` float32 (V, D), if given, fill the embedding.

        Raises:
            ValueError: unknown pooling, or vectors of another shape than (vocab_size, embedding_size).
        """
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"There is no pooling {pooling!r}. Choose one of: {', '.join(POOLINGS)}.")
        self.pooling = pooling
        self.embedding = nn.Embedding(vocab_size, embedding_size, padding_idx=0)
        if vectors is not None:
            if vectors.shape != self.embedding.weight.shape:
                want, got = tuple(self.embedding.weight.shape), tuple(vectors.shape)
                raise ValueError(f"vectors have shape {got}, but vocab_size and embedding_size ask for {want}.")
            self.embedding.weight.data.copy_(vectors)
            self.embedding.weight.data[0] = 0
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(2 * hidden_size, num_classes)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits float (B, C), unnormalised, for input_ids and attention_mask int64 (B, T)."""
        lengths = attention_mask.sum(dim=1).cpu()  # (B,)
        embedded = self.dropout(self.embedding(input_ids))  # (B, T, D)
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        packed_states, (last, _) = self.lstm(packed)  # last: (2, B, H)
        if self.pooling == "last":
            pooled = torch.cat([last[0], last[1]], dim=1)  # (B, 2H)
        else:
            states, _ = pad_packed_sequence(packed_states, batch_first=True)  # (B, T, 2H)
            real = attention_mask[:, : states.shape[1], None].bool()
            if self.pooling == "max":
                pooled = states.masked_fill(~real, float("-inf")).amax(dim=1)
            else:
                pooled = states.masked_fill(~real, 0.0).sum(dim=1) / real.sum(dim=1)
        return self.classifier(self.dropout(pooled))
