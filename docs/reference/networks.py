"""Published networks in PyTorch, double precision, filled by a formula.

    python3 docs/reference/networks.py              writes the fixture
    python3 docs/reference/networks.py --check      compares with it instead

It needs torch, torchvision and timm. The fixture, crates/architecture/tests/published.json, is read
by the tests of crates/architecture: they fill the networks of the same names by the same formula and
compare parameters, tensors, features and logits, of some networks also the gradient of the mean
square of the logits by the images, and a pass in training mode without dropout.

The networks of small images are those of RepDistiller (github.com/HobbitLong/RepDistiller); each
class below says which of its files it transcribes, with the same names of modules, so that its
state dict is that of a checkpoint of RepDistiller. Its `forward` records the features under the
names of the taps in Rust. Those of ImageNet are torchvision's own, and the transformers timm's.

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
import timm
import torch
import torchvision
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
    v = np.empty(count)
    # In parts, for memory.
    for start in range(0, count, 2**22):
        end = min(start + 2**22, count)
        with np.errstate(over="ignore"):
            z = np.arange(start + 1, end + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            z += np.uint64(seed)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
        v[start:end] = 2 * ((z >> np.uint64(40)).astype(np.float64) / 2**24) - 1
    return v


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


class InvertedResidual(nn.Module):
    """InvertedResidual of models/mobilenetv2.py."""

    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        middle = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, middle, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    """models/mobilenetv2.py with T = 6, as `mobile_half` for a width of 0.5."""

    GROUPS = [
        (1, 16, 1, 1),
        (6, 24, 2, 1),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]

    def __init__(self, width, classes):
        super().__init__()
        channels = int(32 * width)
        self.conv1 = self.layer(nn.Conv2d(3, channels, 3, 2, 1, bias=False))
        self.blocks = nn.ModuleList()
        for expansion, outputs, count, stride in self.GROUPS:
            group = []
            for index in range(count):
                group.append(
                    InvertedResidual(channels, int(outputs * width), stride if index == 0 else 1, expansion)
                )
                channels = int(outputs * width)
            self.blocks.append(nn.Sequential(*group))
        last = int(1280 * width) if width > 1 else 1280
        self.conv2 = self.layer(nn.Conv2d(channels, last, 1, bias=False))
        self.classifier = nn.Sequential(nn.Linear(last, classes))

    @staticmethod
    def layer(conv):
        return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU())

    def forward(self, x):
        features = {}
        x = features["stem"] = self.conv1(x)
        for index, group in enumerate(self.blocks):
            x = group(x)
            if index in (1, 2, 4, 6):
                features[f"layer{index // 2 + 1}"] = x
        x = features["head"] = self.conv2(x)
        # The average of a 2×2 map, of all of it.
        features["pool"] = F.avg_pool2d(x, 2, ceil_mode=True).flatten(1)
        return features, self.classifier(features["pool"])


def shuffle(x, groups):
    n, c, h, w = x.size()
    return x.view(n, groups, c // groups, h, w).permute(0, 2, 1, 3, 4).reshape(n, c, h, w)


def conv1x1(inputs, outputs, groups=1):
    return nn.Conv2d(inputs, outputs, 1, groups=groups, bias=False)


def depthwise(channels, stride):
    return nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)


class ShuffleBottleneck(nn.Module):
    """Bottleneck of models/ShuffleNetv1.py, without its last ReLU."""

    def __init__(self, inputs, outputs, stride, groups):
        super().__init__()
        middle = outputs // 4
        self.stride = stride
        self.groups = 1 if inputs == 24 else groups
        self.conv1 = conv1x1(inputs, middle, self.groups)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = depthwise(middle, stride)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = conv1x1(middle, outputs, groups)
        self.bn3 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        out = shuffle(F.relu(self.bn1(self.conv1(x))), self.groups)
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.stride == 2:
            return torch.cat([out, F.avg_pool2d(x, 3, 2, 1)], 1)
        return out + x


class ShuffleNetV1(nn.Module):
    """models/ShuffleNetv1.py, as `ShuffleV1`."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = conv1x1(3, 24)
        self.bn1 = nn.BatchNorm2d(24)
        channels = 24
        for number, (width, blocks) in enumerate(zip([240, 480, 960], [4, 8, 4]), 1):
            layer = [ShuffleBottleneck(channels, width - channels, 2, 3)]
            layer += [ShuffleBottleneck(width, width, 1, 3) for _ in range(blocks - 1)]
            setattr(self, f"layer{number}", nn.Sequential(*layer))
            channels = width
        self.linear = nn.Linear(960, classes)

    def forward(self, x):
        features = {}
        x = features["stem"] = F.relu(self.bn1(self.conv1(x)))
        for number in range(1, 4):
            for block in getattr(self, f"layer{number}"):
                pre = block(x)
                x = F.relu(pre)
            features[f"layer{number}.pre"] = pre
            features[f"layer{number}"] = x
        features["pool"] = F.avg_pool2d(x, 4).flatten(1)
        return features, self.linear(features["pool"])


