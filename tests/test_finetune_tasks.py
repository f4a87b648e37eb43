"""What is predicted, what counts as the same, and whether a checkpoint can read it: recognised, said, and right."""

import dataclasses
import json
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import make_reviews
from tiny_finetune import make_checkpoint, make_finished

from course_utils import training
from course_utils.device import quiet_loading
from course_utils.finetune import baselines, export, intake, predict, run, sameness, tasks, vocabulary
from course_utils.text import PAIR, encode_wordpieces

CONFIG = training.TrainingConfig(num_epochs=6, learning_rate=2e-2, batch_size=16, seed=2)
NUMBERS = [
    f"{a} {b} {c}" for a in ("one", "two", "three", "four") for b in ("five", "six", "one") for c in ("two", "four", "six")
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


def table(folder: Path, rows: list[str], head: str, **options) -> intake.Table:
    (folder / "mine.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return intake.read_table(folder / "mine.csv", **{"text_column": "text", "label_column": "kind"} | options)


def said(read: intake.Table) -> dict[str, int]:
    return {fault.kind: fault.number for fault in read.faults}


# --- the same


def test_letters_that_differ_in_their_code_alone_are_the_same():
    plain = "café no 1"
    for other in (
        unicodedata.normalize("NFD", plain),
        "ＣＡＦÉ no 1",
        "ca\u200bfé\u00ad no 1",
        " Café  NO\u00a01 ",
        "\ufeffcafé no ①",
    ):
        assert sameness.normalise(other) == plain
    assert sameness.normalise("cafe no 1") != plain and sameness.normalise("👍🏽") != sameness.normalise("👍")


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["1", "1.0", "0", "0.0", "01"], {"1", "0"}),
        (["true", "1", "FALSE", "0", "true", "FALSE"], {"true", "FALSE"}),
        (["true", "1", "maybe", "true"], {"true", "1", "maybe"}),
        (["good", "good.", "Good\u200b", "ｇｏｏｄ", "good", "bad"], {"good", "bad"}),
        (["C", "C++", "C#", "c"], {"C", "C++", "C#"}),
        (["12345678901234567", "12345678901234500"], {"12345678901234567", "12345678901234500"}),
    ],
)
def test_labels_that_are_the_same_become_one(values, classes):
    labels, faults = sameness.one_spelling(pd.Series(values, dtype=object))
    assert len({*labels}) == len(classes) and {*labels} <= {*values}
    assert sum(fault.number for fault in faults) == len({*values}) - len(classes)


def test_labels_that_look_alike_are_named_and_stay_apart():
    (fault,) = sameness.look_alikes(("positive", "positve", "negative", "аpple", "apple", "so-so", "so so"))
    assert fault.number == 3 and all(pair in fault.sentence for pair in ("'positive' and 'positve'", "'so-so' and 'so so'"))
    assert sameness.look_alikes(("class 1", "class 2", "up", "us", "level10", "level11")) == []


