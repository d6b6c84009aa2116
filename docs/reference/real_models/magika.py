"""Compares magika's ONNX model, run as a teacher, with onnxruntime on files of this disk.

    python3 -m pip install numpy onnx onnxruntime
    python3 docs/reference/real_models/magika.py [FOLDER ...]

Downloads the package magika 1.0.3 from PyPI, takes up to 400 files of the folders (default: the Python installation
and this repository), and prepares their bytes as magika does: 1024 bytes of each end, without the spaces around
them, filled up with the token 256. `cargo run --example onnx_outputs` runs the same tokens. Both are also compared with the
model in double precision, evaluated node by node.
"""

import json
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

ROOT = Path(__file__).resolve().parents[3]
END, BLOCK, PADDING, MOST = 1024, 4096, 256, 400
BATCH = 32


def model(folder):
    pip = [sys.executable, "-m", "pip", "download", "magika==1.0.3", "--no-deps", "--quiet", "--dest", folder]
    subprocess.run(pip, check=True)
    wheel = next(Path(folder).glob("magika-*.whl"))
    path = Path(folder) / "magika.onnx"
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("model.onnx"))
        path.write_bytes(archive.read(name))
    return path


def tokens(path):
    content = path.read_bytes()
    start, end = content[:BLOCK].lstrip()[:END], content[-BLOCK:].rstrip()[-END:]
    return [*start, *[PADDING] * (END - len(start)), *[PADDING] * (END - len(end)), *end]


def files(folders):
    found = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    found = [path for path in found if 64 <= path.stat().st_size <= 1 << 24 and ".git" not in path.parts]
    random.Random(0).shuffle(found)
    by_kind = {}
    for path in found:
        by_kind.setdefault(path.suffix, []).append(path)
    # Files of rare kinds first, so that one kind does not fill the list.
    ranked = [(rank, path) for paths in by_kind.values() for rank, path in enumerate(paths)]
    return [path for _, path in sorted(ranked, key=lambda item: item[0])[:MOST]]


def by_onnxruntime(path, inputs, output=None):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    run = lambda batch: session.run(None, {"bytes": batch})[0]
    run(inputs[:BATCH])
    start = time.perf_counter()
    outputs = [run(inputs[place : place + BATCH]) for place in range(0, len(inputs), BATCH)]
    return np.concatenate(outputs), time.perf_counter() - start


class GlobalMaxPool(OpRun):
    """The one of the package returns another shape for sequences."""

    def _run(self, x):
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


def in_double_precision(path, inputs):
    network = onnx.load(path)
    for tensor in network.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for node in network.graph.node:
        for attribute in node.attribute:
            if (node.op_type, attribute.name, attribute.i) == ("Cast", "to", onnx.TensorProto.FLOAT):
                attribute.i = onnx.TensorProto.DOUBLE
    for output in network.graph.output:
        output.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    evaluator = ReferenceEvaluator(network, new_ops=[GlobalMaxPool])
    return np.concatenate([evaluator.run(None, {"bytes": row[None]})[0] for row in inputs])


def as_teacher(path, inputs):
    """Runs the model as a teacher, and returns its logits and the seconds."""
    config = json.dumps({"outputs": "probabilities"})
    example = ["--features", "onnx", "-p", "burn-distill-interchange", "--example", "onnx_outputs"]
    command = ["cargo", "run", "--quiet", *example, "--", str(path), config, str(inputs.shape[1]), str(BATCH)]
    done = subprocess.run(command, cwd=ROOT, input=inputs.astype("<i4").tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout, "<f4").reshape(len(inputs), -1), float(done.stderr.split()[-1])


def main():
    folders = sys.argv[1:] or [sysconfig.get_paths()["stdlib"], ROOT]
    paths = files(folders)
    inputs = np.array([tokens(path) for path in paths], np.int32)
    with tempfile.TemporaryDirectory() as folder:
        path = model(folder)
        expected, seconds = by_onnxruntime(path, inputs)
        logits, own_seconds = as_teacher(path, inputs)
        exact = in_double_precision(path, inputs)
    kinds = len({path.suffix for path in paths})
    print(f"{len(paths)} files with {kinds} suffixes, batches of {BATCH}")
    same = np.mean(logits.argmax(1) == expected.argmax(1))
    print(f"same class by the teacher and by onnxruntime: {same:.2%}")
    by_teacher, by_runtime = logits.astype(np.float64), in_logits(expected)
    compare("the teacher and onnxruntime", by_teacher, by_runtime, exact)
    compare("the teacher and double precision", by_teacher, in_logits(exact), exact)
    compare("onnxruntime and double precision", by_runtime, in_logits(exact), exact)
    rates = [len(paths) / seconds for seconds in (seconds, own_seconds)]
    print("files per second on one thread: onnxruntime {:.0f}, as a teacher {:.0f}".format(*rates))


def in_logits(probabilities):
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))


def compare(title, found, expected, exact):
    """Prints the largest differences; those of logits where the probability is above 1e-30."""
    logit = np.abs(found - expected)[exact > 1e-30].max()
    probability = np.abs(np.exp(found) - np.exp(expected)).max()
    print(f"largest difference between {title}: probability {probability:.1e}, logit {logit:.1e}")


if __name__ == "__main__":
    main()
