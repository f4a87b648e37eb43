"""What `course bench` times beside the course: Hugging Face's `Trainer` and `pipeline`, and the loop of most tutorials."""

from __future__ import annotations

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
        from transformers import AutoModelForSequenceClassification, PrinterCallback, Trainer, TrainingArguments, set_seed

        set_seed(seed)
        with device.quiet_loading():
            model = AutoModelForSequenceClassification.from_pretrained(
                pretrained.checkpoint_path(), num_labels=2, trust_remote_code=False
            )
        here, padder = device.choose_device(), _CountingPadder(pretrained.load_tokenizer())
        fast = device.choose_precision(here) == torch.bfloat16
        arguments = TrainingArguments(
            output_dir=str(records.ROOT / "outputs" / "trainer"), num_train_epochs=1, per_device_train_batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE, seed=seed, train_sampling_strategy=strategy,
            bf16=strategy == "group_by_length" and fast, use_cpu=here.type == "cpu",
            report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=_rows(dataset), data_collator=padder)
        trainer.remove_callback(PrinterCallback)

        def run() -> int:
            trainer.train()
            return padder.tokens

        return Job(run, model)

    return prepare


def _rows(dataset: TokenDataset) -> list[dict]:
    """Return the texts as Trainer wants them."""
    assert dataset.labels is not None
    return [
        {"input_ids": ids.tolist(), "attention_mask": [1] * len(ids), "labels": int(label)}
        for ids, label in zip(dataset.input_ids, dataset.labels, strict=True)
    ]


class _CountingPadder:
    """Transformers' `DataCollatorWithPadding`, which counts the tokens that it hands out."""

    def __init__(self, tokenizer) -> None:
        from transformers import DataCollatorWithPadding

        self.pad, self.tokens = DataCollatorWithPadding(tokenizer), 0

    def __call__(self, rows: list[dict]) -> dict:
        batch = self.pad(rows)
        self.tokens += batch["input_ids"].numel()
        return batch


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
