"""What the tests share: no network, no windows, small models and small data, all seeded."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub
os.environ.setdefault("TQDM_DISABLE", "1")

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import pytest
import torch
from helpers import make_encoded

from course_utils.batching import TokenDataset
from tools import release

torch.set_num_threads(1)  # small tensors: a second thread only waits, and for long where the machine is busy


@pytest.fixture(autouse=True, scope="session")
def _float32_on_every_machine():
    with pytest.MonkeyPatch.context() as patch:
        for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):  # a test of bfloat16 sets them itself
            patch.setattr(torch.cpu, probe, lambda: False, raising=False)
        yield


@pytest.fixture(autouse=True)
def _same_numbers_and_no_settings(monkeypatch):
    for name in ("COURSE_PROFILE", "COURSE_SEED", "COURSE_RECORD_CLAIMS", "COURSE_PLAIN_MODELS"):
        monkeypatch.delenv(name, raising=False)
    torch.manual_seed(0)
    import matplotlib.pyplot as plt

    with matplotlib.rc_context():  # a style that a test has set ends with it
        yield
    plt.close("all")


@pytest.fixture
def encoded() -> TokenDataset:
    return make_encoded()


@pytest.fixture
def tiny_bert():
    """A BERT classifier of three layers with random weights: the architecture of the checkpoint, in no time."""
    from transformers import BertConfig, BertForSequenceClassification

    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BertConfig(
        vocab_size=12, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, **rates
    )
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    for parameter in model.parameters():  # far from the tiny initial values, so that a wrong mask shows
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel of the course, as the release has it."""
    return release.build(tmp_path_factory.mktemp("wheel"))
