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


def total_variation(images):
    """DeepInversion: un-squared norms of the differences in four directions, pixel by pixel."""
    samples, channels, height, width = images.shape
    total = 0.0
    for down, right, start in ((0, 1, 0), (1, 0, 0), (-1, 1, 1), (1, 1, 0)):
        squares = []
        for i in range(start, height):
            for j in range(width):
                k, l = i + down, j + right
                if 0 <= k < height and l < width:
                    squares.append(((images[:, :, i, j] - images[:, :, k, l]) ** 2).sum())
        total = total + torch.sqrt(torch.stack(squares).sum())
    return total


RUNNING = [
    (torch.tensor([0.2, -0.1, 0.4]), torch.tensor([1.5, 0.7, 2.0])),
    (torch.tensor([-0.3, 0.1, 0.0]), torch.tensor([0.9, 1.1, 0.4])),
]


def statistics(images, first=1.0):
    """DeepInversion: two normalizations in evaluation mode, the second on twice the first's output.

    The scale of the layers is 1 and their offset 0.
    """
    total, maps = 0.0, images
    for index, (mean, variance) in enumerate(RUNNING):
        values = maps.permute(1, 0, 2, 3).reshape(3, -1)
        own = values.mean(1)
        spread = ((values - own[:, None]) ** 2).mean(1)
        distance = (own - mean).pow(2).sum().sqrt() + (spread - variance).pow(2).sum().sqrt()
        total = total + distance * (first if index == 0 else 1.0)
        scale = 1.0 / torch.sqrt(variance + 1e-5)
        maps = 2.0 * (maps - mean[:, None, None]) * scale[:, None, None]
    return total


def softened(logits, temperature):
    scaled = logits / temperature
    return torch.exp(scaled - torch.logsumexp(scaled, 1, keepdim=True))


def divergence(p, q):
    return (p * (torch.log(p) - torch.log(q))).sum(1).mean()


def competition(student, teacher):
    p, q = softened(student, 3.0), softened(teacher, 3.0)
    m = 0.5 * (p + q)
    return 1.0 - 0.5 * (divergence(p, m) + divergence(q, m))


def reversed_competition(student, teacher):
    p, q = softened(student, 3.0), softened(teacher, 3.0)
    m = 0.5 * (p + q)
    p, q, m = (x.clamp(0.01, 0.99) for x in (p, q, m))
    return 1.0 - 0.5 * (divergence(m, p) + divergence(m, q))


def main():
    logits, features = waves((3, 4), 3.0, 0.7), waves((3, 2), 2.0, 1.1)
    print("DAFL terms:", [f"{term.item():.15g}" for term in dafl_terms(logits, features)])
    report("DAFL", dafl, [logits, features])

    images = waves((2, 3, 2, 3), 1.0, 0.7)
    report("total variation", total_variation, [waves((1, 2, 3, 3), 1.0, 0.7)])
    report("statistics", statistics, [images])
    report("statistics, first layer 10", lambda x: statistics(x, 10.0), [images])
    student, teacher = waves((2, 3), 9.0, 0.7), waves((2, 3), 9.0, 1.1)
    report("competition", competition, [student, teacher])
    report("competition, reversed", reversed_competition, [student, teacher])


if __name__ == "__main__":
    main()