class ShuffleBasic(nn.Module):
    """BasicBlock of models/ShuffleNetv2.py."""

    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.conv1 = conv1x1(half, half)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = depthwise(half, 1)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv1x1(half, half)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, x):
        half = x.size(1) // 2
        x1, x2 = x[:, :half], x[:, half:]
        out = F.relu(self.bn1(self.conv1(x2)))
        pre = self.bn3(self.conv3(self.bn2(self.conv2(out))))
        return shuffle(torch.cat([x1, F.relu(pre)], 1), 2), torch.cat([x1, pre], 1)


class ShuffleDown(nn.Module):
    """DownBlock of models/ShuffleNetv2.py."""

    def __init__(self, inputs, outputs):
        super().__init__()
        half = outputs // 2
        self.conv1 = depthwise(inputs, 2)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv2 = conv1x1(inputs, half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv1x1(inputs, half)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = depthwise(half, 2)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = conv1x1(half, half)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, x):
        left = F.relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        right = F.relu(self.bn3(self.conv3(x)))
        right = F.relu(self.bn5(self.conv5(self.bn4(self.conv4(right)))))
        return shuffle(torch.cat([left, right], 1), 2)


class ShuffleNetV2(nn.Module):
    """models/ShuffleNetv2.py with net_size=1, as `ShuffleV2`."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = conv1x1(3, 24)
        self.bn1 = nn.BatchNorm2d(24)
        channels = 24
        for number, (width, blocks) in enumerate(zip([116, 232, 464], [3, 7, 3]), 1):
            layer = [ShuffleDown(channels, width)] + [ShuffleBasic(width) for _ in range(blocks)]
            setattr(self, f"layer{number}", nn.Sequential(*layer))
            channels = width
        self.conv2 = conv1x1(464, 1024)
        self.bn2 = nn.BatchNorm2d(1024)
        self.linear = nn.Linear(1024, classes)

    def forward(self, x):
        features = {}
        x = features["stem"] = F.relu(self.bn1(self.conv1(x)))
        for number in range(1, 4):
            down, *blocks = getattr(self, f"layer{number}")
            x = down(x)
            for block in blocks:
                x, pre = block(x)
            features[f"layer{number}.pre"] = pre
            features[f"layer{number}"] = x
        x = features["head"] = F.relu(self.bn2(self.conv2(x)))
        features["pool"] = F.avg_pool2d(x, 4).flatten(1)
        return features, self.linear(features["pool"])


class Bottleneck(nn.Module):
    """Bottleneck of models/resnetv2.py, without its last ReLU."""

    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1 = conv1x1(inputs, planes)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = conv1x1(planes, 4 * planes)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != 4 * planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, 4 * planes, 1, stride, bias=False), nn.BatchNorm2d(4 * planes)
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return self.bn3(self.conv3(out)) + self.shortcut(x)


class BottleneckResNet(nn.Module):
    """models/resnetv2.py with Bottleneck, as `ResNet50` for blocks of 3, 4, 6, 3."""

    def __init__(self, blocks, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for number, count in enumerate(blocks, 1):
            planes, layer = 32 << number, []
            for index in range(count):
                layer.append(Bottleneck(channels, planes, 2 if index == 0 and number > 1 else 1))
                channels = 4 * planes
            setattr(self, f"layer{number}", nn.Sequential(*layer))
        self.linear = nn.Linear(channels, classes)

    def forward(self, x):
        features = {}
        x = features["stem"] = F.relu(self.bn1(self.conv1(x)))
        for number in range(1, 5):
            for block in getattr(self, f"layer{number}"):
                pre = block(x)
                x = F.relu(pre)
            features[f"layer{number}.pre"] = pre
            features[f"layer{number}"] = x
        features["pool"] = average(x)
        return features, self.linear(features["pool"])


# torchvision and timm. The network is the package's own; hooks read its features.


class Hooked(nn.Module):
    """A network whose `features(network)` gives, by tap, a module and whether its "input" or "output"
    is the feature, or a function of its output, at its last call."""

    def __init__(self, network, features):
        super().__init__()
        self.network = network
        self.features = features

    def state_dict(self):
        return self.network.state_dict()

    def load_state_dict(self, state, strict):
        return self.network.load_state_dict(state, strict)

    def forward(self, x):
        found = {}

        def keep(tap, value):
            # Later layers may change the tensor in place.
            found[tap] = value.clone()

        for tap, (module, what) in self.features(self.network).items():
            if what == "input":
                module.register_forward_pre_hook(lambda _, args, tap=tap: keep(tap, args[0]))
            else:
                of = what if callable(what) else lambda output: output
                module.register_forward_hook(lambda _, args, output, tap=tap, of=of: keep(tap, of(output)))
        logits = self.network(x)
        return {tap: value.flatten(1) if tap == "pool" else value for tap, value in found.items()}, logits


def resnet_features(network):
    # The ReLU of a block is called several times, at last for the sum.
    features = {"stem": (network.relu, "output")}
    for number in range(1, 5):
        layer = getattr(network, f"layer{number}")
        features[f"layer{number}.pre"] = (layer[-1].relu, "input")
        features[f"layer{number}"] = (layer, "output")
    features["pool"] = (network.avgpool, "output")
    return features


def mobilenet_features(network):
    places = {"stem": 0, "layer1": 3, "layer2": 6, "layer3": 13, "layer4": 17, "head": 18}
    features = {tap: (network.features[place], "output") for tap, place in places.items()}
    features["pool"] = (network.classifier, "input")
    return features


def vgg_features(network):
    """A block ends where a pooling follows."""
    modules = list(network.features)
    features, number = {}, 0
    for module, following in zip(modules, modules[1:]):
        if isinstance(following, nn.MaxPool2d):
            if number > 0:
                features[f"layer{number}.pre"] = (module, "input")
            features[f"layer{number}" if number else "stem"] = (module, "output")
            number += 1
    features["hidden.1.pre"] = (network.classifier[0], "output")
    features["hidden.1"] = (network.classifier[1], "output")
    features["hidden.2.pre"] = (network.classifier[3], "output")
    features["pool"] = (network.classifier[4], "output")
    return features


def mobilenet_v3_features(network):
    places = {"stem": 0, "layer1": 1, "layer2": 3, "layer3": 8, "layer4": 11, "head": 12}
    features = {tap: (network.features[place], "output") for tap, place in places.items()}
    features["hidden.1.pre"] = (network.classifier[0], "output")
    features["pool"] = (network.classifier[1], "output")
    return features


def efficientnet_features(network):
    places = {"stem": 0, "layer1": 2, "layer2": 3, "layer3": 5, "layer4": 7, "head": 8}
    features = {tap: (network.features[place], "output") for tap, place in places.items()}
    features["pool"] = (network.classifier, "input")
    return features


def scores(attention):
    """The function from the output of `attention.qkv` to the scores."""

    def of(qkv):
        batch, length, width = qkv.shape
        heads = attention.num_heads
        q, k, _ = qkv.reshape(batch, length, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)
        return q @ k.transpose(-2, -1) * attention.scale

    return of


def transformer_features(network):
    """All tokens, but queries, keys, values and scores only of the first and last block."""
    width = network.embed_dim
    blocks = network.blocks
    features = {"hidden.0": (blocks[0], "input")}
    for number, block in enumerate(blocks, 1):
        if number in (1, len(blocks)):
            for part, name in enumerate(["query", "key", "value"]):
                start = part * width
                of = lambda qkv, start=start: qkv[..., start : start + width]
                features[f"{name}.{number}"] = (block.attn.qkv, of)
            features[f"attention.{number}"] = (block.attn.qkv, scores(block.attn))
        features[f"hidden.{number}"] = (block, "output")
    features["pool"] = (network.norm, lambda tokens: tokens[:, 0])
    if hasattr(network, "head_dist"):
        features["distillation-pool"] = (network.norm, lambda tokens: tokens[:, 1])
        features["class-logits"] = (network.head, "output")
        features["distillation-logits"] = (network.head_dist, "output")
    return features


def torchvision_network(name, features):
    return lambda: Hooked(getattr(torchvision.models, name)(weights=None), features)


def timm_network(name, image):
    return lambda: Hooked(timm.create_model(name, img_size=image[1:]), transformer_features)


# The networks of the fixture: by name, how they are built and the shape of an image.

CIFAR = [3, 32, 32]
# Smaller than 224×224, which the networks do not mind.
IMAGENET = [3, 64, 64]
PATCHES = [3, 32, 48]
NETWORKS = {
    "vgg8": (lambda: Vgg(8, 100), CIFAR),
    "vgg11": (lambda: Vgg(11, 100), CIFAR),
    "vgg13": (lambda: Vgg(13, 100), CIFAR),
    "vgg16": (lambda: Vgg(16, 100), CIFAR),
    "vgg19": (lambda: Vgg(19, 100), CIFAR),
    "mobile-half": (lambda: MobileNetV2(0.5, 100), CIFAR),
    "shufflev1": (lambda: ShuffleNetV1(100), CIFAR),
    "shufflev2": (lambda: ShuffleNetV2(100), CIFAR),
    "cifar-resnet50": (lambda: BottleneckResNet([3, 4, 6, 3], 100), CIFAR),
    "resnet18": (torchvision_network("resnet18", resnet_features), IMAGENET),
    "resnet34": (torchvision_network("resnet34", resnet_features), IMAGENET),
    "resnet50": (torchvision_network("resnet50", resnet_features), IMAGENET),
    "resnet101": (torchvision_network("resnet101", resnet_features), IMAGENET),
    "resnet152": (torchvision_network("resnet152", resnet_features), IMAGENET),
    "mobilenet-v2": (torchvision_network("mobilenet_v2", mobilenet_features), IMAGENET),
    "vgg16-bn": (torchvision_network("vgg16_bn", vgg_features), IMAGENET),
    "mobilenet-v3-small": (torchvision_network("mobilenet_v3_small", mobilenet_v3_features), IMAGENET),
    "efficientnet-b0": (torchvision_network("efficientnet_b0", efficientnet_features), IMAGENET),
}
for name, image in [
    ("vit_tiny_patch16_224", [3, 224, 224]),
    ("vit_small_patch16_224", PATCHES),
    ("deit_tiny_patch16_224", PATCHES),
    ("deit_small_patch16_224", PATCHES),
    ("deit_tiny_distilled_patch16_224", PATCHES),
    ("deit_small_distilled_patch16_224", PATCHES),
]:
    NETWORKS[name.replace("_", "-")] = (timm_network(name, image), image)

# Networks with a gradient in the fixture, and the normalization whose statistics after a step in
# training mode are there.
WITH_GRADIENT = ["mobilenet-v3-small", "efficientnet-b0", "deit-tiny-distilled-patch16-224"]
TRAINED_NORMS = {"mobilenet-v3-small": "features.12.1", "efficientnet-b0": "features.8.1"}


def count_products(network):
    """A list that gets the multiplications of every convolution and matrix of the next pass."""
    products = []
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            each = module.weight[0].numel()
            module.register_forward_hook(
                lambda _, args, output, each=each: products.append(output.numel() * each)
            )
        elif hasattr(module, "qkv"):
            # Queries with keys, and attention with values.
            module.register_forward_hook(
                lambda _, args, output: products.append(2 * output.numel() * output.shape[1])
            )
    return products


def gradient(network, images):
    """The gradient of the mean square of the logits by the images."""
    images = images.clone().requires_grad_()
    _, logits = network(images)
    (gradient,) = torch.autograd.grad(logits.square().mean(), images)
    return pick(gradient, LOGITS)


def training(network, images, norm):
    """Features, logits and statistics of a normalization, of a pass in training mode in which no
    dropout drops anything."""
    network.train()
    for module in network.modules():
        if isinstance(module, (nn.Dropout, torchvision.ops.StochasticDepth)):
            module.p = 0.0
    with torch.no_grad():
        features, logits = network(images)
    state = network.state_dict()
    return {
        "features": picked(features),
        "logits": pick(logits, LOGITS),
        "norm": norm,
        "mean": pick(state[f"{norm}.running_mean"], VALUES),
        "variance": pick(state[f"{norm}.running_var"], VALUES),
    }


def picked(features):
    return [
        {"tap": tap, "shape": list(value.shape), "values": pick(value, VALUES)}
        for tap, value in features.items()
    ]


def reference(name, build, image):
    network = build().double().eval()
    state = {key: value for key, value in network.state_dict().items() if "num_batches" not in key}
    shapes = {key: list(value.shape) for key, value in state.items()}
    network.load_state_dict({key: filled(key, shape) for key, shape in shapes.items()}, strict=False)
    shape = [SAMPLES, *image]
    products = count_products(network)
    images = torch.from_numpy(uniform("input", int(np.prod(shape)))).reshape(shape)
    with torch.no_grad():
        features, logits = network(images)
    found = {
        "image": image,
        "classes": logits.shape[1],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply_adds": sum(products) // SAMPLES,
        "state": [f"{key} {','.join(map(str, shape))}" for key, shape in shapes.items()],
        "features": picked(features),
        "logits": pick(logits, LOGITS),
    }
    if name in WITH_GRADIENT:
        found["gradient"] = gradient(network, images)
    if name in TRAINED_NORMS:
        found["training"] = training(network, images, TRAINED_NORMS[name])
    return found


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    lines = []
    for name, (build, image) in NETWORKS.items():
        found = reference(name, build, image)
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
        for field in ("image", "classes", "parameters", "multiply_adds", "state"):
            assert network[field] == other[field], (name, field)
        passes = [(network, other)]
        pairs = []
        if "gradient" in network:
            pairs.append(("gradient", network["gradient"], other["gradient"]))
        if "training" in network:
            passes.append((network["training"], other["training"]))
            for field in ("mean", "variance"):
                pairs.append((field, network["training"][field], other["training"][field]))
        for network, other in passes:
            pairs.append(("logits", network["logits"], other["logits"]))
            for mine, theirs in zip(network["features"], other["features"], strict=True):
                assert (mine["tap"], mine["shape"]) == (theirs["tap"], theirs["shape"]), name
                pairs.append((mine["tap"], mine["values"], theirs["values"]))
        for what, mine, theirs in pairs:
            np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-12, err_msg=f"{name} {what}")


if __name__ == "__main__":
    main()
