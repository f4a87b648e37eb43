"""Conversations: ids, labels and losses against transformers, on a tiny Llama and a tiny GPT-2; answers, and the loop."""

import copy
import math

import numpy as np
import peft
import pytest
import torch
from tiny_gguf import metadata
from transformers import (
    DataCollatorForSeq2Seq,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainingArguments,
)

from course_utils import chat, language_model, pretrained
from course_utils.batching import make_batches
from course_utils.device import choose_precision

MESSAGES = [{"role": "user", "content": "a film"}]


@pytest.fixture(scope="module")
def tokenizer():
    return language_model.make_tokenizer(metadata())


@pytest.fixture(params=["llama", "gpt2"])
def model(request):
    torch.manual_seed(0)
    size = {"vocab_size": 23, "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    if request.param == "gpt2":
        dropout = dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0)
        return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, **dropout, **size)).eval()
    config = LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                         num_key_value_heads=1, tie_word_embeddings=True, **size)  # fmt: skip
    return LlamaForCausalLM(config).eval()


def rows(tokenizer):
    return [chat.encode(tokenizer, [{"role": "user", "content": text}], answer)
            for text, answer in (("a film", "a"), ("a lemma is a film 12", "i"), ("a", "f"))]  # fmt: skip


# --- ids and labels


def test_ids_are_those_of_the_template_and_only_the_answer_and_the_end_have_labels(tokenizer):
    ids, labels = chat.encode(tokenizer, MESSAGES, "a")
    whole = tokenizer.apply_chat_template([*MESSAGES, {"role": "assistant", "content": "a"}], tokenize=False)
    assert tokenizer.decode(ids) == chat.prompt_text(tokenizer, MESSAGES) + "a<|im_end|>"
    assert whole.startswith(chat.prompt_text(tokenizer, MESSAGES))
    assert [label for label in labels if label != -100] == [*tokenizer("a")["input_ids"], tokenizer.eos_token_id]
    assert ids[-2:] == labels[-2:] and len(ids) == len(labels)


def test_a_batch_is_padded_and_padding_is_neither_attended_to_nor_in_the_loss(tokenizer):
    encoded = rows(tokenizer)
    batch = chat.collate(encoded, padding=2)
    longest = max(len(ids) for ids, _ in encoded)
    assert {name: tuple(values.shape) for name, values in batch.items()} == dict.fromkeys(batch, (3, longest))
    for row, (ids, labels) in enumerate(encoded):
        assert batch["attention_mask"][row].sum() == len(ids)
        assert batch["input_ids"][row, : len(ids)].tolist() == ids and (batch["labels"][row, len(ids) :] == -100).all()
        assert batch["labels"][row, : len(ids)].tolist() == labels


def test_no_template_no_end_token_and_too_long_a_text_are_one_sentence_each(tokenizer):
    bare = language_model.make_tokenizer({name: v for name, v in metadata().items() if name != "tokenizer.chat_template"})
    with pytest.raises(ValueError, match=r"has no chat template, because .*\. Choose an instruction-tuned model"):
        chat.encode(bare, MESSAGES, "a")
    with pytest.raises(ValueError, match=r"has 36 tokens, and the model reads at most 32. Shorten the text"):
        chat.encode(tokenizer, [{"role": "user", "content": "a" * 32}], "a")
    assert len(chat.encode(tokenizer, [{"role": "user", "content": "a" * 32}], "a", longest=36)[0]) == 36
    endless = language_model.make_tokenizer(metadata())
    endless.eos_token = None
    with pytest.raises(ValueError, match=r"no end token, so the model cannot learn to stop"):
        chat.encode(endless, MESSAGES, "a")


# --- losses


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_loss_and_its_gradient_are_those_of_transformers(tokenizer, model, wrapped):
    if wrapped:
        model = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    batch = chat.collate(rows(tokenizer), padding=2)
    weight = next(weight for weight in model.parameters() if weight.requires_grad)
    ours, theirs = chat.answer_loss(model, **batch), model(**batch).loss
    torch.testing.assert_close(ours, theirs)
    pairs = zip(torch.autograd.grad(ours, weight), torch.autograd.grad(theirs, weight), strict=True)
    for mine, library in pairs:
        torch.testing.assert_close(mine, library, rtol=1e-3, atol=1e-6)


def test_log_probabilities_are_sums_over_each_answer_alone(tokenizer, model):
    encoded = rows(tokenizer)
    with torch.no_grad():
        together = chat.answer_log_probabilities(model, **chat.collate(encoded, padding=2))
        for row, (ids, labels) in enumerate(encoded):
            spread = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
            by_hand = sum(spread[t - 1, label] for t, label in enumerate(labels) if label != -100)
            torch.testing.assert_close(together[row], by_hand, rtol=1e-4, atol=1e-4)


# --- answers


def test_label_logits_are_those_of_each_prompt_alone(tokenizer, model):
    prompts = ["a film", "a", "a lemma is a"]
    found = chat.label_logits(tokenizer, model, prompts, ["a", "f"], batch_size=2)
    for prompt, logits in zip(prompts, found, strict=True):
        with torch.no_grad():
            last = model(**tokenizer(prompt, return_tensors="pt")).logits[0, -1]
        expected = last[[tokenizer("a")["input_ids"][0], tokenizer("f")["input_ids"][0]]]
        np.testing.assert_allclose(logits, expected.float().numpy(), rtol=0.05, atol=0.05)
    with pytest.raises(ValueError, match=r"'film' is not one token\. Choose another word"):
        chat.label_logits(tokenizer, model, prompts, ["film", "a"])


