"""A model folder of one's own: what it scores, what its card says, and that plain transformers reads it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import make_reviews

from course_utils import models, pretrained, training
from course_utils.finetune import intake, predict, report, run
from course_utils.evaluation import Interval

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "fine", "film", "one", "two", "three", "four", "five", "six"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    """A BERT of one layer with a tokenizer of 14 words, as a folder."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    special = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **sizes)).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> intake.Table:
    """120 sentences of which 'good' and 'bad' give the label away, a third of them good, and two faults."""
    path = tmp_path_factory.mktemp("table") / "films.csv"
    numbers = [f"{a} {b} {c}" for a in WORDS[8:12] for b in WORDS[8:14] for c in WORDS[8:13]]
    rows = [f"{'bad' if i % 3 else 'good'} film {number},{'no' if i % 3 else 'yes'}" for i, number in enumerate(numbers)]
    path.write_text("\n".join(["text,kind", *rows, ",no", "a, b,yes"]) + "\n")
    return intake.read_table(path, text_column="text", label_column="kind")


SETTINGS = training.TrainingConfig(num_epochs=2, learning_rate=1e-2, batch_size=16, seed=1)


@pytest.fixture(scope="module")
def tuned(table, checkpoint, tmp_path_factory) -> tuple[Path, report.Judgement]:
    folder = tmp_path_factory.mktemp("models") / "films"
    return folder, run.finetune(table, folder, SETTINGS, checkpoint=checkpoint, max_tokens=6)


# --- scores


def test_macro_f1_is_that_of_scikit_learn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    reviews = make_reviews(*map(str, range(90)), labels=rng.integers(0, 2, 90).tolist())
    said = rng.integers(0, 2, 90)
    interval = report.f1_interval(said, reviews)
    assert interval.estimate == pytest.approx(f1_score(reviews.labels, said, average="macro"))
    assert interval.low < interval.estimate < interval.high
    assert interval.high - interval.low == pytest.approx(4 * np.sqrt(0.25 / 90), rel=0.25)  # near the binomial width


def test_intervals_of_macro_f1_draw_whole_blocks():
    reviews = make_reviews(*"abcd", labels=[0, 1, 0, 1])
    reviews = type(reviews)(reviews.texts, reviews.labels, reviews.rows, np.array([7, 7, 9, 9]), reviews.class_names)
    interval = report.f1_interval(np.array([0, 1, 1, 0]), reviews)  # block 7 is right, block 9 wrong
    assert interval == Interval(0.5, 0.0, 1.0)  # both blocks twice: one draw in four each


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
    gains = {report.MAJORITY: Interval(0, *over_majority), report.LINEAR: Interval(0, *over_linear)}
    judgement = report.Judgement(np.zeros((1, 2)), {}, {}, {}, gains)
    assert judgement.verdict == verdict and judgement.report().endswith(verdict)


def test_the_rivals_learn_from_the_training_part_alone(tuned, table):
    _, judgement = tuned
    test = intake.split_table(table.reviews, seed=SETTINGS.seed).test
    assert judgement.predictions[report.MAJORITY].tolist() == [0] * len(test)  # "no"
    assert judgement.accuracy[report.MAJORITY].estimate == pytest.approx(np.mean(test.labels == 0))
    assert judgement.accuracy[report.LINEAR].estimate == 1.0  # one word gives the label away
    assert list(judgement.accuracy) == list(judgement.macro_f1) == [report.MAJORITY, report.LINEAR, report.TUNED]


def test_texts_without_spaces_are_compared_by_characters(table, checkpoint, tmp_path):
    rows = [("好" if i % 2 else "坏") + chr(0x4E00 + i) for i in range(60)]
    path = tmp_path / "zh.csv"
    path.write_text("\n".join(["text,kind", *(f"{text},{i % 2}" for i, text in enumerate(rows))]), encoding="utf-8")
    chinese = intake.read_table(path, text_column="text", label_column="kind")
    judgement = run.finetune(chinese, tmp_path / "zh", SETTINGS, checkpoint=checkpoint, max_tokens=6)
    assert judgement.accuracy[report.LINEAR].estimate > 0.9


# --- the folder


def test_the_folder_is_complete_and_nothing_unfinished_is_left(tuned):
    folder, _ = tuned
    wanted = {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "README.md", "report.json"}
    assert {path.name for path in folder.iterdir()} >= wanted | {"confusion.png", "mistakes.csv", "set_aside.csv"}
    assert [path.name for path in folder.parent.iterdir()] == ["films"]


def test_plain_transformers_reads_it_and_gives_the_same_probabilities(tuned, table):
    from transformers import pipeline

    folder, judgement = tuned
    test = intake.split_table(table.reviews, seed=SETTINGS.seed).test
    classify = pipeline("text-classification", model=str(folder), device="cpu")
    answers = classify(list(test.texts), truncation=True, top_k=None)
    shares = [[{a["label"]: a["score"] for a in answer}[name] for name in ("no", "yes")] for answer in answers]
    np.testing.assert_allclose(shares, judgement.probabilities, atol=1e-5)
    assert classify.tokenizer.model_max_length == 6
    said = np.array([["no", "yes"].index(answer[0]["label"]) for answer in answers])
    report = json.loads((folder / "report.json").read_text())
    assert report["accuracy"]["fine-tuned"]["estimate"] == pytest.approx(np.mean(said == test.labels))


