"""Runs that are stopped and go on: the same to the last bit as without the stop, or refused with a reason."""

import dataclasses
import json
import os
import pickle
import random
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from helpers import make_encoded, quiet, weights
from safetensors import safe_open
from torch import nn

from course_utils import saving
from course_utils.files import complete_folder, write_manifest
from course_utils.models import LSTMClassifier
from course_utils.training import History, TrainingConfig, fit

TRAIN, VALIDATION = make_encoded(24), make_encoded(17, seed=1)
CONFIG = TrainingConfig(3, 0.05, 5, gradient_accumulation_steps=2, seed=4)  # 5 batches an epoch, in 3 steps of the optimiser


def lstm(dropout: float = 0.3) -> nn.Module:
    torch.manual_seed(3)
    return LSTMClassifier(12, embedding_size=8, hidden_size=8, dropout=dropout)


def bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(3)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForSequenceClassification(BertConfig(vocab_size=12, initializer_range=0.4, **sizes))  # dropout 0.1
    model.get_input_embeddings().requires_grad_(False)
    return model


class Noisy(nn.Module):
    """A classifier whose noise comes from three generators; its parameters share memory, as an LSTM's on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.classifier = nn.Embedding(12, 4), nn.Linear(4, 2)
        torch.manual_seed(3)
        memory = torch.randn(12 * 4 + 2 * 4 + 2)
        for parameter, part in zip(self.parameters(), memory.split([48, 8, 2]), strict=True):
            parameter.data = part.view_as(parameter)

    def forward(self, input_ids, attention_mask):
        noise = random.random() + np.random.rand() + torch.rand(()).item() if self.training else 1.5
        return self.classifier(noise * self.embedding(input_ids).mean(dim=1))


def stop_at(step: int):
    def on_step(history: History) -> None:
        if history.step == step:
            raise KeyboardInterrupt

    return on_step


def run(model: nn.Module, folder: Path | None = None, config: TrainingConfig = CONFIG, **options) -> History:
    """Train, checkpoints every second batch if there is a folder."""
    saved = {"checkpoints": folder, "save_steps": 2} if folder else {}
    return fit(model, TRAIN, VALIDATION, config, **({"on_step": quiet} | saved | options))


def measured(history: History) -> tuple:
    """Return all that a history says, but for seconds."""
    records = [dataclasses.replace(record, seconds=0) for record in history.records]
    return records, history.step_losses, history.step_sizes, history.tokens, history.best_epoch, history.interrupted


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """A folder with the checkpoints of a run that was stopped in its second epoch; tests read it or copy it."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    assert run(lstm(), folder, on_step=stop_at(9)).interrupted
    return folder


@pytest.fixture
def copied(stopped, tmp_path) -> Path:
    import shutil

    return shutil.copytree(stopped, tmp_path / "run")


# --- the same as without the stop


@pytest.mark.parametrize(
    ("make", "steps"),
    [(lstm, (1, 2, 5, 6, 9, 15)), (bert, (3, 8, 10)), (Noisy, (4, 7))],  # 5 and 10 are the ends of epochs, 15 of the run
)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(make, steps, tmp_path):
    np.random.seed(0)
    random.seed(0)
    whole = make()
    expected = measured(run(whole))
    for step in steps:
        folder = tmp_path / f"at-{step}"
        np.random.seed(0)
        random.seed(0)
        assert run(make(), folder, on_step=stop_at(step)).step == step
        model, seen = make(), []
        history = run(model, folder, resume=True, on_step=lambda now, seen=seen: seen.append(now.step))
        assert measured(history) == expected and torch.equal(weights(model), weights(whole))
        assert seen == list(range(seen[0], 16)) if seen else step == 15
        assert not seen or step - seen[0] < 3  # at most one interval again


