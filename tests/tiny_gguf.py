"""A tiny Llama with random weights in a GGUF file that is written here byte by byte."""

import struct
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

WORDS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *"aeflimn0123", "Ġ", "Ġa", "Ġf", "il", "Ġfil"]
MERGES = ["Ġ a", "Ġ f", "i l", "Ġf il"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
SIZES = {"block_count": 2, "embedding_length": 64, "feed_forward_length": 96, "attention.head_count": 4,
         "attention.head_count_kv": 2, "context_length": 32}  # fmt: skip
SHORT = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
         "up_proj": "ffn_up", "down_proj": "ffn_down", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm"}  # fmt: skip


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def entry(name: str, value: object) -> bytes:
    """Return a name with its value, the kind of which depends on Python's type."""
    if isinstance(value, list):
        kind, one = (8, string) if isinstance(value[0], str) else (4, lambda number: struct.pack("<I", number))
        return string(name) + struct.pack("<IIQ", 9, kind, len(value)) + b"".join(map(one, value))
    kind, content = {str: (8, string), int: (4, lambda n: struct.pack("<I", n)), float: (6, lambda x: struct.pack("<f", x)),
                     bool: (7, lambda b: struct.pack("<?", b))}[type(value)]  # fmt: skip
    return string(name) + struct.pack("<I", kind) + content(value)


def q4_1(weights: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Return blocks of Q4_1 and the weights that they stand for, one block after the other."""
    packed, restored = [], []
    for block in weights.reshape(-1, 32):
        low, scale = np.float16(block.min()), np.float16(np.ptp(block) / 15)
        codes = [min(15, max(0, round((float(w) - float(low)) / float(scale)))) for w in block]
        packed.append(struct.pack("<ee", scale, low) + bytes(codes[i] + 16 * codes[i + 16] for i in range(16)))
        restored += [float(scale) * code + float(low) for code in codes]
    return b"".join(packed), np.array(restored, np.float32).reshape(weights.shape)


def q8_0(weights: np.ndarray) -> tuple[bytes, np.ndarray]:
    packed, restored = [], []
    for block in weights.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 127)
        codes = [max(-128, min(127, round(float(w) / float(scale)))) for w in block]
        packed.append(struct.pack("<e32b", scale, *codes))
        restored += [float(scale) * code for code in codes]
    return b"".join(packed), np.array(restored, np.float32).reshape(weights.shape)


def write_gguf(path, tensors: dict[str, tuple[int, tuple[int, ...], bytes]], **metadata) -> None:
    head, table, data = [entry(name, value) for name, value in metadata.items()], [], b""
    for name, (kind, shape, content) in tensors.items():
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        table.append(string(name) + sizes + struct.pack("<IQ", kind, len(data)))
        data += content + b"\0" * (-len(content) % 32)
    start = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)) + b"".join(head + table)
    path.write_bytes(start + b"\0" * (-len(start) % 32) + data)


def metadata() -> dict:
    numbers = {f"llama.{name}": size for name, size in SIZES.items()}
    numbers |= {"llama.rope.freq_base": 10_000.0, "llama.attention.layer_norm_rms_epsilon": 1e-5}
    ours = {"tokens": WORDS, "token_type": [3, 3, 3, *[1] * (len(WORDS) - 3)], "merges": MERGES, "model": "gpt2",
            "bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0, "padding_token_id": 2,
            "add_bos_token": False}  # fmt: skip
    named = {f"tokenizer.ggml.{name}": value for name, value in ours.items()}
    return {"general.architecture": "llama", **numbers, **named, "tokenizer.chat_template": TEMPLATE}


def make_gguf(path: Path) -> LlamaForCausalLM:
    """Write the file, and return the model that it was made from, with the weights that the file stands for."""
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(WORDS), hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5, tie_word_embeddings=True,
                         initializer_range=0.3)  # fmt: skip
    model, tensors = LlamaForCausalLM(config).eval(), {}
    for name, weight in model.model.named_parameters():
        values, part = weight.detach().numpy().copy(), name.split(".")[-2]
        if weight.ndim == 1:
            values += np.linspace(0, 0.5, 64, dtype=np.float32)
            kind, (content, restored) = 0, (values.astype("<f4").tobytes(), values)
        elif part in ("q_proj", "k_proj"):  # as llama.cpp's script: the two halves of a head become pairs
            heads = 4 if part == "q_proj" else 2
            order = np.arange(len(values)).reshape(heads, 2, -1).swapaxes(1, 2).ravel()
            kind, (content, mixed) = 3, q4_1(values[order])
            restored = mixed[np.argsort(order)]
        else:
            kind, (content, restored) = (8, q8_0(values)) if part == "embed_tokens" else (3, q4_1(values))
        weight.data = torch.tensor(restored)
        layer = f"blk.{name.split('.')[1]}." if name.startswith("layers") else ""
        short = SHORT.get(part) or {"embed_tokens": "token_embd", "norm": "output_norm"}[part]
        tensors[f"{layer}{short}.weight"] = kind, values.shape, content
    write_gguf(path, tensors, **metadata())
    return model