def test_near_copies_of_one_label_stay_in_one_part(tmp_path):
    rows = [
        f"win a {word} free {i} at http://t.example/{i * 7}{'.' * (i % 2)},spam" for word in NUMBERS[:14] for i in range(3)
    ]
    rows += [f"meeting about {word} at {i} pm,ham" for word in NUMBERS[:14] for i in range(3)]
    read = table(tmp_path, rows, "text,kind")
    assert said(read)["near-copies"] == 56  # 14 different texts of each label, three times
    parts = [{sameness.near_key(text) for text in part.texts} for part in intake.split_table(read.reviews)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    few = table(tmp_path, [f"text {i},{'up' if i % 2 else 'down'}" for i in range(20)], "text,kind")
    assert len({*few.reviews.blocks}) == 20 and "scores may be too good" in few.report()  # numbers may be all there is


# --- the task


def rows_of(values: list) -> list[str]:
    return [f"text {i} {NUMBERS[i % 36]},{value}" for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        (["0.5", "1", "1.5", "2", "2.5", "3"] * 5, tasks.NUMBERS, "numbers"),
        ([f"{i / 7:.3f}" for i in range(40)], tasks.NUMBERS, "numbers"),
        ([str(i % 70) for i in range(210)], tasks.NUMBERS, "numbers"),
        (["1", "2", "3", "4", "5"] * 6, tasks.CLASSES, None),
        (["0", "1", "1.0", "0.0"] * 6, tasks.CLASSES, None),
        (['"a,b"', "a", "b", '"b,c"', "c"] * 5, tasks.LABELS, "several labels"),
        (["a;b", "a", "b", "c", "a;c"] * 5, tasks.LABELS, "several labels"),
        (['"New York, NY"', '"Austin, TX"', '"Boston, MA"'] * 5, tasks.CLASSES, None),
        (["positive", '"negative, mixed"'] * 9, tasks.CLASSES, None),
    ],
)
def test_the_task_is_recognised_and_said(tmp_path, values, task, kind):
    read = table(tmp_path, rows_of(values), "text,kind")
    assert tasks.task_of(read.reviews) == task
    assert {*said(read)} & {"numbers", "several labels", "label columns"} == ({kind} if kind else set())
    if kind:
        as_classes = table(tmp_path, rows_of(["0.5", "1.5", "2"] * 9), "text,kind", task="classes")
        assert as_classes.reviews.class_names == ("0.5", "1.5", "2")


