"""A checkpoint and a table so small that a model of one's own takes a second."""

from pathlib import Path

import torch

from course_utils.device import quiet_loading
from course_utils.files import write_manifest
from course_utils.finetune import intake

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "fine", "film", "one", "two", "three", "four", "five", "six"]


def make_checkpoint(folder: Path) -> str:
    """Write a BERT of one layer with a tokenizer of 14 words to a folder, and return its path."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    special = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, initializer_range=0.4, **sizes)
    BertModel(config).save_pretrained(folder)  # with words far enough apart to learn from
    return str(folder)


def make_finished(folder: Path) -> Path:
    """Return a new folder as a finished run leaves it: a classifier with random weights, its tokenizer, a manifest."""
    from transformers import BertForSequenceClassification

    make_checkpoint(folder)
    with quiet_loading():
        model = BertForSequenceClassification.from_pretrained(folder, id2label={0: "no", 1: "yes"})
        torch.nn.init.normal_(model.classifier.weight)
        model.save_pretrained(folder)
    (folder / "README.md").write_text("# A card\n")
    write_manifest(folder)
    return folder


def make_table(folder: Path) -> intake.Table:
    """Return 120 sentences of which 'good' and 'bad' give the label away, a third of them good, and two faults."""
    path = folder / "films.csv"
    numbers = [f"{a} {b} {c}" for a in WORDS[8:12] for b in WORDS[8:14] for c in WORDS[8:13]]
    rows = [f"{'bad' if i % 3 else 'good'} film {number},{'no' if i % 3 else 'yes'}" for i, number in enumerate(numbers)]
    path.write_text("\n".join(["text,kind", *rows, ",no", "a, b,yes"]) + "\n")
    return intake.read_table(path, text_column="text", label_column="kind")
