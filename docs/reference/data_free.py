"""Values of the methods without data, in double precision, from their formulas.

Independent of the Rust code. Gradients are those of PyTorch's autograd, which a run compares with
central differences. Needs `numpy` and `torch`:

    python3 docs/reference/data_free.py

The tests of `crates/strategy` hold the printed values.
"""

import math

import torch

torch.set_default_dtype(torch.float64)


def waves(shape, scale, step):
    """scale * sin(step * n + 0.3), with n counting row by row."""
    count = math.prod(shape)
    numbers = torch.arange(count, dtype=torch.float64)
    return (scale * torch.sin(step * numbers + 0.3)).reshape(shape)


def differences(function, inputs, epsilon=1e-6):
    """Central differences of a function of several tensors."""
    result = []
    for tensor in inputs:
        gradient = torch.zeros_like(tensor)
        flat = tensor.detach().reshape(-1)
        for place in range(flat.numel()):
            sides = []
            for sign in (1.0, -1.0):
                moved = flat.clone()
                moved[place] += sign * epsilon
                moved = moved.reshape(tensor.shape)
                arguments = [moved if other is tensor else other.detach() for other in inputs]
                sides.append(function(*arguments).item())
            gradient.reshape(-1)[place] = (sides[0] - sides[1]) / (2 * epsilon)
        result.append(gradient)
    return result


def report(name, function, inputs):
    inputs = [tensor.clone().requires_grad_() for tensor in inputs]
    value = function(*inputs)
    gradients = torch.autograd.grad(value, inputs)
    for gradient, expected in zip(gradients, differences(function, inputs)):
        error = (gradient - expected).abs().max().item()
        assert error < 1e-7 * max(1.0, expected.abs().max().item()), (name, error)
    print(f"{name}: {value.item():.15g}")
    for gradient in gradients:
        print("   gradient", [float(f"{g:.15g}") for g in gradient.reshape(-1).tolist()])


def dafl_terms(logits, features):
    """The three terms of DAFL: by the formulas of the paper, with a decimal logarithm."""
    p = torch.exp(logits - torch.logsumexp(logits, 1, keepdim=True))
    one_hot = -torch.log(p.max(1).values).mean()
    mean = p.mean(0)
    entropy = (mean * torch.log10(mean)).sum()
    return one_hot, entropy, -features.abs().mean()


def dafl(logits, features):
    one_hot, entropy, activation = dafl_terms(logits, features)
    return 0.5 * one_hot + 20.0 * entropy + 0.1 * activation


def main():
    logits, features = waves((3, 4), 3.0, 0.7), waves((3, 2), 2.0, 1.1)
    print("DAFL terms:", [f"{term.item():.15g}" for term in dafl_terms(logits, features)])
    report("DAFL", dafl, [logits, features])


if __name__ == "__main__":
    main()