def test_labels_in_lists_and_in_columns_are_the_same_as_joined_ones(tmp_path):
    sets = [["price"], ["price", "quality"], ["quality"], [], ["delivery", "price"], ["delivery"]] * 4
    texts = [f"text {NUMBERS[i]}" for i in range(24)]
    lines = [json.dumps({"text": text, "kind": names}) for text, names in zip(texts, sets, strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    lists = intake.read_table(tmp_path / "a.jsonl", text_column="text", label_column="kind")
    rows = [f"{text},{int('price' in s)},{'yes' if 'quality' in s else 'no'},{'TRUE' if 'delivery' in s else ''}"
            for text, s in zip(texts, sets, strict=True)]  # fmt: skip
    names = ["price", "quality", "delivery"]
    columns = table(tmp_path, rows, "text,price,quality,delivery", label_column=names)
    assert columns.reviews.class_names == lists.reviews.class_names == ("delivery", "price", "quality")
    expected = [[name in s for name in ("delivery", "price", "quality")] for s in sets]
    np.testing.assert_array_equal(columns.reviews.labels, expected)
    np.testing.assert_array_equal(lists.reviews.labels, expected)  # an empty list says that a text has none of the labels
    with pytest.raises(ValueError, match=r"label column 'price' contains '2'"):
        table(tmp_path, ["a,2,0", "b,0,1"], "text,price,quality", label_column=["price", "quality"])


def test_every_label_is_in_every_part_of_a_split():
    rng = np.random.default_rng(0)
    labels = (rng.random((200, 4)) < [0.5, 0.2, 0.05, 0.02]).astype(np.float32)
    labels[:3, 3] = 1
    reviews = make_reviews(*map(str, range(200)))
    reviews = type(reviews)(reviews.texts, labels, reviews.rows, reviews.blocks, ("a", "b", "c", "d"))
    parts = intake.split_table(reviews)
    assert [len(part) for part in parts] == pytest.approx([140, 30, 30], abs=6)
    assert all(part.labels.sum(axis=0).all() for part in parts)
    numbers = type(reviews)(reviews.texts, rng.random((200, 1)).astype(np.float32), reviews.rows, reviews.blocks, ("n",))
    means = [part.labels.mean() for part in intake.split_table(numbers)]
    assert means == pytest.approx([numbers.labels.mean()] * 3, abs=0.06)


# --- trained, saved and read by plain transformers


def test_several_labels_are_trained_judged_and_predicted(tmp_path, checkpoint):
    from transformers import pipeline

    names, config = ["down", "loud", "up"], dataclasses.replace(CONFIG, num_epochs=12)
    rows = []
    for i in range(200):
        has = [i % 3 == 0, i % 5 < 2, i % 2]
        words = " ".join(word for word, it in zip(("bad", "fine", "good"), has, strict=True) if it)
        rows.append(f"{words} film {NUMBERS[i % 36]} {NUMBERS[i // 36]},{','.join(str(int(it)) for it in has)}")
    read = table(tmp_path, rows, "text,down,loud,up", label_column=names)
    judgement = run.finetune(read, tmp_path / "m", config, checkpoint=checkpoint, max_length=12)
    assert [*judgement.scores] == ["labels right", "macro F1"] and [s.name for s in judgement.classes] == names
    assert judgement.scores["macro F1"]["fine-tuned"].estimate > 0.9  # a word gives each label away
    assert [*judgement.gains] == [baselines.ALWAYS, baselines.LINEAR]
    answers = predict.predict(tmp_path / "m", ["bad good film one", "film one", "bad film one"])
    assert answers["prediction"].tolist() == ["down, up", "(none)", "down"]
    classify = pipeline("text-classification", model=str(tmp_path / "m"), device="cpu", top_k=None)
    theirs = {answer["label"]: answer["score"] for answer in classify(["bad good film one"])[0]}  # sigmoid, by problem_type
    assert theirs == pytest.approx({name: answers[f"p({name})"][0] for name in theirs}, abs=2e-2)
    assert "Says which of 3 labels a text has" in (tmp_path / "m" / "README.md").read_text()


def test_a_scale_has_few_steps(tmp_path):
    for values, steps in ((["0.5", "1", "1.5"] * 10, [0.5, 1.0, 1.5]), ([f"{i / 7:.3f}" for i in range(40)], [])):
        read = table(tmp_path, [f"text {i} {NUMBERS[i % 36]},{value}" for i, value in enumerate(values)], "text,kind")
        assert tasks.levels(read.reviews) == steps
    assert tasks.levels(table(tmp_path, [f"text {i},{'ab'[i % 2]}" for i in range(30)], "text,kind").reviews) == []


def test_numbers_are_trained_judged_and_predicted_in_their_own_unit(tmp_path, checkpoint):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    rows = [f"{'good ' * (i % 3)}film {NUMBERS[i % 36]} {NUMBERS[i // 36]},{1000 + 200.5 * (i % 3)}" for i in range(200)]
    read = table(tmp_path, rows, "text,kind")
    config = dataclasses.replace(CONFIG, num_epochs=12)
    judgement = run.finetune(read, tmp_path / "m", config, checkpoint=checkpoint, max_length=14)
    assert judgement.scores["R²"]["fine-tuned"].estimate > 0.8
    errors = np.abs(judgement.predictions["fine-tuned"] - intake.split_table(read.reviews, seed=CONFIG.seed).test.labels)
    assert judgement.scores["mean absolute error"]["fine-tuned"].estimate == pytest.approx(errors.mean(), rel=1e-4)
    seen = f"good good film {NUMBERS[1]} {NUMBERS[2]}"
    answers = predict.predict(tmp_path / "m", [seen, f"film {NUMBERS[0]} {NUMBERS[0]}"])
    assert list(answers) == ["text", "prediction", "nearest"]
    found = answers["prediction"].astype(float)
    assert answers["nearest"].tolist() == ["1401", "1000"]  # of 1000, 1200.5 and 1401
    assert found[0] == pytest.approx(1401, abs=150) and found[1] == pytest.approx(1000, abs=150)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    assert model.config.problem_type == "regression" and model.config.num_labels == 1
    with torch.no_grad():
        plain = model(**tokenizer(seen, truncation=True, return_tensors="pt")).logits.item()
    assert plain == pytest.approx(found[0], rel=0.02)


def test_pairs_of_texts_are_joined_as_the_tokenizer_joins_them(tmp_path, checkpoint):
    from transformers import pipeline

    rows = [f"{'good' if i % 2 else 'bad'} {NUMBERS[i % 36]},film {NUMBERS[i // 5]} {'good' if i % 4 > 1 else 'bad'},"
            f"{'same' if (i % 2) == (i % 4 > 1) else 'other'}" for i in range(160)]  # fmt: skip
    read = table(tmp_path, [*rows, ",only the second,same"], "text,body,kind", text_column=["text", "body"])
    assert read.reviews.texts[0] == f"bad {NUMBERS[0]}{PAIR}film {NUMBERS[0]} bad"
    judgement = run.finetune(read, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=20)
    names = ["text", "body"]
    assert json.loads((tmp_path / "m" / "config.json").read_text())["text_columns"] == names
    predict.predict_table(
        tmp_path / "m", tmp_path / "mine.csv", tmp_path / "out.csv"
    )  # with the columns it was trained with
    out = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert list(out)[:4] == ["row", *names, "kind"] and len(out) == 161
    classify = pipeline("text-classification", model=str(tmp_path / "m"), device="cpu", top_k=None)
    theirs = classify([{"text": a, "text_pair": b} for a, b in zip(out["text"][:4], out["body"][:4], strict=True)])
    shares = [{answer["label"]: answer["score"] for answer in answers}["same"] for answers in theirs]
    np.testing.assert_allclose(shares, out["p(same)"][:4], atol=2e-2)
    assert len(judgement.classes) == 2
    with pytest.raises(ValueError, match=r"trained with 2 text columns. Give: --text-column text --text-column body"):
        predict.predict_table(tmp_path / "m", tmp_path / "mine.csv", tmp_path / "b.csv", text_column="text")
    assert not (tmp_path / "b.csv.unfinished").exists()
    with pytest.raises(ValueError, match=r"trained with pairs of texts \(text, body\)"):
        predict.predict(tmp_path / "m", ["good film"])
    assert len(predict.predict(tmp_path / "m", [f"good film{PAIR}bad film"])) == 1


def test_a_tokenizer_gets_both_halves_of_a_pair(checkpoint):
    from course_utils import pretrained

    tokenizer = pretrained.load_tokenizer(checkpoint)
    encoded = encode_wordpieces([f"good{PAIR}bad film", "good"], tokenizer, max_length=64)
    assert encoded.input_ids[0].tolist() == tokenizer("good", "bad film")["input_ids"]
    assert encoded.input_ids[1].tolist() == tokenizer("good")["input_ids"]


def test_class_weights_are_those_of_a_weighted_cross_entropy():
    labels = np.array([0, 0, 0, 1])
    soft = run.weighted(labels, 2)
    np.testing.assert_allclose(soft.sum(axis=1), [2 / 3, 2 / 3, 2 / 3, 2])
    logits = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    ours = torch.nn.functional.cross_entropy(logits, torch.from_numpy(soft))
    weight = torch.tensor([2 / 3, 2.0])
    theirs = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels), weight=weight)  # divides by the weights: 4
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    with pytest.raises(ValueError, match="one class a text"):
        run.weighted(np.ones((4, 2), dtype=np.float32), 2)


