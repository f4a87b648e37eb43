"""What `course bench` times beside the course: Hugging Face's `Trainer` and `pipeline`, and the loop of most tutorials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from bench import records
from bench.jobs import BATCH_SIZE, LEARNING_RATE, Job, Prepare, padded_tokens
from course_utils import batching, data, device, models, pretrained, text
from course_utils.batching import TokenDataset


def trainer_run(dataset: TokenDataset, *, strategy: str) -> Prepare:
    """Return one epoch by Hugging Face's Trainer as its course sets it up: dynamic padding, the model's own dropout.

    Args:
        strategy: "random", Trainer's default; or "group_by_length", which also gets bfloat16 if the device is fast at it:
            the best settings that Trainer has.
    """

    def prepare(seed: int) -> Job:
        from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding, set_seed

        set_seed(seed)
        with device.quiet_loading():
            model = AutoModelForSequenceClassification.from_pretrained(
                pretrained.checkpoint_path(), num_labels=2, trust_remote_code=False
            )
        fast = device.choose_precision(device.choose_device()) == torch.bfloat16
        return trainer_job(
            model, _rows(dataset), DataCollatorWithPadding(pretrained.load_tokenizer()), seed=seed,
            train_sampling_strategy=strategy, bf16=strategy == "group_by_length" and fast,
            per_device_train_batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE,
        )  # fmt: skip

    return prepare


def trainer_job(model: nn.Module, rows: list[dict], pad: Callable[[list[dict]], Any], **options: Any) -> Job:
    """Return one epoch of a model by Hugging Face's Trainer, which saves and reports nothing.

    Args:
        pad: makes a batch of rows.
        options: of `TrainingArguments`.
    """
    from transformers import PrinterCallback, Trainer, TrainingArguments

    tokens = 0

    def counting(batch: list[dict]) -> Any:
        nonlocal tokens
        padded = pad(batch)
        tokens += padded["input_ids"].numel()
        return padded

    arguments = TrainingArguments(
        output_dir=str(records.ROOT / "outputs" / "trainer"), num_train_epochs=1,
        use_cpu=device.choose_device().type == "cpu",
        report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, **options,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows, data_collator=counting)  # type: ignore[arg-type]
    trainer.remove_callback(PrinterCallback)

    def run() -> int:
        trainer.train()
        return tokens

    return Job(run, model)


def _rows(dataset: TokenDataset) -> list[dict]:
    """Return the texts as Trainer wants them."""
    assert dataset.labels is not None
    return [
        {"input_ids": ids.tolist(), "attention_mask": [1] * len(ids), "labels": int(label)}
        for ids, label in zip(dataset.input_ids, dataset.labels, strict=True)
    ]


def plain_lstm_run(dataset: TokenDataset, vocab_size: int) -> Prepare:
    """Return an epoch of notebook 03's network by the loop of most tutorials: random batches, pad_sequence, Adam."""

    def prepare(seed: int) -> Job:
        torch.manual_seed(seed)
        here = device.choose_device()
        model = models.LSTMClassifier(vocab_size).to(here).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        texts, labels = [torch.from_numpy(ids) for ids in dataset.input_ids], torch.as_tensor(dataset.labels).to(here)

        def run() -> int:
            tokens = 0
            for indices in torch.randperm(len(texts)).split(64):
                input_ids = nn.utils.rnn.pad_sequence([texts[i] for i in indices], batch_first=True).to(here)
                loss = nn.functional.cross_entropy(model(input_ids, (input_ids != 0).long()), labels[indices.to(here)])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                tokens += input_ids.numel()
            return tokens

        return Job(run, model)

    return prepare


def pipeline_prediction(reviews: data.Reviews, max_length: int) -> Prepare:
    """Return the same by `transformers.pipeline(batch_size=32)`, which takes the texts in the order of the data."""

    def prepare(seed: int) -> Job:
        from transformers import pipeline

        model, tokenizer = pretrained.load_classifier(seed=seed), pretrained.load_tokenizer()
        classify = pipeline(
            "text-classification", model=model, tokenizer=tokenizer, device=device.choose_device(), batch_size=32
        )
        lengths = text.encode_wordpieces(reviews, tokenizer, max_length=max_length).lengths
        batches = batching.make_batches(lengths, batch_size=32, bucketed=False)

        def run() -> int:
            classify(list(reviews.texts), top_k=None, truncation=True, max_length=max_length)
            return padded_tokens(lengths, batches)

        return Job(run)

    return prepare
