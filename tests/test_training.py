"""The loop: it learns, stops, resumes, keeps the best, weighs examples alike, saves and loads."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from helpers import make_encoded
from torch import nn

from course_utils import cost, prediction, pretrained, text, training
from course_utils.models import LSTMClassifier
from course_utils.text import EncodedTexts, collate, make_batches
from course_utils.training import Settings

VALIDATION = make_encoded(17, seed=1)


def make_model(seed: int = 3, **options) -> LSTMClassifier:
    torch.manual_seed(seed)
    return LSTMClassifier(12, embedding_size=8, hidden_size=8, **options)


def quiet(progress: training.Progress) -> None:
    """Stands in for the progress bar."""


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).clone()


class Told(nn.Module):
    """A classifier that answers what it is told: logits (n, C) by the first token of each text."""

    def __init__(self, logits) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(logits, dtype=torch.float32))

    def forward(self, input_ids, attention_mask):
        return self.table[input_ids[:, 0]]


# --- evaluation


def test_every_example_weighs_the_same_in_unequal_batches():
    logits = [[2.0, 0], [0.0, 1], [3.0, 0], [0, 0.5], [1.0, 0]]
    labels = np.array([0, 1, 0, 0, 1])  # the last two are wrong, and the last batch of two holds one text
    texts = EncodedTexts(tuple(np.array([i] * n) for i, n in enumerate([1, 2, 3, 4, 9])), labels)
    losses = [math.log(1 + math.exp(bad - good)) for good, bad in [(2, 0), (1, 0), (3, 0), (0, 0.5), (0, 1)]]
    for batch_size in (1, 2, 3, 5):
        result = prediction.evaluate(Told(logits), texts, batch_size=batch_size)
        assert result.accuracy == pytest.approx(3 / 5)
        assert result.loss == pytest.approx(sum(losses) / 5, rel=1e-5)
        assert result.predictions.tolist() == [0, 1, 0, 1, 0]


def test_predictions_come_in_the_order_of_the_data(encoded):
    model = make_model().eval()
    alone = torch.cat([prediction.predict_logits(model, encoded.take(np.array([i]))) for i in range(len(encoded))])
    for batch_size in (1, 5, 64):
        torch.testing.assert_close(prediction.predict_logits(model, encoded, batch_size=batch_size), alone)
    order = np.random.default_rng(0).permutation(len(encoded))
    torch.testing.assert_close(prediction.predict_logits(model, encoded.take(order)), alone[order])
    probabilities = prediction.predict_proba(model, encoded)
    np.testing.assert_allclose(probabilities, alone.softmax(1).numpy(), rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_evaluation_changes_nothing(encoded):
    model = make_model(dropout=0.5)
    before = weights(model)
    results = [prediction.evaluate(model, encoded).loss for _ in range(2)]
    assert results[0] == results[1] and torch.equal(weights(model), before)


def test_a_hugging_face_classifier_gives_its_own_logits(tiny_bert, encoded):
    ours = prediction.predict_logits(tiny_bert, encoded, batch_size=5)
    theirs = [tiny_bert(input_ids=torch.from_numpy(ids)[None]).logits[0] for ids in encoded.input_ids]
    torch.testing.assert_close(ours, torch.stack(theirs).detach(), rtol=1e-4, atol=1e-5)


def test_nothing_to_predict_is_refused(encoded):
    with pytest.raises(ValueError, match=r"no text to predict"):
        prediction.predict_proba(make_model(), encoded.take(np.array([], dtype=int)))


# --- steps


def test_the_loss_falls_on_one_batch(encoded):
    model = make_model(dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    batch = [np.arange(len(encoded))]
    losses = [training.train_one_epoch(model, encoded, optimizer, batches=batch) for _ in range(30)]
    assert losses[0] == pytest.approx(math.log(2), abs=0.15)
    assert losses[-1] < 0.05


def test_two_steps_are_those_of_plain_torch(encoded):
    model, twin = make_model(dropout=0.0), make_model(dropout=0.0)
    optimizer, batches = torch.optim.SGD(model.parameters(), lr=1.0), [np.arange(8), np.arange(8, 20)]
    training.train_one_epoch(model, encoded, optimizer, batches=batches, settings=Settings(max_grad_norm=0.01))
    for indices in batches:
        batch = collate(encoded, indices)
        loss = nn.functional.cross_entropy(twin(batch["input_ids"], batch["attention_mask"]), batch["labels"])
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        assert norm > 0.01  # so that clipping acts
        with torch.no_grad():
            for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                parameter -= gradient * 0.01 / norm
    torch.testing.assert_close(weights(model), weights(twin), rtol=1e-4, atol=1e-7)


def test_the_epoch_loss_weighs_examples_not_batches(encoded):
    model = make_model(dropout=0.0)
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    seen: list[int] = []
    loss = training.train_one_epoch(
        model, encoded, still, batches=[np.arange(23), np.array([23])], after_step=lambda _, tokens: seen.append(tokens)
    )
    assert loss == pytest.approx(prediction.evaluate(model, encoded).loss, rel=1e-5)
    assert sum(seen) == encoded.lengths.sum()


def test_weight_decay_spares_biases_and_norms_and_frozen_parameters_stay_out():
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    model[2].weight.requires_grad_(False)
    decayed, spared = training.make_optimizer(model, Settings(weight_decay=0.1, learning_rate=0.02)).param_groups
    assert [p is model[0].weight for p in decayed["params"]] == [True] and decayed["weight_decay"] == 0.1
    assert len(spared["params"]) == 4 and spared["weight_decay"] == 0.0
    assert decayed["lr"] == spared["lr"] == 0.02


def test_the_rate_is_that_of_transformers_but_for_a_first_step_above_zero():
    from transformers import get_linear_schedule_with_warmup

    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = get_linear_schedule_with_warmup(optimizer, 5, 20)
    after_warmup = []
    for step in range(20):
        if step >= 5:
            after_warmup.append((training.rate_factor(step, num_steps=20, warmup_steps=5), theirs.get_last_lr()[0]))
        optimizer.step()
        theirs.step()
    ours, reference = zip(*after_warmup, strict=True)
    assert ours == pytest.approx(reference)
    warmup = [training.rate_factor(step, num_steps=20, warmup_steps=5) for step in range(5)]
    assert warmup == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])


# --- fit


SETTINGS = Settings(num_epochs=4, learning_rate=0.05, batch_size=8)


def test_fit_learns_and_says_what_it_measured(encoded):
    model = make_model()
    history = training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=quiet)
    assert prediction.evaluate(model, VALIDATION).accuracy > 0.9
    assert [record.epoch for record in history.records] == [1, 2, 3, 4]
    assert len(history.step_losses) == 12 and history.finished and not history.interrupted
    assert history.tokens == 4 * encoded.lengths.sum()
    assert history.seconds == pytest.approx(sum(record.seconds for record in history.records)) and history.seconds > 0
    assert not model.training


def test_the_best_epoch_is_kept(encoded, monkeypatch):
    accuracies, kept = iter([0.6, 0.9, 0.9, 0.7]), []

    def judge(model, *_, **__):
        kept.append(weights(model))
        return prediction.Evaluation(1.0, next(accuracies), np.zeros(1))

    monkeypatch.setattr(training, "evaluate", judge)
    model = make_model()
    history = training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=quiet)
    assert history.best_epoch == 2  # the first of equals
    assert torch.equal(weights(model), kept[1]) and not torch.equal(kept[1], kept[3])


def test_patience_stops_early(encoded, monkeypatch):
    accuracies = iter([0.6, 0.9, 0.8, 0.85, 0.95, 1.0])
    monkeypatch.setattr(training, "evaluate", lambda *_, **__: prediction.Evaluation(1.0, next(accuracies), np.zeros(1)))
    patient = dataclasses.replace(SETTINGS, num_epochs=6, patience=2)
    history = training.fit(make_model(), encoded, VALIDATION, patient, on_progress=quiet)
    assert (len(history.records), history.best_epoch) == (4, 2)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(encoded):
    def run(seed: int, dropout: float) -> tuple[list[float], torch.Tensor]:
        torch.rand(seed + 5)  # chance used up before must not matter
        model = make_model(dropout=dropout)
        settings = dataclasses.replace(SETTINGS, seed=seed)
        return training.fit(model, encoded, VALIDATION, settings, on_progress=quiet).step_losses, weights(model)

    for dropout in (0.0, 0.3):  # the order of batches alone, and dropout too
        (first, ours), (second, same), (third, _) = run(0, dropout), run(0, dropout), run(1, dropout)
        assert first == second and torch.equal(ours, same)
        assert first != third


class StopAt:
    """A progress callback that presses stop after a step."""

    def __init__(self, step: int) -> None:
        self.step, self.seen = step, 0

    def __call__(self, progress: training.Progress) -> None:
        self.seen = progress.step
        if progress.step == self.step:
            raise KeyboardInterrupt


def test_stopped_in_the_third_epoch_the_best_finished_epoch_is_kept(encoded):
    model, twin = make_model(), make_model()
    history = training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=StopAt(8))  # 3 steps an epoch
    assert history.interrupted and not history.finished and len(history.records) == 2
    best = [record.validation_accuracy for record in history.records]
    assert history.best_epoch == 1 + int(np.argmax(best))
    training.fit(twin, encoded, VALIDATION, SETTINGS, on_progress=quiet, max_steps=3 * int(history.best_epoch))
    assert torch.equal(weights(model), weights(twin))
    assert prediction.evaluate(model, VALIDATION).accuracy == max(best)


def test_stopped_before_the_first_epoch_ends_what_was_learned_is_kept(encoded):
    model = make_model()
    before = weights(model)
    history = training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=StopAt(2))
    assert history.interrupted and history.best_epoch is None and history.records == []
    assert len(history.step_losses) == 2 and not torch.equal(weights(model), before)
    assert not model.training


@pytest.mark.parametrize("stop", [1, 3, 7, 11])
def test_a_run_stopped_and_resumed_is_the_run_that_never_stopped(encoded, stop):
    whole, model = make_model(dropout=0.3), make_model(dropout=0.3)
    expected = training.fit(whole, encoded, VALIDATION, SETTINGS, on_progress=quiet)
    history = training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=StopAt(stop))
    torch.rand(5)
    resumed = training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=quiet, resume=history)
    assert resumed.finished and resumed.step_losses == expected.step_losses
    assert torch.equal(weights(model), weights(whole))


def test_a_stop_in_the_last_step_of_an_epoch_waits_for_its_measurement(encoded):
    for step, num_records in ((3, 1), (12, 4)):
        history = training.fit(make_model(), encoded, VALIDATION, SETTINGS, on_progress=StopAt(step))
        assert history.interrupted and len(history.records) == num_records
        assert history.finished == (step == 12)


@pytest.mark.parametrize("epoch", [1, 4])
def test_stopped_while_measuring_an_epoch_the_resumed_run_measures_it(encoded, monkeypatch, epoch):
    whole, model = make_model(dropout=0.3), make_model(dropout=0.3)
    expected = training.fit(whole, encoded, VALIDATION, SETTINGS, on_progress=quiet)
    measure, calls = prediction.evaluate, []

    def stop_once(*arguments, **options):
        calls.append(arguments)
        if len(calls) == epoch:
            raise KeyboardInterrupt
        return measure(*arguments, **options)

    monkeypatch.setattr(training, "evaluate", stop_once)
    history = training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=quiet)
    assert history.interrupted and len(history.records) == epoch - 1
    resumed = training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=quiet, resume=history)
    assert resumed.finished and [record.epoch for record in resumed.records] == [1, 2, 3, 4]
    assert resumed.step_losses == expected.step_losses and torch.equal(weights(model), weights(whole))


def test_a_run_paused_by_max_steps_goes_on_too_and_a_finished_one_does_not(encoded):
    whole, model = make_model(dropout=0.3), make_model(dropout=0.3)
    expected = training.fit(whole, encoded, VALIDATION, SETTINGS, on_progress=quiet)
    history = training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=quiet, max_steps=6)
    assert (len(history.step_losses), history.finished, history.records[-1].epoch) == (6, False, 2)
    history = training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=quiet, resume=history)
    assert history.step_losses == expected.step_losses and torch.equal(weights(model), weights(whole))
    with pytest.raises(ValueError, match=r"run has finished"):
        training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=quiet, resume=history)


def test_a_loss_that_is_no_number_says_so_and_what_to_lower(encoded):
    model = make_model()
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"became nan at step 1.*smaller learning_rate than 0.05"):
        training.fit(model, encoded, VALIDATION, SETTINGS, on_progress=quiet)


def test_progress_tells_where_the_run_stands(encoded):
    seen: list[training.Progress] = []
    training.fit(make_model(), encoded, VALIDATION, SETTINGS, on_progress=seen.append)
    assert [p.step for p in seen] == list(range(1, 13)) and {p.num_steps for p in seen} == {12}
    assert [p.epoch for p in seen] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert seen[-1].seconds_left == 0 and all(p.seconds_left > 0 for p in seen[:-1])
    assert all(p.tokens_per_second > 0 for p in seen)


def test_without_a_callback_a_bar_is_shown(encoded, monkeypatch, capsys):
    import tqdm.auto

    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    steps: list[int] = []

    class Bar:
        def __init__(self, total, **options):
            steps.append(total)

        def set_postfix(self, **values):
            assert set(values) >= {"epoch", "loss"}

        def update(self):
            steps.append(1)

        def close(self):
            steps.append(0)

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    training.fit(make_model(), encoded, VALIDATION, dataclasses.replace(SETTINGS, num_epochs=1))
    assert steps == [3, 1, 1, 1, 0]


def test_frozen_parameters_do_not_move(tiny_bert, encoded):
    tiny_bert.bert.requires_grad_(False)
    before = weights(tiny_bert.bert)
    head = weights(tiny_bert.classifier)
    training.fit(tiny_bert, encoded, VALIDATION, SETTINGS, on_progress=quiet)
    assert torch.equal(weights(tiny_bert.bert), before) and not torch.equal(weights(tiny_bert.classifier), head)


def test_nothing_to_train_on_is_refused(encoded):
    nothing = encoded.take(np.array([], dtype=int))
    for parts in ((nothing, VALIDATION), (encoded, nothing)):
        with pytest.raises(ValueError, match=r"at least one training text and one validation text"):
            training.fit(make_model(), *parts, SETTINGS, on_progress=quiet)
    with pytest.raises(ValueError, match=r"Every parameter is frozen"):
        training.fit(make_model().requires_grad_(False), encoded, VALIDATION, SETTINGS, on_progress=quiet)


@pytest.mark.parametrize("wrong", [{"num_epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"learning_rate": math.nan}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must be 1 or more, and learning_rate above 0"):
        Settings(**wrong)


def test_bfloat16_products_give_nearly_the_same_logits_in_float32(encoded, monkeypatch):
    model = make_model().eval()
    exact = prediction.predict_logits(model, encoded)
    monkeypatch.setattr(runtime, "has_fast_bfloat16", lambda: True)
    rough = prediction.predict_logits(model, encoded)
    assert rough.dtype == torch.float32 and not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.03, rtol=0.1)


def test_the_rate_of_steps_is_their_flops_in_the_median_time_and_the_model_is_not_trained(tiny_bert, monkeypatch):
    ticks = iter([0, 9, 10, 14, 20, 22, 30, 33])  # seconds 9 (warming up), 4, 2, 3
    monkeypatch.setattr(runtime.time, "perf_counter", lambda: next(ticks))
    before = weights(tiny_bert)
    rate = cost.step_rate(tiny_bert, batch_size=4, num_tokens=6)
    matrices = 2 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 16 * 16  # two layers; keys and values of the third
    assert rate == 4 * 6 * (6 * matrices + 12 * 2 * 16 * 6) / 3
    assert torch.equal(weights(tiny_bert), before)


# --- saving


def test_a_model_saved_and_loaded_predicts_the_same(encoded, tmp_path):
    model, other = make_model(1), make_model(2)
    folder = training.save_model(model, tmp_path / "mine", settings=SETTINGS)
    loaded = training.load_model(other, folder)
    torch.testing.assert_close(
        prediction.predict_logits(loaded, encoded), prediction.predict_logits(model, encoded), rtol=0, atol=0
    )
    assert not loaded.training
    assert Settings(**json.loads((folder / "settings.json").read_text())) == SETTINGS


def test_a_saved_model_is_never_written_over(tmp_path):
    training.save_model(make_model(1), tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(FileExistsError, match=r"exists already and is kept"):
        training.save_model(make_model(2), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_missing_damaged_or_unfitting_model_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model in .*absent.*save_model"):
        training.load_model(make_model(), tmp_path / "absent")
    file = training.save_model(make_model(), tmp_path / "mine") / "model.safetensors"
    with pytest.raises(ValueError, match=r"model.safetensors is damaged or comes from a model of another shape"):
        training.load_model(LSTMClassifier(12, embedding_size=9), file.parent)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged.*train and save again"):
        training.load_model(make_model(), file.parent)


# --- choices that buy speed or memory


class Counting(nn.Module):
    """Passes batches on to a model and counts what it costs: calls, token places and real tokens."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.calls, self.places, self.tokens = model, 0, 0, 0

    def forward(self, input_ids, attention_mask):
        self.calls += 1
        self.places += attention_mask.numel()
        self.tokens += int(attention_mask.sum())
        return self.model(input_ids, attention_mask)


