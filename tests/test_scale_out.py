"""One program, one process or many: the same steps, the same predictions, one voice, and an end when a worker dies."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scale_out_side
import torch
from helpers import batch_of, make_encoded
from tiny_finetune import make_checkpoint, make_table
from torch import nn

from course_utils import processes
from course_utils.batching import make_loader
from course_utils.files import verify_manifest
from course_utils.models import LSTMClassifier

HERE = Path(__file__).parent
SIDE = HERE / "scale_out_side.py"


def as_rank(monkeypatch, rank: int, size: int) -> None:
    monkeypatch.setattr(processes, "rank_and_size", lambda: (rank, size))


# --- what each process takes of a batch


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_no_text_is_lost_or_counted_twice_and_all_take_equally_many_steps(monkeypatch, size):
    for count in range(1, 40):
        texts = make_encoded(count)
        labelled = type(texts)(texts.sequences, np.arange(count))  # the label says which text it is
        seen, steps = np.zeros(count), set()
        for rank in range(size):
            as_rank(monkeypatch, rank, size)
            loader = make_loader(labelled, batch_size=4 * size, seed=3)
            shares = [(len(whole["labels"]), *processes.own_batch(whole)) for whole in loader]
            steps.add(len(shares))
            for whole, batch, weight in shares:
                assert len(batch["labels"]) >= 1
                seen[batch["labels"].numpy()] += weight / len(batch["labels"]) * whole / size  # each text once: 1
        np.testing.assert_allclose(seen, 1)
        assert len(steps) == 1


def test_the_mean_of_the_weighted_gradients_is_the_gradient_of_the_whole_batch(monkeypatch):
    torch.manual_seed(0)
    model = LSTMClassifier(12, embedding_size=8, hidden_size=8, dropout=0.0)

    def gradient(batch, weight=1.0):
        batch = dict(batch)
        loss = weight * nn.functional.cross_entropy(
            model(**{k: v for k, v in batch.items() if k != "labels"}), batch["labels"]
        )
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])

    for count, size in ((8, 2), (7, 2), (1, 2), (5, 3), (2, 3)):
        whole, parts = batch_of(make_encoded(count)), []
        for rank in range(size):
            as_rank(monkeypatch, rank, size)
            parts.append(gradient(*processes.own_batch(whole)))
        torch.testing.assert_close(torch.stack(parts).mean(dim=0), gradient(whole))
        if count % size:  # without the weights it is another one
            as_rank(monkeypatch, 0, size)
            assert (gradient(processes.own_batch(whole)[0]) - parts[0]).abs().max() > 1e-4


def test_a_process_alone_takes_every_batch_whole_and_speaks(capsys):
    assert processes.rank_and_size() == (0, 1) and not processes.launched()
    whole = batch_of(make_encoded(5))
    batch, weight = processes.own_batch(whole)
    assert weight == 1 and all(torch.equal(batch[name], whole[name]) for name in whole)
    with processes.only_the_first_speaks() as first:
        print("hello")
    assert first and capsys.readouterr().out == "hello\n"


def test_the_others_are_silent(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RANK", "1")
    with processes.only_the_first_speaks() as first:
        print("hello")
        print("an error", file=sys.stderr)
    assert not first and capsys.readouterr() == ("", "an error\n")


# --- two processes for real


def launch(*program: object, restarts: int = 0) -> subprocess.CompletedProcess:
    """Run a program in two processes of one thread each, and return what came of it."""
    paths = os.pathsep.join([str(HERE.parent), str(HERE)])
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        f"--max-restarts={restarts}",
    ]
    return subprocess.run([*command, *map(str, program)], env=environment, capture_output=True, text=True, timeout=400)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Return what two processes found, each for itself, and what they printed."""
    folder = tmp_path_factory.mktemp("pair")
    run = launch(SIDE, folder)
    assert run.returncode == 0, run.stderr[-3000:]
    return [json.loads((folder / f"{rank} of 2.json").read_text()) for rank in range(2)], run


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(pair):
    (first, second), _ = pair
    assert first == second  # all have the same weights, losses and scores: bit by bit
    for name, alone in scale_out_side.results(1).items():
        together = first[name]
        np.testing.assert_allclose(together["losses"], alone["losses"], rtol=0, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(together["weights"], alone["weights"], atol=2e-4, err_msg=name)
        np.testing.assert_allclose(together["validation"], alone["validation"], atol=1e-5)
        np.testing.assert_allclose(together["of one text"], alone["of one text"], atol=1e-3)
        for key in ("sizes", "tokens", "best"):
            assert together[key] == alone[key], (name, key)
        shared, own = together["judged"]
        assert shared["loss"] == pytest.approx(own["loss"], abs=1e-6)  # the work shared, or all of it in each process
        assert shared["predictions"] == own["predictions"] == alone["judged"][0]["predictions"]
        assert shared["loss"] == pytest.approx(alone["judged"][0]["loss"], abs=3e-4)  # Adam enlarges rounding
        assert np.ptp(alone["losses"]) > 0.01  # it takes steps


@pytest.mark.slow
def test_sharded_weights_take_the_same_steps_and_each_process_keeps_half_of_them(tmp_path):
    run = launch(SIDE, tmp_path, "shard")
    assert run.returncode == 0, run.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    whole = sum(weight.nbytes for weight in scale_out_side.make_model("bert").parameters())
    for name, found in first.items():
        history, _ = scale_out_side.train(name, "bert", 1)
        np.testing.assert_allclose(found["losses"], history.step_losses, rtol=0, atol=1e-5, err_msg=name)
        expected = [(record.validation_loss, record.validation_accuracy) for record in history.records]
        np.testing.assert_allclose(found["validation"], expected, atol=1e-5)
        assert found["after"] == pytest.approx(expected[history.best_epoch - 1][0], abs=1e-5)  # the best weights are kept
        assert found["best"] == history.best_epoch and "leave out checkpoints" in found["refused"]
        assert found["losses"] == second[name]["losses"] and 0.45 < found["bytes"] / whole < 0.6
        assert np.ptp(found["losses"]) > 0.01


@pytest.mark.slow
def test_the_first_process_speaks_alone_and_shows_the_only_bar(pair):
    _, run = pair
    assert run.stdout == "said by the first: True\n"
    assert run.stderr.count("training:   0%") == 1  # a slow machine draws its end twice


@pytest.mark.slow
@pytest.mark.parametrize(("how", "reason"), [("die", "SIGKILL"), ("raise", "row 7 of my part has no label")])
def test_a_worker_that_dies_ends_the_job_with_its_rank_and_reason(tmp_path, how, reason):
    run = launch(SIDE, tmp_path, how)  # far sooner than the half hour that gloo would wait
    assert run.returncode != 0
    failures = re.split(r"\[\d\]:\n", run.stderr.split("Failures:")[-1])  # the other one may notice before torchrun does
    assert any("rank      : 1 " in failure and reason in failure for failure in failures)


@pytest.mark.slow
def test_a_job_that_is_done_ends_well_while_a_thread_of_gloo_still_frees_its_tensors(tmp_path):
    program = tmp_path / "late.py"
    program.write_text(
        "import torch\nfrom torch import distributed\nfrom course_utils.processes import together\nkept = []\n"
        "def main():\n"
        "    kept.append(distributed.group.WORLD)  # as caches of torch do, so that its threads live on\n"
        "    for _ in range(6):\n"
        "        distributed.all_reduce(torch.ones(20_000_000), async_op=True)\n"
        "    print('done')\n"
        "    return 0\n"
        "together(main)()\n"
    )
    run = launch(program)
    assert (run.returncode, run.stdout) == (0, "done\n"), run.stderr[-3000:]


@pytest.mark.slow
def test_after_a_restart_the_job_goes_on_from_its_checkpoint_as_if_nothing_had_happened(tmp_path):
    run = launch(SIDE, tmp_path, "restart", restarts=1)
    assert run.returncode == 0, run.stderr[-3000:]
    history, _ = scale_out_side.train("even", "lstm", 1)
    np.testing.assert_allclose(json.loads(run.stdout.splitlines()[-1]), history.step_losses, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_course_finetune_in_two_processes_writes_one_model(tmp_path):
    make_table(tmp_path)
    tiny, out = make_checkpoint(tmp_path / "tiny"), tmp_path / "films-model"
    options = {"text-column": "text", "label-column": "kind", "out": out, "checkpoint": tiny, "max-length": 6, "epochs": 2}
    command = ["-m", "course_utils", "finetune", tmp_path / "films.csv", *(f"--{k}={v}" for k, v in options.items())]
    run = launch(*command)
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count("Model, card and report.html are in") == run.stdout.count("untrained accuracy") == 1
    assert "model.safetensors" in verify_manifest(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films-model", "films.csv", "tiny"]
    again = launch(*command)
    assert again.returncode != 0 and "already exists and is not overwritten" in again.stderr
