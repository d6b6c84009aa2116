"""Writes the ONNX files of the tests of `crates/interchange`, with outputs of onnxruntime.

    python3 -m pip install numpy onnx onnxruntime torch
    python3 docs/reference/onnx_models.py

The files go to `crates/interchange/tests/fixtures/onnx`: small models with seeded weights, broken and foreign
ones, and `expected.json` with the inputs and outputs of those that can be run.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

FOLDER = Path(__file__).resolve().parents[2] / "crates/interchange/tests/fixtures/onnx"
RNG = np.random.default_rng(7)
FLOAT, INT64, INT32, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8


def weights(*shape):
    return RNG.normal(0.0, 0.5, shape).astype(np.float32)


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def constants(**arrays):
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def model(nodes, inputs, outputs, initializers=(), opset=13, imports=()):
    graph = helper.make_graph(nodes, "fixture", inputs, outputs, list(initializers))
    imports = [helper.make_opsetid("", opset), *[helper.make_opsetid(domain, 1) for domain in imports]]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, producer_name="onnx_models.py")


def node(kind, inputs, outputs, name=None, **attributes):
    return helper.make_node(kind, inputs, outputs, name=name or f"/{kind}", **attributes)


def mlp(batch="batch", last=None, classes=3, hidden="/hidden/Relu_output_0"):
    """A perceptron from four numbers to logits, or to the activation `last` of them."""
    nodes = [
        node("Gemm", ["features", "w1", "b1"], ["/hidden/Gemm_output_0"], "/hidden/Gemm", transB=1),
        node("Relu", ["/hidden/Gemm_output_0"], [hidden], "/hidden/Relu"),
        node("Gemm", [hidden, "w2", "b2"], ["output" if last is None else "logits"], "/head/Gemm", transB=1),
    ]
    if last is not None:
        attributes = {"axis": 1} if last == "Softmax" else {}
        nodes.append(node(last, ["logits"], ["output"], f"/head/{last}", **attributes))
    initializers = constants(w1=weights(5, 4), b1=weights(5), w2=weights(classes, 5), b2=weights(classes))
    return model(
        nodes,
        [value("features", FLOAT, [batch, 4])],
        [value("output", FLOAT, [batch, classes])],
        initializers,
    )


def nhwc():
    """A convolution of images whose channels are last, as TensorFlow exports it."""
    nodes = [
        node("Transpose", ["image"], ["nchw"], "to_nchw", perm=[0, 3, 1, 2]),
        node("Conv", ["nchw", "w"], ["conv"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Transpose", ["conv"], ["map"], "to_nhwc", perm=[0, 2, 3, 1]),
        node("Relu", ["map"], ["relu"], "relu"),
        node("ReduceMean", ["relu"], ["pool"], "pool", axes=[1, 2], keepdims=0),
        node("Gemm", ["pool", "v"], ["output"], "head"),
    ]
    initializers = constants(w=weights(4, 3, 3, 3), v=weights(4, 2))
    return model(
        nodes,
        [value("image", FLOAT, ["batch", 5, 6, 3])],
        [value("output", FLOAT, ["batch", 2])],
        initializers,
    )


def text(segments=False, mask=INT64):
    """The mean of the embeddings of the tokens that count, for any length."""
    nodes = [
        node("Gather", ["table", "input_ids"], ["tokens"], "embed"),
        node("Cast", ["attention_mask"], ["weights"], "mask", to=FLOAT),
        node("Unsqueeze", ["weights", "last"], ["column"], "column"),
    ]
    inputs = [
        value("input_ids", INT64, ["batch", "length"]),
        value("attention_mask", mask, ["batch", "length"]),
    ]
    tokens = "tokens"
    if segments:
        inputs.append(value("token_type_ids", INT64, ["batch", "length"]))
        nodes += [
            node("Gather", ["kinds", "token_type_ids"], ["of_segments"], "embed_segments"),
            node("Add", ["tokens", "of_segments"], ["embedded"], "embedded"),
        ]
        tokens = "embedded"
    nodes += [
        node("Mul", [tokens, "column"], ["masked"], "masked"),
        node("ReduceSum", ["masked", "first"], ["total"], "total", keepdims=0),
        node("ReduceSum", ["weights", "first"], ["count"], "count", keepdims=1),
        node("Div", ["total", "count"], ["pooled"], "pooled"),
        node("Gemm", ["pooled", "head"], ["output"], "head"),
    ]
    initializers = constants(
        table=weights(9, 4),
        head=weights(4, 3),
        last=np.array([2], np.int64),
        first=np.array([1], np.int64),
        **({"kinds": weights(2, 4)} if segments else {}),
    )
    return model(nodes, inputs, [value("output", FLOAT, ["batch", 3])], initializers)


def tagger():
    """Logits of every token, from sequences of ids of 32 bits."""
    nodes = [
        node("Gather", ["table", "ids"], ["embedded"], "embed"),
        node("MatMul", ["embedded", "head"], ["output"], "head"),
    ]
    initializers = constants(table=weights(9, 4), head=weights(4, 2))
    return model(
        nodes,
        [value("ids", INT32, ["batch", 6])],
        [value("output", FLOAT, ["batch", 6, 2])],
        initializers,
    )


def pixels():
    """Images of bytes, which the model itself converts and scales."""
    nodes = [
        node("Cast", ["image"], ["float"], "cast", to=FLOAT),
        node("Div", ["float", "largest"], ["scaled"], "scale"),
        node("Flatten", ["scaled"], ["flat"], "flatten"),
        node("Gemm", ["flat", "v"], ["output"], "head"),
    ]
    initializers = constants(largest=np.array(255.0, np.float32), v=weights(12, 2))
    return model(
        nodes,
        [value("image", UINT8, ["batch", 3, 2, 2])],
        [value("output", FLOAT, ["batch", 2])],
        initializers,
    )


def half():
    """A perceptron in half precision, inputs and outputs included."""
    nodes = [
        node("MatMul", ["features", "w"], ["hidden"], "matmul"),
        node("Add", ["hidden", "b"], ["sum"], "add"),
        node("Relu", ["sum"], ["relu"], "relu"),
        node("MatMul", ["relu", "v"], ["output"], "head"),
    ]
    arrays = {"w": weights(4, 5), "b": weights(5), "v": weights(5, 3)}
    initializers = constants(**{name: array.astype(np.float16) for name, array in arrays.items()})
    return model(
        nodes,
        [value("features", TensorProto.FLOAT16, ["batch", 4])],
        [value("output", TensorProto.FLOAT16, ["batch", 3])],
        initializers,
    )


def several_outputs():
    """Logits, the features before them, and a map of one pixel."""
    nodes = [
        node("Gemm", ["features", "w"], ["pooled"], "first"),
        node("Gemm", ["pooled", "v"], ["logits"], "head"),
        node("Reshape", ["pooled", "shape"], ["map"], "map"),
    ]
    initializers = constants(w=weights(4, 3), v=weights(3, 2), shape=np.array([0, 3, 1, 1], np.int64))
    return model(
        nodes,
        [value("features", FLOAT, ["batch", 4])],
        [
            value("pooled", FLOAT, ["batch", 3]),
            value("logits", FLOAT, ["batch", 2]),
            value("map", FLOAT, ["batch", 3, 1, 1]),
        ],
        initializers,
    )


def by_torch(network, example, name, names, dynamic=True):
    """Exports a network of PyTorch, whose BatchNorm its exporter folds into the convolutions."""
    path = FOLDER / f"{name}.onnx"
    axes = {name: {0: "batch"} for name in [*names, "output"]} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (example,),
            str(path),
            dynamo=False,
            input_names=names,
            output_names=["output"],
            dynamic_axes=axes,
            opset_version=17,
        )
    return onnx.load(path)


def cnn():
    torch.manual_seed(3)
    layers = [
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 10),
    ]
    network = nn.Sequential(*layers)
    norm = network[1]
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    return network


class Attention(nn.Module):
    """A layer of a transformer over sequences of vectors, with the mean of its tokens."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, sequence):
        return self.head(self.layer(sequence).mean(1))


