"""Published networks in PyTorch, double precision, filled by a formula.

    python3 docs/reference/networks.py              writes the fixture
    python3 docs/reference/networks.py --check      compares with it instead

It needs torch and torchvision. The fixture, crates/architecture/tests/published.json, is read by
the tests of crates/architecture: they fill the networks of the same names by the same formula and
compare parameters, tensors, features and logits.

The networks of small images are those of RepDistiller (github.com/HobbitLong/RepDistiller); each
class below says which of its files it transcribes, with the same names of modules, so that its
state dict is that of a checkpoint of RepDistiller. Its `forward` records the features under the
names of the taps in Rust. Those of ImageNet are torchvision's own.

The formula. Every tensor of a state dict has a stream of numbers u in [0, 1), seeded by its key:
number n is the upper 24 bits of the splitmix64 output for the state seed + (n + 1) · 0x9E3779B97F4A7C15,
where the seed is the 64-bit FNV-1a hash of the key. With v = 2 u − 1:

    running_var              1 + v / 2
    running_mean, bias       v / 10
    weight of a norm         1 + v / 4
    other weights            v √(6 / fan_in)

each computed in double precision and rounded to single. The images are v of the key "input".
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

OUTPUT = Path(__file__).parents[2] / "crates/architecture/tests/published.json"
SAMPLES = 2
# How many values of each feature and of the logits are stored, at the places k · STRIDE mod size.
VALUES = 12
LOGITS = 100
STRIDE = 999_983


# The formula.


def uniform(key, count):
    """v of the first numbers of a key."""
    seed = 0xCBF29CE484222325
    for byte in key.encode():
        seed = ((seed ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return 2 * ((z >> np.uint64(40)).astype(np.float64) / 2**24) - 1


def filled(key, shape):
    v = uniform(key, int(np.prod(shape)))
    last = key.rsplit(".", 1)[-1]
    if last == "running_var":
        values = 1 + v / 2
    elif last in ("running_mean", "bias"):
        values = v / 10
    elif len(shape) == 1:
        values = 1 + v / 4
    else:
        values = v * np.sqrt(6 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(shape)


def pick(tensor, count):
    values = tensor.detach().reshape(-1)
    places = [k * STRIDE % values.numel() for k in range(min(count, values.numel()))]
    return [float(f"{value:.9g}") for value in values[places].tolist()]


# RepDistiller. A network is a module whose forward returns features by name, and logits.


def average(x):
    return x.mean(dim=(2, 3))


class Vgg(nn.Module):
    """models/vgg.py with batch_norm=True, as `model_dict` has it."""

    BLOCKS = {8: [1, 1, 1, 1, 1], 11: [1, 1, 2, 2, 2], 13: [2] * 5, 16: [2, 2, 3, 3, 3], 19: [2, 2, 4, 4, 4]}

    def __init__(self, depth, classes):
        super().__init__()
        channels = 3
        for number, (layers, width) in enumerate(zip(self.BLOCKS[depth], [64, 128, 256, 512, 512])):
            block = []
            for _ in range(layers):
                block += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            # The last ReLU is applied outside.
            setattr(self, f"block{number}", nn.Sequential(*block[:-1]))
        self.classifier = nn.Linear(512, classes)

    def forward(self, x):
        height = x.shape[2]
        features = {}
        for number in range(5):
            if number in (1, 2, 3) or number == 4 and height == 64:
                x = F.max_pool2d(x, 2, 2)
            x = getattr(self, f"block{number}")(x)
            if number > 0:
                features[f"layer{number}.pre"] = x
            x = F.relu(x)
            features[f"layer{number}" if number else "stem"] = x
        features["pool"] = average(x)
        return features, self.classifier(features["pool"])


# The networks of the fixture: by name, how they are built and the shape of an image.

CIFAR = [3, 32, 32]
NETWORKS = {
    "vgg8": (lambda: Vgg(8, 100), CIFAR),
    "vgg11": (lambda: Vgg(11, 100), CIFAR),
    "vgg13": (lambda: Vgg(13, 100), CIFAR),
    "vgg16": (lambda: Vgg(16, 100), CIFAR),
    "vgg19": (lambda: Vgg(19, 100), CIFAR),
}


def reference(build, image):
    network = build().double().eval()
    state = {key: value for key, value in network.state_dict().items() if "num_batches" not in key}
    shapes = {key: list(value.shape) for key, value in state.items()}
    network.load_state_dict({key: filled(key, shape) for key, shape in shapes.items()}, strict=False)
    shape = [SAMPLES, *image]
    with torch.no_grad():
        features, logits = network(torch.from_numpy(uniform("input", int(np.prod(shape)))).reshape(shape))
    return {
        "image": image,
        "classes": logits.shape[1],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "state": [f"{key} {','.join(map(str, shape))}" for key, shape in shapes.items()],
        "features": [
            {"tap": tap, "shape": list(value.shape), "values": pick(value, VALUES)}
            for tap, value in features.items()
        ],
        "logits": pick(logits, LOGITS),
    }


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    lines = []
    for name, (build, image) in NETWORKS.items():
        found = reference(build, image)
        lines.append(f"{json.dumps(name)}:{json.dumps(found, separators=(',', ':'))}")
        print(name, found["parameters"])
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if not sys.argv[1:]:
        OUTPUT.write_text(text)
        return
    stored = json.loads(OUTPUT.read_text())
    found = json.loads(text)
    assert stored.keys() == found.keys(), stored.keys() ^ found.keys()
    for name, network in found.items():
        other = stored[name]
        for field in ("image", "classes", "parameters", "state"):
            assert network[field] == other[field], (name, field)
        pairs = [("logits", network["logits"], other["logits"])]
        for mine, theirs in zip(network["features"], other["features"], strict=True):
            assert (mine["tap"], mine["shape"]) == (theirs["tap"], theirs["shape"]), name
            pairs.append((mine["tap"], mine["values"], theirs["values"]))
        for what, mine, theirs in pairs:
            np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-12, err_msg=f"{name} {what}")


main()
