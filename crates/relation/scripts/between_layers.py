"""Expected values of the losses between layers: FSP, singular vectors, information flow, instance graph.

Writes each formula out in NumPy, in double precision and independently of the Rust code, with LAPACK's
decompositions, and differentiates by central differences. The lines marked `authors` are proved on values
of the authors' code first.
Run: python3 -m pip install numpy; python3 scripts/between_layers.py
"""

import numpy as np

S = np.array([[1, 0], [0, 1], [1, 1], [2, 0.5]], float)
T = np.array([[1, 2, 0], [0, 1, 1], [1, 0, 3], [2, 1, 1]], float)


def sine_map(k, c, h, w=None):
    """A map of two samples as after a ReLU."""
    shape = (2, c, h, w or h)
    n = np.arange(np.prod(shape), dtype=float)
    return np.maximum(np.sin(n * k + 0.3 * k) + 0.4, 0).reshape(shape)


def gradient(loss, *inputs, step=1e-5):
    """Central differences by each input."""
    result = []
    for which, value in enumerate(inputs):
        out = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            moved = []
            for sign in (1, -1):
                other = value.copy()
                other[index] += sign * step
                moved.append(loss(*inputs[:which], other, *inputs[which + 1 :]))
            out[index] = (moved[0] - moved[1]) / (2 * step)
        result.append(out)
    return result


def show(name, loss, *inputs, authors=None):
    value = loss(*inputs)
    norms = [np.linalg.norm(part) for part in gradient(loss, *inputs)]
    print(f"{name:46} {value:.9f}  |g| {' '.join(f'{norm:.9f}' for norm in norms)}")
    if authors is not None:
        assert np.allclose([value, *norms], authors, rtol=1e-6, atol=1e-9), authors


# --- flow of solution procedure ---------------------------------------------------------------------