def test_the_report_counts_what_happened(tuned, table):
    folder, judgement = tuned
    report = json.loads((folder / "report.json").read_text())
    assert report["classes"] == {"no": 80, "yes": 40} and report["set_aside"] == 2
    assert sum(report["parts"].values()) == 120 and report["parts"]["test"] == 18
    assert {fault["kind"]: fault["number"] for fault in report["faults"]} == {
        "missing text": 1, "ragged row": 1, "imbalance": 40,
        "cut texts": 120,  # [CLS], five words and [SEP] are seven
    }  # fmt: skip
    assert report["settings"]["seed"] == 1 and report["settings"]["word_pieces"] == 6 and not report["interrupted"]
    assert report["gains"][report.LINEAR]["estimate"] == judgement.gains[report.LINEAR].estimate
    assert str(Path.home()) not in json.dumps(report) and str(folder.parent) not in json.dumps(report)


def test_the_card_is_one_that_the_hub_reads(tuned, checkpoint):
    from huggingface_hub import ModelCard

    folder, judgement = tuned
    card = ModelCard.load(folder / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag, card.data.base_model) == (
        "transformers",
        "text-classification",
        None,
    )
    accuracy, f1 = card.data.eval_results
    assert (accuracy.metric_type, f1.metric_type, f1.dataset_name) == ("accuracy", "f1", "films.csv")
    assert accuracy.metric_value == judgement.accuracy[report.TUNED].estimate
    assert f1.metric_args == {"interval_95": [judgement.macro_f1[report.TUNED].low, judgement.macro_f1[report.TUNED].high]}
    for name, interval in judgement.accuracy.items():
        assert f"| {name} | {interval} | {judgement.macro_f1[name]} |" in card.text
    assert judgement.verdict in card.text and "* ragged row (1): set aside, first in row 123" in card.text
    assert "![Confusion matrix of the 18 test texts" in card.text and "| seed | 1 |" in card.text
    assert "truncation=True" in card.text and "stopped by hand" not in card.text
    assert str(Path(checkpoint).parent) not in card.text and "Fine-tuned from `tiny`" in card.text


def test_set_aside_rows_and_mistakes_are_tables(tuned):
    folder, _ = tuned
    aside = pd.read_csv(folder / "set_aside.csv", keep_default_na=False)
    assert aside.to_dict("records") == [
        {"row": 122, "reason": "missing text", "label": "no", "text": ""},
        {"row": 123, "reason": "ragged row: 3 cells, the header has 2", "label": "", "text": "a, b,yes"},
    ]
    assert list(pd.read_csv(folder / "mistakes.csv")) == ["row", "confidence", "label", "predicted", "text"]


def run_of(table, checkpoint) -> run.Run:
    from course_utils import pretrained

    splits = intake.split_table(table.reviews, seed=1)
    model, tokenizer = pretrained.load_classifier(checkpoint), pretrained.load_tokenizer(checkpoint)
    return run.Run(table, splits, model, tokenizer, checkpoint, 6, SETTINGS, training.History())


def test_the_surest_mistakes_come_first(table, checkpoint):
    run = run_of(table, checkpoint)
    test = run.splits.test
    yes = np.linspace(0.1, 0.9, len(test))  # sure of "no" first, of "yes" last
    judgement = report.Judgement(
        np.stack([1 - yes, yes], axis=1), {report.TUNED: (yes > 0.5).astype(int)}, {}, {}, Interval(0, 0, 0)
    )
    mistakes = report.confident_mistakes(run, judgement)
    wrong = np.flatnonzero((yes > 0.5) != test.labels)
    assert len(mistakes) == len(wrong) and mistakes["confidence"].is_monotonic_decreasing
    assert mistakes["confidence"][0] == pytest.approx(np.abs(yes - 0.5)[wrong].max() + 0.5)
    assert set(mistakes["row"]) == set(test.rows[wrong]) and (mistakes["label"] != mistakes["predicted"]).all()


def test_texts_in_the_card_cannot_break_it_and_a_perfect_score_is_not_certainty(table, checkpoint, tmp_path, monkeypatch):
    run = run_of(table, checkpoint)
    judgement = report.judge(run)
    perfect = judgement.accuracy | {report.TUNED: Interval(1.0, 1.0, 1.0)}
    evil = {"row": [3], "confidence": [0.987], "label": ["no"], "predicted": ["yes"], "text": ["a|b <script>\n# c"]}
    monkeypatch.setattr(cards, "confident_mistakes", lambda run, judgement: pd.DataFrame(evil))
    folder = run.save_run(run, judgement._replace(accuracy=perfect), tmp_path / "m")
    card = (folder / "README.md").read_text()
    assert "| 99 % | no | yes | 3 | a&#124;b &lt;script> # c |" in card
    assert "up to 16.7 % would be no surprise" in card  # 3 / 18