def test_the_head_is_scaled_and_nothing_else(tmp_path):
    from transformers import AutoModelForSequenceClassification

    folder = make_finished(tmp_path / "mine")
    with quiet_loading():
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = torch.tensor([[2, 4, 7, 3]])
    before = model(input_ids=ids).logits
    run.scale_head(model, 0.5, 3.0)
    torch.testing.assert_close(model(input_ids=ids).logits, before / 2 + 3)
    model.classifier = torch.nn.Identity()
    with pytest.raises(ValueError, match="cannot predict this"):
        run.scale_head(model, 0.5)


# --- files of one's own, and other programs


def test_parts_of_ones_own_are_used_whole_and_kept_out_of_training(tmp_path, checkpoint):
    rows = [f"{'good' if i % 2 else 'bad'} film {NUMBERS[i % 36]} {i},{'yes' if i % 2 else 'no'}" for i in range(80)]
    test = [*rows[:4], "good film one,yes", "bad film two,no", "bad film six,never"]
    other = table(tmp_path, test, "text,kind", part_only=True)
    whole = table(tmp_path, rows, "text,kind")
    fitted, part = intake.fit_to(whole, other.reviews, "test")
    assert len(part) == 6 and part.class_names == ("no", "yes") and part.labels.tolist() == [0, 1, 0, 1, 1, 0]
    kinds = said(fitted)
    assert kinds["unknown classes in the test file"] == 1 and kinds["texts of two files"] == len(whole.reviews) - len(
        fitted.reviews
    )
    keys = {sameness.near_key(text) for text in part.texts}
    assert not keys & {sameness.near_key(text) for text in fitted.reviews.texts}
    splits = intake.split_table(fitted.reviews, given={"test": part})
    assert splits.test is part and len(splits.train) + len(splits.validation) == len(fitted.reviews)
    judgement = run.finetune(whole, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=12, given={"test": other})
    assert len(judgement.probabilities) == 6
    saved = pd.read_csv(tmp_path / "m" / "test_predictions.csv")
    assert saved["row"].tolist() == [2, 3, 4, 5, 6, 7]


