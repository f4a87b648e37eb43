"""Fine-tune BERT on 1,600 sentences and keep what explorers show: sentences as points along the way, words that mattered.

    python -m bench.film      a few minutes; writes course_utils/explorers/film.json

The film: the states of validation sentences before the classifier, every few steps, in two dimensions. The words: what each
word of some sentences adds to the logit of three models (see `explorers.occlusion_effects`), and for BERT how well that
agrees with integrated gradients (Sundararajan and others, 2017).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from course_utils import data, explorers, layers, models, prediction, pretrained, text, training
from course_utils.batching import collate

RESULT = Path(explorers.__file__).parent / "film.json"
TRAINED, SHOWN, MAX_LENGTH, STEPS = 1_600, 100, 40, (0, 2, 4, 6, 8, 10, 13, 16, 20, 24, 28, 32, 36, 40, 45, 50)
SENTENCES = (
    "not dull , just funny",
    "not funny , just dull",
    "a film that is never boring and always beautiful",
    "the plot is silly but the actors save it",
    "i expected a masterpiece and got a mess",
)


def film(model, encoded, names) -> dict:
    """Train one epoch on some of the sentences and return the frames of the film."""
    few = encoded.train.take(np.linspace(0, len(encoded.train) - 1, TRAINED).round().astype(int))
    shown = encoded.validation.take(np.linspace(0, len(encoded.validation) - 1, SHOWN).round().astype(int))
    frames, steps, accuracies = [], [], []

    def look(history: training.History) -> None:
        if history.step not in STEPS:
            return
        model.eval()
        with torch.no_grad():
            batch = collate([shown[i] for i in range(len(shown))])
            states = model.bert(batch["input_ids"], batch["attention_mask"]).pooler_output
            accuracies.append(float((model.classifier(states).argmax(1) == batch["labels"]).float().mean()))
        frames.append(states.numpy())
        steps.append(history.step)
        model.train()

    look(training.History(1, 1))
    config = training.TrainingConfig(num_epochs=1, learning_rate=1e-4, batch_size=32)
    training.fit(model, few, shown, config, on_step=look)
    points = explorers.flattened(np.stack(frames))
    points = np.round(points / np.abs(points).max(), 3).tolist()
    return {"points": points, "labels": shown.labels.tolist(), "steps": steps,
            "accuracies": [round(a, 4) for a in accuracies], "class_names": list(names)}  # fmt: skip


def integrated_gradients(model, tokenizer, words: list[str], *, num_steps: int = 20) -> np.ndarray:
    """Return how much each word adds to positive minus negative, float (T,): gradients along the way from [PAD] to it."""
    one = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    E = model.bert.embeddings.word_embeddings(one["input_ids"]).detach()  # (1, T, D)
    special = torch.isin(one["input_ids"], torch.tensor([tokenizer.cls_token_id, tokenizer.sep_token_id]))[..., None]
    start = torch.where(special, E, model.bert.embeddings.word_embeddings.weight[tokenizer.pad_token_id].detach())
    total = torch.zeros_like(E)
    for share in (np.arange(num_steps) + 0.5) / num_steps:
        between = (start + float(share) * (E - start)).requires_grad_()
        logits = model(inputs_embeds=between, attention_mask=one["attention_mask"]).logits[0]
        total += torch.autograd.grad(logits[1] - logits[0], between)[0]
    pieces = ((E - start) * total / num_steps).sum(-1)[0].numpy()
    found = np.zeros(len(words))
    for piece, word in zip(pieces, one.word_ids(), strict=True):
        if word is not None:
            found[word] += piece
    return found


def main() -> None:
    torch.manual_seed(0)
    splits, tokenizer = data.load_splits("rotten_tomatoes"), pretrained.load_tokenizer()
    pieces: list[Any] = [text.encode_wordpieces(part, tokenizer, max_length=MAX_LENGTH) for part in splits]
    encoded = data.Splits(*pieces)
    model = pretrained.load_classifier()
    layers.freeze_below(model, 2)
    frames = film(model, encoded, splits.train.class_names)
    vocabulary = text.Vocabulary.from_tokens([text.basic_english(t) for t in splits.train.texts], min_count=2)
    words = [text.encode_words(part, vocabulary, max_length=MAX_LENGTH) for part in splits]
    lstm = models.LSTMClassifier(len(vocabulary))
    config = training.TrainingConfig(num_epochs=3, learning_rate=3e-3, batch_size=32)
    training.fit(lstm, words[0], words[1], config, on_step=lambda history: None)
    counts = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=4, max_iter=1000))
    counts.fit(splits.train.texts, splits.train.labels)
    of_bert = lambda texts: text.encode_wordpieces(texts, tokenizer, max_length=MAX_LENGTH)  # noqa: E731
    of_lstm = lambda texts: text.encode_words(texts, vocabulary, max_length=MAX_LENGTH)  # noqa: E731
    scores = {
        "word counts": counts.decision_function,
        "LSTM": lambda texts: np.diff(prediction.predict_logits(lstm, of_lstm(texts)))[:, 0],
        "BERT": lambda texts: np.diff(prediction.predict_logits(model, of_bert(texts), mixed_precision="no"))[:, 0],
    }
    effects = {sentence: {name: np.round(explorers.occlusion_effects(score, sentence.split()), 3).tolist()
                          for name, score in scores.items()} for sentence in SENTENCES}  # fmt: skip
    theirs = np.concatenate([integrated_gradients(model, tokenizer, sentence.split()) for sentence in SENTENCES])
    ours = np.concatenate([effects[sentence]["BERT"] for sentence in SENTENCES])
    agreement = round(float(np.corrcoef(ours, theirs)[0, 1]), 3)
    RESULT.write_text(json.dumps({"film": frames, "words": effects, "agreement": agreement}) + "\n", encoding="utf-8")
    print(frames["steps"], frames["accuracies"], agreement, sep="\n")
    print(json.dumps(effects, indent=1))


if __name__ == "__main__":
    main()
