"""Pretrain a small masked language model from scratch on the training reviews: notebook 05 shows its checkpoints.

    python -m bench.pretrain                 start, or go on from the last save in outputs/pretrain/
    python -m bench.pretrain --steps 300 --output outputs/pretrain_tiny --checkpoints outputs/small-bert     a short try

It may be killed at any time. What is random (order of the text, hidden words) is a function of the step, there is no
dropout, and a save holds model, optimiser, schedule and step, so a run that was interrupted ends with the same bits.
Result: course_utils/checkpoints/small-bert/ with tokenizer.json, a folder for each checkpoint (float16), training.json
with losses and times, and manifest.json with the hash of every file. Texts of the validation and test parts of the course
are never read for training; the loss on unseen text is measured on IMDB's validation part.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import WordPiece
from torch import nn
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast, get_linear_schedule_with_warmup

from bench import records
from course_utils import data
from course_utils.device import autocast, choose_device, hardware, prepare_for_bfloat16, quiet_loading
from course_utils.files import write_manifest

SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
FRACTIONS = (0.01, 0.05, 0.2, 0.5, 1.0)  # of the steps, where checkpoints are written
FOLDER = records.ROOT / "course_utils" / "checkpoints" / "small-bert"


@dataclass(frozen=True)
class Plan:
    """What decides a run. The learning rate warms up over `warmup` of the steps and then falls linearly to 0."""

    steps: int = 24_000
    batch_size: int = 32
    window: int = 128
    short_window: int = 16  # of every other batch in the first quarter: see `windows_at`
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    seed: int = 0
    vocab_size: int = 8_000
    sizes: dict[str, int] = field(
        default_factory=lambda: {
            "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512
        }
    )  # fmt: skip


def readable(texts: Iterable[str]) -> list[str]:
    """Return the texts without HTML line breaks."""
    return [text.replace("<br />", " ") for text in texts]


def training_texts() -> list[str]:
    """Return the texts of the training parts of IMDB and Rotten Tomatoes, without their labels."""
    return readable(text for source in ("imdb", "rotten_tomatoes") for text in data.load_splits(source).train.texts)


def wordpiece(model: WordPiece) -> Tokenizer:
    """Return BERT's lower-case WordPiece around a model, without special tokens."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def train_tokenizer(texts: list[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Return a WordPiece tokenizer, lower case as BERT's, with a vocabulary made from these texts, always the same one.

    The trainer numbers characters inside words in the order of a hash table, another one in each run, and breaks ties
    between merges by these numbers. So all characters are given to it in a fixed order, as if they were special tokens.
    """
    tokenizer = wordpiece(WordPiece(unk_token="[UNK]"))
    counts = Counter(character for text in texts for character in tokenizer.normalizer.normalize_str(text))
    common = sorted((c for c in counts if not c.isspace()), key=lambda c: (-counts[c], c))[:100]
    names, alphabet = list(SPECIAL.values()), sorted(common)
    fixed = [*names, *alphabet, *(f"##{c}" for c in alphabet if c.isalnum())]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=fixed,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    vocabulary = tokenizer.get_vocab()
    tokenizer = wordpiece(WordPiece(vocabulary, unk_token="[UNK]"))
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **SPECIAL)


def join(texts: list[str], tokenizer) -> torch.Tensor:
    """Return int32 (N,): the ids of all texts one after the other, a [SEP] after each."""
    rows = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return torch.tensor([i for row in rows for i in (*row, tokenizer.sep_token_id)], dtype=torch.int32)


def windows_at(step: int, plan: Plan) -> tuple[int, int]:
    """Return the number of windows of a step and their length, together always the same number of tokens.

    In the first quarter of the steps every other batch is made of short windows. A head that is to find the word before a
    blank starts as a mean over all tokens; among 128 that word hardly counts, among 16 it does. With long windows alone the
    loss stayed at 6.1, not far below that of word frequencies, for 3,000 steps; with short ones it fell after 600.
    """
    short = step % 2 == 0 and step < plan.steps // 4
    length = plan.short_window if short else plan.window
    return plan.batch_size * plan.window // length, length


def batch_at(step: int, stream: torch.Tensor, plan: Plan, cls_id: int, sep_id: int) -> torch.Tensor:
    """Return int64 (B, T), the windows of a step: [CLS], T - 2 tokens of the stream, [SEP].

    Every pass over the stream divides it at other positions and shuffles its windows, by a generator of its own.
    """
    count, length = windows_at(step, plan)
    inner = length - 2
    per_pass = (len(stream) // inner - 1) // count  # one window less: the pass starts at an offset
    number, place = divmod(step, per_pass)
    generator = torch.Generator().manual_seed(1_000_003 * plan.seed + number)
    offset = int(torch.randint(inner, (1,), generator=generator))
    order = torch.randperm(per_pass * count, generator=generator)
    starts = offset + inner * order[place * count : (place + 1) * count]  # (B,)
    text = stream[starts[:, None] + torch.arange(inner)].long()
    first, last = (torch.full((len(text), 1), i) for i in (cls_id, sep_id))
    return torch.cat([first, text, last], dim=1)


def sines(length: int, width: int) -> torch.Tensor:
    """Return float (length, width): the sines and cosines of "Attention is all you need", section 3.5."""
    angles = torch.arange(length)[:, None] * torch.exp(-math.log(10_000) * torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def hide_words(
    ids: torch.Tensor, tokenizer, generator: torch.Generator, *, cover: float = 0.8
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids (B, T) with 15 % of the words hidden, and bool (B, T) where.

    Of the chosen words the share `cover` becomes [MASK]; of the others one half a random word, and one half stays (BERT).
    """
    ends = (ids == tokenizer.cls_token_id) | (ids == tokenizer.sep_token_id)
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & ~ends
    how = torch.rand(ids.shape, generator=generator)
    random_ids = torch.randint(len(SPECIAL), len(tokenizer), ids.shape, generator=generator)
    hidden = torch.where(chosen & (how < cover), tokenizer.mask_token_id, ids)
    return torch.where(chosen & (how >= (1 + cover) / 2), random_ids, hidden), chosen