EXPECTED = {}


def write(name, proto, inputs=None, taps=()):
    """Writes a model; with inputs, also its outputs and those of the inner results `taps`."""
    onnx.save(proto, FOLDER / f"{name}.onnx")
    if inputs is None:
        return
    extended = onnx.ModelProto()
    extended.CopyFrom(proto)
    known = [output.name for output in proto.graph.output]
    for tap in taps:
        if tap not in known:
            extended.graph.output.append(helper.make_empty_tensor_value_info(tap))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(extended.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, inputs)))
    arrays = lambda of: {key: {"shape": list(array.shape), "values": array.ravel().tolist()} for key, array in of.items()}
    EXPECTED[name] = {"inputs": arrays(inputs), "outputs": arrays(outputs)}


def runnable():
    rows = RNG.normal(0, 1, (3, 4)).astype(np.float32)
    write("mlp", mlp(), {"features": rows}, ["/hidden/Relu_output_0"])
    write("softmax", mlp(last="Softmax"), {"features": rows}, ["logits"])
    write("sigmoid", mlp(last="Sigmoid"), {"features": rows}, ["logits"])
    write("binary", mlp(last="Sigmoid", classes=1), {"features": rows}, ["logits"])
    write("fixed_batch_1", mlp(batch=1), {"features": rows[:1]})
    write("fixed_batch_2", mlp(batch=2), {"features": rows[:2]})
    write("half", half(), {"features": rows.astype(np.float16)})
    write("several_outputs", several_outputs(), {"features": rows})

    image = RNG.uniform(0, 1, (2, 1, 8, 8)).astype(np.float32)
    folded = by_torch(cnn(), torch.zeros(2, 1, 8, 8), "cnn", ["image"])
    write("cnn", folded, {"image": image}, [folded.graph.node[1].output[0]])
    sequence = RNG.normal(0, 1, (2, 5, 8)).astype(np.float32)
    transformer = by_torch(Attention(), torch.zeros(2, 5, 8), "transformer", ["sequence"])
    write("transformer", transformer, {"sequence": sequence})

    write("nhwc", nhwc(), {"image": RNG.uniform(0, 1, (2, 5, 6, 3)).astype(np.float32)}, ["map"])
    bytes_ = RNG.integers(0, 256, (2, 3, 2, 2)).astype(np.uint8)
    write("pixels", pixels(), {"image": bytes_})

    ids = np.array([[1, 4, 2, 0], [8, 3, 0, 0]], np.int64)
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int64)
    write("text", text(), {"input_ids": ids, "attention_mask": mask}, ["tokens", "pooled"])
    write("text_bool_mask", text(mask=TensorProto.BOOL), {"input_ids": ids, "attention_mask": mask > 0})
    segments = {"token_type_ids": np.zeros_like(ids)}
    write("segments", text(True), {"input_ids": ids, "attention_mask": mask, **segments})
    write("tagger", tagger(), {"ids": np.array([[1, 4, 2, 0, 8, 5]], np.int32)})


