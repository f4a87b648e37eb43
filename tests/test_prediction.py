"""Predictions and evaluation: every example weighs the same, order and batches do not matter, the model stays as it is."""

import math

import numpy as np
import pytest
import torch
from helpers import make_encoded, weights
from torch import nn

from course_utils import batching, layers, prediction
from course_utils.batching import TokenDataset, make_loader
from course_utils.models import LSTMClassifier


def make_model(**options) -> LSTMClassifier:
    torch.manual_seed(3)
    return LSTMClassifier(12, embedding_size=8, hidden_size=8, **options)


class Told(nn.Module):
    """A classifier that answers what it is told: logits (n, C) by the first token of each text."""

    def __init__(self, logits) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(logits, dtype=torch.float32))

    def forward(self, input_ids, attention_mask):
        return self.table[input_ids[:, 0]]


def test_every_example_weighs_the_same_in_unequal_batches():
    logits = [[2.0, 0], [0.0, 1], [3.0, 0], [0, 0.5], [1.0, 0]]
    labels = np.array([0, 1, 0, 0, 1])  # the last two are wrong, and the last batch of two has one text
    texts = TokenDataset(tuple(np.array([i] * n) for i, n in enumerate([1, 2, 3, 4, 9])), labels)
    losses = [math.log(1 + math.exp(bad - good)) for good, bad in [(2, 0), (1, 0), (3, 0), (0, 0.5), (0, 1)]]
    for batch_size in (1, 2, 3, 5):
        result = prediction.evaluate(Told(logits), texts, batch_size=batch_size)
        assert result.accuracy == pytest.approx(3 / 5)
        assert result.loss == pytest.approx(sum(losses) / 5, rel=1e-5)
        assert result.predictions.tolist() == [0, 1, 0, 1, 0]


def test_predictions_come_in_the_order_of_the_data(encoded):
    model = make_model().eval()
    alone = torch.cat([prediction.predict_logits(model, encoded.take(np.array([i]))) for i in range(len(encoded))])
    for limits in ({"batch_size": 1}, {"batch_size": 5}, {"max_batch_tokens": 9}, {}):
        torch.testing.assert_close(prediction.predict_logits(model, encoded, **limits), alone)
    order = np.random.default_rng(0).permutation(len(encoded))
    torch.testing.assert_close(prediction.predict_logits(model, encoded.take(order)), alone[order])
    np.testing.assert_allclose(prediction.predict_proba(model, encoded), alone.softmax(1).numpy(), rtol=1e-5)


def test_evaluation_changes_nothing_and_drops_out_nothing(encoded):
    model = make_model(dropout=0.5).train()
    before = weights(model)
    results = [prediction.evaluate(model, encoded).loss for _ in range(2)]
    assert results[0] == results[1] and torch.equal(weights(model), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_hugging_face_classifier_gives_its_own_logits(tiny_bert, encoded):
    ours = prediction.predict_logits(tiny_bert, encoded, batch_size=5)
    theirs = [tiny_bert(input_ids=torch.from_numpy(ids)[None]).logits[0] for ids in encoded.input_ids]
    torch.testing.assert_close(ours, torch.stack(theirs).detach(), rtol=1e-4, atol=1e-5)


def test_texts_without_labels_are_predicted_and_not_evaluated(encoded):
    unlabelled = TokenDataset(encoded.input_ids)
    model = make_model()
    assert torch.equal(prediction.predict_logits(model, unlabelled), prediction.predict_logits(model, encoded))
    with pytest.raises(ValueError, match=r"no labels to compare with\. Use predict_proba"):
        prediction.evaluate(model, unlabelled)


def test_nothing_to_predict_is_refused(encoded):
    with pytest.raises(ValueError, match=r"no text to predict"):
        prediction.predict_proba(make_model(), encoded.take(np.array([], dtype=int)))


def test_precision_is_an_argument_and_logits_are_float32_in_each(encoded):
    model = make_model().eval()
    exact, rough = (prediction.predict_logits(model, encoded, mixed_precision=p) for p in ("no", "bf16"))
    assert exact.dtype == rough.dtype == torch.float32 and not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.03, rtol=0.1)


def test_prediction_keeps_to_the_budget_of_the_model(tiny_bert, monkeypatch):
    budgets = [prediction.token_budget(tiny_bert, mixed_precision) for mixed_precision in ("no", "bf16")]
    assert [*budgets, prediction.token_budget(make_model())] == [2_048, 4_096, 16_384]  # BERT: the same bytes
    seen: list[int] = []
    model = make_model()
    model.register_forward_pre_hook(lambda _, inputs, named: seen.append(named["input_ids"].numel()), with_kwargs=True)
    longer = make_encoded(200, longest=60)
    monkeypatch.setattr(prediction, "token_budget", lambda *_: 300)
    prediction.predict_logits(model, longer)
    assert max(seen) <= 300 and sum(seen) < 1.1 * longer.lengths.sum() and len(seen) >= sum(seen) / 300


def test_one_set_of_batches_serves_for_the_order_and_the_prediction(tiny_bert, monkeypatch):
    made, make = [], batching.make_batches
    monkeypatch.setattr(batching, "make_batches", lambda *given, **limits: made.append(1) or make(*given, **limits))
    encoded = make_encoded(30)
    prediction.predict_logits(tiny_bert, encoded)
    assert len(made) == 1
    layers.sentence_features(tiny_bert.bert, encoded)
    assert len(made) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_counted_and_predict_nothing(bad):
    model, texts = Told([[2.0, 0], [0, bad], [bad, bad]]), TokenDataset(tuple(np.array([i]) for i in (0, 1, 2, 0)), None)
    for ask in (prediction.predict_logits, prediction.predict_proba):
        with pytest.raises(FloatingPointError, match=r"For 2 of 4 texts the model computes NaN or infinity"):
            ask(model, texts)
    prediction.predict_logits(model, texts.take(np.array([0, 3])))


@pytest.mark.slow
def test_bulk_prediction_gives_the_probabilities_of_the_pipeline():
    from transformers import pipeline

    from course_utils import pretrained, text

    sentences = [
        ("A moving, funny film.", "Dull.", "It made me want to leave, and I stayed.")[i % 3] * (1 + i % 4) for i in range(9)
    ]
    model, tokenizer = pretrained.load_classifier(), pretrained.load_tokenizer()
    encoded = text.encode_wordpieces(sentences, tokenizer, max_length=32)
    assert len(list(make_loader(encoded, max_batch_tokens=64))) > 3
    ours = prediction.predict_proba(model, encoded, max_batch_tokens=64)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu", batch_size=4)
    answers = classify(sentences, top_k=None, truncation=True, max_length=32)
    theirs = [[score["score"] for score in sorted(answer, key=lambda s: s["label"])] for answer in answers]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.ptp(ours[:, 0]) > 1e-3  # the sentences get different answers
