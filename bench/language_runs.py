"""What `course bench` times on the language model: LoRA by the loop of notebook 14, and by Hugging Face's `Trainer`."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from bench.course_runs import plain_models
from bench.jobs import Job, Prepare, padded_tokens
from bench.other_runs import trainer_job
from course_utils import chat, data, device, pretrained

BATCH_SIZE, LEARNING_RATE = 8, 5e-4  # of notebook 14, section 5
QUESTION = "Is this film review positive or negative?"
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def messages_of(sentence: str) -> list[dict[str, str]]:
    """Return the conversation of notebook 14 up to its answer."""
    return [{"role": "system", "content": QUESTION}, {"role": "user", "content": sentence}]


def encode(reviews: data.Reviews) -> list[chat.Row]:
    """Return ids and labels of a conversation about each review."""
    assert reviews.labels is not None
    tokenizer = pretrained.load_tokenizer("smollm2")
    answers = [reviews.class_names[label] for label in reviews.labels]
    return [chat.encode(tokenizer, messages_of(text), answer) for text, answer in zip(reviews.texts, answers, strict=True)]


def correct_answers(model: nn.Module, reviews: data.Reviews) -> np.ndarray:
    """Return bool (n,): whether the more probable of the label words is the right one."""
    tokenizer = pretrained.load_tokenizer("smollm2")
    prompts = [chat.prompt_text(tokenizer, messages_of(text)) for text in reviews.texts]
    return chat.label_logits(tokenizer, model.eval(), prompts, reviews.class_names).argmax(axis=1) == reviews.labels


def with_lora(seed: int) -> nn.Module:
    """Return the language model with the adapter of notebook 14: rank 8, in the upper half of its layers."""
    from peft import LoraConfig, get_peft_model

    here = device.choose_device()
    model = pretrained.load_language_model("smollm2", dtype=device.choose_precision(here)).to(here)
    upper = list(range(model.config.num_hidden_layers // 2, model.config.num_hidden_layers))
    torch.manual_seed(seed)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=LINEAR, layers_to_transform=upper, task_type="CAUSAL_LM")
    return get_peft_model(model, lora).train()


def course_lora_run(rows: list[chat.Row]) -> Prepare:
    """Return one epoch by `chat.fine_tune`."""
    lengths = np.array([len(ids) for ids, _ in rows])

    def prepare(seed: int) -> Job:
        model, tokens = with_lora(seed), 0
        padding = pretrained.load_tokenizer("smollm2").pad_token_id
        loss_of = chat.loss_of_rows(model, rows, padding=padding)

        def counted(indices: np.ndarray) -> torch.Tensor:
            nonlocal tokens
            tokens += padded_tokens(lengths, [indices])
            return loss_of(indices)

        def run() -> int:
            chat.fine_tune(model, lengths.tolist(), counted, learning_rate=LEARNING_RATE, batch_size=BATCH_SIZE, seed=seed)
            return tokens

        return Job(run, model)

    return prepare


def trainer_lora_run(rows: list[chat.Row], *, strategy: str) -> Prepare:
    """Return the same by Hugging Face's Trainer, on the model as transformers loads it, with the same adapter and labels.

    Rate and schedule are the same too, and with the same batches its losses are those of `chat.fine_tune`.

    Args:
        strategy: "random", Trainer's default, or "group_by_length".
    """
    examples = [{"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels} for ids, labels in rows]

    def prepare(seed: int) -> Job:
        from transformers import DataCollatorForSeq2Seq

        with plain_models():
            model = with_lora(seed)
        return trainer_job(
            model, examples, DataCollatorForSeq2Seq(pretrained.load_tokenizer("smollm2")), seed=seed,
            train_sampling_strategy=strategy, bf16=device.choose_precision(device.choose_device()) == torch.bfloat16,
            per_device_train_batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE, weight_decay=0.0,
            warmup_steps=int(0.1 * math.ceil(len(rows) / BATCH_SIZE)),
        )  # fmt: skip

    return prepare
