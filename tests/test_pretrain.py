"""Pretraining from scratch: it can be killed and resumed, reads training texts only, and learns."""

import json
import re

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from bench import pretrain
from course_utils import data, pretrained
from course_utils.files import verify_manifest

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
PLAN = pretrain.Plan(steps=20, batch_size=4, window=16, learning_rate=1e-2, vocab_size=120, sizes=SIZES)
TEXTS = ["the cat sat on the mat, and the dog sat on the cat.", "a dog and a cat met on the road; the dog ran."] * 60


def run_until(step: int, output) -> pretrain.Run:
    """Start or resume the tiny run and stop it, as a kill would, after `step` steps."""
    run, tokenizer = pretrain.resume(PLAN, output, TEXTS)
    stream = pretrain.join(TEXTS, tokenizer)
    unseen = pretrain.batch_at(0, stream, PLAN, tokenizer.cls_token_id, tokenizer.sep_token_id)
    for taken in pretrain.train(run, tokenizer, stream, unseen, output, save_every=0):
        if taken == step:
            break
    return run


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_killed_and_resumed_run_ends_bit_identical(tmp_path):
    whole = run_until(PLAN.steps, tmp_path / "whole")
    for step in (3, 11, PLAN.steps):
        resumed = run_until(step, tmp_path / "killed")
    assert same(whole.model.state_dict(), resumed.model.state_dict())
    assert whole.losses == resumed.losses and whole.unseen == resumed.unseen
    moments = [[s["exp_avg_sq"] for s in run.optimizer.state_dict()["state"].values()] for run in (whole, resumed)]
    assert all(torch.equal(a, b) for a, b in zip(*moments, strict=True))
    for file in ("step-000004/model.safetensors", "step-000020/model.safetensors"):
        there = [(tmp_path / name / "checkpoints" / file).read_bytes() for name in ("whole", "killed")]
        assert there[0] == there[1]


def test_steps_after_the_last_save_are_taken_again(tmp_path):
    whole = run_until(PLAN.steps, tmp_path / "whole")
    run_until(5, tmp_path / "killed")
    save = (tmp_path / "killed" / "save.pt").read_bytes()
    run_until(9, tmp_path / "killed")
    (tmp_path / "killed" / "save.pt").write_bytes(save)  # as if it had been killed before the next save
    (tmp_path / "killed" / "save.pt.part").write_bytes(save[:100])  # while it was being written
    assert same(whole.model.state_dict(), run_until(PLAN.steps, tmp_path / "killed").model.state_dict())


def test_a_save_of_another_plan_is_refused(tmp_path):
    run_until(2, tmp_path)
    with pytest.raises(ValueError, match="another plan"):
        pretrain.resume(pretrain.Plan(steps=21, batch_size=4, window=16, vocab_size=120, sizes=SIZES), tmp_path, TEXTS)


def test_the_loss_decreases_from_log_v(tmp_path):
    losses = run_until(PLAN.steps, tmp_path).losses
    vocabulary = len(AutoTokenizer.from_pretrained(tmp_path / "tokenizer"))
    assert abs(losses[0] - torch.tensor(vocabulary).log().item()) < 0.3
    assert sum(losses[-5:]) / 5 < losses[0] - 0.5


def test_the_loss_is_the_librarys(tmp_path):
    run, tokenizer = pretrain.resume(PLAN, tmp_path, TEXTS)
    ids = torch.randint(5, len(tokenizer), (3, 16), generator=torch.Generator().manual_seed(0))
    hidden, chosen = pretrain.hide_words(ids, tokenizer, torch.Generator().manual_seed(1))
    theirs = run.model(hidden, labels=ids.masked_fill(~chosen, -100)).loss
    torch.testing.assert_close(pretrain.masked_loss(run.model, ids, hidden, chosen), theirs)


