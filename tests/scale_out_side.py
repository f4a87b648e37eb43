"""What one process of several does in `test_scale_out.py`.

torchrun scale_out_side.py FOLDER [die | raise | restart | shard]
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from helpers import make_encoded, quiet, weights
from torch.distributed.elastic.multiprocessing.errors import record
from transformers import BertConfig, BertForSequenceClassification

from course_utils import processes
from course_utils.device import shard
from course_utils.models import LSTMClassifier
from course_utils.prediction import evaluate, predict_logits
from course_utils.training import History, TrainingConfig, fit

RUNS = {  # texts to train on, texts in a batch of all processes, batches a step, and what else the configuration says
    "even": (24, 8, 1, {"max_grad_norm": 0.05}),
    "one text left over": (25, 8, 1, {"num_epochs": 3, "patience": 1}),
    "three left over, two batches a step": (27, 8, 2, {}),
}


def make_model(kind: str) -> torch.nn.Module:
    torch.manual_seed(5)
    if kind == "lstm":
        return LSTMClassifier(12, embedding_size=8, hidden_size=8, dropout=0.0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = BertForSequenceClassification(BertConfig(vocab_size=12, **sizes, **rates))
    model.get_input_embeddings().requires_grad_(False)
    return model


def train(name: str, kind: str, size: int, on_step=quiet, **saved) -> tuple[History, torch.nn.Module]:
    """Return history and model of one of the RUNS, of which this process computes one part of `size`."""
    count, whole_batch, steps, options = RUNS[name]
    options = {"num_epochs": 2, "batch_size": whole_batch // size, "mixed_precision": "no"} | options
    config, model = TrainingConfig(learning_rate=0.01, gradient_accumulation_steps=steps, **options), make_model(kind)
    return fit(model, make_encoded(count), make_encoded(17, seed=1), config, on_step=on_step, **saved), model


def results(size: int) -> dict:
    """Return what the test compares, of every run with both kinds of model."""
    found = {}
    for kind in ("lstm", "bert"):
        for name in RUNS:
            history, model = train(name, kind, size)
            texts = make_encoded(13, seed=2)
            judged = [vars(evaluate(model, texts, shared=shared)) for shared in (True, False)]
            found[f"{kind}, {name}"] = {
                "losses": history.step_losses, "sizes": history.step_sizes, "tokens": history.tokens,
                "validation": [(r.validation_loss, r.validation_accuracy) for r in history.records],
                "best": history.best_epoch, "weights": weights(model).tolist(),
                "judged": [one | {"predictions": one["predictions"].tolist()} for one in judged],
                "of one text": predict_logits(model, texts.take([3]), shared=True).tolist(),
            }  # fmt: skip
    return found


def sharded(size: int) -> dict:
    """Return losses and scores of a run with sharded weights, bytes of the weights kept, and what checkpoints say."""
    found = {}
    for name in ("even", "one text left over"):
        count, whole_batch, _, options = RUNS[name]
        options = {"num_epochs": 2, "batch_size": whole_batch // size, "mixed_precision": "no"} | options
        model, texts = shard(make_model("bert")), (make_encoded(count), make_encoded(17, seed=1))
        config = TrainingConfig(learning_rate=0.01, **options)
        try:
            fit(model, *texts, config, on_step=quiet, checkpoints="here")
        except ValueError as error:
            refused = str(error)
        history = fit(model, *texts, config, on_step=quiet)
        found[name] = {
            "losses": history.step_losses,
            "validation": [(r.validation_loss, r.validation_accuracy) for r in history.records],
            "after": vars(evaluate(model, texts[1], mixed_precision="no"))["loss"],
            "best": history.best_epoch, "refused": refused,
            "bytes": sum(getattr(w, "to_local", lambda w=w: w)().nbytes for w in model.parameters()),
        }  # fmt: skip
    return found


def fail(history: History, how: str) -> None:
    """Be killed, or raise, in the third step of the process of rank 1."""
    if history.step == 3 and processes.rank_and_size()[0] == 1:
        if how in ("die", "restart"):
            if processes.restarted():
                return
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("row 7 of my part has no label")


@record
def main(folder: str, how: str = "") -> None:
    torch.set_num_threads(1)
    with processes.only_the_first_speaks() as first:
        if how == "restart":
            saved = {"checkpoints": Path(folder, "run"), "save_steps": 2, "resume": processes.restarted()}
            history, _ = train("even", "lstm", 2, on_step=lambda history: fail(history, how), **saved)
            print(json.dumps(history.step_losses))
            return
        if how == "shard":
            Path(folder, f"{os.environ['RANK']}.json").write_text(json.dumps(sharded(2)))
            return
        if how:
            train("even", "lstm", 2, on_step=lambda history: fail(history, how))
            return
        found = results(2)
        print(f"said by the first: {first}")
        train("even", "lstm", 2, on_step=None)  # with its bar
        rank, size = processes.rank_and_size()
        Path(folder, f"{rank} of {size}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
