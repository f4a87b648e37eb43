"""The loop against one written out in plain torch, and what it does when it is stopped, fails, or has learned enough."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from helpers import batch_of, make_encoded, quiet, weights
from torch import nn

from course_utils import prediction, training
from course_utils.batching import LengthBucketSampler, TokenDataset
from course_utils.models import LSTMClassifier
from course_utils.training import TrainingConfig, fit

VALIDATION = make_encoded(17, seed=1)
CONFIG = TrainingConfig(num_epochs=4, learning_rate=0.05, batch_size=8)


def make_model(seed: int = 3, **options) -> LSTMClassifier:
    torch.manual_seed(seed)
    return LSTMClassifier(12, embedding_size=8, hidden_size=8, **({"dropout": 0.0} | options))


# --- the loop, written out


def plain_loop(model: nn.Module, train: TokenDataset, config: TrainingConfig) -> list[float]:
    """Train as a textbook says, in float32, without DataLoader and Accelerate, and return the loss of each batch."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    sampler = LengthBucketSampler(train.lengths, batch_size=config.batch_size, seed=config.seed)
    in_a_step = config.gradient_accumulation_steps
    num_steps = config.num_epochs * math.ceil(len(sampler) / in_a_step)
    warmup, step, losses = int(config.warmup_ratio * num_steps), 0, []
    for epoch in range(config.num_epochs):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        for start in range(0, len(batches), in_a_step):
            gradients = [torch.zeros_like(p) for p in parameters]
            for indices in batches[start : start + in_a_step]:
                longest = max(len(train.input_ids[i]) for i in indices)
                ids = torch.tensor([[*train.input_ids[i], *[0] * (longest - len(train.input_ids[i]))] for i in indices])
                output = model.train()(input_ids=ids, attention_mask=(ids > 0).long())
                logs = getattr(output, "logits", output).log_softmax(dim=1)
                loss = -logs[torch.arange(len(indices)), train.labels[indices]].mean()
                losses.append(loss.item())
                for total, gradient in zip(gradients, torch.autograd.grad(loss, parameters), strict=True):
                    total += gradient / in_a_step  # a mean of means; a group that is not full is divided by as much
            norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients))
            scale = min(1.0, config.max_grad_norm / norm)
            factor = step / warmup if step < warmup else (num_steps - step) / (num_steps - warmup)
            step += 1
            with torch.no_grad():
                for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                    p *= 1 - factor * config.learning_rate * (config.weight_decay if p.ndim > 1 else 0)
                    m += 0.1 * (g * scale - m)
                    v += 0.001 * ((g * scale) ** 2 - v)
                    p -= factor * config.learning_rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    return losses


@pytest.mark.parametrize("in_a_step", [1, 2])  # 24 texts are 5 batches: with 2 a step the last step of an epoch has one
@pytest.mark.parametrize("max_grad_norm", [0.05, 1e9])
def test_fit_takes_the_steps_of_the_plain_loop(encoded, in_a_step, max_grad_norm):
    config = TrainingConfig(3, 0.01, 5, 0.1, 0.3, max_grad_norm, in_a_step, seed=7)
    model, twin = make_model(), make_model()
    start, after = weights(model), []
    history = fit(model, encoded, encoded, config, on_step=quiet, on_epoch=lambda _: after.append(weights(model)))
    assert history.step_losses == pytest.approx(plain_loop(twin, encoded, config), rel=1e-4)
    torch.testing.assert_close(after[-1], weights(twin), rtol=1e-3, atol=1e-5)
    assert (weights(twin) - start).abs().max() > 0.02


def test_fit_takes_them_with_a_hugging_face_classifier_too(tiny_bert, encoded):
    twin, config = copy.deepcopy(tiny_bert), TrainingConfig(2, 0.001, 8, max_grad_norm=1.0)
    history = fit(tiny_bert, encoded, VALIDATION, config, on_step=quiet)
    assert history.step_losses == pytest.approx(plain_loop(twin, encoded, config), rel=1e-3)
    assert np.ptp(history.step_losses) > 0.1


def test_two_batches_a_step_have_the_gradient_of_one_batch_of_both(encoded):
    after = []
    for batch_size, in_a_step in ((24, 1), (12, 2)):
        model = make_model()
        sgd = torch.optim.SGD(model.parameters(), lr=1.0)
        config = TrainingConfig(1, 1.0, batch_size, 0, 0, 1e9, in_a_step)
        fit(model, encoded, VALIDATION, config, optimizer=sgd, on_step=quiet)
        after.append(weights(model))
    torch.testing.assert_close(*after, rtol=1e-4, atol=1e-6)
    assert (after[0] - weights(make_model())).abs().max() > 0.01