def test_ten_classes_have_ten_names_in_the_folder(checkpoint, tmp_path):
    path = tmp_path / "ten.csv"
    path.write_text("\n".join(["text,kind", *(f"film {i},class {i % 10}" for i in range(80))]))
    ten = intake.read_table(path, text_column="text", label_column="kind")
    run.finetune(ten, tmp_path / "ten", training.TrainingConfig(num_epochs=1), checkpoint=checkpoint, max_tokens=6)
    answers = predict.predict(tmp_path / "ten", ["film 3"])
    assert list(answers)[3:] == [f"p(class {i})" for i in range(10)]
    assert answers.iloc[0, 3:].sum() == pytest.approx(1, abs=1e-5)


# --- runs that stop, and folders that are there already


def test_a_folder_that_exists_is_named_and_left_alone(table, checkpoint, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match=r"mine exists and is kept as it is"):
        run.finetune(table, tmp_path / "mine", SETTINGS, checkpoint=checkpoint)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "note.txt"]


@pytest.fixture
def stops(monkeypatch):
    """Let Ctrl+C come at a step of `fit`."""

    def at(step: int) -> None:
        def show(progress: training.Progress) -> None:
            if progress.step == step:
                raise KeyboardInterrupt

        monkeypatch.setattr(cards, "fit", lambda *a, **options: training.fit(*a, **options, on_progress=show))

    return at


def test_ctrl_c_keeps_the_best_weights_and_the_card_says_so(table, checkpoint, tmp_path, capsys, stops):
    stops(8)  # an epoch has 6 steps
    run.finetune(table, tmp_path / "m", SETTINGS, checkpoint=checkpoint, max_tokens=6)
    report = json.loads((tmp_path / "m" / "report.json").read_text())
    assert report["interrupted"] and report["settings"]["best_epoch"] == 1.0
    assert "Stopped by you: the best weights so far (epoch 1.0) are kept" in capsys.readouterr().out
    assert "Training was stopped by hand" in (tmp_path / "m" / "README.md").read_text()


def test_a_second_ctrl_c_leaves_a_folder_that_predicts_and_is_never_overwritten(
    table, checkpoint, tmp_path, monkeypatch, stops
):
    stops(2)

    def interrupted(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(cards, "judge", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.finetune(table, tmp_path / "m", SETTINGS, checkpoint=checkpoint, max_tokens=6)
    assert [path.name for path in tmp_path.iterdir()] == ["m.unfinished"]
    assert predict.predict(tmp_path / "m.unfinished", ["good film"])["prediction"][0] in ("no", "yes")
    with pytest.raises(FileExistsError, match=r"m.unfinished holds what an interrupted run had learned"):
        run.finetune(table, tmp_path / "m", SETTINGS, checkpoint=checkpoint, max_tokens=6)


def test_a_run_that_is_killed_leaves_the_best_epoch(table, checkpoint, tmp_path, monkeypatch):
    calls = []

    def fit(*a, **options):
        calls.append(options)
        if len(calls) == 2:
            raise MemoryError
        return training.fit(*a, **options, on_progress=lambda progress: None)

    monkeypatch.setattr(cards, "fit", fit)
    with pytest.raises(MemoryError):
        run.finetune(table, tmp_path / "m", SETTINGS, checkpoint=checkpoint, max_tokens=6)
    assert (tmp_path / "m.unfinished" / "model.safetensors").is_file()


@pytest.mark.parametrize("max_tokens", [2, 33])
def test_more_tokens_than_the_checkpoint_reads_are_refused_before_training(table, checkpoint, tmp_path, max_tokens):
    with pytest.raises(ValueError, match=rf"reads 3 to 32 tokens, not {max_tokens}"):
        run.finetune(table, tmp_path / "m", SETTINGS, checkpoint=checkpoint, max_tokens=max_tokens)
    assert not list(tmp_path.iterdir())


# --- prediction


def test_predictions_keep_their_place_and_nothing_is_made_up_for_a_missing_text(tuned, table):
    folder, judgement = tuned
    test = intake.split_table(table.reviews, seed=SETTINGS.seed).test
    answers = predict.predict(folder, [None, test.texts[0], None, test.texts[5]])
    assert answers["prediction"].isna().tolist() == answers["confidence"].isna().tolist() == [True, False, True, False]
    np.testing.assert_allclose(answers.loc[[1, 3], ["p(no)", "p(yes)"]], judgement.probabilities[[0, 5]], atol=1e-5)
    assert answers["prediction"][1] == ("no", "yes")[judgement.probabilities[0].argmax()]


def test_a_folder_without_a_readable_classifier_is_refused(tuned, checkpoint, tmp_path):
    import shutil

    for folder in (tmp_path / "absent", Path(checkpoint)):  # an encoder's head would be random
        with pytest.raises(ValueError, match=r"holds no fine-tuned classifier"):
            predict.predict(folder, ["film"])
    copy = shutil.copytree(tuned[0], tmp_path / "cut")
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"cannot be read"):
        predict.predict(copy, ["film"])
