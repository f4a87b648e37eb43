"""LSTMClassifier: padding and other texts change nothing, and its parts are those of torch."""

import numpy as np
import pytest
import torch
from helpers import batch_of
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from course_utils.models import LSTMClassifier
from course_utils.text import UNKNOWN, UNKNOWN_ID, Vocabulary


@pytest.fixture(params=[("max", False), ("mean", True), ("last", False), ("last", True)], ids=str)
def model(request) -> LSTMClassifier:
    torch.manual_seed(1)
    pooling, both = request.param
    return LSTMClassifier(12, embedding_size=5, hidden_size=4, pooling=pooling, bidirectional=both).eval()


def reference(model) -> torch.nn.LSTM:
    """Return torch's own LSTM of as many directions, with the weights of the model."""
    both = model.lstm_back is not None
    lstm = torch.nn.LSTM(5, 4, batch_first=True, bidirectional=both)
    lstm.load_state_dict(
        model.lstm.state_dict() | ({f"{k}_reverse": w for k, w in model.lstm_back.state_dict().items()} if both else {})
    )
    return lstm.to(model.lstm.weight_ih_l0.dtype)


def logits(model, encoded, indices) -> torch.Tensor:
    batch = batch_of(encoded, indices)
    return model(batch["input_ids"], batch["attention_mask"])


def test_a_text_alone_gives_what_it_gives_in_a_batch(model, encoded):
    together = logits(model, encoded, range(len(encoded)))
    alone = torch.cat([logits(model, encoded, [i]) for i in range(len(encoded))])
    torch.testing.assert_close(together, alone)
    assert together.std(dim=0).min() > 1e-3  # the texts differ


def test_the_order_of_a_batch_does_not_matter(model, encoded):
    order = np.random.default_rng(0).permutation(len(encoded))
    torch.testing.assert_close(logits(model, encoded, order), logits(model, encoded, range(len(encoded)))[order])


def test_what_stands_under_the_mask_is_never_read(model, encoded):
    batch = batch_of(encoded, range(6))
    mask = batch["attention_mask"]
    other = torch.where(mask.bool(), batch["input_ids"], 7)
    torch.testing.assert_close(model(other, mask), model(batch["input_ids"], mask))
    wider = torch.nn.functional.pad(batch["input_ids"], (0, 5), value=3), torch.nn.functional.pad(mask, (0, 5))
    torch.testing.assert_close(model(*wider), model(batch["input_ids"], mask))


def test_pooling_by_hand(model, encoded):
    ids = torch.from_numpy(encoded.input_ids[3])[None]  # (1, T)
    states, _ = reference(model)(model.embedding(ids))  # (1, T, H or 2H): no padding, so nothing to mask
    pooled = {
        "max": states.max(dim=1).values,
        "mean": states.mean(dim=1),
        "last": torch.cat([states[:, -1, :4], states[:, 0, 4:]], dim=1),
    }[model.pooling]
    torch.testing.assert_close(logits(model, encoded, [3]), model.classifier(pooled))


def test_word_dropout_reads_a_share_of_the_words_as_unknown_and_only_while_training(encoded):
    assert Vocabulary.from_tokens([]).tokens[UNKNOWN_ID] == UNKNOWN
    torch.manual_seed(0)
    network = LSTMClassifier(12, embedding_size=5, hidden_size=4, dropout=0.0, word_dropout=0.3)
    batch = batch_of(encoded)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    read = []
    network.embedding.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    for _ in range(200):
        network(ids, mask)
    changed = torch.stack(read) != ids  # (200, B, T)
    assert (torch.stack(read)[changed] == UNKNOWN_ID).all() and not changed[:, mask == 0].any()
    share = changed[:, (mask == 1) & (ids != UNKNOWN_ID)].float().mean().item()
    assert share == pytest.approx(0.3, abs=0.02)
    read.clear()
    network.eval()(ids, mask)
    assert torch.equal(read[0], ids)
    with pytest.raises(ValueError, match="share of words"):
        LSTMClassifier(12, word_dropout=1.0)


def test_no_direction_needs_packing(model, encoded):
    batch = batch_of(encoded, range(6))
    ids, mask = batch["input_ids"], batch["attention_mask"]
    packed = pack_padded_sequence(model.embedding(ids), mask.sum(1), batch_first=True, enforce_sorted=False)
    by_packing, _ = pad_packed_sequence(reference(model)(packed)[0], batch_first=True)
    torch.testing.assert_close(model.states(ids, mask)[mask.bool()], by_packing[mask.bool()])


def test_gradients_equal_finite_differences(model, encoded):
    model.double()
    batch = batch_of(encoded, range(5))

    def loss() -> torch.Tensor:
        out = model(batch["input_ids"], batch["attention_mask"])
        return torch.nn.functional.cross_entropy(out, batch["labels"])

    loss().backward()
    for name, parameter in model.named_parameters():
        direction = torch.randn_like(parameter)
        if name == "embedding.weight":
            direction[0] = 0
        slope = (parameter.grad * direction).sum().item()
        with torch.no_grad():
            parameter += 1e-6 * direction
            above = loss().item()
            parameter -= 2e-6 * direction
            below = loss().item()
            parameter += 1e-6 * direction
        assert (above - below) / 2e-6 == pytest.approx(slope, rel=1e-4, abs=1e-8), name


def test_vectors_fill_the_embedding_and_padding_stays_zero(encoded):
    vectors = torch.randn(12, 5)
    model = LSTMClassifier(12, embedding_size=5, vectors=vectors)
    torch.testing.assert_close(model.embedding.weight[1:].detach(), vectors[1:])
    assert not model.embedding.weight[0].any()
    logits(model, encoded, range(6)).sum().backward()
    assert not model.embedding.weight.grad[0].any() and model.embedding.weight.grad[1:].any()


def test_dropout_acts_in_training_only(encoded):
    model = LSTMClassifier(12, dropout=0.5)
    model.train()
    assert not torch.equal(logits(model, encoded, range(6)), logits(model, encoded, range(6)))
    model.eval()
    assert torch.equal(logits(model, encoded, range(6)), logits(model, encoded, range(6)))


def test_an_unknown_pooling_lists_those_there_are():
    with pytest.raises(ValueError, match=r"no pooling 'first'. Choose one of: max, mean, last"):
        LSTMClassifier(12, pooling="first")


def test_vectors_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(12, 5\), but .* ask for \(12, 64\)"):
        LSTMClassifier(12, vectors=torch.zeros(12, 5))