def test_a_run_may_be_stopped_again_and_again_and_may_lose_its_patience(tmp_path):
    config = dataclasses.replace(CONFIG, num_epochs=12, learning_rate=0.2, patience=2)
    whole = lstm()
    expected = run(whole, config=config)
    assert expected.best_epoch + 2 == len(expected.records) < 12
    for step in (3, 6, 7, 11):
        run(lstm(), tmp_path, config, on_step=stop_at(step), resume=step > 3)
    for _ in range(2):  # to its end, and once more, when there is nothing left to do
        model = lstm()
        assert measured(run(model, tmp_path, config, resume=True)) == measured(expected)
        assert torch.equal(weights(model), weights(whole))


def test_checkpoints_do_not_change_a_run_and_only_two_are_kept(tmp_path):
    plain, saved = lstm(), lstm()
    names: list[list[str]] = []
    see = lambda _: names.append([path.name for path in saving.checkpoints_in(tmp_path)])  # noqa: E731
    assert measured(run(plain)) == measured(run(saved, tmp_path, on_step=see))
    assert torch.equal(weights(plain), weights(saved))
    assert names[0] == ["step-00000000-epoch-000"] and max(map(len, names)) == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != ".lock") == [
        "step-00000014-epoch-002", "step-00000015-epoch-003",
    ]  # fmt: skip


def test_a_checkpoint_contains_what_training_changes_and_the_best_weights(tmp_path):
    run(bert(), tmp_path, dataclasses.replace(CONFIG, num_epochs=1))
    newest = saving.checkpoints_in(tmp_path)[0]
    with safe_open(newest / "model.safetensors", "pt") as now, safe_open(newest / "best.safetensors", "pt") as best:
        names = set(now.keys())
        assert names == set(best.keys())
    assert "bert.embeddings.word_embeddings.weight" not in names and "classifier.weight" in names
    assert json.loads((newest / "run.json").read_text())["history"]["best_epoch"] == 1


# --- stopped by a signal