LONGER = make_encoded(200, longest=60)


def test_an_epoch_computes_each_token_once_with_little_padding():
    costs = {}
    for bucketed in (True, False):
        model = Counting(make_model())
        settings = Settings(num_epochs=1, batch_size=8, bucketed=bucketed)
        training.fit(model, LONGER, VALIDATION, settings, on_progress=quiet)
        read_in_validation = VALIDATION.lengths.sum()
        assert model.tokens == LONGER.lengths.sum() + read_in_validation
        assert model.calls == 25 + 1
        costs[bucketed] = model.places
    assert costs[True] < 1.1 * LONGER.lengths.sum() < 1.4 * LONGER.lengths.sum() < costs[False]


def test_a_step_takes_one_pass_and_one_update_of_all_parameters(tiny_bert, encoded):
    """The regression guard of the step: what is computed is counted, not timed."""
    from torch.profiler import ProfilerActivity, profile

    optimizer = training.make_optimizer(tiny_bert, Settings())
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        training.train_one_epoch(tiny_bert, encoded, optimizer, batches=[np.arange(8)])
    calls = {event.key: event.count for event in seen.key_averages()}
    linear = 3 * 6 + 2  # 3 layers of q, k, v, attention output, up and down; pooler and head
    assert calls["aten::addmm"] == linear
    assert calls["aten::mm"] <= 2 * linear  # gradients of inputs and of weights
    assert calls["aten::_fused_adamw_"] == 2  # one call for each parameter group
    assert "aten::native_dropout" not in calls and "aten::bernoulli_" not in calls