def test_shares_of_hidden_words_are_berts(tmp_path):
    _, tokenizer = pretrain.resume(PLAN, tmp_path, TEXTS)
    ids = torch.full((400, 64), 7)
    ids[:, 0], ids[:, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
    hidden, chosen = pretrain.hide_words(ids, tokenizer, torch.Generator().manual_seed(0))
    assert not chosen[:, [0, -1]].any() and (hidden[~chosen] == ids[~chosen]).all()
    masked = (hidden[chosen] == tokenizer.mask_token_id).float().mean()
    kept = (hidden[chosen] == 7).float().mean()
    assert abs(chosen[:, 1:-1].float().mean() - 0.15) < 0.01 and abs(masked - 0.8) < 0.02 and abs(kept - 0.1) < 0.02


def test_a_pass_reads_every_part_of_the_stream_at_most_once():
    stream = torch.arange(1_000, 2_000, dtype=torch.int32)
    per_pass = (1_000 // 14 - 1) // PLAN.batch_size
    passes = [
        torch.cat([pretrain.batch_at(step, stream, PLAN, 2, 3) for step in range(n * per_pass, (n + 1) * per_pass)])
        for n in (0, 1)
    ]
    for windows in passes:
        assert (windows[:, 0] == 2).all() and (windows[:, -1] == 3).all()
        assert (windows[:, 1:-1].diff(dim=1) == 1).all()  # consecutive text
        assert windows[:, 1:-1].unique().numel() == windows[:, 1:-1].numel() >= 900
    assert not torch.equal(passes[0], passes[1])


def test_texts_of_validation_and_test_are_not_read():
    def key(text: str) -> str:
        return re.sub(r"\W+", " ", text.replace("<br />", " ").lower()).strip()

    read = {key(text) for text in pretrain.training_texts()}
    for source in ("imdb", "rotten_tomatoes"):
        splits = data.load_splits(source)
        assert read >= {key(text) for text in splits.train.texts}
        for part in (splits.validation, splits.test):
            assert len(part) > 500 and not read & {key(text) for text in part.texts}


def test_the_tokenizer_is_deterministic_and_loads_as_any_other(tmp_path):
    texts = list(data.evenly(data.load_splits("rotten_tomatoes").train, 500).texts)
    one, *others = (pretrain.train_tokenizer(texts, 800) for _ in range(4))
    assert len(one) == 800 and all(one.get_vocab() == other.get_vocab() for other in others)
    one.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    ids = loaded("A Great film !")["input_ids"]
    assert (
        loaded.convert_ids_to_tokens(ids)[0] == "[CLS]" and loaded.decode(ids, skip_special_tokens=True) == "a great film!"
    )


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A tiny run, finished and put where the course looks for it."""
    run = run_until(PLAN.steps, tmp_path / "run")
    pretrain.publish(run, 1_234, tmp_path / "run", tmp_path / "checkpoints" / "small-bert")
    monkeypatch.setattr(pretrained, "__file__", str(tmp_path / "pretrained.py"))
    return run


def test_published_checkpoints_load_with_the_fields_own_calls(published):
    folder = pretrained.checkpoint_path("small-bert")
    names = sorted(path.name for path in folder.glob("step-*"))
    assert names == ["step-000001", "step-000004", "step-000010", "step-000020"]
    model = AutoModelForMaskedLM.from_pretrained(folder, subfolder=names[-1], dtype=torch.float32)
    trained = published.model.state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, trained[name], atol=1e-3, rtol=1e-3)  # they are kept in float16
    assert len(pretrained.load_tokenizer("small-bert")) == model.config.vocab_size
    assert pretrained.load_classifier(str(folder / names[-1])).config.num_labels == 2
    record = json.loads((folder / "training.json").read_text())
    assert (
        record["unseen_losses"].keys() == {"1", "4", "10", "20"} and record["parameters"] == published.model.num_parameters()
    )


def test_an_altered_checkpoint_is_refused(published, tmp_path):
    file = tmp_path / "checkpoints" / "small-bert" / "step-000020" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"step-000020/model.safetensors was altered. Repair it with: git checkout"):
        pretrained.checkpoint_path("small-bert")


def test_the_checkpoints_of_the_course_are_whole_and_small():
    folder = pretrained.checkpoint_path("small-bert")
    listed = verify_manifest(folder)
    there = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert there.keys() - {"manifest.json"} == listed.keys() and sum(there.values()) <= 20e6
    steps = json.loads((folder / "training.json").read_text())["unseen_losses"]
    losses = [steps[step] for step in sorted(steps, key=int)]
    assert len(losses) == 5 and losses == sorted(losses, reverse=True)
