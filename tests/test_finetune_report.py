"""What a fine-tuned model is worth: its baselines, its scores, and the card that states them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import make_reviews
from sklearn.metrics import f1_score
from tiny_finetune import make_checkpoint, make_table

from course_utils import pretrained, training
from course_utils.data import Splits
from course_utils.evaluation import Interval
from course_utils.finetune import baselines, intake, report

CONFIG = training.TrainingConfig(num_epochs=2, seed=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> report.Run:
    """A run that was stopped before it learned anything."""
    folder = tmp_path_factory.mktemp("report")
    table, checkpoint = make_table(folder), make_checkpoint(folder / "tiny")
    model, tokenizer = pretrained.load_classifier(checkpoint), pretrained.load_tokenizer(checkpoint)
    splits = intake.split_table(table.reviews, seed=CONFIG.seed)
    return report.Run(table, splits, model, tokenizer, checkpoint, 6, CONFIG, training.History(2, 12))


@pytest.fixture(scope="module")
def judgement(run) -> report.Judgement:
    return report.judge(run)


# --- baselines


def test_the_majority_is_that_of_the_training_part():
    train = make_reviews("a b", "a c", "a d", "a e", labels=[0, 1, 1, 1])
    test = make_reviews("a f", "a g", "a h", labels=[0, 0, 1])
    predictions = baselines.predict_baselines(Splits(train, train, test))
    assert predictions[baselines.MAJORITY].tolist() == [1, 1, 1]


def test_the_linear_model_is_that_of_a_grid_search_on_the_validation_part():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.pipeline import make_pipeline

    chosen = set()
    for seed in (0, 1, 5):
        rng = np.random.default_rng(seed)
        texts = [" ".join(f"w{word}" for word in rng.integers(0, 25, size=6)) for _ in range(150)]
        labels = [int(("w1" in text.split()) ^ (rng.random() < 0.25)) for text in texts]
        everything = make_reviews(*texts, labels=labels)
        splits = Splits(*(everything.take(rows) for rows in np.split(np.arange(150), [60, 100])))
        fold = PredefinedSplit(np.repeat([-1, 0], [60, 40]))
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]+")
        pipeline = make_pipeline(words, LogisticRegression(max_iter=1000))
        grid = {"logisticregression__C": baselines.STRENGTHS}
        search = GridSearchCV(pipeline, grid, cv=fold, refit=False).fit(texts[:100], labels[:100])
        expected = pipeline.set_params(**search.best_params_).fit(texts[:60], labels[:60]).predict(texts[100:])
        assert baselines.predict_baselines(splits)[baselines.LINEAR].tolist() == expected.tolist()
        chosen.add(search.best_params_["logisticregression__C"])
    assert chosen == set(baselines.STRENGTHS)  # each is the best of one of the three tables


def test_texts_without_spaces_are_compared_by_characters():
    parts = []
    for start in (0, 40, 60):  # the second character tells nothing and is new in every text
        texts = [("好" if i % 2 else "坏") + chr(0x4E00 + start + i) for i in range(20)]
        parts.append(make_reviews(*texts))
    predictions = baselines.predict_baselines(Splits(*parts))
    assert predictions[baselines.LINEAR].tolist() == [0, 1] * 10


# --- scores


def test_macro_f1_and_its_interval_are_those_of_scikit_learn_on_whole_blocks():
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * 28 + [2] * 4)  # a draw in three has no text of class 2
    reviews = make_reviews(*map(str, range(60)), labels=labels.tolist())
    blocks = np.arange(60) // 4
    reviews = type(reviews)(reviews.texts, labels, reviews.rows, blocks, ("a", "b", "c"))
    predictions = np.where(rng.random(60) < 0.7, labels, rng.integers(0, 2, 60))
    interval = report.macro_f1_interval(predictions, reviews, draws=200, seed=3)
    assert interval.estimate == pytest.approx(f1_score(labels, predictions, average="macro"))
    rng, drawn = np.random.default_rng(3), []
    for _ in range(200):
        rows = np.concatenate([np.flatnonzero(blocks == block) for block in rng.integers(15, size=15)])
        drawn.append(f1_score(labels[rows], predictions[rows], average="macro", zero_division=0))
    assert (interval.low, interval.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]))


def test_two_blocks_one_all_right_and_one_all_wrong_leave_the_widest_interval():
    reviews = make_reviews(*"abcd", labels=[0, 1, 0, 1])
    reviews = type(reviews)(reviews.texts, reviews.labels, reviews.rows, np.array([7, 7, 9, 9]), reviews.class_names)
    interval = report.macro_f1_interval(np.array([0, 1, 1, 0]), reviews)  # block 7 is right, block 9 wrong
    assert interval == Interval(0.5, 0.0, 1.0)  # one draw in four has block 7 twice, one in four block 9 twice


@pytest.mark.parametrize(
    ("over_majority", "over_linear", "verdict"),
    [
        ((0.1, 0.3), (0.01, 0.2), report.BETTER),
        ((0.1, 0.3), (-0.1, 0.1), report.UNDECIDED),
        ((0.1, 0.3), (-0.2, -0.01), report.WORSE),
        ((-0.1, 0.1), (0.01, 0.2), report.USELESS),
        ((0.0, 0.0), (0.0, 0.0), report.USELESS),
    ],
)
def test_the_verdict_follows_the_intervals_of_the_gains(over_majority, over_linear, verdict):
    gains = {baselines.MAJORITY: Interval(0, *over_majority), baselines.LINEAR: Interval(0, *over_linear)}
    judgement = report.Judgement(np.zeros((1, 2)), {}, {}, {}, gains)
    assert judgement.verdict == verdict and judgement.report().endswith(verdict)


def test_a_judgement_compares_the_model_with_both_baselines_on_the_same_texts(run, judgement):
    labels = run.splits.test.labels
    assert list(judgement.accuracy) == list(judgement.macro_f1) == [baselines.MAJORITY, baselines.LINEAR, report.TUNED]
    rates = {name: np.mean(predicted == labels) for name, predicted in judgement.predictions.items()}
    assert {name: score.estimate for name, score in judgement.accuracy.items()} == pytest.approx(rates)
    assert rates[baselines.LINEAR] == 1.0  # one word gives the label away
    for name, gain in judgement.gains.items():
        assert gain.estimate == pytest.approx(rates[report.TUNED] - rates[name])
    assert judgement.predictions[report.TUNED].tolist() == judgement.probabilities.argmax(axis=1).tolist()


def test_the_most_confident_mistakes_come_first(run):
    test = run.splits.test
    yes = np.linspace(0.1, 0.9, len(test))  # confident of "no" at first, of "yes" at last
    predictions = {report.TUNED: (yes > 0.5).astype(int)}
    mistakes = report.confident_mistakes(run, report.Judgement(np.stack([1 - yes, yes], axis=1), predictions, {}, {}, {}))
    wrong = np.flatnonzero((yes > 0.5) != test.labels)
    assert len(mistakes) == len(wrong) and mistakes["confidence"].is_monotonic_decreasing
    assert mistakes["confidence"][0] == pytest.approx(np.abs(yes - 0.5)[wrong].max() + 0.5)
    assert set(mistakes["row"]) == set(test.rows[wrong]) and (mistakes["label"] != mistakes["predicted"]).all()


# --- what is written


@pytest.fixture(scope="module")
def folder(run, judgement, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    report.write_report(run, judgement, folder, name="films: 'new'")
    return folder


def test_the_report_counts_what_happened(run, judgement, folder):
    written = json.loads((folder / "report.json").read_text())
    assert written["classes"] == {"no": 80, "yes": 40} and written["set_aside"] == 2
    assert sum(written["parts"].values()) == 120 and written["parts"]["test"] == written["blocks_in_test"] == 18
    assert {fault["kind"]: fault["number"] for fault in written["faults"]} == {
        "missing text": 1, "ragged row": 1, "imbalance": 40,
    }  # fmt: skip
    config = written["config"]
    assert (config["seed"], config["max_length"], config["best_epoch"], written["interrupted"]) == (1, 6, None, False)
    gain = judgement.gains[baselines.LINEAR]
    assert written["gains"][baselines.LINEAR] == {"estimate": gain.estimate, "low": gain.low, "high": gain.high}
    assert str(Path(run.checkpoint).parent) not in json.dumps(written) and written["origin"] == "tiny"


def test_the_card_is_one_that_the_hub_reads(run, judgement, folder):
    from huggingface_hub import ModelCard

    card = ModelCard.load(folder / "README.md")
    data, accuracy, f1 = card.data, *card.data.eval_results
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-classification")
    assert (data.model_name, data.base_model, data.license) == ("films: 'new'", None, None)
    assert (accuracy.metric_type, f1.metric_type, f1.dataset_name) == ("accuracy", "f1", "films.csv")
    assert accuracy.metric_value == judgement.accuracy[report.TUNED].estimate
    assert f1.metric_args == {"interval_95": [judgement.macro_f1[report.TUNED].low, judgement.macro_f1[report.TUNED].high]}
    for name, interval in judgement.accuracy.items():
        assert f"| {name} | {interval} | {judgement.macro_f1[name]} |" in card.text
    assert judgement.verdict in card.text and "* ragged row (1): set aside, first in row 123" in card.text
    assert "![Confusion matrix of the 18 test texts" in card.text and "| seed | 1 |" in card.text
    assert "truncates a text to 6 word pieces" in card.text and "stopped by hand" not in card.text
    assert str(Path(run.checkpoint).parent) not in card.text and "Fine-tuned from `tiny`" in card.text


def test_a_card_names_the_checkpoint_it_came_from_and_its_licence(run, judgement, tmp_path):
    from dataclasses import replace

    from huggingface_hub import ModelCard

    for checkpoint, base_model, licence in (
        ("embedded", "sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
        ("owner/model@abc", "owner/model", None),
    ):
        report.write_report(replace(run, checkpoint=checkpoint), judgement, tmp_path, name="m")
        data = ModelCard.load(tmp_path / "README.md").data
        assert (data.base_model, data.license) == (base_model, licence)


def test_texts_in_the_card_cannot_break_it_and_a_perfect_score_is_not_certainty(run, judgement, tmp_path, monkeypatch):
    perfect = judgement.accuracy | {report.TUNED: Interval(1.0, 1.0, 1.0)}
    evil = {"row": [3], "confidence": [0.987], "label": ["no"], "predicted": ["yes"], "text": ["a|b <script>\n# c"]}
    monkeypatch.setattr(report, "confident_mistakes", lambda run, judgement: pd.DataFrame(evil))
    report.write_report(run, judgement._replace(accuracy=perfect), tmp_path, name="m")
    card = (tmp_path / "README.md").read_text()
    assert "| 99 % | no | yes | 3 | a&#124;b &lt;script> # c |" in card
    assert "ends at 16.7 %" in card  # 3 / 18


def test_set_aside_rows_and_mistakes_are_tables_and_the_figure_is_a_picture(judgement, run, folder):
    aside = pd.read_csv(folder / "set_aside.csv", keep_default_na=False)
    assert aside.to_dict("records") == [
        {"row": 122, "reason": "missing text", "label": "no", "text": ""},
        {"row": 123, "reason": "ragged row: 3 cells, the header has 2", "label": "", "text": "a, b,yes"},
    ]
    mistakes = pd.read_csv(folder / "mistakes.csv")
    assert len(mistakes) == (judgement.predictions[report.TUNED] != run.splits.test.labels).sum() > 0
    assert list(mistakes) == ["row", "confidence", "label", "predicted", "text"]
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")
