"""From a table to a model in a folder: plain transformers reads it, and what is on disk is what was judged."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_finetune import make_checkpoint, make_table

from course_utils import pretrained, training
from course_utils.data import Reviews
from course_utils.finetune import intake, judgement, predict, report, run

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
    assert {path.name for path in folder.iterdir()} >= wanted | {
        "confusion.png", "mistakes.csv", "set_aside.csv", "manifest.json", "report.html", "test_predictions.csv",
    }  # fmt: skip
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
    assert facts(folder)["scores"]["accuracy"]["fine-tuned"]["estimate"] == pytest.approx(
        np.mean(predicted == unseen.labels)
    )
    assert facts(folder)["scores"]["accuracy"]["fine-tuned"]["estimate"] > 0.9  # one word gives the label away


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
    judged = judgement.judge(mine)
    folder = run.save_run(mine, judged, tmp_path / "mine")
    assert_judged(folder, judged, unseen)
    assert facts(folder)["name"] == "mine" and [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(FileExistsError, match=r"mine already exists and is not overwritten"):
        run.save_run(mine, judged, folder)


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
    with pytest.raises(FileExistsError, match=r"mine already exists and is not overwritten"):
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


def assert_the_same(folder: Path, tuned: tuple[Path, report.Judgement], judgement: report.Judgement) -> None:
    """Assert that a run that was stopped ended as the one that was not: the same answers, weights, facts and files."""
    np.testing.assert_array_equal(judgement.probabilities, tuned[1].probabilities)
    weights = [(path / "model.safetensors").read_bytes() for path in (folder, tuned[0])]
    assert weights[0] == weights[1] and facts(folder) == facts(tuned[0]) | {"name": folder.name}
    assert {path.name for path in folder.iterdir()} == {path.name for path in tuned[0].iterdir()}


@pytest.mark.parametrize("step", [3, 8, 24])  # before an epoch is complete, in the second one, and in the last step
def test_a_run_that_is_stopped_goes_on_to_the_same_model(table, checkpoint, tuned, tmp_path, capsys, stops, step):
    options = {"checkpoint": checkpoint, "max_length": 6}
    stops(step)
    with pytest.raises(KeyboardInterrupt):
        run.finetune(table, tmp_path / "m", CONFIG, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["m.unfinished"]
    assert f"Stopped after step {step} of 24. Run the same again with resume to go on from" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match=r"m.unfinished belongs to a run that was stopped.*--resume.*delete it"):
        run.finetune(table, tmp_path / "m", CONFIG, **options)
    stops(0)
    judgement = run.finetune(table, tmp_path / "m", CONFIG, resume=True, **options)
    assert_the_same(tmp_path / "m", tuned, judgement)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("part", ["write_aside", "judge"])
def test_ctrl_c_while_files_are_written_leaves_a_folder_that_predicts_and_goes_on(
    table, checkpoint, tuned, tmp_path, monkeypatch, part
):
    written, original = [], getattr(run, part)

    def interrupted(*given):
        written.append(getattr(given[0], "name", part))
        if written.count("model.safetensors") == 2 or part == "judge":  # weights of a later epoch
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(run, part, interrupted)
    options = {"checkpoint": checkpoint, "max_length": 6}
    with pytest.raises(KeyboardInterrupt):
        run.finetune(table, tmp_path / "m", CONFIG, save_steps=4, **options)
    answers = predict.predict(tmp_path / "m.unfinished" / "model", ["good film", "bad film"])["prediction"]
    assert answers.isin(["no", "yes"]).all()
    monkeypatch.undo()
    assert_the_same(tmp_path / "m", tuned, run.finetune(table, tmp_path / "m", CONFIG, resume=True, save_steps=4, **options))


def test_a_run_that_is_killed_leaves_the_best_epoch(table, checkpoint, tmp_path, monkeypatch):
    def killed(history: training.History) -> None:
        if history.step == 14:  # in the third epoch
            raise MemoryError

    monkeypatch.setattr(run, "fit", lambda *a, **options: training.fit(*a, **options, on_step=killed))
    with pytest.raises(MemoryError):
        run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=6)
    assert predict.predict(tmp_path / "m.unfinished" / "model", ["good film", "bad film"])["prediction"].tolist() == [
        "yes",
        "no",
    ]


def test_only_the_run_that_was_stopped_goes_on(table, checkpoint, tmp_path, stops):
    def resumed(**change):
        config = dataclasses.replace(CONFIG, **{name: change.pop(name) for name in ("learning_rate",) if name in change})
        options = {"checkpoint": checkpoint, "max_length": 6, "resume": True} | change
        return run.finetune(options.pop("table", table), tmp_path / "m", config, **options)

    with pytest.raises(FileNotFoundError, match=r"There is no .*m.unfinished.* Start it without --resume"):
        resumed()
    assert not list(tmp_path.iterdir())
    stops(3)
    with pytest.raises(KeyboardInterrupt):
        run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=6)
    other = dataclasses.replace(table.reviews, labels=1 - table.reviews.labels)
    for named, change in {
        r"learning_rate \(0.02 then, 0.01 now\)": {"learning_rate": 0.01},
        "training texts": {"max_length": 5},
        "validation texts": {"table": dataclasses.replace(table, reviews=other)},
    }.items():
        with pytest.raises(ValueError, match=rf"m.unfinished.* cannot go on, because something is not as it was: .*{named}"):
            resumed(**change)
    shutil.rmtree(tmp_path / "m.unfinished" / "checkpoints")
    (tmp_path / "m.unfinished" / "weights.safetensors").write_text("of somebody else")
    with pytest.raises(FileNotFoundError, match=r"contains a model, but no checkpoint to go on from"):
        resumed()


def test_a_run_killed_before_its_first_checkpoint_starts_anew(table, checkpoint, tuned, tmp_path):
    (tmp_path / "m.unfinished").mkdir()
    judgement = run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint, max_length=6, resume=True)
    assert_the_same(tmp_path / "m", tuned, judgement)


def test_of_two_runs_that_begin_at_once_one_is_refused(table, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "unfinished", lambda folder, **_: folder.with_name("m.unfinished"))  # looked a moment ago
    (tmp_path / "m.unfinished").mkdir()
    with pytest.raises(FileExistsError, match=r"Another run has just begun to write .*m.unfinished"):
        run.finetune(table, tmp_path / "m", CONFIG, checkpoint=checkpoint)


@pytest.mark.parametrize("max_length", [2, 33])
def test_more_tokens_than_the_checkpoint_reads_are_refused_before_training(table, checkpoint, tmp_path, max_length):
    with pytest.raises(ValueError, match=rf"max_length must be from 3 to 32 tokens, not {max_length}"):
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
    monkeypatch.setattr(predict, "predict_logits", look)
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
    with pytest.raises(ValueError, match=r"damaged is damaged: model.safetensors was altered. Copy or train it again."):
        predict.predict(copy, ["film"])
    (copy / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"cannot be read \(SafetensorError\)"):
        predict.predict(copy, ["film"])


def test_a_finished_folder_lists_all_its_files_and_is_verified_before_it_predicts(tuned, tmp_path, capsys):
    folder, _ = tuned
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert listed.keys() == {path.name for path in folder.iterdir()} - {"manifest.json"}
    predict.predict(folder, ["film"])
    assert "verified" not in capsys.readouterr().err
    copy = shutil.copytree(folder, tmp_path / "other")
    (copy / "config.json").write_text((folder / "config.json").read_text().replace('"no"', '"yes"'))
    (copy / "tokenizer.json").unlink()
    (copy / "adapter_config.json").write_text("{}")
    faults = "tokenizer.json is missing; config.json was altered; adapter_config.json does not belong to it"
    with pytest.raises(ValueError, match=faults):
        predict.predict(copy, ["film"])


def plain(tuned, folder: Path, **settings) -> Path:
    """Return a copy of a finished folder without its manifest, as another program could have saved it."""
    shutil.copytree(tuned[0], folder)
    (folder / "manifest.json").unlink()
    config = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_folder_of_another_program_predicts_and_one_line_says_that_it_is_not_verified(tuned, tmp_path, capsys):
    answers = predict.predict(plain(tuned, tmp_path / "m"), ["good film"])
    assert answers.equals(predict.predict(tuned[0], ["good film"]))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("m has no manifest.json, so its files cannot be verified.")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"id2label": {"0": "no", "2": "yes"}}, r"2 outputs for the classes .*'no'.*'yes'"),
        ({"id2label": {"0": "no", "1": "no"}}, r"2 outputs for the classes .*'no'.*'no'"),
        ({"id2label": {"0": "no"}}, r"m cannot be read \(ValueError\)"),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, r"classifier.weight has the shape \(2, 16\), not \(3, 16\)"),
        ({"num_hidden_layers": 2}, r"bert.encoder.layer.1.* and 12 more"),
    ],
)
def test_settings_that_do_not_fit_the_weights_are_named(tuned, tmp_path, settings, named):
    with pytest.raises(ValueError, match=named):
        predict.predict(plain(tuned, tmp_path / "m", **settings), ["film"])


def test_a_head_that_is_missing_or_misnamed_is_named_and_never_random(tuned, tmp_path):
    folder = plain(tuned, tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    tensors["head.weight"] = tensors.pop("classifier.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"classifier.weight is missing; head.weight does not belong to it"):
        predict.predict(folder, ["film"])


def test_weights_that_are_not_numbers_predict_nothing(tuned, tmp_path):
    folder = plain(tuned, tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"][1] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FloatingPointError, match=r"For 2 of 2 texts the model computes NaN or infinity"):
        predict.predict(folder, ["film", "good film"])


def test_the_tokenizer_of_another_model_is_named(tuned, tmp_path):
    folder = plain(tuned, tmp_path / "m")
    document = json.loads((folder / "tokenizer.json").read_text())
    document["model"]["vocab"]["seven"] = 14
    (folder / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"m mixes two models: a tokenizer of 15 tokens, and weights for 14"):
        predict.predict(folder, ["film"])
