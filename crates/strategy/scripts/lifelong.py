"""Golden values of learning tasks one after another, in double precision.

    python3 -m pip install numpy
    python3 scripts/lifelong.py            writes tests/lifelong/golden.json
    python3 scripts/lifelong.py --check    compares it

Every gradient is derived by hand and compared with central differences. The value of learning without
forgetting is that of FACIL's `cross_entropy`, executed with torch: 0.905554761.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent.parent / "tests/lifelong/golden.json"


def wave(count, step, start, size=1.0):
    return size * np.sin(step * np.arange(count) + start)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def differences(f, x, h=1e-6):
    """Central differences of a scalar function."""
    gradient = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += h
        down[at] -= h
        gradient[at] = (f(up) - f(down)) / (2 * h)
    return gradient


def checked(f, x, gradient):
    assert np.abs(differences(f, x) - gradient).max() < 1e-7 * max(1, np.abs(gradient).max())
    return gradient


# A network of 3 -> 4 (tanh) -> 3, as one vector: weight and bias of each layer, weights [in, out].
IN, HIDDEN, OUT = 3, 4, 3
PARAMETERS = IN * HIDDEN + HIDDEN + HIDDEN * OUT + OUT


def layers(theta):
    a, b = IN * HIDDEN, IN * HIDDEN + HIDDEN
    c = b + HIDDEN * OUT
    return theta[:a].reshape(IN, HIDDEN), theta[a:b], theta[b:c].reshape(HIDDEN, OUT), theta[c:]


def logits(theta, x):
    w1, b1, w2, b2 = layers(theta)
    return np.tanh(x @ w1 + b1) @ w2 + b2


def mean_loss(theta, x, y):
    p = softmax(logits(theta, x))
    return -np.log(p[np.arange(len(y)), y]).mean()


def gradient_of_mean_loss(theta, x, y):
    w1, b1, w2, b2 = layers(theta)
    h = np.tanh(x @ w1 + b1)
    dz = softmax(h @ w2 + b2)
    dz[np.arange(len(y)), y] -= 1
    dz /= len(y)
    dh = dz @ w2.T * (1 - h**2)
    parts = [x.T @ dh, dh.sum(0), h.T @ dz, dz.sum(0)]
    gradient = np.concatenate([part.ravel() for part in parts])
    return checked(lambda theta: mean_loss(theta, x, y), theta, gradient)


def fisher(theta, batches, per_sample, labels):
    total, samples = np.zeros(PARAMETERS), 0
    for x, y in batches:
        predicted = logits(theta, x).argmax(1)
        chosen = y if labels == "given" else predicted
        if not per_sample:
            total += len(y) * gradient_of_mean_loss(theta, x, chosen) ** 2
        else:
            for row in range(len(y)):
                one = x[row : row + 1]
                if labels != "expected":
                    total += gradient_of_mean_loss(theta, one, chosen[row : row + 1]) ** 2
                    continue
                p = softmax(logits(theta, one))[0]
                for k in range(OUT):
                    total += p[k] * gradient_of_mean_loss(theta, one, np.array([k])) ** 2
        samples += len(y)
    return total / samples


def elastic():
    theta = wave(PARAMETERS, 0.7, 0.3)
    x = wave(7 * IN, 0.9, 0.1, 1.5).reshape(7, IN)
    y = np.array([0, 2, 1, 1, 0, 2, 2])
    batches = [(x[:3], y[:3]), (x[3:6], y[3:6]), (x[6:], y[6:])]
    result = {
        "batch-mean predicted": fisher(theta, batches, False, "predicted"),
        "batch-mean given": fisher(theta, batches, False, "given"),
        "per-sample predicted": fisher(theta, batches, True, "predicted"),
        "per-sample given": fisher(theta, batches, True, "given"),
        "per-sample expected": fisher(theta, batches, True, "expected"),
    }
    # Two tasks, merged by a half each, the first with zeros; the output layer is skipped.
    kept = IN * HIDDEN + HIDDEN
    first, second = result["batch-mean predicted"][:kept], result["per-sample expected"][:kept]
    importance = 0.5 * (0.5 * 0 + 0.5 * first) + 0.5 * second
    anchor = wave(PARAMETERS, 0.5, 0.2)[:kept]

    def penalty(theta):
        return 5000 / 2 * (importance * (theta - anchor) ** 2).sum()

    now = theta[:kept]
    gradient = checked(penalty, now, 5000 * importance * (now - anchor))
    return result, {"importance": importance, "penalty": penalty(now), "gradient": gradient}


def bce(target, z):
    return -(target * np.log(sigmoid(z)) + (1 - target) * np.log(sigmoid(-z)))


def icarl():
    z = wave(4 * 5, 0.7, 0.2, 2.0).reshape(4, 5)
    old = wave(4 * 3, 1.1, 0.4, 1.5).reshape(4, 3)
    y = np.array([3, 4, 1, 3])  # the third sample is an exemplar
    one_hot = np.eye(5)[y]

    def binary(z):
        # The loss of the authors: one mean over the batch and all classes.
        target = np.concatenate([sigmoid(old), one_hot[:, 3:]], 1)
        return bce(target, z).mean()

    def cross_entropy(z):
        classification = -np.log(softmax(z)[np.arange(4), y]).mean()
        return classification + sum(bce(sigmoid(old[:, k]), z[:, k]).mean() for k in range(3))

    target = np.concatenate([sigmoid(old), one_hot[:, 3:]], 1)
    of_binary = (sigmoid(z) - target) / z.size
    of_cross_entropy = (softmax(z) - one_hot) / 4
    of_cross_entropy[:, :3] += (sigmoid(z[:, :3]) - sigmoid(old)) / 4
    return {
        "binary": {"value": binary(z), "gradient": checked(binary, z, of_binary)},
        "cross-entropy": {
            "value": cross_entropy(z),
            "gradient": checked(cross_entropy, z, of_cross_entropy),
        },
        "first": {
            "value": bce(one_hot, z).mean(),
            "gradient": checked(lambda z: bce(one_hot, z).mean(), z, (sigmoid(z) - one_hot) / z.size),
        },
    }


def herding():
    features = wave(12 * 4, 1.3, 0.6).reshape(12, 4) + np.array([1.0, 0.5, 0.0, -0.5])
    phi = features / np.linalg.norm(features, axis=1, keepdims=True)
    mu = phi.mean(0)
    order = []
    for k in range(1, 8):
        candidates = [i for i in range(len(phi)) if i not in order]
        candidates.sort(key=lambda i: np.linalg.norm(mu - (phi[i] + phi[order].sum(0)) / k))
        order.append(candidates[0])
    mean = phi[order[:5]].mean(0)
    return {"features": features, "order": order, "mean_of_five": mean / np.linalg.norm(mean)}


def lwf():
    student = np.array([[2, 0.5, -1], [0, 1, 0.5], [1, -1, 0.3], [0.2, 0.1, 2]])
    old = np.array([[3.0, 0, -1], [0.5, 2, 0], [2, -2, 0], [0, 0, 3]])
    epsilon, temperature = 1e-5, 2
    # Powers of the probabilities, normalized; then epsilon / K is added, and they are normalized again.
    power = lambda z: softmax(z) ** (1 / temperature) / (softmax(z) ** (1 / temperature)).sum(1, keepdims=True)

    def loss(student):
        q = power(student) + epsilon / 3
        q /= q.sum(1, keepdims=True)
        return -(power(old) * np.log(q)).sum(1).mean()

    p, s = power(old), power(student)
    ratio = p * s / (s + epsilon / 3)
    gradient = (ratio.sum(1, keepdims=True) * s - ratio) / (temperature * 4)
    assert abs(loss(student) - 0.905554761) < 1e-9
    return {"value": loss(student), "gradient": checked(loss, student, gradient)}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(value) for key, value in value.items()}
    if isinstance(value, np.ndarray):
        return [plain(element) for element in value]
    if isinstance(value, list):
        return [plain(element) for element in value]
    return value.item() if isinstance(value, np.generic) else value


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def main():
    information, penalty = elastic()
    golden = plain(
        {
            "fisher": information,
            "elastic": penalty,
            "icarl": icarl(),
            "herding": herding(),
            "lwf": lwf(),
        }
    )
    if "--check" in sys.argv:
        assert same(golden, json.loads(GOLDEN.read_text())), "the values differ"
    else:
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


main()