def test_a_batch_in_pieces_gives_the_gradient_of_the_whole_in_less_memory(encoded):
    whole, model = make_model(dropout=0.0), Counting(make_model(dropout=0.0))
    losses = []
    for m, budget in ((whole, None), (model, 20)):
        optimizer, settings = torch.optim.SGD(m.parameters(), lr=1.0), Settings(max_grad_norm=1e9, max_tokens=budget)
        losses.append(training.train_one_epoch(m, encoded, optimizer, batches=[np.arange(24)], settings=settings))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    torch.testing.assert_close(weights(model), weights(whole), rtol=1e-4, atol=1e-6)
    assert model.calls > 3 and model.tokens == encoded.lengths.sum()
    assert model.places < len(encoded) * encoded.lengths.max()  # pieces are padded to their own longest text


def test_a_run_in_pieces_takes_the_same_steps_and_tells_the_same_tokens(encoded):
    whole, pieces = (
        training.fit(make_model(dropout=0.0), encoded, VALIDATION, settings, on_progress=quiet)
        for settings in (SETTINGS, dataclasses.replace(SETTINGS, max_tokens=16))
    )
    assert pieces.step_losses == pytest.approx(whole.step_losses, rel=1e-3)
    assert pieces.tokens == whole.tokens


def test_an_optimizer_that_is_not_fused_takes_the_same_steps(encoded):
    fused, plain = make_model(dropout=0.0), make_model(dropout=0.0)
    for model, settings in ((fused, SETTINGS), (plain, dataclasses.replace(SETTINGS, fused=False))):
        optimizer = training.make_optimizer(model, settings)
        assert optimizer.defaults["fused"] is settings.fused
        training.train_one_epoch(model, encoded, optimizer, batches=[np.arange(8), np.arange(8, 24)])
    torch.testing.assert_close(weights(fused), weights(plain), rtol=1e-5, atol=1e-6)