@pytest.mark.slow
def test_onnx_runtime_gives_the_probabilities_of_the_folder(tmp_path, checkpoint):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    rows = [
        f"{'good' if i % 2 else 'bad'} film {NUMBERS[i % 36]} {NUMBERS[i // 36]},{'yes' if i % 2 else 'no'}"
        for i in range(80)
    ]
    run.finetune(
        table(tmp_path, rows, "text,kind"), tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=12, export="onnx"
    )
    session = onnxruntime.InferenceSession(str(tmp_path / "m" / "model.onnx"), providers=["CPUExecutionProvider"])
    classifier = predict.load(tmp_path / "m")
    texts = ["good film one", "bad bad film two four six one"]
    asked = classifier.tokenizer(texts, padding=True, return_tensors="np")
    logits = session.run(["logits"], {name: asked[name] for name in ("input_ids", "attention_mask")})[0]
    shares = torch.from_numpy(logits).softmax(dim=1).numpy()
    np.testing.assert_allclose(shares, classifier.answers(texts)[["p(no)", "p(yes)"]], atol=2e-2)


def test_an_export_that_cannot_be_is_said_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"Type: pip install onnx onnxruntime onnxscript"):
        export.check_export("onnx")
    with pytest.raises(ValueError, match="There is no export 'tflite'"):
        export.check_export("tflite")


# --- the vocabulary


def test_letters_that_a_checkpoint_does_not_know_are_counted_and_another_one_is_named(checkpoint):
    from course_utils import pretrained

    tokenizer = pretrained.load_tokenizer(checkpoint)
    reviews = make_reviews("good 水 壶", "bad film", "水壶很好用")
    (fault,) = vocabulary.examine(reviews, tokenizer, max_length=64, english=False)
    unknown = sum(int(i == 1) for text in reviews.texts for i in tokenizer(text)["input_ids"])
    assert fault.kind == "unknown tokens" and fault.number == unknown == 3
    assert "Try: --model google-bert/bert-base-chinese" in fault.sentence and "50%" in fault.sentence
    assert vocabulary.examine(make_reviews("good film", "bad"), tokenizer, max_length=64, english=True) == []


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("水壶很好用 ok", "CJK"),
        ("この映画は面白い", "JAPANESE"),
        ("الفيلم جيد", "ARABIC"),
        ("Déjà vu", "LATIN"),
    ],
)
def test_the_main_script_is_that_of_most_letters(text, script):
    assert vocabulary.scripts((text,)).most_common(1)[0][0] == script


# --- slow words


def test_long_words_and_deep_texts_take_no_quadratic_time():
    import time

    for text in ("x" * 200_000, "http://" + "a" * 200_000, "a@" * 100_000, "1" * 200_000, "é" * 200_000, "." * 200_000):
        started = time.process_time()
        sameness.near_key(text)
        sameness.one_spelling(pd.Series([text, "a"], dtype=object))
        tasks.parse({"kind": [text, "a", "b"]})
        assert time.process_time() - started < 2