def masked_loss(model: BertForMaskedLM, ids: torch.Tensor, hidden: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Return the mean loss at the `chosen` positions of `ids`, all (B, T); the output layer is computed only there."""
    device = model.device
    ids, hidden, chosen = ids.to(device), hidden.to(device), chosen.to(device)
    with autocast(device):
        states = model.bert(hidden).last_hidden_state  # (B, T, D)
        logits = model.cls(states[chosen])  # (M, V)
    return nn.functional.cross_entropy(logits.float(), ids[chosen])


def unseen_windows(tokenizer, plan: Plan, count: int = 256) -> torch.Tensor:
    """Return int64 (count, T): windows of IMDB's validation part, one from the start of a review each, spread evenly."""
    texts = readable(data.evenly(data.load_splits("imdb").validation, 2 * count).texts)
    rows = tokenizer(texts, truncation=True, max_length=plan.window)["input_ids"]
    return torch.tensor([row for row in rows if len(row) == plan.window][:count])


@torch.no_grad()
def unseen_loss(model: BertForMaskedLM, windows: torch.Tensor, tokenizer) -> float:
    """Return the mean loss at [MASK] in unseen windows (n, T); the same words are masked at every call."""
    hidden, chosen = hide_words(windows, tokenizer, torch.Generator().manual_seed(0), cover=1.0)
    return masked_loss(model, windows, hidden, chosen).item()


def write_atomically(path: Path, save) -> None:
    """Write a file so that it is there in full or not at all: `save(part)` writes, then the part takes the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save(part)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


@dataclass
class Run:
    """A run with all that changes in it; `state_dict` is what a save holds."""

    plan: Plan
    model: BertForMaskedLM
    optimizer: torch.optim.Optimizer
    schedule: Any
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)  # of each step
    unseen: dict[int, float] = field(default_factory=dict)  # at each checkpoint

    @classmethod
    def begin(cls, plan: Plan, tokenizer) -> Run:
        torch.manual_seed(plan.seed)
        options: dict[str, Any] = {"vocab_size": len(tokenizer), "max_position_embeddings": plan.window, **plan.sizes}
        options |= {"type_vocab_size": 1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        model: Any = BertForMaskedLM(BertConfig(**options))
        positions = model.bert.embeddings.position_embeddings.weight.data  # start as sines, so that neighbours are alike
        positions.copy_(sines(*positions.shape) * model.config.initializer_range * math.sqrt(2))
        model = prepare_for_bfloat16(model.to(choose_device()).train())
        decayed = [p for p in model.parameters() if p.ndim > 1]
        spared = [p for p in model.parameters() if p.ndim == 1]  # biases and layer norms
        groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": spared, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.98), fused=True)
        schedule = get_linear_schedule_with_warmup(optimizer, int(plan.warmup * plan.steps), plan.steps)
        return cls(plan, model, optimizer, schedule)

    def state_dict(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).state_dict() for name in ("model", "optimizer", "schedule")}
        counts = {name: getattr(self, name) for name in ("step", "seconds", "losses", "unseen")}
        return {"plan": asdict(self.plan), **parts, **counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a save.

        Raises:
            ValueError: it belongs to a run with another plan.
        """
        if state["plan"] != asdict(self.plan):
            raise ValueError(f"The save belongs to another plan: {state['plan']}. Give another --output, or delete it.")
        for name in ("model", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        for name in ("step", "seconds", "losses", "unseen"):
            setattr(self, name, state[name])

    def save(self, output: Path) -> None:
        write_atomically(output / "save.pt", lambda part: torch.save(self.state_dict(), part))


def resume(plan: Plan, output: Path, texts: list[str]) -> tuple[Run, Any]:
    """Return the run as the last save in `output` left it, or a new one, and its tokenizer."""
    if not (output / "tokenizer" / "tokenizer.json").exists():
        train_tokenizer(texts, plan.vocab_size).save_pretrained(output / "tokenizer.part")
        (output / "tokenizer.part").replace(output / "tokenizer")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(output / "tokenizer")
    run = Run.begin(plan, tokenizer)
    if (output / "save.pt").exists():
        run.load_state_dict(torch.load(output / "save.pt", map_location=choose_device(), weights_only=True))
    return run, tokenizer


def checkpoint_steps(plan: Plan) -> list[int]:
    return [max(1, round(fraction * plan.steps)) for fraction in FRACTIONS]


def write_checkpoint(run: Run, folder: Path) -> None:
    """Write the model of this step in float16, in the layout of `from_pretrained`."""
    model = copy.deepcopy(run.model).cpu().half()
    model.set_attn_implementation("sdpa")  # not the course's own, which others do not have
    with quiet_loading():
        model.save_pretrained(folder / f"step-{run.step:06d}")


def train(
    run: Run, tokenizer, stream: torch.Tensor, unseen: torch.Tensor, output: Path, *, save_every: float = 60
) -> Iterator[int]:
    """Take the steps that are left and yield the number taken so far; save every `save_every` seconds and at checkpoints."""
    plan, before = run.plan, run.seconds
    began = saved = time.perf_counter()
    while run.step < plan.steps:
        ids = batch_at(run.step, stream, plan, tokenizer.cls_token_id, tokenizer.sep_token_id)
        masks = torch.Generator().manual_seed(7_000_003 * (plan.seed + 1) + run.step)
        loss = masked_loss(run.model, ids, *hide_words(ids, tokenizer, masks))
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
        run.optimizer.step()
        run.schedule.step()
        run.step += 1
        run.losses.append(round(loss.item(), 4))
        run.seconds = before + time.perf_counter() - began
        at_checkpoint = run.step in checkpoint_steps(plan)
        if at_checkpoint:
            run.unseen[run.step] = round(unseen_loss(run.model, unseen, tokenizer), 4)
            write_checkpoint(run, output / "checkpoints")
        if at_checkpoint or time.perf_counter() - saved > save_every:
            run.save(output)
            saved = time.perf_counter()
        yield run.step


def publish(run: Run, tokens: int, output: Path, folder: Path) -> None:
    """Put tokenizer, checkpoints, training record and the hashes of all into the folder that the course loads."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(output / "tokenizer", folder)
    shutil.copytree(output / "checkpoints", folder, dirs_exist_ok=True)
    every = max(1, run.plan.steps // 1_200)
    means = [
        round(sum(part) / len(part), 4) for i in range(0, len(run.losses), every) if (part := run.losses[i : i + every])
    ]
    record = {
        **asdict(run.plan), "tokens_of_text": tokens, "parameters": sum(p.numel() for p in run.model.parameters()),
        "seconds": round(run.seconds), "losses_every": every, "losses": means,
        "unseen_losses": {str(step): loss for step, loss in run.unseen.items()}, "date": date.today().isoformat(),
        "hardware": hardware(), "torch": torch.__version__, "commit": records.commit(),
    }  # fmt: skip
    records.write(folder / "training.json", record)
    write_manifest(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    print(f"{folder}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")


def say(run: Run, began: tuple[int, float], clock: float) -> None:
    """Print steps, loss, tokens per second since this process began, and the time that is left."""
    steps, seconds = run.step - began[0], clock - began[1]
    rate, recent = steps * run.plan.batch_size * run.plan.window / seconds, run.losses[-100:]
    left = (run.plan.steps - run.step) * seconds / steps / 60
    print(
        f"step {run.step:,} of {run.plan.steps:,}  loss {sum(recent) / len(recent):.3f}  {rate:,.0f} tokens/s  "
        f"{left:.0f} minutes left", flush=True,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument("--batch-size", type=int, default=Plan.batch_size)
    parser.add_argument("--learning-rate", type=float, default=Plan.learning_rate)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop (and save) after so long")
    parser.add_argument("--output", type=Path, default=records.ROOT / "outputs" / "pretrain")
    parser.add_argument("--checkpoints", type=Path, default=FOLDER, help="where the finished checkpoints go")
    asked = parser.parse_args()
    plan = Plan(steps=asked.steps, batch_size=asked.batch_size, learning_rate=asked.learning_rate)
    texts = training_texts()
    run, tokenizer = resume(plan, asked.output, texts)
    stream, unseen = join(texts, tokenizer), unseen_windows(tokenizer, plan)
    passes = plan.steps * plan.batch_size * (plan.window - 2) / len(stream)
    print(f"{len(stream):,} tokens of {len(texts):,} texts, {passes:.1f} passes; step {run.step:,}", flush=True)
    began, said = (run.step, time.perf_counter()), 0.0
    for _ in train(run, tokenizer, stream, unseen, asked.output):
        clock = time.perf_counter()
        if clock - said > 10:
            say(run, began, clock)
            said = clock
        if clock - began[1] > asked.seconds:
            run.save(asked.output)
            return
    publish(run, len(stream), asked.output, asked.checkpoints)


if __name__ == "__main__":
    main()
