"""Where models run and how precisely: devices without having one, precision against transformers' own, and a clean exit."""

import copy
import dataclasses
from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
import torch
from helpers import batch_of, make_encoded, quiet, weights
from torch import nn
from torch._subclasses import FakeTensorMode
from transformers import BertConfig, BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification

from course_utils import batching, device, layers, models, prediction, training
from course_utils.training import TrainingConfig, fit

ENCODED = make_encoded(10)
SIZES = {"vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def inputs_of(dataset, indices=None) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in batch_of(dataset, indices).items() if name != "labels"}


# --- devices


def test_the_best_device_is_chosen(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.choose_device().type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.choose_device().type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.choose_device().type == "cuda"


@pytest.mark.parametrize(("amx", "avx", "dtype"), [(0, 0, torch.float32), (1, 0, torch.bfloat16), (0, 1, torch.bfloat16)])
def test_bfloat16_only_where_hardware_has_it(monkeypatch, amx, avx, dtype):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx), raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx), raising=False)
    assert device.choose_precision(torch.device("cpu")) == dtype
    assert device.choose_precision(torch.device("mps")) == torch.float32
    with device.autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    with device.autocast(torch.device("cpu"), "no"):  # asked for by name, whatever the hardware
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_records_are_named_by_what_times_depend_on(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.machine_kind() == "cpu_float32"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert device.machine_kind() == "cpu_bfloat16"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert device.machine_kind() == "cpu_bfloat16_amx"


# --- a GPU, without having one: fake tensors have a device and no numbers, and refuse to be mixed


@pytest.fixture
def fake():
    with FakeTensorMode() as mode:
        yield mode


def on_gpu(build):
    """Return what `build` makes, on the fake GPU."""
    with torch.device("cuda"):
        return build()


def fake_batch(mode: FakeTensorMode, dataset=ENCODED) -> dict[str, torch.Tensor]:
    """Return a batch as `collate` makes it, on the CPU."""
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes():
        batch = batch_of(dataset)
    return {name: mode.from_tensor(tensor) for name, tensor in batch.items()}


def places(tensors) -> set[str]:
    return {tensor.device.type for tensor in tensors}


class Recurrent(nn.Module):
    """Stands in for `nn.LSTM`, whose kernels on a GPU want its driver even for fake tensors."""

    def __init__(self, width: int, hidden_size: int, *, batch_first: bool) -> None:
        super().__init__()
        self.hidden_size, self.layer = hidden_size, nn.Linear(width, hidden_size)

    def forward(self, embedded):
        return self.layer(embedded), None


def make_lstm(pooling: str) -> models.LSTMClassifier:
    with patch.object(nn, "LSTM", Recurrent):
        return models.LSTMClassifier(12, hidden_size=8, pooling=pooling, bidirectional=True, word_dropout=0.1)


CLASSIFIERS = {pooling: partial(make_lstm, pooling) for pooling in models.POOLINGS} | {
    "bert": lambda: device.prepare_for_bfloat16(BertForSequenceClassification(BertConfig(**SIZES)))
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_prediction_takes_its_batch_from_the_cpu_to_the_models_gpu(fake, name):
    model, batch = on_gpu(CLASSIFIERS[name]), fake_batch(fake)
    assert places(batch.values()) == {"cpu"} and places(model.parameters()) == {"cuda"}
    logits = prediction.model_logits(model, batch)
    assert (logits.device.type, logits.shape) == ("cuda", (10, 2)) and prediction.token_budget(model) == 16_384


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_batch_that_stays_on_the_cpu_is_noticed(fake, name):
    """Shows that the tests around this one can fail."""
    model, batch = on_gpu(CLASSIFIERS[name]), fake_batch(fake)
    with pytest.raises(RuntimeError, match="cuda:0"):
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    with pytest.raises(RuntimeError, match="cuda:0"):
        nn.functional.cross_entropy(prediction.model_logits(model, batch), batch["labels"])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_step_of_the_loop_stays_on_the_gpu(fake, name):
    """Forward, loss, clipping and AdamW. The engine of autograd wants a real GPU: see the next test for backward."""
    from accelerate.utils import send_to_device  # what a prepared DataLoader does to each batch

    model, batch = on_gpu(CLASSIFIERS[name]).train(), send_to_device(fake_batch(fake), "cuda")
    optimizer = training.make_optimizer(model, TrainingConfig())
    schedule = training.linear_schedule(optimizer, num_steps=4)
    labels = batch.pop("labels")
    output = model(**batch)
    loss = nn.functional.cross_entropy(getattr(output, "logits", output), labels)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    state = [tensor for values in optimizer.state.values() for tensor in values.values()]
    assert places([loss, norm, *model.parameters(), *state]) == {"cuda"} and len(state) == 3 * len(list(model.parameters()))


@pytest.mark.parametrize("adapted", [False, True])
def test_gradients_are_where_the_model_is(fake, adapted):
    """On the device "meta", the only one beside the CPU whose backward pass fake tensors can take without hardware."""
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig(**SIZES))
    if adapted:
        layers.add_adapters(model, size=4)
    batch = fake_batch(fake)
    labels = batch["labels"].to("meta")
    nn.functional.cross_entropy(prediction.model_logits(model, batch, mixed_precision="no"), labels).backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert places([*trained, *(p.grad for p in trained)]) == {"meta"}
    assert places([nn.utils.clip_grad_norm_(trained, 1.0)]) == {"meta"}


def test_adapters_are_on_the_models_gpu(fake):
    model = on_gpu(CLASSIFIERS["bert"])
    layers.add_adapters(model, size=4)
    assert places([*model.parameters(), prediction.model_logits(model, fake_batch(fake))]) == {"cuda"}


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_cached_states_go_on_on_the_gpu(fake, pooling):
    cached = batching.StatesDataset(tuple(np.ones((n, 16), np.float32) for n in (3, 1, 5)), np.array([0, 1, 0]))
    batch = fake_batch(fake, cached)
    upper = layers.UpperLayers(on_gpu(CLASSIFIERS["bert"]), 1, pooling=pooling)
    assert places(batch.values()) == {"cpu"}
    assert places([*upper.parameters(), prediction.model_logits(upper, batch)]) == {"cuda"}


@pytest.mark.parametrize("head", [BertForTokenClassification, BertForQuestionAnswering])
def test_heads_over_tokens_answer_on_the_gpu(fake, head):
    model = on_gpu(lambda: device.prepare_for_bfloat16(head(BertConfig(**SIZES, num_labels=2))))
    batch = fake_batch(fake)
    inputs = {name: batch[name].to(prediction.model_device(model)) for name in ("input_ids", "attention_mask")}
    assert places(model(**inputs).values()) == {"cuda"}
    with pytest.raises(RuntimeError, match="cuda:0"):
        model(**inputs | {"attention_mask": batch["attention_mask"], "input_ids": batch["input_ids"]})


# --- a GPU, for real

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")


@pytest.fixture
def trained_on_the_cpu(monkeypatch):
    """Return `fit` on the CPU, in float32, on a machine with a GPU."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    def accelerator_on_cpu(**options):
        AcceleratorState._reset_state(reset_partial_state=True)
        return Accelerator(cpu=True, **options)

    def run(model, train, validation, config):
        try:
            with monkeypatch.context() as patched:
                patched.setattr(training, "make_accelerator", accelerator_on_cpu)
                return fit(model, train, validation, dataclasses.replace(config, mixed_precision="no"), on_step=quiet)
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)

    return run


def test_the_run_on_the_cpu_that_a_gpu_is_compared_with_is_a_run(tiny_bert, trained_on_the_cpu):
    twin, config = copy.deepcopy(tiny_bert), TrainingConfig(1, 1e-3, 4, mixed_precision="no")
    on_cpu = trained_on_the_cpu(twin, ENCODED, ENCODED, config)
    assert places(twin.parameters()) == {"cpu"}
    assert on_cpu.step_losses == pytest.approx(fit(tiny_bert, ENCODED, ENCODED, config, on_step=quiet).step_losses, abs=1e-3)


@gpu
@pytest.mark.parametrize(("mixed_precision", "tolerance"), [("no", 1e-3), ("bf16", 0.05), (None, 0.05)])
def test_training_on_a_gpu_has_the_losses_of_the_cpu(tiny_bert, trained_on_the_cpu, mixed_precision, tolerance):
    twin, config = copy.deepcopy(tiny_bert), TrainingConfig(2, 1e-3, 4, mixed_precision=mixed_precision)
    history = fit(tiny_bert, ENCODED, ENCODED, config, on_step=quiet)
    assert places(tiny_bert.parameters()) == {"cuda"}
    on_cpu = trained_on_the_cpu(twin, ENCODED, ENCODED, config)
    assert history.step_losses == pytest.approx(on_cpu.step_losses, abs=tolerance)


@gpu
def test_on_a_gpu_attention_is_the_librarys_in_bfloat16_and_copies_come_from_pinned_memory(tiny_bert, monkeypatch):
    seen, sdpa = [], nn.functional.scaled_dot_product_attention
    spy = lambda q, *rest, **options: seen.append((q.device.type, q.dtype)) or sdpa(q, *rest, **options)  # noqa: E731
    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", spy)
    model = device.prepare_for_bfloat16(tiny_bert).to("cuda")
    (batch,) = batching.make_loader(ENCODED, batch_size=10)
    assert all(tensor.is_pinned() for tensor in batch.values())
    exact = prediction.model_logits(model, batch, mixed_precision="no")
    rough = prediction.model_logits(model, batch)
    assert seen == [("cuda", torch.float32)] * 3 + [("cuda", torch.bfloat16)] * 3
    torch.testing.assert_close(rough, exact, atol=0.1, rtol=0.1)


@gpu
def test_adapters_cached_states_and_heads_run_on_a_gpu(tiny_bert):
    model = tiny_bert.to("cuda")
    whole = prediction.predict_logits(model, ENCODED, mixed_precision="no")
    cached = layers.hidden_states(model, ENCODED, layer=2)
    upper = layers.UpperLayers(model, 2)
    torch.testing.assert_close(prediction.predict_logits(upper, cached, mixed_precision="no"), whole, atol=0.1, rtol=0.1)
    layers.add_adapters(model)
    history = fit(model, ENCODED, ENCODED, TrainingConfig(1, batch_size=4), on_step=quiet)
    assert places(model.parameters()) == {"cuda"} and np.isfinite(history.step_losses).all()
    for head in (BertForTokenClassification, BertForQuestionAnswering):
        other = head(BertConfig(**SIZES)).to("cuda")
        inputs = {name: tensor.to("cuda") for name, tensor in inputs_of(ENCODED).items()}
        sum(tensor.sum() for tensor in other(**inputs).values()).backward()
        assert places(p.grad for p in other.parameters() if p.grad is not None) == {"cuda"}


# --- attention in float32 and states in bfloat16, against transformers' plain model


@pytest.fixture
def fast(monkeypatch):
    """A CPU with fast bfloat16, whatever this machine has."""
    monkeypatch.setattr(device, "has_fast_bfloat16", lambda: True)
    monkeypatch.setattr(device, "choose_device", lambda: torch.device("cpu"))


def test_a_prepared_model_has_the_answers_and_gradients_of_the_plain_one(tiny_bert, fast):
    plain = copy.deepcopy(tiny_bert)
    ours = device.prepare_for_bfloat16(tiny_bert)
    assert (plain.config._attn_implementation, ours.config._attn_implementation) == ("sdpa", "sdpa_float32")
    inputs = inputs_of(ENCODED, range(4))  # texts of several lengths, so that there is padding to hide
    assert not inputs["attention_mask"].all()
    logits = [model(**inputs).logits for model in (ours, plain)]
    torch.testing.assert_close(*logits)
    for each in logits:
        each.square().sum().backward()
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_in_bfloat16_its_gradients_err_no_more_than_the_plain_models(tiny_bert, fast):
    plain = copy.deepcopy(tiny_bert)
    ours = device.prepare_for_bfloat16(copy.deepcopy(tiny_bert))
    inputs, gradients = inputs_of(ENCODED), []
    for model, mixed_precision in ((tiny_bert, "no"), (plain, "bf16"), (ours, "bf16")):
        prediction.model_logits(model, inputs, mixed_precision=mixed_precision).square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    exact, *rough = gradients
    errors = [float((each - exact).norm() / exact.norm()) for each in rough]
    assert 0 < errors[1] < 1.5 * errors[0] < 0.2


def test_causal_and_local_attention_are_the_librarys_too_and_another_choice_stays(fast):
    from transformers import GPT2Config, GPT2ForSequenceClassification, ModernBertConfig, ModernBertForSequenceClassification

    special = dict.fromkeys(("pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id"), 1)
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "vocab_size": 12, **special}
    local = ModernBertForSequenceClassification(ModernBertConfig(**sizes, intermediate_size=32, local_attention=2))
    causal = GPT2ForSequenceClassification(GPT2Config(**sizes))
    inputs = inputs_of(ENCODED, range(4))
    for model in (local.eval(), causal.eval()):
        own = model(**inputs).logits
        ours = device.prepare_for_bfloat16(model)(**inputs).logits
        assert model.config._attn_implementation == "sdpa_float32"
        torch.testing.assert_close(ours, own)
    causal.set_attn_implementation("eager")
    assert device.prepare_for_bfloat16(causal).config._attn_implementation == "eager"


def test_only_attention_that_is_differentiated_is_in_float32_beside_products_in_bfloat16(tiny_bert, fast, monkeypatch):
    seen, sdpa = [], nn.functional.scaled_dot_product_attention

    def spy(*arguments, **options):
        states = sdpa(*arguments, **options)
        seen.append(states.dtype)  # of the result: autocast converts what goes in
        return states

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", spy)
    ids = torch.tensor([[3, 4, 5]])
    for model in (copy.deepcopy(tiny_bert), device.prepare_for_bfloat16(tiny_bert)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert model(input_ids=ids).logits.dtype == torch.bfloat16
    assert seen == [torch.bfloat16] * 3 + [torch.float32] * 3
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):  # nothing to differentiate: bfloat16 is faster
        tiny_bert(input_ids=ids)
    layers.freeze_below(tiny_bert, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tiny_bert(input_ids=ids)
    assert seen[6:] == [torch.bfloat16] * 3 + [torch.bfloat16] * 2 + [torch.float32]  # frozen layers neither


def test_states_stay_in_bfloat16_from_layer_to_layer_and_logits_err_less_than_twice_as_much(tiny_bert):
    inputs = inputs_of(ENCODED, range(4))
    own, ours = copy.deepcopy(tiny_bert), device.prepare_for_bfloat16(tiny_bert)
    seen: list[torch.dtype] = []
    for model in (own, ours):
        for layer in model.bert.encoder.layer:
            layer.register_forward_hook(lambda module, inputs, states: seen.append(states.dtype))
    with torch.no_grad():
        exact = own(**inputs).logits
        assert torch.equal(ours(**inputs).logits, exact)  # outside of autocast nothing is lowered
        del seen[:]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            errors = [(model(**inputs).logits - exact).square().mean().sqrt() for model in (own, ours)]
    assert seen == [torch.float32] * 3 + [torch.bfloat16] * 3
    assert 0 < errors[1] < 2 * errors[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours(**inputs).logits.sum().backward()
    assert {p.grad.dtype for p in ours.parameters()} == {torch.float32}  # nor are weights and their gradients


def test_upper_layers_go_on_in_bfloat16_as_the_whole_model_does(tiny_bert):
    model = device.prepare_for_bfloat16(tiny_bert)
    inputs = inputs_of(ENCODED, range(4))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        whole = model(**inputs).logits
        states = model.bert.embeddings(input_ids=inputs["input_ids"]).float()  # as hidden_states keeps them
        upper = layers.UpperLayers(model, 0)
        logits, last = upper(states, inputs["attention_mask"]), upper.states(states, inputs["attention_mask"])
    torch.testing.assert_close(logits, whole, atol=0.01, rtol=0.01)
    assert last.dtype == torch.bfloat16


def test_a_model_is_prepared_once_and_can_be_left_plain(tiny_bert, fast, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setenv("COURSE_PLAIN_MODELS", "1")
        plain = device.prepare_for_bfloat16(copy.deepcopy(tiny_bert))
    assert not plain.bert.embeddings._forward_hooks and plain.config._attn_implementation == "sdpa"
    twice = device.prepare_for_bfloat16(device.prepare_for_bfloat16(tiny_bert))
    assert len(twice.bert.embeddings._forward_hooks) == 1


def test_on_a_processor_without_bfloat16_or_with_a_gpu_attention_stays_the_librarys(tiny_bert, monkeypatch):
    for has, kind in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(device, "has_fast_bfloat16", lambda has=has: has)
        monkeypatch.setattr(device, "choose_device", lambda kind=kind: torch.device(kind))
        assert device.prepare_for_bfloat16(copy.deepcopy(tiny_bert)).config._attn_implementation == "sdpa"


def test_the_attention_chosen_here_is_not_written_into_the_folder(tiny_bert, fast, tmp_path):
    device.prepare_for_bfloat16(tiny_bert).save_pretrained(tmp_path)
    assert "sdpa_float32" not in (tmp_path / "config.json").read_text()


# --- Accelerate in and out


def test_one_process_trains_in_both_precisions():
    for mixed_precision in ("bf16", "no", "bf16"):
        accelerator = device.make_accelerator(mixed_precision=mixed_precision, gradient_accumulation_steps=3)
        assert (accelerator.mixed_precision, accelerator.gradient_accumulation_steps) == (mixed_precision, 3)


def test_without_a_choice_it_trains_in_what_the_device_does_well(monkeypatch):
    for fast, mixed_precision in ((False, "no"), (True, "bf16")):
        monkeypatch.setattr(device, "choose_precision", lambda _, fast=fast: torch.bfloat16 if fast else torch.float32)
        assert device.make_accelerator().mixed_precision == mixed_precision


def test_every_run_of_a_model_computes_in_its_own_precision_and_leaves_the_model_as_it_was(tiny_bert, encoded):
    seen: list[torch.dtype] = []
    tiny_bert.bert.encoder.layer[0].output.dense.register_forward_hook(lambda *arguments: seen.append(arguments[2].dtype))
    attributes = set(vars(tiny_bert))
    for mixed_precision in ("bf16", "no", "bf16"):
        seen.clear()
        config = TrainingConfig(1, batch_size=12, mixed_precision=mixed_precision)
        fit(tiny_bert, encoded, encoded, config, on_step=quiet)
        assert set(seen) == {device.DTYPES[mixed_precision]} and len(seen) == 3  # two batches to train on, one to validate
        assert set(vars(tiny_bert)) == attributes
        assert tiny_bert(input_ids=torch.tensor([[3]])).logits.dtype == torch.float32
    copy.deepcopy(tiny_bert)


@pytest.mark.parametrize("mixed_precision", ["no", "bf16"])
def test_a_forward_of_the_models_own_is_kept(tiny_bert, encoded, mixed_precision):
    calls: list[int] = []
    own, plain = (lambda **inputs: calls.append(1) or plain(**inputs)), tiny_bert.forward
    tiny_bert.forward = own
    fit(tiny_bert, encoded, encoded, TrainingConfig(1, mixed_precision=mixed_precision), on_step=quiet)
    assert vars(tiny_bert)["forward"] is own and len(calls) == 2


# --- bfloat16 on processors that have it

HAS_BFLOAT16 = device.has_fast_bfloat16()  # read before conftest's patch


@pytest.mark.skipif(not HAS_BFLOAT16, reason="this processor has no fast bfloat16")
def test_here_where_bfloat16_is_fast_a_loaded_classifier_trains_close_to_float32(tiny_bert, encoded, fast):
    prepared, plain = device.prepare_for_bfloat16(copy.deepcopy(tiny_bert)), tiny_bert
    before = weights(plain)
    rough = fit(prepared, encoded, encoded, TrainingConfig(2, 1e-3, 8, mixed_precision="bf16"), on_step=quiet)
    exact = fit(plain, encoded, encoded, TrainingConfig(2, 1e-3, 8, mixed_precision="no"), on_step=quiet)
    assert rough.step_losses != exact.step_losses
    assert rough.step_losses == pytest.approx(exact.step_losses, abs=0.05)
    steps = [weights(model) - before for model in (prepared, plain)]
    assert nn.functional.cosine_similarity(*steps, dim=0) > 0.8


# --- loading


def test_loading_is_quiet_and_leaves_the_library_as_loud_as_it_was():
    from transformers.utils import logging

    logging.set_verbosity_warning()
    logging.enable_progress_bar()
    with pytest.raises(RuntimeError, match="stop"), device.quiet_loading():
        assert logging.get_verbosity() == logging.ERROR and not logging.is_progress_bar_enabled()
        raise RuntimeError("stop")
    assert logging.get_verbosity() == logging.WARNING and logging.is_progress_bar_enabled()
