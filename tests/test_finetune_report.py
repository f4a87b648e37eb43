"""What a fine-tuned model is worth: its baselines, its scores, and the card that states them."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import make_reviews
from sklearn.metrics import f1_score
from tiny_finetune import make_checkpoint, make_table

from course_utils import plots, pretrained, training
from course_utils.data import Splits
from course_utils.evaluation import Interval
from course_utils.finetune import baselines, intake, lettering, page, report, scores, tasks
from course_utils.finetune import judgement as judgement_room

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
    for seed in range(6):
        rng = np.random.default_rng(seed)
        texts = [" ".join(f"w{word}" for word in rng.integers(0, 25, size=6)) for _ in range(150)]
        labels = [int(("w1" in text.split()) ^ (rng.random() < 0.25)) for text in texts]
        everything = make_reviews(*texts, labels=labels)
        splits = Splits(*(everything.take(rows) for rows in np.split(np.arange(150), [60, 100])))
        fold = PredefinedSplit(np.repeat([-1, 0], [60, 40]))
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]+")
        pipeline = make_pipeline(words, LogisticRegression(max_iter=1000))
        grid = {"logisticregression__C": baselines.STRENGTHS, "logisticregression__class_weight": baselines.WEIGHTS}
        search = GridSearchCV(pipeline, grid, cv=fold, refit=False, scoring="f1_macro").fit(texts[:100], labels[:100])
        expected = pipeline.set_params(**search.best_params_).fit(texts[:60], labels[:60]).predict(texts[100:])
        assert baselines.predict_baselines(splits)[baselines.LINEAR].tolist() == expected.tolist()
        chosen |= {*search.best_params_.values()}
    assert chosen >= {*baselines.WEIGHTS} and len(chosen & {*baselines.STRENGTHS}) > 1  # there was something to choose


def test_texts_without_spaces_are_compared_by_characters():
    parts = []
    for start in (0, 40, 60):  # the second character tells nothing and is new in every text
        texts = [("好" if i % 2 else "坏") + chr(0x4E00 + start + i) for i in range(20)]
        parts.append(make_reviews(*texts))
    predictions = baselines.predict_baselines(Splits(*parts))
    assert predictions[baselines.LINEAR].tolist() == [0, 1] * 10


# --- scores


def test_macro_f1_and_its_interval_are_those_of_scikit_learn_on_whole_blocks(monkeypatch):
    monkeypatch.setattr(scores, "DRAWS", 200)
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * 28 + [2] * 4)  # a draw in three has no text of class 2
    blocks = np.arange(60) // 4
    predictions = np.where(rng.random(60) < 0.7, labels, rng.integers(0, 2, 60))
    interval = scores.macro_f1_interval(np.eye(3)[predictions], np.eye(3)[labels], blocks)
    assert interval.estimate == pytest.approx(f1_score(labels, predictions, average="macro"))
    rng, drawn = np.random.default_rng(0), []
    for _ in range(200):
        rows = np.concatenate([np.flatnonzero(blocks == block) for block in rng.integers(15, size=15)])
        drawn.append(f1_score(labels[rows], predictions[rows], average="macro", zero_division=0))
    assert (interval.low, interval.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]))


def test_two_blocks_one_all_right_and_one_all_wrong_leave_the_widest_interval():
    truth, said, blocks = np.eye(2)[[0, 1, 0, 1]], np.eye(2)[[0, 1, 1, 0]], np.array([7, 7, 9, 9])
    assert scores.macro_f1_interval(said, truth, blocks) == Interval(0.5, 0.0, 1.0)  # a draw in four has block 7 twice


def test_no_mistake_in_twelve_texts_leaves_an_interval():
    truth = np.eye(2)[[0, 1] * 6]
    interval = scores.macro_f1_interval(truth, truth, np.arange(12))
    assert interval.estimate == interval.high == 1 and interval.low == pytest.approx(0.6097, abs=1e-3)  # Wilson, 6 of 6
    assert scores.share_interval(np.ones(12), np.arange(12)).low == pytest.approx(0.7575, abs=1e-3)  # Wilson, 12 of 12
    assert scores.share_interval(np.ones(12), np.arange(12) // 6).low < 0.4  # two blocks are worth two texts


@pytest.mark.parametrize(("right", "of"), [(0, 5), (3, 7), (45, 50), (120, 120)])
def test_wilsons_interval_is_that_of_scipy_and_of_independent_texts(right, of):
    from scipy.stats import binomtest

    expected = binomtest(right, of).proportion_ci(method="wilson")
    values = np.arange(of) < right
    for interval in (scores.wilson(right, of), scores.share_interval(values, np.arange(of))):
        assert (interval.estimate, interval.low, interval.high) == pytest.approx((right / of, *expected), abs=1e-6)
    together = scores.share_interval(np.repeat(values, 3), np.repeat(np.arange(of), 3))  # three copies are worth one text
    assert (together.low, together.high) == pytest.approx((*expected,), abs=1e-6)


def test_the_intervals_of_shares_cover_the_truth_where_blocks_are_alike():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(300):
        share = rng.beta(8, 2, size=40)  # of each of 40 blocks of 5 texts; 0.8 on average
        values = rng.random((40, 5)) < share[:, None]
        interval = scores.share_interval(values.ravel(), np.repeat(np.arange(40), 5))
        inside += interval.low <= 0.8 <= interval.high
    assert 0.91 < inside / 300 < 0.99


def test_temperature_is_the_one_that_was_put_in_and_few_texts_do_not_move_it():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4_000, 3)) * 2
    labels = np.array([rng.choice(3, p=softmax(row)) for row in logits])
    assert scores.fit_temperature(2.5 * logits, labels, tasks.CLASSES) == pytest.approx(2.5, rel=0.1)
    sure = np.array([[3.0, -3.0], [-3.0, 3.0]])
    assert 0.5 < scores.fit_temperature(sure, np.array([0, 1]), tasks.CLASSES) < 1  # two right answers prove little
    several = (rng.random((4_000, 3)) < 1 / (1 + np.exp(-logits))).astype(float)
    assert scores.fit_temperature(0.5 * logits, several, tasks.LABELS) == pytest.approx(0.5, rel=0.1)


def softmax(row: np.ndarray) -> np.ndarray:
    shares = np.exp(row - row.max())
    return shares / shares.sum()


def test_reliability_counts_by_hand():
    confidence, right = np.array([0.55, 0.58, 0.91, 0.95, 0.99, 1.0]), np.array([1, 0, 1, 1, 1, 0])
    found = scores.reliability(confidence, right)
    assert found.texts == [2, 4] and [share.estimate for share in found.right] == [0.5, 0.75]
    assert found.error == pytest.approx((2 * 0.065 + 4 * 0.2125) / 6)


def test_abstention_keeps_the_most_texts_that_are_right_often_enough():
    confidence = np.linspace(0.5, 0.99, 50)
    right = np.ones(50, dtype=bool)
    right[:10] = False  # the ten least confident are wrong
    limit = scores.abstention(confidence, right)
    kept = confidence >= limit
    assert right[kept].mean() >= 0.95 and right[confidence >= np.sort(confidence[~kept])[-1]].mean() < 0.95
    assert scores.abstention(confidence, np.ones(50, dtype=bool)) == 0
    assert scores.abstention(confidence, np.zeros(50, dtype=bool)) is None
    assert scores.abstention(confidence[:5], np.ones(5, dtype=bool)) is None  # five texts prove nothing


def judged(gains: dict, *, texts: int = 50, blocks: int = 100) -> report.Judgement:
    whole = Interval(1.0, 0.9, 1.0)
    classes = [scores.ClassScore(name, n, whole, whole, 1.0) for name, n in (("ok", 900), ("fraud", texts))]
    measures = {"accuracy": dict.fromkeys(gains, whole), "macro F1": dict.fromkeys(gains, whole)}
    return report.Judgement(np.zeros((1, 2)), {}, measures, gains, classes, None, None, blocks)


@pytest.mark.parametrize(
    ("over_majority", "over_linear", "verdict"),
    [
        ((0.1, 0.3), (0.01, 0.2), judgement_room.BETTER),
        ((0.1, 0.3), (-0.1, 0.1), judgement_room.UNDECIDED),
        ((0.1, 0.3), (-0.2, -0.01), judgement_room.WORSE),
        ((-0.1, 0.1), (0.01, 0.2), judgement_room.USELESS.format(baselines.MAJORITY)),
        ((0.0, 0.0), (0.0, 0.0), judgement_room.USELESS.format(baselines.MAJORITY)),
    ],
)
def test_the_verdict_follows_the_intervals_of_the_gains(over_majority, over_linear, verdict):
    gains = {baselines.MAJORITY: Interval(0, *over_majority), baselines.LINEAR: Interval(0, *over_linear)}
    judgement = judged(gains)
    assert judgement.verdict == verdict and judgement.report().endswith(verdict)
    for few in ({"blocks": 12}, {"texts": 2}):
        says = judged(gains, **few).verdict
        assert says.startswith("Too few to tell: the test part has") and "of them of fraud" in says
    assert "class fraud (2 texts) precision 1.000 (0.900 to 1.000)" in judged(gains, texts=2).report()
    assert judged(gains, texts=2).report().count("too few to tell") == 1


def test_three_percent_of_fraud_all_found_are_not_called_useless():
    truth = np.eye(2)[[1] * 9 + [0] * 291]
    nothing = np.eye(2)[[0] * 300]
    gain = scores.mean_recall_gain(truth, nothing, truth, np.arange(300))
    assert gain.estimate == 0.5 and gain.low > 0.49  # accuracy gained only 0.03
    guess = np.eye(2)[np.random.default_rng(0).integers(2, size=300)]
    gain = scores.mean_recall_gain(guess, nothing, truth, np.arange(300))
    assert gain.low < 0 < gain.high


def test_a_judgement_compares_the_model_with_both_baselines_on_the_same_texts(run, judgement):
    from sklearn.metrics import balanced_accuracy_score

    labels = run.splits.test.labels
    assert list(judgement.accuracy) == list(judgement.macro_f1) == [baselines.MAJORITY, baselines.LINEAR, report.TUNED]
    rates = {name: np.mean(predicted == labels) for name, predicted in judgement.predictions.items()}
    assert {name: score.estimate for name, score in judgement.accuracy.items()} == pytest.approx(rates)
    assert rates[baselines.LINEAR] == 1.0  # one word gives the label away
    recall, f1 = ({name: score(labels, predicted) for name, predicted in judgement.predictions.items()}
                  for score in (balanced_accuracy_score, lambda a, b: f1_score(a, b, average="macro")))  # fmt: skip
    over_majority, over_linear = (judgement.gains[name].estimate for name in (baselines.MAJORITY, baselines.LINEAR))
    assert over_majority == pytest.approx(recall[report.TUNED] - recall[baselines.MAJORITY])
    assert over_linear == pytest.approx(f1[report.TUNED] - f1[baselines.LINEAR])
    assert judgement.predictions[report.TUNED].tolist() == judgement.probabilities.argmax(axis=1).tolist()


def test_the_most_confident_mistakes_come_first(run, judgement):
    test = run.splits.test
    yes = np.linspace(0.1, 0.9, len(test))  # confident of "no" at first, of "yes" at last
    predictions = judgement.predictions | {report.TUNED: (yes > 0.5).astype(int)}
    other = judgement._replace(probabilities=np.stack([1 - yes, yes], axis=1), predictions=predictions)
    mistakes = report.confident_mistakes(run, other)
    wrong = np.flatnonzero((yes > 0.5) != test.labels)
    assert len(mistakes) == len(wrong) and mistakes["confidence"].is_monotonic_decreasing
    assert mistakes["confidence"][0] == pytest.approx(np.abs(yes - 0.5)[wrong].max() + 0.5)
    assert set(mistakes["row"]) == set(test.rows[wrong]) and (mistakes["label"] != mistakes["predicted"]).all()


def test_printed_scores_are_those_of_scikit_learn_on_the_saved_predictions(run, judgement, folder):
    from sklearn import metrics

    saved = pd.read_csv(folder / "test_predictions.csv", keep_default_na=False)
    truth, said = saved["label"], saved["predicted"]
    printed = judgement.report()
    assert f"{report.TUNED:28} accuracy {metrics.accuracy_score(truth, said):.3f} (" in printed
    assert f"macro F1 {metrics.f1_score(truth, said, average='macro', zero_division=0):.3f} (" in printed
    linear = saved[f"predicted by {baselines.LINEAR}"]
    assert f"{baselines.LINEAR:28} accuracy {metrics.accuracy_score(truth, linear):.3f} (" in printed
    for scores_of in judgement.classes:
        name = scores_of.name
        options = {"labels": [name], "average": None, "zero_division": np.nan}
        assert scores_of.recall.estimate == pytest.approx(metrics.recall_score(truth, said, **options)[0])
        precision = metrics.precision_score(truth, said, **options)[0]
        assert scores_of.precision.estimate == pytest.approx(precision, nan_ok=True)
        assert f"recall {scores_of.recall.estimate:.3f} (" in printed
        average = metrics.average_precision_score(truth == name, saved[f"p({name})"])
        assert scores_of.average_precision == pytest.approx(average) and f"average precision {average:.3f}" in printed
    assert saved["row"].tolist() == run.splits.test.rows.tolist()


def test_words_that_mattered_are_those_whose_absence_changes_the_answer(run):
    text = "good film one two"
    words = report.words_that_mattered(run, text)
    assert [word for word, _ in words] == text.split()
    whole, without = run.predict([text, "film one two"])
    chosen = whole.argmax()
    assert words[0][1] == pytest.approx(whole[chosen] - without[chosen], abs=1e-2)
    assert [letter for letter, _ in report.words_that_mattered(run, "坏电影")] == ["坏", "电", "影"]


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
    assert written["scores"]["accuracy"][report.TUNED]["estimate"] == judgement.accuracy[report.TUNED].estimate
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
    perfect = judgement.scores | {"accuracy": judgement.accuracy | {report.TUNED: Interval(1.0, 0.9, 1.0)}}
    evil = {"row": [3], "confidence": [0.987], "label": ["no"], "predicted": ["yes"], "text": ["a|b <script>\n# c"]}
    monkeypatch.setattr(report, "confident_mistakes", lambda run, judgement: pd.DataFrame(evil))
    report.write_report(run, judgement._replace(scores=perfect), tmp_path, name="m")
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


EVIL = "<script>alert('x')</script> $100_$ =cmd & \"quoted\""


class Reader(HTMLParser):
    """Collects the tags, the text and the attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.said.append(data)


