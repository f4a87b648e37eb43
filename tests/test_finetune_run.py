"""From a table to a model in a folder: plain transformers reads it, and what is on disk is what was judged."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_finetune import make_checkpoint, make_table

from course_utils import pretrained, training
from course_utils.data import Reviews
from course_utils.finetune import intake, predict, report, run

CONFIG = training.TrainingConfig(num_epochs=4, learning_rate=2e-2, batch_size=16, seed=2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> intake.Table:
    return make_table(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def unseen(table) -> Reviews:
    """The test part of the table."""
    return intake.split_table(table.reviews, seed=CONFIG.seed).test


@pytest.fixture(scope="module")
def tuned(table, checkpoint, tmp_path_factory) -> tuple[Path, report.Judgement]:
    folder = tmp_path_factory.mktemp("models") / "films"
    return folder, run.finetune(table, folder, CONFIG, checkpoint=checkpoint, max_length=6)


def facts(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def assert_judged(folder: Path, judgement: report.Judgement, unseen: Reviews) -> None:
    """Assert that the weights in a folder give the probabilities that were judged."""
    answers = predict.predict(folder, unseen.texts)[["p(no)", "p(yes)"]].to_numpy()
    np.testing.assert_allclose(answers, judgement.probabilities, atol=1e-6)


# --- the folder


def test_the_folder_is_complete_and_nothing_unfinished_is_left(tuned):
    folder, _ = tuned
    wanted = {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "README.md", "report.json"}
    assert {path.name for path in folder.iterdir()} >= wanted | {"confusion.png", "mistakes.csv", "set_aside.csv"}
    assert [path.name for path in folder.parent.iterdir()] == ["films"]


def test_plain_transformers_reads_the_best_epoch_and_gives_the_judged_probabilities(tuned, unseen):
    from transformers import pipeline

    folder, judgement = tuned
    assert facts(folder)["config"]["best_epoch"] < CONFIG.num_epochs  # so its weights differ from the last ones
    classify = pipeline("text-classification", model=str(folder), device="cpu")
    answers = classify(list(unseen.texts), truncation=True, top_k=None)
    shares = [[{a["label"]: a["score"] for a in answer}[name] for name in ("no", "yes")] for answer in answers]
    np.testing.assert_allclose(shares, judgement.probabilities, atol=1e-5)
    assert classify.tokenizer.model_max_length == 6
    predicted = np.array([["no", "yes"].index(answer[0]["label"]) for answer in answers])
    assert facts(folder)["accuracy"]["fine-tuned"]["estimate"] == pytest.approx(np.mean(predicted == unseen.labels))
    assert facts(folder)["accuracy"]["fine-tuned"]["estimate"] > 0.9  # one word gives the label away


def test_truncated_texts_are_counted_among_the_faults_and_word_embeddings_are_not_trained(tuned):
    folder, _ = tuned
    counts = {fault["kind"]: fault["number"] for fault in facts(folder)["faults"]}
    assert counts["truncated texts"] == 120  # [CLS], five words and [SEP] are seven
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(folder)
    everything = sum(parameter.numel() for parameter in model.parameters())
    assert facts(folder)["trained_parameters"] == everything - 14 * 16  # words x hidden size


def test_a_run_of_a_notebook_is_saved_in_the_same_form(table, checkpoint, unseen, tmp_path):
    splits = intake.split_table(table.reviews, seed=CONFIG.seed)
    model, tokenizer = pretrained.load_classifier(checkpoint), pretrained.load_tokenizer(checkpoint)
    mine = run.Run(table, splits, model, tokenizer, checkpoint, 6, CONFIG, training.History(4, 24))
    judgement = report.judge(mine)
    folder = run.save_run(mine, judgement, tmp_path / "mine")
    assert_judged(folder, judgement, unseen)
    assert facts(folder)["name"] == "mine" and [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(FileExistsError, match=r"mine exists and is kept as it is"):
        run.save_run(mine, judgement, folder)


def test_ten_classes_have_ten_names_in_the_folder(checkpoint, tmp_path):
    path = tmp_path / "ten.csv"
    path.write_text("\n".join(["text,kind", *(f"film {i},class {i % 10}" for i in range(80))]))
    ten = intake.read_table(path, text_column="text", label_column="kind")
    run.finetune(ten, tmp_path / "ten", training.TrainingConfig(num_epochs=1), checkpoint=checkpoint, max_length=6)
    answers = predict.predict(tmp_path / "ten", ["film 3"])
    assert list(answers)[3:] == [f"p(class {i})" for i in range(10)]
    assert answers.iloc[0, 3:].sum() == pytest.approx(1, abs=1e-5)


# --- runs that stop, and folders that are there already


def test_a_folder_that_exists_is_named_and_left_alone(table, checkpoint, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match=r"mine exists and is kept as it is"):
        run.finetune(table, tmp_path / "mine", CONFIG, checkpoint=checkpoint)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "note.txt"]


@pytest.fixture
def stops(monkeypatch):
    """Let Ctrl+C come at a step of `fit`; an epoch has 6 steps."""

    def at(step: int) -> None:
        def show(history: training.History) -> None:
            if history.step == step:
                raise KeyboardInterrupt

        monkeypatch.setattr(run, "fit", lambda *a, **options: training.fit(*a, **options, on_step=show))

    return at


@pytest.mark.parametrize(
    ("step", "best_epoch", "says"),
    [(8, 1, "the best weights so far (those of epoch 1)"), (3, None, "the present ones, no epoch is complete")],
)
def test_ctrl_c_keeps_the_weights_that_are_judged_and_the_card_says_so(
    table, checkpoint, unseen, tmp_path, capsys, stops, step, best_epoch, says
):
    stops(step)
    judgement = run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=6)
    assert facts(tmp_path / "m")["interrupted"] and facts(tmp_path / "m")["config"]["best_epoch"] == best_epoch
    assert says in capsys.readouterr().out
    assert "Training was stopped by hand" in (tmp_path / "m" / "README.md").read_text()
    assert_judged(tmp_path / "m", judgement, unseen)


def test_ctrl_c_while_weights_are_written_leaves_no_half_of_them(table, checkpoint, unseen, tmp_path, monkeypatch):
    save, calls = run.save_weights, []

    def interrupted(now: report.Run, folder: Path) -> None:
        calls.append(now)
        save(now, folder)
        if len(calls) == 1:
            (folder / "model.safetensors").write_bytes(b"half")
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "save_weights", interrupted)
    judgement = run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=6)
    assert facts(tmp_path / "m")["interrupted"] and len(calls) == 2
    assert_judged(tmp_path / "m", judgement, unseen)


def test_a_second_ctrl_c_leaves_a_folder_that_predicts_and_is_never_overwritten(
    table, checkpoint, tmp_path, monkeypatch, stops
):
    stops(2)

    def interrupted(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "judge", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=6)
    assert [path.name for path in tmp_path.iterdir()] == ["m.unfinished"]
    assert predict.predict(tmp_path / "m.unfinished", ["good film"])["prediction"][0] in ("no", "yes")
    with pytest.raises(FileExistsError, match=r"m.unfinished contains the weights of an interrupted run"):
        run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=6)


def test_a_run_that_is_killed_leaves_the_best_epoch(table, checkpoint, tmp_path, monkeypatch):
    def killed(history: training.History) -> None:
        if history.step == 14:  # in the third epoch
            raise MemoryError

    monkeypatch.setattr(run, "fit", lambda *a, **options: training.fit(*a, **options, on_step=killed))
    with pytest.raises(MemoryError):
        run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=6)
    assert predict.predict(tmp_path / "m.unfinished", ["good film", "bad film"])["prediction"].tolist() == ["yes", "no"]


@pytest.mark.parametrize("max_length", [2, 33])
def test_more_tokens_than_the_checkpoint_reads_are_refused_before_training(table, checkpoint, tmp_path, max_length):
    with pytest.raises(ValueError, match=rf"reads 3 to 32 tokens, not {max_length}"):
        run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=max_length)
    assert not list(tmp_path.iterdir())


def test_models_go_to_the_chosen_device_before_anything_is_computed(table, checkpoint, tuned, tmp_path, monkeypatch):
    seen = []

    def look(model, *rest, **options):
        seen.append({parameter.device.type for parameter in model.parameters()})
        raise InterruptedError

    for module in (run, predict):
        monkeypatch.setattr(module, "choose_device", lambda: torch.device("meta"))
    monkeypatch.setattr(run, "evaluate", look)
    monkeypatch.setattr(predict, "predict_proba", look)
    with pytest.raises(InterruptedError):
        run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=6)
    with pytest.raises(InterruptedError):
        predict.predict(tuned[0], ["film"])
    assert seen == [{"meta"}, {"meta"}]


# --- prediction


def test_predictions_keep_their_order_and_a_missing_text_gets_none(tuned, unseen):
    folder, judgement = tuned
    answers = predict.predict(folder, [None, unseen.texts[0], None, unseen.texts[5]])
    assert answers["prediction"].isna().tolist() == answers["confidence"].isna().tolist() == [True, False, True, False]
    np.testing.assert_allclose(answers.loc[[1, 3], ["p(no)", "p(yes)"]], judgement.probabilities[[0, 5]], atol=1e-5)
    assert answers["prediction"][1] == ("no", "yes")[judgement.probabilities[0].argmax()]
    with pytest.raises(ValueError, match="list of texts"):
        predict.predict(folder, unseen.texts[0])


def test_a_folder_without_a_readable_classifier_is_refused(tuned, checkpoint, tmp_path):
    for folder in (tmp_path / "absent", Path(checkpoint)):  # an encoder's head would be random
        with pytest.raises(ValueError, match=r"contains no fine-tuned classifier"):
            predict.predict(folder, ["film"])
    copy = shutil.copytree(tuned[0], tmp_path / "damaged")
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"cannot be read"):
        predict.predict(copy, ["film"])