def test_precision_is_one_argument_of_steps_and_of_prediction(encoded):
    model, twin = make_model(dropout=0.0), make_model(dropout=0.0)
    exact, rough = (prediction.predict_logits(model, encoded, precision=p) for p in ("float32", "bfloat16"))
    assert rough.dtype == torch.float32 and not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.03, rtol=0.1)
    first, second = (
        training.fit(m, encoded, VALIDATION, dataclasses.replace(SETTINGS, num_epochs=1, precision=p), on_progress=quiet)
        for m, p in ((model, "float32"), (twin, "bfloat16"))
    )
    assert first.step_losses != second.step_losses
    assert first.step_losses == pytest.approx(second.step_losses, abs=0.05)
    with pytest.raises(ValueError, match=r"precision must be 'float32', 'bfloat16' or None, not 'float16'"):
        Settings(precision="float16")


def test_prediction_keeps_to_the_budget_of_the_model_and_says_how_far_it_is(tiny_bert, encoded, monkeypatch):
    budgets = [prediction.token_budget(tiny_bert, precision) for precision in ("float32", "bfloat16")]
    assert [*budgets, prediction.token_budget(make_model())] == [2_048, 4_096, 16_384]  # the same bytes, where it is BERT
    model = Counting(make_model())
    plain = prediction.predict_logits(model, LONGER, max_tokens=300)
    assert model.tokens == LONGER.lengths.sum() and model.places <= 1.1 * model.tokens
    assert model.calls >= model.places / 300
    monkeypatch.setattr(training, "token_budget", lambda model, precision: 300)
    told: list[str] = []

    def bar(batches, *, desc, unit):
        told.extend([desc, unit])
        return batches

    monkeypatch.setattr("tqdm.auto.tqdm", bar)
    before = model.calls
    again = prediction.predict_logits(model, LONGER, progress=True)
    assert torch.equal(plain, again) and model.calls == 2 * before
    assert told == ["predicting", "batch"]


