"""Exported ONNX files in onnxruntime, against the logits of burn.

    cargo run --release -p burn-distill-interchange --features export --example export_matrix -- OUT
    python3 docs/reference/exported.py OUT

The example exports every network of the toolkit. This script checks each ONNX file with the checker
of onnx, runs it in onnxruntime on the same images, as a whole batch and image by image, and prints a
table: the largest difference of the logits, relative to the largest logit. It fails if one is above
1e-4. It needs numpy, onnx and onnxruntime.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

LIMIT = 1e-4


def difference(folder):
    """The largest relative difference of the logits of an exported network."""
    path = folder / "onnx" / "model.onnx"
    onnx.checker.check_model(onnx.load(path), full_check=True)
    description = json.loads((folder / "onnx" / "model.json").read_text())
    inputs, output = description["weights"]["onnx"]["inputs"], description["weights"]["onnx"]["output"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == inputs
    images = np.fromfile(folder / "images.f32", "<f4").reshape(-1, *description["input"]["shape"])
    expected = np.fromfile(folder / "logits.f32", "<f4").reshape(len(images), -1)
    whole = session.run([output], {inputs[0]: images})[0]
    single = np.concatenate([session.run([output], {inputs[0]: image[None]})[0] for image in images])
    scale = np.abs(expected).max()
    return max(np.abs(found - expected).max() / scale for found in (whole, single))


def main(out):
    rows = json.loads((out / "matrix.json").read_text())
    columns = ["burnpack", "safetensors", "safetensors, original keys", "onnx"]
    print("| Network | " + " | ".join(columns) + " |\n" + "| --- " * 5 + "|")
    worst = 0
    for name, row in rows.items():
        if row["onnx"] is None:
            row["onnx"] = float(difference(out / name))
        cells = [row[column] for column in columns]
        worst = max([worst, *(cell if isinstance(cell, float) else np.inf for cell in cells)])
        text = (f"{cell:.1e}" if cell else "0" if cell == 0 else cell for cell in cells)
        print(f"| `{name}` | " + " | ".join(text) + " |")
    print(f"\nlargest difference: {worst:.1e}")
    return worst < LIMIT


if __name__ == "__main__":
    sys.exit(0 if main(Path(sys.argv[1])) else 1)