def pool(x, size, how):
    (h, w), (oh, ow) = x.shape[2:], size
    assert h % oh == 0 and w % ow == 0
    return how(x.reshape(*x.shape[:2], oh, h // oh, ow, w // ow), axis=(3, 5))


def flow(a, b, how=np.mean):
    size = [min(m, n) for m, n in zip(a.shape[2:], b.shape[2:])]
    a, b = pool(a, size, how), pool(b, size, how)
    return np.einsum("bihw,bjhw->bij", a, b) / (size[0] * size[1])


def fsp(distance, how=np.mean):
    teacher = sine_map(0.9, 3, 4), sine_map(1.7, 4, 2)

    def loss(*student):
        d = flow(*student, how) - flow(*teacher, how)
        square = (d**2).sum((1, 2))
        return {
            "mean": (d**2).mean(),
            "half": 0.5 * square.mean(),
            "entry": 0.5 * square.mean() / d[0].size,
            "column": np.sqrt((d**2).sum(1)).sum(1).mean(),
        }[distance]

    return loss


MAPS = sine_map(0.7, 3, 4), sine_map(1.3, 4, 2)
value = fsp("mean")(*MAPS)
assert abs(value - 0.009395078) < 1e-9, value
for distance in ["mean", "half", "entry", "column"]:
    show(f"fsp {distance}", fsp(distance), *MAPS)
show("fsp mean, max pooling", fsp("mean", np.max), *MAPS)


# --- singular vectors -------------------------------------------------------------------------------


def right(x, count):
    """Right singular vectors and values of one map [C, H, W]: columns over channels."""
    _, s, vt = np.linalg.svd(x.reshape(len(x), -1).T, full_matrices=False)
    return vt[:count].T, s[:count]


def canonical(v):
    sums = v.sum(0)
    largest = v[np.abs(v).argmax(0), range(v.shape[1])]
    return v * np.where(np.where(np.abs(sums) > 1e-6, sums, largest) < 0, -1.0, 1.0)


def align(vs, vt):
    m = vs.T @ vt
    best = np.abs(m) == np.abs(m).max(0, keepdims=True)
    return vs @ np.where(best, np.sign(m), 0.0)


def singular(teacher, k=1):
    def loss(*student):
        total = 0.0
        for b in range(2):
            before = None
            for s, t in zip(student, teacher):
                vt, sigma = right(t[b], k)
                vs, _ = right(s[b], k + 3)
                vt = canonical(vt)
                vs = align(vs, vt)
                sigma = sigma / np.linalg.norm(sigma)
                vs, vt = vs * sigma, vt * sigma
                if before:
                    r = [np.exp(-((v[:, None] - w[None]) ** 2) / 8) for v, w in zip((vs, vt), before)]
                    total += ((r[0] - r[1]) ** 2).sum()
                before = vs, vt
        return total / 2

    return loss


STUDENT, TEACHER = (sine_map(0.7, 5, 4), sine_map(1.3, 6, 3)), (sine_map(0.9, 5, 4), sine_map(1.7, 6, 3))
show("svd k=1", singular(TEACHER), *STUDENT, authors=[0.000769677, 0.000470701, 0.000898345])
show("svd k=2", singular(TEACHER, 2), *STUDENT)
WIDE = (sine_map(0.7, 9, 2), sine_map(1.3, 6, 3)), (sine_map(0.9, 9, 2), sine_map(1.7, 6, 3))
show("svd k=1, fewer pixels than channels", singular(WIDE[1]), *WIDE[0])


# --- information flow -------------------------------------------------------------------------------


def distances(x):
    d = ((x[:, None] - x[None]) ** 2).sum(2)
    return np.sqrt(d + 1e-6)


def affinity(x, kernel, bandwidth=1.0):
    if kernel == "cosine":
        u = x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-6)
        k = (1 + u @ u.T) / 2
    else:
        d = distances(x)
        k = {
            "student_t": 1 / (1 + d),
            "rbf": np.exp(-d / bandwidth),
            "cauchy": 1 / (1 + d**2 / bandwidth**2),
        }[kernel]
    return k / k.sum(1, keepdims=True)


def divergence(t, s, kind):
    return {
        "jeffreys": (t - s) * (np.log(t) - np.log(s)),
        "kl": t * np.log(1e-6 + t / (1e-6 + s)),
        "abs": np.abs(t - s),
        "squared": (t - s) ** 2,
        "exponential": t * (np.log(t) - np.log(s)) ** 2,
        "kagan": (t - s) ** 2 / t,
    }[kind].mean()


def flow_loss(kernel, kind, *bandwidth):
    kernels = ["cosine", "student_t"] if kernel == "combined" else [kernel]

    def one(s, k):
        return divergence(affinity(T, k, *bandwidth), affinity(s, k, *bandwidth), kind)

    return lambda s: sum(one(s, k) for k in kernels)


def adaptive(kind):
    # The mean distance is a constant of the gradient: that of the point where it is taken.
    scale = distances(S).mean()

    def p(x, sigma):
        k = np.exp(-distances(x) / sigma)
        return k / k.sum(1, keepdims=True)

    return lambda s: divergence(p(T, distances(T).mean()), p(s, scale), kind)


show("ifm combined", flow_loss("combined", "jeffreys"), S, authors=[0.027156827, 0.028134516])
show("ifm cosine kl", flow_loss("cosine", "kl"), S, authors=[0.005338421, 0.015437972])
for kernel in ["cosine", "student_t", "rbf", "cauchy"]:
    show(f"ifm {kernel} jeffreys", flow_loss(kernel, "jeffreys"), S)
for kernel in ["rbf", "cauchy"]:
    show(f"ifm {kernel} jeffreys, bandwidth 2", flow_loss(kernel, "jeffreys", 2.0), S)
show("ifm adaptive_rbf jeffreys", adaptive("jeffreys"), S)
for kind in ["kl", "abs", "squared", "exponential", "kagan"]:
    show(f"ifm student_t {kind}", flow_loss("student_t", kind), S)


# --- instance relationship graph --------------------------------------------------------------------


def edges(x, largest=None):
    x = x.reshape(len(x), -1)
    d = ((x[:, None] - x[None]) ** 2).sum(2)
    return d / (d.max() if largest is None else largest)


def transformation(a, b):
    a = pool(a, b.shape[2:], np.mean) if a.shape[2] > b.shape[2] else a
    b = (b[:, 0::2] + b[:, 1::2]) / 2 if a.shape[1] < b.shape[1] else b
    d = ((a - b) ** 2).reshape(len(a), -1).sum(1)
    return d / d.max()


def graph(teacher, vertex=0.1, edge=5.0, transform=5.0):
    def loss(logits, vectors, first, second):
        student = [vectors, first, second]
        a = np.mean([((edges(s) - edges(t)) ** 2).mean() for s, t in zip(student, teacher[1:])])
        t = ((transformation(first, second) - transformation(*teacher[2:])) ** 2).mean()
        return vertex * ((logits - teacher[0]) ** 2).mean() + edge * a + transform * t

    return loss


def edge_loss(s, divisor=None):
    return ((edges(s, divisor) - edges(T)) ** 2).mean()


show("irg edges", edge_loss, S, authors=[0.150600930, 0.130861414])
largest = (((S[:, None] - S[None]) ** 2).sum(2)).max()
show("irg edges, the maximum detached", lambda s: edge_loss(s, largest), S)

n = np.arange(3 * 4 * 4 * 4, dtype=float)


def layer(k, *shape):
    return np.maximum(np.sin(k * n[: np.prod(shape)]) + 0.4, 0).reshape(shape)


def layers_of(a, b):
    return [layer(a, 3, 2, 4, 4), layer(b, 3, 4, 2, 2)]


student = [np.sin(0.7 * n[:12] + 0.3).reshape(3, 4), np.sin(1.3 * n[:15]).reshape(3, 5), *layers_of(0.7, 1.3)]
teacher = [np.cos(1.1 * n[:12] + 0.1).reshape(3, 4), np.cos(0.9 * n[:18]).reshape(3, 6), *layers_of(0.9, 1.7)]
show("irg vertices, edges and a transformation", graph(teacher), *student)


def scalars(a, b):
    return ((edges(a) - edges(b)) ** 2).mean()


semckd = edge_loss(S) + (scalars(S, S**2) - scalars(T, T**2)) ** 2
# Its total has the vertices of the layers too, which the shapes of these allow.
layers = (((S - S**2) ** 2).mean() - ((T - T**2) ** 2).mean()) ** 2
assert abs(semckd + layers - 10.129329942) < 1e-8


def edges_and_change(s):
    both = (edge_loss(s) + ((edges(s**2) - edges(T**2)) ** 2).mean()) / 2
    return both + (scalars(s, s**2) - scalars(T, T**2)) ** 2


show("irg edges of two layers, their transformation", edges_and_change, S)


# --- multi-head graph -------------------------------------------------------------------------------

HEADS, WIDTH = 2, 3
W_SENDER = np.sin(0.5 * np.arange(3 * WIDTH * HEADS) + 0.1).reshape(3, -1)
W_RECEIVER = np.cos(0.4 * np.arange(4 * WIDTH * HEADS)).reshape(4, -1)


def v(k, d):
    return np.sin(k * np.arange(4 * d) + 0.2).reshape(4, d)


def heads(current, previous):
    # Batch normalization with the statistics of nothing seen yet: mean 0 and variance 1.
    norm = 1 / np.sqrt(1 + 1e-5)
    sender = (current @ W_SENDER * norm).reshape(-1, WIDTH, HEADS)
    receiver = (previous @ W_RECEIVER * norm).reshape(-1, WIDTH, HEADS)
    return np.einsum("bdh,cdh->hbc", sender, receiver)


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def transfer(forward=False):
    target = log_softmax(np.tanh(heads(v(1.1, 3), v(0.6, 4))))

    def loss(current, previous):
        own = log_softmax(np.tanh(heads(current, previous)))
        p, q = (target, own) if forward else (own, target)
        return (np.exp(p) * (p - q)).sum()

    return loss


show("mhgd, reverse and summed", transfer(), v(0.7, 3), v(0.9, 4))
show("mhgd, forward and summed", transfer(True), v(0.7, 3), v(0.9, 4))