def test_flops_are_those_that_torch_counts(tiny_bert, encoded):
    from torch.utils.flop_counter import FlopCounterMode

    tiny_bert.set_attn_implementation("eager")
    batches = make_batches(LONGER.lengths, batch_size=50)
    whole = {"every_token": True}
    for frozen, trains, options in ((0, False, whole), (0, True, whole), (2, True, whole), (0, False, {}), (0, True, {})):
        tiny_bert.requires_grad_(True)
        tiny_bert.bert.embeddings.requires_grad_(False)
        tiny_bert.bert.encoder.layer[:frozen].requires_grad_(False)
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(trains):
            for batch in batches:
                logits = prediction.model_logits(tiny_bert, collate(LONGER, batch), **options)
                if trains:
                    logits.sum().backward()
        counted = cost.count_flops(tiny_bert, LONGER.lengths, batches, trains=trains, **options)
        assert counted == pytest.approx(counter.get_total_flops(), rel=0.06)


@pytest.mark.slow
def test_bulk_prediction_gives_the_probabilities_of_the_pipeline():
    from helpers import make_reviews
    from transformers import pipeline

    from course_utils import pretrained, text

    sentences = [
        ("A moving, funny film.", "Dull.", "It made me want to leave, and I stayed.")[i % 3] * (1 + i % 4) for i in range(9)
    ]
    model, tokenizer = pretrained.load_classifier(), pretrained.load_tokenizer()
    ours = prediction.predict_proba(
        model, text.encode_wordpieces(make_reviews(*sentences), tokenizer, max_length=32), max_tokens=64
    )
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu", batch_size=4)
    answers = classify(sentences, top_k=None, truncation=True, max_length=32)
    theirs = [[score["score"] for score in sorted(answer, key=lambda s: s["label"])] for answer in answers]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.ptp(ours[:, 0]) > 1e-3  # the sentences get different answers


def test_batches_of_an_epoch_are_bucketed_and_shuffled(encoded, monkeypatch):
    asked: list[dict] = []

    def spy(lengths, **options):
        asked.append(options)
        return make_batches(lengths, **options)

    monkeypatch.setattr(training, "make_batches", spy)
    training.fit(make_model(), encoded, VALIDATION, SETTINGS, on_progress=quiet)
    training_calls = [options for options in asked if options.get("generator") is not None]
    assert len(training_calls) == 4 and all(options["batch_size"] == 8 for options in training_calls)
