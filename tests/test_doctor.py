"""The doctor: everything is looked at, every problem has a remedy, and the minutes it estimates follow the work there is."""

import sys
from importlib import metadata

import pytest
import torch
from helpers import batch_of
from torch.utils.flop_counter import FlopCounterMode

from bench.jobs import padded_tokens
from course_utils import batching, cost, data, doctor, files, layers, pretrained, profiles, text

PLAIN = {"Python", "torch", "transformers", "ipywidgets", "device", "cores", "memory", "disk", "notebook 06"}


def by_topic() -> dict[str, doctor.Finding]:
    return {finding.topic: finding for finding in doctor.examine()}


@pytest.fixture
def rates(monkeypatch):
    """Return a list: what the next looks find as the rate of training steps, instead of measuring it."""
    given: list[float] = []
    monkeypatch.setattr(cost, "step_rate", lambda model: given[-1])
    return given


def test_the_doctor_looks_at_everything(rates):
    rates.append(200e9)
    found = by_topic()
    assert PLAIN | {"reviews", "checkpoint", "profile", "torchtext"} <= set(found)
    assert found["torch"].detail == metadata.version("torch")
    assert found["reviews"].detail.startswith("verified") and found["checkpoint"].detail.startswith("verified")
    assert all(finding.remedy for finding in found.values() if not finding.ok)


def test_the_doctor_names_the_remedy_of_each_problem(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    def damaged(package, name):
        raise ValueError(f"{name} is damaged")

    monkeypatch.setenv("COURSE_PROFILE", "fast")
    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setattr(files.PackagedFiles, "verify", damaged)
    found = by_topic()
    for topic in ("torch", "transformers", "ipywidgets", "reviews", "checkpoint", "profile", "notebook 06"):
        assert not found[topic].ok and found[topic].remedy, topic
    assert data.PACKAGE.pinned in found["reviews"].remedy
    assert pretrained.PACKAGE.pinned in found["checkpoint"].remedy
    assert "fast" in found["profile"].detail


@pytest.mark.parametrize(("kernel", "clone", "ok"), [(True, True, True), (False, False, True), (False, True, False)])
def test_jupyterlab_is_missed_only_where_a_terminal_asks_in_a_clone(monkeypatch, tmp_path, rates, kernel, clone, ok):
    """Colab has none, nor has an environment with the wheel alone; both open notebooks by themselves."""

    def version(name):
        if name == "jupyterlab":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    rates.append(200e9)
    if clone:
        (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "course_utils" / "doctor.py"))
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if kernel:
        monkeypatch.setitem(sys.modules, "ipykernel", object())
    found = by_topic()["jupyterlab"]
    assert found.ok is ok and (("not needed" in found.detail) if ok else "start.py" in found.remedy)


def test_minutes_of_notebook_06_follow_from_the_rate_of_training_steps(monkeypatch):
    details, frozen = [], []
    for rate in (100e9, 400e9):
        monkeypatch.setattr(
            cost, "step_rate", lambda model, rate=rate: frozen.append(layers.count_parameters(model)) or rate
        )
        details.append(by_topic()["notebook 06"].detail)
    trained, predicted, flops = doctor.NOTEBOOK_06
    minutes = [round((3 * trained + predicted) * flops / rate / 60) for rate in (100e9, 400e9)]
    assert minutes[0] > 2 * minutes[1] > 0
    assert details[0] == f"about {minutes[0]} min in the workshop profile (training at 100 GFLOP/s)"
    assert details[1].startswith(f"about {minutes[1]} min ")
    assert {counts.total - counts.trainable for counts in frozen} == {11_918_592}  # as in 06: without the embeddings


def padded(encoded, batch_size: int, max_batch_tokens: int | None = None, *, bucketed: bool = True) -> int:
    """Return the tokens of all batches, padding included."""
    limits = {"batch_size": batch_size, "max_batch_tokens": max_batch_tokens}
    return padded_tokens(encoded.lengths, batching.make_batches(encoded.lengths, bucketed=bucketed, **limits))


@pytest.mark.slow
def test_the_work_of_notebook_06_is_what_its_data_and_model_ask_for():
    model, profile = pretrained.load_classifier(), profiles.get_profile("workshop")
    tokenizer = pretrained.load_tokenizer()
    sentences = [
        text.encode_wordpieces(part, tokenizer, max_length=profile.sentences_max_length)
        for part in data.load_splits("rotten_tomatoes")
    ]
    sizes, tokenizer.truncation_side = (profile.bert_reviews_train, 300, 1_000), "left"
    reviews = [
        text.encode_wordpieces(data.evenly(part, size), tokenizer, max_length=profile.bert_reviews_max_length)
        for part, size in zip(data.load_splits("imdb"), sizes, strict=True)
    ]
    # two epochs, three short runs on 320 sentences, and the reviews
    training = profile.bert_epochs * padded(sentences[0], 32) + 3 * 320 / len(sentences[0]) * padded(sentences[0], 32)
    training += padded(reviews[0], 32)
    # the frozen encoder on all parts; the validation parts before training and after each epoch; the test parts by
    # predict_proba, and that of the sentences in random batches with and without the mask
    asked = sum(padded(part, 64) for part in (*sentences, *reviews)) + padded(sentences[1], 64, bucketed=False)
    asked += profile.bert_epochs * padded(sentences[1], 256, 4_096) + padded(reviews[1], 256, 4_096)
    asked += padded(sentences[2], 256, 4_096) + padded(reviews[2], 256, 4_096) + 2 * padded(sentences[2], 64, bucketed=False)
    trained, predicted, flops = doctor.NOTEBOOK_06
    assert (trained, predicted) == (pytest.approx(training, rel=0.02), pytest.approx(asked, rel=0.02))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.set_attn_implementation("eager")
        batch = batch_of(sentences[0], range(64))
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    assert flops == pytest.approx(counter.get_total_flops() / batch["input_ids"].numel(), rel=0.03)


def test_a_torchtext_kernel_whose_environment_is_gone_is_a_finding(monkeypatch, tmp_path):
    import types

    from jupyter_client import kernelspec

    spec = types.SimpleNamespace(argv=[str(tmp_path / "python")])
    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda self, name: spec)
    with pytest.raises(FileNotFoundError, match=r"is registered, but .*python is gone"):
        doctor.torchtext_python()
    (tmp_path / "python").touch()
    assert doctor.torchtext_python() == tmp_path / "python"