def test_the_page_needs_nothing_else_and_nothing_in_a_table_can_break_it(run, judgement, tmp_path, monkeypatch):
    evil = {"row": [3], "confidence": [0.987], "label": ["no"], "predicted": ["yes"], "text": [EVIL]}
    monkeypatch.setattr(report, "confident_mistakes", lambda run, judgement: pd.DataFrame(evil))
    report.write_report(run, judgement, tmp_path, name=EVIL)
    reader = Reader()
    reader.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    text = " ".join(" ".join(reader.said).split())
    assert "script" not in reader.tags and "img" not in reader.tags and text.count(" ".join(EVIL.split())) >= 2
    assert not [value for name, value in reader.attributes if name in ("src", "href", "onclick")]
    assert {"table", "caption", "svg", "h2"} <= {*reader.tags} and ("lang", "en") in reader.attributes
    pictures = [dict(reader.attributes).get("aria-label")]
    assert all(pictures) and judgement.verdict in text and "ragged row (1)" in text.replace(" :", ":")
    style = "".join(reader.said[: reader.said.index(next(said for said in reader.said if "color-scheme" in said)) + 1])
    assert "prefers-color-scheme: dark" in style
    marked = reader.tags.count("mark")
    assert marked == len(EVIL.split())


def test_the_page_draws_what_training_did(run, judgement, tmp_path):
    from dataclasses import replace

    history = training.History(1, 4, step_losses=[0.8, 0.6, 0.5, 0.4], step_sizes=[1] * 4)
    history.records.append(training.EpochRecord(1, 0.575, 0.7, 0.5, 1.0, 10, 4))
    history.best_epoch = 1
    report.write_report(replace(run, history=history), judgement, tmp_path, name="m")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    (points,) = re.findall(r'<polyline points="([^"]+)"', html)
    first, *_, last = [tuple(map(float, point.split(","))) for point in points.split()]
    assert first == (0.0, 0.0) and last == (page.WIDTH, pytest.approx(page.HEIGHT * (1 - 0.575 / 0.8), abs=0.1))
    assert "the training loss goes from 0.800 to 0.575" in html and "epoch 1 was kept" in html


def test_names_in_a_figure_are_drawn_or_spelt_out():
    import warnings

    from matplotlib.figure import Figure

    names, fonts = lettering.drawable(["$100_$ off", "水壶", "🫠 odd", "café"])
    assert fonts[0] == "DejaVu Sans" and names[0] == r"\$100_\$ off" and names[3] == "café"
    figure = Figure()
    with warnings.catch_warnings(record=True) as warned, plots.plt.rc_context({"font.family": fonts}):
        warnings.simplefilter("always")
        for name in names:
            figure.text(0, 0, name)
        figure.savefig(io.BytesIO())
    assert not [str(w.message) for w in warned if "missing from" in str(w.message)]
