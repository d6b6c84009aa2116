"""Checkpoints of a few kilobytes, as PyTorch and safetensors write them.

    python3 docs/reference/checkpoints.py              writes the fixtures
    python3 docs/reference/checkpoints.py --check      compares their tensors with them instead

It needs torch and safetensors. The fixtures, crates/interchange/tests/fixtures, are read by the
tests of crates/interchange. Value number n of a tensor of `size` elements is (n − size // 2) / 8,
which every type of float represents exactly.

| File | Contents |
| --- | --- |
| `plain.pth` | the state dict of the network below |
| `legacy.pth` | the same in the format before version 1.6 |
| `plain.safetensors` | the same without `num_batches_tracked` |
| `nested.pth` | the same under `state_dict` with `module.` before the names, an optimizer, `epoch` |
| `nested_legacy.pth` | the same as `nested.pth` in the format before version 1.6 |
| `whole.pth` | the network itself instead of its state dict |
| `protocol4.pth` | the state dict by version 4 of pickle |
| `types.pth`, `types.safetensors` | a tensor of each type, a scalar, and an empty tensor |
| `views.pth` | tensors that share a storage, with strides and with offsets |
| `repeated.pth` | a view of one value with a million elements |
| `expected.json` | the logits of the network for `input` |

The network is `convnet-2-3` for images of shape [1, 4, 4] and 3 classes.
"""

import collections
import json
import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

OUTPUT = Path(__file__).parents[2] / "crates/interchange/tests/fixtures"


def values(*shape, dtype=torch.float32):
    size = 1
    for extent in shape:
        size *= extent
    return ((torch.arange(size) - size // 2) / 8).reshape(shape).to(dtype)


class Stage(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.ModuleList([Stage(1, 2), Stage(2, 3)])
        self.fc = nn.Linear(3, 3)

    def forward(self, x):
        x = self.layer[0](x)
        x = self.layer[1](torch.max_pool2d(x, 2))
        return self.fc(x.mean((2, 3)))


def network():
    network = ConvNet()
    state = {}
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            state[name] = 1 + values(*tensor.shape).abs()
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        else:
            state[name] = values(*tensor.shape)
    network.load_state_dict(state)
    return network.eval()


TYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
    "int64": torch.int64,
    "int32": torch.int32,
    "uint8": torch.uint8,
}


def types():
    tensors = {name: values(2, 3, dtype=dtype) for name, dtype in TYPES.items()}
    tensors["uint8"] = torch.arange(6, dtype=torch.uint8).reshape(2, 3)
    tensors["bool"] = torch.tensor([True, False, True])
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 3)
    return tensors


def views():
    base = values(4, 3)
    return {
        "base": base,
        "transposed": base.t(),
        "rows": base[1:3],
        "column": base[:, 1],
        "steps": base[::2, ::2],
        "same": base,
        "repeated": torch.tensor([0.5]).expand(2, 3),
        "channels_last": values(1, 2, 2, 3).contiguous(memory_format=torch.channels_last),
    }


def write(folder):
    torch.manual_seed(0)
    net = network()
    state = net.state_dict()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net(values(1, 1, 4, 4)).sum().backward()
    optimizer.step()
    optimizer_state = optimizer.state_dict()
    net = network()
    state = net.state_dict()
    nested = {
        "epoch": 12,
        "arch": "convnet",
        "best": 0.5,
        "state_dict": collections.OrderedDict(("module." + k, v) for k, v in state.items()),
        "optimizer": optimizer_state,
    }
    legacy = {"_use_new_zipfile_serialization": False}
    torch.save(state, folder / "plain.pth")
    torch.save(state, folder / "legacy.pth", **legacy)
    torch.save(nested, folder / "nested.pth")
    torch.save(nested, folder / "nested_legacy.pth", **legacy)
    torch.save(net, folder / "whole.pth")
    torch.save(state, folder / "protocol4.pth", pickle_protocol=4)
    torch.save(types(), folder / "types.pth")
    torch.save(views(), folder / "views.pth")
    torch.save({"weight": torch.tensor([0.5]).expand(1000, 1000)}, folder / "repeated.pth")
    plain = {k: v for k, v in state.items() if "num_batches" not in k}
    metadata = {"format": "pt", "about": "a network"}
    safetensors.torch.save_file(plain, folder / "plain.safetensors", metadata)
    safetensors.torch.save_file(types(), folder / "types.safetensors")
    image = values(2, 1, 4, 4)
    expected = {"input": image.flatten().tolist(), "logits": net(image).flatten().tolist()}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def tensors(path):
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    if path.suffix == ".json":
        return {k: torch.tensor(v) for k, v in json.loads(path.read_text()).items()}
    loaded = torch.load(path, weights_only=False)
    loaded = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded.state_dict()
    return loaded


def check():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write(folder)
        names = sorted(path.name for path in folder.iterdir())
        assert names == sorted(path.name for path in OUTPUT.iterdir()), names
        for name in names:
            new, old = tensors(folder / name), tensors(OUTPUT / name)
            assert list(new) == list(old), name
            for key in new:
                assert new[key].dtype == old[key].dtype, (name, key)
                assert torch.allclose(new[key].double(), old[key].double()), (name, key)
    print(f"{len(names)} fixtures agree")


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    else:
        OUTPUT.mkdir(parents=True, exist_ok=True)
        write(OUTPUT)