def test_weight_decay_spares_biases_and_norms_and_frozen_parameters_stay_out():
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    model[2].weight.requires_grad_(False)
    decayed, spared = training.make_optimizer(model, TrainingConfig(weight_decay=0.1, learning_rate=0.02)).param_groups
    assert [p is model[0].weight for p in decayed["params"]] == [True] and decayed["weight_decay"] == 0.1
    assert len(spared["params"]) == 4 and spared["weight_decay"] == 0.0
    assert decayed["lr"] == spared["lr"] == 0.02


def test_the_learning_rate_rises_from_0_and_falls_to_0_and_fit_follows_it(encoded):
    model, rates = make_model(), []
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    config = TrainingConfig(2, 1.0, 5, warmup_ratio=0.4)  # 10 steps, 4 of them warming up
    fit(model, encoded, VALIDATION, config, optimizer=sgd, on_step=lambda _: rates.append(sgd.param_groups[0]["lr"]))
    # after each step the learning rate of the next one; the first was 0
    assert rates == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0])


def test_a_step_takes_one_pass_and_one_update_of_all_parameters(tiny_bert, encoded):
    """The regression guard of the step: what is computed is counted, not timed."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        fit(tiny_bert, encoded, VALIDATION, TrainingConfig(num_epochs=1, batch_size=24), on_step=quiet)
    calls = {event.key: event.count for event in seen.key_averages()}
    linear = 3 * 6 + 2  # 3 layers of q, k, v, attention output, up and down; pooler and head
    assert calls["aten::addmm"] == 2 * linear  # one batch to train on and one to validate on
    assert calls["aten::mm"] <= 2 * linear  # gradients of inputs and of weights
    assert calls["aten::_fused_adamw_"] == 2  # one call for each parameter group
    assert "aten::native_dropout" not in calls and "aten::bernoulli_" not in calls


class Counting(nn.Module):
    """Passes batches on to a model and counts what it costs: calls, tokens with padding and real tokens."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.calls, self.padded, self.tokens = model, 0, 0, 0

    def forward(self, input_ids, attention_mask):
        self.calls += 1
        self.padded += attention_mask.numel()
        self.tokens += int(attention_mask.sum())
        return self.model(input_ids, attention_mask)


def test_an_epoch_computes_each_token_once_with_little_padding():
    longer, model = make_encoded(200, longest=60), Counting(make_model())
    fit(model, longer, VALIDATION, TrainingConfig(num_epochs=1, batch_size=8), on_step=quiet)
    assert model.tokens == longer.lengths.sum() + VALIDATION.lengths.sum()
    assert model.calls == 25 + 1 and model.padded < 1.1 * model.tokens


# --- what is measured and kept