def foreign():
    """Models that cannot be run, each for another reason."""
    rows = value("features", FLOAT, ["batch", 4])
    logits = value("output", FLOAT, ["batch", 3])

    write("unknown_operator", model([node("Frobnicate", ["features"], ["output"], "/block/Frob")], [rows], [logits]))
    write(
        "other_domain",
        model(
            [node("FusedThing", ["features"], ["output"], "fused", domain="com.microsoft")],
            [rows],
            [logits],
            imports=["com.microsoft"],
        ),
    )
    write("no_outputs", model([node("Relu", ["features"], ["x"])], [rows], []))
    write("no_graph", onnx.ModelProto(ir_version=8))

    branch = lambda name: helper.make_graph(
        [node("Constant", [], [name], name, value=numpy_helper.from_array(weights(1, 3)))],
        name,
        [],
        [value(name, FLOAT, [1, 3])],
    )
    flow = node("If", ["flag"], ["output"], "choose", then_branch=branch("a"), else_branch=branch("b"))
    write("control_flow", model([flow], [value("flag", TensorProto.BOOL, [])], [logits]))

    gemm = node("Gemm", ["features", "w"], ["output"], "head")
    huge = TensorProto(name="w", data_type=FLOAT, dims=[1 << 30, 1 << 30])
    write("huge_tensor", model([gemm], [rows], [logits], [huge]))
    short = TensorProto(name="w", data_type=FLOAT, dims=[4, 3], raw_data=b"\0" * 40)
    write("short_tensor", model([gemm], [rows], [logits], [short]))
    external = TensorProto(name="w", data_type=FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    external.external_data.add(key="location", value="missing.bin")
    write("missing_data", model([gemm], [rows], [logits], [external]))
    outside = TensorProto(name="w", data_type=FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="../../../../Cargo.toml")
    write("data_outside", model([gemm], [rows], [logits], [outside]))

    loop = [node("Relu", ["b"], ["a"], "first"), node("Relu", ["a"], ["b"], "second"), gemm]
    write("cycle", model(loop, [rows], [logits], constants(w=weights(4, 3))))
    size = node("ConstantOfShape", ["size"], ["output"], "fill")
    write("huge_fill", model([size], [rows], [logits], constants(size=np.array([1 << 30, 1 << 30], np.int64))))

    label = node("Identity", ["names"], ["output"], "names")
    strings = helper.make_tensor("names", TensorProto.STRING, [3], [b"a", b"b", b"c"])
    write("strings", model([label], [rows], [value("output", TensorProto.STRING, [3])], [strings]))
    zip_map = node("ZipMap", ["probabilities"], ["output"], "ZipMap", domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2])
    softmax = node("Softmax", ["features"], ["probabilities"], "softmax")
    kind = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, None))
    mapped = onnx.ValueInfoProto(name="output", type=helper.make_sequence_type_proto(kind))
    write("zip_map", model([softmax, zip_map], [rows], [mapped], imports=["ai.onnx.ml"]))

    outside_data = mlp()
    onnx.save(
        outside_data,
        FOLDER / "external.onnx",
        save_as_external_data=True,
        location="external.bin",
        size_threshold=0,
    )


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    runnable()
    foreign()
    (FOLDER / "expected.json").write_text(json.dumps(EXPECTED, indent=None, separators=(",", ":")) + "\n")
