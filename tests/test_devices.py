"""The lint that finds a cell handing a model tensors on another device."""

import pytest

from tools import devices

LOADED = "model = pretrained.load_classifier(seed=0).to(device)\n"


@pytest.mark.parametrize(
    "cell",
    [
        "batch = batching.collate([encoded[i] for i in range(4)])\nmodel(batch['input_ids'])",
        "batch = batching.collate([encoded[i] for i in range(4)])\nlogits = model(**batch).logits",
        "model(torch.tensor([[1, 2]]))",
        "encoded = tokenizer(texts, return_tensors='pt')\nwith torch.no_grad():\n    model(**encoded)",
        "one = copy.deepcopy(model)\none(torch.ones(2, 3))",
        "def ask(net):\n    return model(torch.zeros(1, 2))",
        "inputs = {name: tensor.to(device) for name, tensor in batch.items()}\nmodel = model.cpu()\nmodel(**inputs)",
    ],
)
def test_a_model_and_its_inputs_on_two_devices_are_found(cell):
    assert len(devices.faults(LOADED + cell)) == 1


@pytest.mark.parametrize(
    "cell",
    [
        "batch = {name: tensor.to(device) for name, tensor in batching.collate(items).items()}\nmodel(**batch)",
        "model(torch.tensor([[1, 2]], device=device))",
        "encoded = tokenizer(texts, return_tensors='pt').to(device)\nmodel(**encoded)",
        "model = model.cpu()\nmodel(torch.ones(2, 3))",
        "def ask(model, ids):\n    return model(ids)\nask(model, torch.tensor([1]))",
        "probabilities = prediction.predict_proba(model, encoded)",
    ],
)
def test_a_model_and_its_inputs_on_one_device_pass(cell):
    assert devices.faults(LOADED + cell) == []


def test_no_notebook_gives_a_model_tensors_on_another_device(capsys):
    assert devices.main() == 0, capsys.readouterr().out