def test_fit_learns_and_says_what_it_measured(encoded):
    model, told = make_model(), []
    history = fit(model, encoded, VALIDATION, CONFIG, on_step=lambda h: told.append((h.step, h.num_steps, len(h.records))))
    assert prediction.evaluate(model, VALIDATION).accuracy > 0.9
    assert [record.epoch for record in history.records] == [1, 2, 3, 4] and not history.interrupted
    assert told == [(step, 12, (step - 1) // 3) for step in range(1, 13)]
    assert [record.step for record in history.records] == [3, 6, 9, 12] and history.step_sizes == [8] * 12
    assert history.tokens == 4 * encoded.lengths.sum() == 4 * history.records[0].tokens
    assert history.elapsed >= history.seconds == sum(record.seconds for record in history.records) > 0
    assert not model.training


def test_the_epoch_loss_weighs_examples_not_batches(encoded):
    model = make_model()
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    config = TrainingConfig(num_epochs=1, batch_size=23)  # 23 texts, then one
    (record,) = fit(model, encoded, VALIDATION, config, optimizer=still, on_step=quiet).records
    assert record.train_loss == pytest.approx(prediction.evaluate(model, encoded).loss, rel=1e-5)
    assert record.validation_loss == pytest.approx(prediction.evaluate(model, VALIDATION).loss, rel=1e-5)


def judged(monkeypatch, *accuracies: float, kept: list | None = None) -> None:
    """Let validation find these accuracies, epoch by epoch; `kept` gets the weights it was asked about."""
    answers = iter(accuracies)

    def evaluate(model, *_, **__):
        if kept is not None:
            kept.append(weights(model))
        return prediction.Evaluation(1.0, next(answers), np.zeros(1))

    monkeypatch.setattr(training, "evaluate", evaluate)


def test_the_best_epoch_is_kept(encoded, monkeypatch):
    kept: list[torch.Tensor] = []
    judged(monkeypatch, 0.6, 0.9, 0.9, 0.7, kept=kept)
    model = make_model()
    history = fit(model, encoded, VALIDATION, CONFIG, on_step=quiet)
    assert history.best_epoch == 2  # the first of equals
    assert torch.equal(weights(model), kept[1]) and not torch.equal(kept[1], kept[3])


def test_buffers_of_the_best_epoch_are_kept_with_its_weights(encoded, monkeypatch):
    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.norm = nn.Embedding(12, 2), nn.BatchNorm1d(2)

        def forward(self, input_ids, attention_mask):
            return self.norm(self.table(input_ids[:, 0]))

    judged(monkeypatch, 0.9, 0.7, 0.8, 0.6)
    model, means = Normalised(), []
    fit(model, encoded, VALIDATION, CONFIG, on_step=quiet, on_epoch=lambda _: means.append(model.norm.running_mean.clone()))
    assert torch.equal(model.norm.running_mean, means[0]) and not torch.equal(means[0], means[3])


def test_patience_stops_early(encoded, monkeypatch):
    judged(monkeypatch, 0.6, 0.9, 0.8, 0.85, 0.95, 1.0)
    patient = dataclasses.replace(CONFIG, num_epochs=6, patience=2)
    history = fit(make_model(), encoded, VALIDATION, patient, on_step=quiet)
    assert (len(history.records), history.best_epoch, history.interrupted) == (4, 2, False)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(encoded):
    def run(seed: int, dropout: float, drawn: int) -> tuple[list[float], torch.Tensor]:
        model = make_model(dropout=dropout)
        torch.rand(drawn)  # random numbers drawn before must not matter
        config = dataclasses.replace(CONFIG, seed=seed)
        return fit(model, encoded, VALIDATION, config, on_step=quiet).step_losses, weights(model)

    for dropout in (0.0, 0.3):  # the order of batches alone, and dropout too
        (first, ours), (second, same), (third, _) = run(0, dropout, 1), run(0, dropout, 2), run(1, dropout, 1)
        assert first == second and torch.equal(ours, same)
        assert first != third


def test_dropout_acts_in_every_epoch_and_not_in_validation(encoded):
    model, seen = make_model(dropout=0.5).eval(), []
    model.register_forward_pre_hook(lambda *_: seen.append(model.training))
    fit(model, encoded, VALIDATION, dataclasses.replace(CONFIG, num_epochs=3), on_step=quiet)
    assert seen == [True, True, True, False] * 3


def test_frozen_parameters_do_not_move(tiny_bert, encoded):
    tiny_bert.bert.requires_grad_(False)
    before, head = weights(tiny_bert.bert), weights(tiny_bert.classifier)
    fit(tiny_bert, encoded, VALIDATION, CONFIG, on_step=quiet)
    assert torch.equal(weights(tiny_bert.bert), before) and not torch.equal(weights(tiny_bert.classifier), head)


# --- stopped


class StopAt:
    """Presses stop after a step, and keeps the weights of each step it has seen."""

    def __init__(self, step: int, model: nn.Module) -> None:
        self.step, self.model, self.seen = step, model, []

    def __call__(self, history: training.History) -> None:
        self.seen.append(weights(self.model))
        if history.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", [1, 3, 5, 9, 12])  # 3 steps an epoch, measured after the last of them
def test_stopped_after_a_step_the_best_measured_weights_are_kept_or_the_present_ones(encoded, monkeypatch, step):
    judged(monkeypatch, 0.6, 0.9, 0.7, 0.8)
    model = make_model()
    stop = StopAt(step, model)
    history = fit(model, encoded, VALIDATION, CONFIG, on_step=stop)
    measured = (step - 1) // 3
    assert history.interrupted and len(history.records) == measured and history.step == step
    assert history.best_epoch == (None, 1, 2, 2)[measured]
    assert torch.equal(weights(model), stop.seen[3 * history.best_epoch - 1 if measured else step - 1])
    assert not model.training


def test_stopped_while_an_epoch_is_measured_or_noted_nothing_is_lost(encoded, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    model = make_model()
    history = fit(model, encoded, VALIDATION, CONFIG, on_step=quiet, on_epoch=stop)
    assert history.interrupted and (history.best_epoch, len(history.records)) == (1, 1)
    assert prediction.evaluate(model, VALIDATION).accuracy == history.records[0].validation_accuracy
    seen = StopAt(99, twin := make_model())
    monkeypatch.setattr(training, "evaluate", stop)
    history = fit(twin, encoded, VALIDATION, CONFIG, on_step=seen)
    assert history.interrupted and history.records == [] and torch.equal(weights(twin), seen.seen[2])


def test_a_run_after_a_stopped_one_starts_without_its_gradients(encoded):
    config = dataclasses.replace(CONFIG, gradient_accumulation_steps=3)
    model, twin = make_model(), make_model()
    fit(model, encoded, VALIDATION, config, on_step=StopAt(1, model))  # before the first update
    assert torch.equal(weights(model), weights(twin))
    runs = [fit(each, encoded, VALIDATION, config, on_step=quiet).step_losses for each in (model, twin)]
    assert runs[0] == runs[1] and torch.equal(weights(model), weights(twin))


def test_an_exception_of_a_callback_passes_through_and_leaves_the_best_weights(encoded, monkeypatch):
    class TrialPruned(Exception):
        """As Optuna's, which ends a trial from `on_epoch`."""

    def prune(history):
        if len(history.records) == 3:
            raise TrialPruned

    kept: list[torch.Tensor] = []
    judged(monkeypatch, 0.6, 0.9, 0.7, kept=kept)
    model = make_model()
    attributes = set(vars(model))
    with pytest.raises(TrialPruned):
        fit(model, encoded, VALIDATION, dataclasses.replace(CONFIG, mixed_precision="bf16"), on_step=quiet, on_epoch=prune)
    assert torch.equal(weights(model), kept[1]) and not model.training and set(vars(model)) == attributes


# --- refused


def test_a_loss_that_is_no_number_says_so_and_what_to_lower(encoded):
    model = make_model()
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"became nan at step 1.*smaller learning_rate"):
        fit(model, encoded, VALIDATION, CONFIG, on_step=quiet)


@pytest.mark.parametrize("step", [2, 6])  # 3 steps an epoch: within the first, and the last of the run
def test_weights_that_are_no_numbers_end_the_run_at_its_last_step_too(encoded, step):
    model = make_model()

    def spoil(history):
        if history.step == step:
            model.classifier.weight.data[0, 0] = math.inf

    says = r"became (nan|inf) at step 3" if step == 2 else r"computes NaN or infinity"
    with pytest.raises(FloatingPointError, match=rf"{says}.*smaller learning_rate"):
        fit(model, encoded, VALIDATION, dataclasses.replace(CONFIG, num_epochs=2), on_step=spoil)


@pytest.mark.parametrize("kind", ["lstm", "bert"])
def test_labels_and_ids_that_the_model_does_not_know_are_refused_before_the_first_step(encoded, tiny_bert, kind):
    model, ids = make_model() if kind == "lstm" else tiny_bert, encoded.input_ids
    soft = np.full((24, 3), 1 / 3, dtype=np.float32)
    wrong = {
        r"need 3 classes .* has 2, numbered from 0. Load it with num_classes=3": TokenDataset(ids, encoded.labels + 1),
        r"smallest label is -1": TokenDataset(ids, encoded.labels - 1),
        r"need 3 classes": TokenDataset(ids, soft),
        r"smallest label is nan": TokenDataset(ids, soft[:, :2] * np.nan),
        r"Token ids are 2 to 12, but this model knows 12": TokenDataset((*ids[:-1], ids[-1] * 0 + 12), encoded.labels),
        r"Token ids are -1 to": TokenDataset((*ids[:-1], ids[-1] * 0 - 1), encoded.labels),
    }
    before = weights(model)
    for says, texts in wrong.items():
        for parts in ((texts, VALIDATION), (encoded, texts)):
            with pytest.raises(ValueError, match=says):
                fit(model, *parts, CONFIG, on_step=quiet)
    assert torch.equal(weights(model), before)


def test_nothing_to_train_on_is_refused(encoded):
    nothing = encoded.take(np.array([], dtype=int))
    for parts in ((nothing, VALIDATION), (encoded, nothing)):
        with pytest.raises(ValueError, match=r"at least one training text and one validation text"):
            fit(make_model(), *parts, CONFIG, on_step=quiet)
    for parts in ((TokenDataset(encoded.input_ids), VALIDATION), (encoded, TokenDataset(VALIDATION.input_ids))):
        with pytest.raises(ValueError, match=r"no labels to learn from"):
            fit(make_model(), *parts, CONFIG, on_step=quiet)
    with pytest.raises(ValueError, match=r"Every parameter is frozen"):
        fit(make_model().requires_grad_(False), encoded, VALIDATION, CONFIG, on_step=quiet)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("num_epochs", 0, "a whole number from 1 to"), ("batch_size", 2.5, "a whole number from 1 to"),
        ("gradient_accumulation_steps", True, "a whole number from 1 to"), ("patience", 0, "a whole number from 1 to"),
        ("num_epochs", None, "a whole number from 1 to"), ("seed", -1, "a whole number from 0 to"),
        ("seed", 0.5, "a whole number from 0 to"), ("seed", 2**32, "a whole number from 0 to"),
        ("learning_rate", math.nan, "a number above 0 to 10"), ("learning_rate", 0, "a number above 0 to 10"),
        ("learning_rate", 11, "a number above 0 to 10"), ("learning_rate", "1e-3", "a number above 0 to 10"),
        ("weight_decay", -0.1, "a number from 0 to 10"), ("warmup_ratio", 1.5, "a number from 0 to 1"),
        ("max_grad_norm", 0.0, "a number above 0 to inf"), ("max_grad_norm", math.nan, "a number above 0 to inf"),
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused_with_their_value(name, value, says):
    with pytest.raises(ValueError, match=rf"{name} must be {says}.* not {value!r}\."):
        TrainingConfig(**{name: value})


def test_numbers_of_numpy_are_numbers_too():
    config = TrainingConfig(np.int64(1), np.float64(0.1), seed=np.int64(3), patience=None, max_grad_norm=math.inf)
    assert config.seed == 3 and config.learning_rate == 0.1


def test_an_unknown_precision_lists_those_there_are():
    with pytest.raises(ValueError, match=r"one of no, bf16, fp16 or None, not 'bfloat16'"):
        TrainingConfig(mixed_precision="bfloat16")


# --- shown


def test_without_a_callback_a_bar_is_shown_and_closed(encoded, monkeypatch):
    import tqdm.auto

    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    steps: list[int] = []

    class Bar:
        def __init__(self, total, **options):
            steps.append(total)

        __enter__ = lambda self: self  # noqa: E731

        def __exit__(self, *_):
            steps.append(0)

        def set_postfix(self, *, loss, refresh):
            assert float(loss) > 0 and not refresh

        def update(self):
            steps.append(1)

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    fit(make_model(), encoded, VALIDATION, dataclasses.replace(CONFIG, num_epochs=1))
    assert steps == [3, 1, 1, 1, 0]


# --- a teacher's probabilities as labels (notebook 08)


def test_soft_labels_give_the_gradient_of_the_divergence_from_the_teacher():
    texts, student, twin = make_encoded(8), make_model(0), make_model(0)
    teacher = torch.randn(8, 2, generator=torch.Generator().manual_seed(1)).softmax(dim=1)
    sgd = torch.optim.SGD(student.parameters(), lr=1.0)
    config = TrainingConfig(1, 1.0, 8, warmup_ratio=0.0, max_grad_norm=1e9)
    fit(student, TokenDataset(texts.input_ids, teacher.numpy()), VALIDATION, config, optimizer=sgd, on_step=quiet)
    batch = batch_of(texts)
    answers = twin(batch["input_ids"], batch["attention_mask"]).log_softmax(dim=1)
    nn.functional.kl_div(answers, teacher, reduction="batchmean").backward()
    for after, before in zip(student.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(before - after, before.grad, rtol=1e-4, atol=1e-6)


# --- bfloat16


@pytest.mark.parametrize("kind", ["lstm", "bert"])
def test_a_run_in_bfloat16_stays_close_to_one_in_float32(encoded, tiny_bert, kind):
    """In bfloat16 wherever it runs: fast where the processor has it, emulated elsewhere."""
    start = tiny_bert if kind == "bert" else make_model()
    histories = []
    for mixed_precision in ("no", "bf16"):
        config = TrainingConfig(2, 1e-3, 8, mixed_precision=mixed_precision)
        histories.append(fit(copy.deepcopy(start), encoded, VALIDATION, config, on_step=quiet))
    exact, rough = histories
    assert exact.step_losses != rough.step_losses
    assert exact.step_losses == pytest.approx(rough.step_losses, abs=0.05)