@pytest.fixture
def interruptible():
    """A program that a shell has started in the background ignores SIGINT, and so would these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to oneself")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_step_saves_and_says_how_to_go_on(number, tmp_path, capsys, interruptible):
    before = signal.getsignal(number)
    signals = lambda now: os.kill(os.getpid(), number) if now.step == 7 else None  # noqa: E731
    history = run(lstm(), tmp_path, on_step=signals, save_steps=100)
    assert history.interrupted and history.step == 9  # step 8 ends in the middle of an accumulated gradient
    assert saving.checkpoints_in(tmp_path)[0].name == "step-00000009-epoch-001"
    assert "Stopped after step 9 of 15" in (says := capsys.readouterr().out) and "resume" in says
    assert signal.getsignal(number) is before
    model, whole = lstm(), lstm()
    assert measured(run(model, tmp_path, resume=True)) == measured(run(whole)) and torch.equal(
        weights(model), weights(whole)
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to oneself")
def test_a_second_ctrl_c_stops_at_once_and_saves_nothing_half(tmp_path, interruptible):
    class Slow(LSTMClassifier):
        def forward(self, *inputs, **named):
            if self.training and len(steps) == 6:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
            return super().forward(*inputs, **named)

    steps: list[int] = []
    model = Slow(12, embedding_size=8, hidden_size=8)
    history = run(model, tmp_path, on_step=lambda now: steps.append(now.step), save_steps=100)
    assert history.interrupted and history.step == 6
    assert saving.checkpoints_in(tmp_path)[0].name == "step-00000005-epoch-001"


def test_in_another_thread_a_run_is_saved_too(tmp_path):
    thread = threading.Thread(target=run, args=(lstm(), tmp_path))
    thread.start()
    thread.join()
    assert saving.checkpoints_in(tmp_path)[0].name == "step-00000015-epoch-003"


# --- not the same run, or no run at all


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"config": dataclasses.replace(CONFIG, learning_rate=0.01)}, r"learning_rate \(0.05 then, 0.01 now\)"),
        ({"config": dataclasses.replace(CONFIG, num_epochs=4)}, r"num_epochs \(3 then, 4 now\)"),
        ({"train": make_encoded(24, seed=5)}, r"training texts \(24 "),
        ({"validation": make_encoded(16, seed=1)}, r"validation texts \(17 .* 16 "),
        ({"model": LSTMClassifier(12, embedding_size=8, hidden_size=8)}, r"initial weights \("),
        ({"model": LSTMClassifier(12, embedding_size=8, hidden_size=9)}, r"model \(LSTMClassifier"),
        ({"frozen": True}, r"model \(LSTMClassifier"),
        ({"optimizer": True}, r"optimiser \("),
    ],
)
def test_a_run_goes_on_only_as_what_it_was(stopped, change, named):
    model = change.get("model") or lstm()
    model.embedding.requires_grad_("frozen" not in change)
    options = {"optimizer": torch.optim.SGD(model.parameters(), lr=0.1)} if "optimizer" in change else {}
    parts = change.get("train", TRAIN), change.get("validation", VALIDATION), change.get("config", CONFIG)
    with pytest.raises(ValueError, match=rf"cannot go on, because something is not as it was: .*{named}"):
        fit(model, *parts, checkpoints=stopped, save_steps=2, resume=True, on_step=quiet, **options)
    assert "_original_forward" not in vars(model) and not model.training


def test_a_run_is_not_written_over_and_not_made_up(stopped, tmp_path):
    with pytest.raises(FileExistsError, match=r"contains checkpoints of a run. Resume it, or delete"):
        run(lstm(), stopped)
    with pytest.raises(FileNotFoundError, match=r"nothing contains no checkpoint to go on from"):
        run(lstm(), tmp_path / "nothing", resume=True)
    with pytest.raises(ValueError, match=r"say where its checkpoints are"):
        run(lstm(), resume=True)
    with pytest.raises(ValueError, match=r"save_steps is a number of batches, 1 or more, not 0"):
        run(lstm(), tmp_path, save_steps=0)


def test_two_runs_do_not_write_into_one_folder(stopped):
    with FileLock(stopped / ".lock"), pytest.raises(ValueError, match=r"Another run is writing to .*run now"):
        run(lstm(), stopped, resume=True)


# --- damage


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.bin", "random_states_0.pkl", "run.json", "manifest.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(copied, capsys, name):
    newest, before = saving.checkpoints_in(copied)
    spoil(newest / name)
    model, whole = lstm(), lstm()
    assert measured(run(model, copied, resume=True)) == measured(run(whole)) and torch.equal(weights(model), weights(whole))
    says = capsys.readouterr().out
    assert f"{newest} is damaged and was deleted; the run goes on from {before.name}" in says


def test_if_all_are_damaged_each_is_named_and_nothing_deleted(copied):
    newest, before = saving.checkpoints_in(copied)
    spoil(newest / "best.safetensors")
    (before / "scheduler.bin").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"contains no checkpoint to go on from.*best.safetensors was altered.*scheduler.bin is missing",
    ):
        run(lstm(), copied, resume=True)
    assert saving.checkpoints_in(copied) == [newest, before]


class Bomb:
    """Would run if anything unpickled it."""

    def __reduce__(self):
        return os._exit, (3,)


@pytest.mark.parametrize("name", ["optimizer.bin", "scheduler.bin", "random_states_0.pkl"])
def test_nothing_is_unpickled(copied, name):
    newest = saving.checkpoints_in(copied)[0]
    if name == "random_states_0.pkl":
        torch.save(Bomb(), newest / name)
    else:
        (newest / name).write_bytes(pickle.dumps(Bomb()))
    write_manifest(newest)
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        run(lstm(), copied, resume=True)


def test_a_full_disk_ends_in_a_sentence_and_the_last_checkpoint_is_kept(tmp_path, monkeypatch):
    def full(folder: Path, *name: Path) -> None:
        if json.loads((folder / "run.json").read_text())["history"]["step_losses"][5:]:
            raise OSError(28, "No space left on device")
        complete_folder(folder, *name)

    monkeypatch.setattr(saving, "complete_folder", full)
    with pytest.raises(OSError, match=r"No space left.*The newest is .*step-00000005-epoch-001"):
        run(lstm(), tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".step")] == []
    monkeypatch.undo()
    model, whole = lstm(), lstm()
    assert measured(run(model, tmp_path, resume=True)) == measured(run(whole)) and torch.equal(
        weights(model), weights(whole)
    )