def test_answers_are_those_of_each_prompt_alone_and_wrong_if_padded_on_the_right(tokenizer, model):
    prompts = ["a film 1232 a film", "a", "fil"]
    found = chat.write_answers(tokenizer, model, prompts, new_tokens=5)
    for prompt, (text, ended) in zip(prompts, found, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")
        with torch.no_grad():
            written = model.generate(**ids, max_new_tokens=5, do_sample=False)[0, ids["input_ids"].shape[1] :].tolist()
        assert text == tokenizer.decode(written, skip_special_tokens=True) and ended == (2 in written)
    assert chat.write_answers(tokenizer, model, prompts, new_tokens=5, padding_side="right") != found


# --- training


@pytest.fixture
def four(tokenizer):
    """Return prompts and rows of four questions with one answer each."""
    messages = [[{"role": "user", "content": text}] for text in "aefl"]
    encoded = [chat.encode(tokenizer, message, answer) for message, answer in zip(messages, "1230", strict=True)]
    return [chat.prompt_text(tokenizer, message) for message in messages], encoded


def test_given_the_same_batches_it_takes_the_steps_of_trainer(tokenizer, model, four, tmp_path):
    encoded, theirs = four[1] * 5, copy.deepcopy(model)
    lengths = [len(ids) for ids, _ in encoded]
    options = {"batch_size": 4, "generator": torch.Generator().manual_seed(3)}
    order = np.concatenate(list(make_batches(np.array(lengths), **options)))
    ours = chat.fine_tune(
        model, lengths, chat.loss_of_rows(model, encoded, padding=2), learning_rate=1e-2, batch_size=4, seed=3
    )
    arguments = TrainingArguments(
        str(tmp_path), num_train_epochs=1, per_device_train_batch_size=4, learning_rate=1e-2, weight_decay=0.0, use_cpu=True,
        bf16=choose_precision(torch.device("cpu")) == torch.bfloat16, train_sampling_strategy="sequential",
        logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
    )  # fmt: skip
    examples = [{"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels} for ids, labels in encoded]
    trainer = Trainer(theirs, arguments, train_dataset=[examples[i] for i in order],
                      data_collator=DataCollatorForSeq2Seq(tokenizer))  # fmt: skip
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    np.testing.assert_allclose(ours, losses, rtol=0.02)
    assert min(ours) < 0.8 * ours[0]  # they were not the same for want of learning


def test_a_model_learns_four_answers_and_to_stop(tokenizer, model, four):
    prompts, encoded = four
    steps: list[int] = []
    losses = chat.fine_tune(
        model, [len(ids) for ids, _ in encoded], chat.loss_of_rows(model, encoded, padding=2),
        learning_rate=1e-2, batch_size=2, num_epochs=25, on_step=lambda: steps.append(1),
    )  # fmt: skip
    assert len(losses) == len(steps) == 50 and np.mean(losses[-4:]) < 0.1 * np.mean(losses[:4])
    assert chat.write_answers(tokenizer, model, prompts, new_tokens=4) == [(answer, True) for answer in "1230"]


def test_lora_lowers_the_loss_and_leaves_what_is_frozen_and_nothing_to_train_is_refused(model, four):
    encoded = four[1]
    lengths = [len(ids) for ids, _ in encoded]
    for weight in model.parameters():
        weight.requires_grad_(False)
    with pytest.raises(ValueError, match=r"Every parameter is frozen.*Add LoRA"):
        chat.fine_tune(model, lengths, chat.loss_of_rows(model, encoded, padding=2))
    torch.manual_seed(0)
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    before = {name: weight.clone() for name, weight in tuned.named_parameters() if not weight.requires_grad}
    loss_of = chat.loss_of_rows(tuned, encoded, padding=2)
    losses = chat.fine_tune(tuned, lengths, loss_of, learning_rate=1e-2, batch_size=4, num_epochs=40)
    assert losses[-1] < 0.4 * losses[0]
    assert all(torch.equal(weight, before[name]) for name, weight in tuned.named_parameters() if name in before)


# --- checkpoints of the hub's kinds


def test_a_folder_of_gpt2_with_a_tied_head_is_whole_and_one_with_a_missing_layer_is_not(tokenizer, tmp_path):
    size = {"vocab_size": 23, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
    model = GPT2LMHeadModel(GPT2Config(**size, bos_token_id=1, eos_token_id=2)).eval()
    model.save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    loaded = pretrained.load_language_model(str(tmp_path / "gpt2"))
    assert loaded.lm_head.weight is loaded.transformer.wte.weight
    ids = torch.tensor([[3, 4, 5]])
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits)
    state = {name: value for name, value in model.state_dict().items() if ".h.1.mlp" not in name and "lm_head" not in name}
    model.save_pretrained(tmp_path / "half", state_dict=state)
    with pytest.raises(ValueError, match=r"is not whole: transformer.h.1.mlp.*is missing"):
        pretrained.load_language_model(str(tmp_path / "half"))


def test_the_first_loss_of_dpo_is_log_2():
    zero = torch.zeros(4)
    assert -torch.nn.functional.logsigmoid(0.1 * zero).mean().item() == pytest.approx(math.log(2))
