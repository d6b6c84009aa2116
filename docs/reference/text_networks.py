"""Text networks in transformers, double precision, filled by a formula.

    python3 docs/reference/text_networks.py              writes the fixture
    python3 docs/reference/text_networks.py --check      compares with it instead

It needs torch, torchvision and transformers. The fixture, crates/architecture/tests/text.json, is
read by the tests of crates/architecture: they fill networks of the same sizes by the same formula
and compare tensors, hidden states, attention scores, logits and a gradient.

Every network is transformers' own, `BertForSequenceClassification` or
`DistilBertForSequenceClassification`, built by its configuration class; only the sizes are small.
Its tensors are filled by the formula of networks.py, by their keys in the state dict. The tokens
are the integer parts of (v + 1) / 2 · vocabulary, with v of the key "ids"; one sequence fills the
length, one has padding at its end, and one is padding alone.

The attention scores are computed from the queries and keys that hooks record. With the mask of
transformers added, their softmax is compared with the attention that the network returns. The
gradient is that of the sum of the squared logits of the sequences with tokens.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from networks import count_products, filled, uniform

OUTPUT = Path(__file__).parents[2] / "crates/architecture/tests/text.json"
LENGTH = 6
LENGTHS = [6, 3, 0]

# family, features, depth, heads, features between the linear layers of a block
SMALL = {
    "bert": ("bert", 8, 2, 2, 32),
    "tinybert": ("bert", 12, 2, 3, 40),
    "distilbert": ("distilbert", 12, 2, 3, 48),
}
SIZES = {
    "bert-tiny": ("bert", 128, 2, 2, 512),
    "bert-mini": ("bert", 256, 4, 4, 1024),
    "bert-small": ("bert", 512, 4, 8, 2048),
    "bert-medium": ("bert", 512, 8, 8, 2048),
    "bert-base": ("bert", 768, 12, 12, 3072),
    "distilbert": ("distilbert", 768, 6, 12, 3072),
    "tinybert-4": ("bert", 312, 4, 12, 1200),
    "tinybert-6": ("bert", 768, 6, 12, 3072),
    "minilm-6": ("bert", 384, 6, 12, 1536),
    "minilm-12": ("bert", 384, 12, 12, 1536),
}


def build(size, vocabulary, positions, classes):
    family, features, depth, heads, intermediate = size
    shared = {
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        "num_labels": classes,
        "attn_implementation": "eager",
    }
    if family == "bert":
        config = transformers.BertConfig(
            hidden_size=features,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            intermediate_size=intermediate,
            **shared,
        )
        return transformers.BertForSequenceClassification(config)
    config = transformers.DistilBertConfig(
        dim=features, n_layers=depth, n_heads=heads, hidden_dim=intermediate, **shared
    )
    return transformers.DistilBertForSequenceClassification(config)


def attentions(network):
    """Queries, keys and values of each layer, as pairs of the key in the state dict and the layer."""
    family, names = (
        ("bert.encoder", ["self.query", "self.key", "self.value"])
        if hasattr(network, "bert")
        else ("distilbert.transformer", ["q_lin", "k_lin", "v_lin"])
    )
    layers = network.get_submodule(f"{family}.layer")
    return [
        [(f"{family}.layer.{n}.attention.{name}", layers[n].attention.get_submodule(name)) for name in names]
        for n in range(len(layers))
    ]


def rounded(tensor):
    return [float(f"{value:.7g}") for value in tensor.detach().reshape(-1).tolist()]


def reference(size):
    _, features, depth, heads, intermediate = size
    vocabulary, positions, classes = 11, 9, 3
    network = build(size, vocabulary, positions, classes).double().eval()
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    network.load_state_dict({key: filled(key, shape) for key, shape in shapes.items()})

    ids = (uniform("ids", len(LENGTHS) * LENGTH) + 1) / 2 * vocabulary
    ids = torch.from_numpy(ids).long().reshape(len(LENGTHS), LENGTH)
    mask = torch.arange(LENGTH) < torch.tensor(LENGTHS)[:, None]

    projected = {}
    for layer, projections in enumerate(attentions(network), 1):
        for name, (_, module) in zip(["query", "key", "value"], projections):
            module.register_forward_hook(
                lambda _, args, output, tap=f"{name}.{layer}": projected.__setitem__(tap, output)
            )
    products = count_products(network)
    found = network(
        input_ids=ids, attention_mask=mask.long(), output_hidden_states=True, output_attentions=True
    )
    # Products of queries with keys, and of attention with values.
    products = sum(products) // len(LENGTHS) + depth * 2 * LENGTH * LENGTH * features

    scores = {}
    for layer, attention in enumerate(found.attentions, 1):
        by_head = [
            projected[f"{name}.{layer}"].reshape(len(LENGTHS), LENGTH, heads, -1).transpose(1, 2)
            for name in ("query", "key")
        ]
        score = by_head[0] @ by_head[1].transpose(2, 3) / (features / heads) ** 0.5
        scores[f"attention.{layer}"] = score
        masked = torch.zeros(mask.shape, dtype=score.dtype).masked_fill(~mask, torch.finfo(score.dtype).min)
        torch.testing.assert_close(torch.softmax(score + masked[:, None, None, :], -1), attention)

    name, module = attentions(network)[0][0]
    found.logits[:2].square().sum().backward()
    taps = {f"hidden.{n}": state for n, state in enumerate(found.hidden_states)} | projected | scores
    return {
        "family": size[0],
        "features": features,
        "depth": depth,
        "heads": heads,
        "intermediate": intermediate,
        "vocabulary": vocabulary,
        "positions": positions,
        "classes": classes,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply_adds": products,
        "state": [f"{key} {','.join(map(str, shape))}" for key, shape in shapes.items()],
        "ids": ids.tolist(),
        "lengths": LENGTHS,
        "taps": {
            tap: rounded(taps[tap])
            for tap in ("hidden.0", "hidden.1", "hidden.2", "attention.1", "attention.2", "query.2", "value.2")
        },
        "logits": rounded(found.logits),
        "gradient_of": f"{name}.weight",
        "gradient": rounded(module.weight.grad),
    }


def parameters(size):
    """The number of parameters of a published size with two classes."""
    with torch.device("meta"):
        network = build(size, 30522, 512, 2)
    return sum(parameter.numel() for parameter in network.parameters())


def compare(found, stored, place):
    if isinstance(found, dict):
        assert found.keys() == stored.keys(), place
        for key, value in found.items():
            compare(value, stored[key], f"{place} {key}")
    elif isinstance(found, list) and found and isinstance(found[0], float):
        np.testing.assert_allclose(found, stored, rtol=1e-6, atol=1e-9, err_msg=place)
    else:
        assert found == stored, (place, found, stored)


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    found = {
        "sizes": {name: parameters(size) for name, size in SIZES.items()},
        "networks": {name: reference(size) for name, size in SMALL.items()},
    }
    if not sys.argv[1:]:
        lines = [f"{json.dumps(name)}:{json.dumps(n, separators=(',', ':'))}" for name, n in found["networks"].items()]
        sizes = json.dumps(found["sizes"], separators=(",", ":"))
        OUTPUT.write_text(f'{{"sizes":{sizes},\n"networks":{{\n' + ",\n".join(lines) + "\n}}\n")
        return
    compare(json.loads(json.dumps(found)), json.loads(OUTPUT.read_text()), "")


main()
