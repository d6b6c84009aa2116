"""Expected values of the losses on dense maps, in double precision.

Computes each loss from its formula with numpy, its gradient by hand, and checks the gradient by central
differences. The formulas are those of the authors' code: `CriterionCWD` of TorchDistiller (norm_type
"channel", divergence "kl"), `CriterionPixelWise` and `sim_dis_compute` of
structure_knowledge_distillation, and `FeatureLoss` and `MGDLoss` of MGD.

Run: python3 docs/reference/dense.py
"""

import numpy as np


def wave(shape, amplitude, frequency, phase):
    n = np.arange(np.prod(shape), dtype=np.float64)
    return (amplitude * np.sin(frequency * n + phase)).reshape(shape)


QUARTER = np.pi / 2


def student(shape):
    return wave(shape, 1.0, 0.37, 0.2)


def teacher(shape):
    return wave(shape, 1.0, 0.23, 0.5 + QUARTER)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def kl(p, q):
    return np.sum(p * (np.log(p) - np.log(q)))


def pool(x, size):
    """Adaptive average pooling to sizes that divide the size of the map."""
    b, c, h, w = x.shape
    return x.reshape(b, c, size[0], h // size[0], size[1], w // size[1]).mean((3, 5))


def channel_wise(s, t, temperature):
    b, c, _, _ = s.shape
    p, q = (softmax(x.reshape(b, c, -1) / temperature, 2) for x in (t, s))
    value = temperature**2 * kl(p, q) / (b * c)
    return value, (temperature * (q - p) / (b * c)).reshape(s.shape)


def pixel_wise(s, t, temperature):
    b, _, h, w = s.shape
    p, q = (softmax(x / temperature, 1) for x in (t, s))
    value = temperature**2 * kl(p, q) / (b * h * w)
    return value, temperature * (q - p) / (b * h * w)


def max_pool(x, kernel):
    """Max pooling with windows that do not overlap; the last of each row may be smaller. Also
    returns the positions of the largest values."""
    b, c, h, w = x.shape
    rows, columns = range(0, h, kernel[0]), range(0, w, kernel[1])
    pooled = np.zeros((b, c, len(rows), len(columns)))
    places = np.zeros(pooled.shape + (2,), dtype=int)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = x[:, :, row : row + kernel[0], column : column + kernel[1]]
            flat = window.reshape(b, c, -1)
            place = flat.argmax(2)
            pooled[:, :, i, j] = flat.max(2)
            places[:, :, i, j, 0] = row + place // window.shape[3]
            places[:, :, i, j, 1] = column + place % window.shape[3]
    return pooled, places


def pair_wise(s, t, scale, norms=None):
    """The norms are constants in the backward pass, as in the authors' code."""
    kernel = [max(int(size * scale), 1) for size in s.shape[2:]]
    pooled, places = max_pool(s, kernel)
    b, c, h, w = pooled.shape

    def nodes(x, norm):
        return (x / norm).reshape(b, x.shape[1], -1)

    def length(x):
        return np.sqrt((x**2).sum(1, keepdims=True)) + 1e-8

    own = length(pooled) if norms is None else norms
    f = nodes(pooled, own)
    other = max_pool(t, kernel)[0]
    g = nodes(other, length(other))
    difference = np.einsum("icm,icn->imn", f, f) - np.einsum("icm,icn->imn", g, g)
    count = (h * w) ** 2 * b
    value = (difference**2).sum() / count
    of_nodes = 4 * np.einsum("imn,icn->icm", difference, f) / count
    of_pooled = of_nodes.reshape(pooled.shape) / own
    gradient = np.zeros_like(s)
    for index in np.ndindex(pooled.shape):
        row, column = places[index]
        gradient[index[0], index[1], row, column] += of_pooled[index]
    return value, gradient, own


def conv(x, weight, bias, padding):
    k = weight.shape[2]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    h, w = padded.shape[2] - k + 1, padded.shape[3] - k + 1
    out = np.zeros((x.shape[0], weight.shape[0], h, w)) + bias[None, :, None, None]
    for i in range(k):
        for j in range(k):
            out += np.einsum("bchw,oc->bohw", padded[:, :, i : i + h, j : j + w], weight[:, :, i, j])
    return out


def conv_back(gradient, weight, padding):
    """The gradient by the input of a convolution."""
    k = weight.shape[2]
    b, _, h, w = gradient.shape
    padded = np.zeros((b, weight.shape[1], h + k - 1, w + k - 1))
    for i in range(k):
        for j in range(k):
            padded[:, :, i : i + h, j : j + w] += np.einsum(
                "bohw,oc->bchw", gradient, weight[:, :, i, j]
            )
    rows, columns = padded.shape[2] - padding, padded.shape[3] - padding
    return padded[:, :, padding:rows, padding:columns]


def layers(inputs, outputs):
    """Weights and biases of the alignment and of both convolutions of the generation."""
    return [
        (wave((o, i, k, k), 0.3, 0.9, phase), wave((o,), 0.1, 1.7, phase))
        for (i, o, k, phase) in [
            (inputs, outputs, 1, 0.1),
            (outputs, outputs, 3, 0.4),
            (outputs, outputs, 3, 0.8),
        ]
    ]


def masked_generation(s, t, mask, align):
    (a, a_bias), (w1, b1), (w2, b2) = layers(s.shape[1], t.shape[1])
    aligned = conv(s, a, a_bias, 0) if align else s
    hidden = conv(aligned * mask, w1, b1, 1)
    difference = conv(np.maximum(hidden, 0), w2, b2, 1) - t
    b = s.shape[0]
    value = (difference**2).sum() / b
    back = conv_back(2 * difference / b, w2, 1) * (hidden > 0)
    back = conv_back(back, w1, 1) * mask
    return value, conv_back(back, a, 0) if align else back


def check(name, loss, s, gradient):
    """Compares a gradient with central differences at some positions."""
    step = 1e-6
    for index in range(0, s.size, 7):
        moved = [s.copy(), s.copy()]
        moved[0].flat[index] += step
        moved[1].flat[index] -= step
        expected = (loss(moved[0]) - loss(moved[1])) / (2 * step)
        assert abs(expected - gradient.flat[index]) < 1e-7 * max(1, abs(expected)), (name, index)


def show(name, value, gradient):
    print(f"{name}: value {value:.10g}, gradient {np.linalg.norm(gradient):.10g}")


def main():
    shape = (2, 3, 4, 4)
    s, t = student(shape), teacher(shape)
    for temperature in (1.0, 4.0):
        for name, loss in (("channel-wise", channel_wise), ("pixel-wise", pixel_wise)):
            value, gradient = loss(s, t, temperature)
            check(name, lambda x: loss(x, t, temperature)[0], s, gradient)
            show(f"{name} at {temperature}", value, gradient)
    large = teacher((2, 3, 8, 4))
    for name, loss in (("channel-wise", channel_wise), ("pixel-wise", pixel_wise)):
        show(f"{name} at 4, pooled", *loss(s, pool(large, (4, 4)), 4.0))

    for s_shape, t_shape, scale in [
        (shape, shape, 0.5),
        (shape, (2, 5, 4, 4), 0.25),
        ((2, 3, 5, 3), (2, 4, 5, 3), 0.5),
    ]:
        s, t = student(s_shape), teacher(t_shape)
        value, gradient, norms = pair_wise(s, t, scale)
        check("pair-wise", lambda x: pair_wise(x, t, scale, norms)[0], s, gradient)
        show(f"pair-wise {s_shape} {t_shape} at {scale}", value, gradient)

    n = np.arange(2 * 4 * 4)
    positions = (n % 3 != 0).astype(float).reshape(2, 1, 4, 4)
    channels = (np.arange(10) % 3 != 0).astype(float).reshape(2, 5, 1, 1)
    for t_shape, mask, align in [
        ((2, 3, 4, 4), positions, False),
        ((2, 5, 4, 4), positions, True),
        ((2, 5, 4, 4), channels, True),
    ]:
        s, t = student(shape), teacher(t_shape)
        value, gradient = masked_generation(s, t, mask, align)
        check("mgd", lambda x: masked_generation(x, t, mask, align)[0], s, gradient)
        show(f"masked-generation {t_shape} mask {mask.shape}", value, gradient)


if __name__ == "__main__":
    main()
