"""Optimum of the linear probe on 30 points, in double precision, by Newton's method.

The points are those of the tests in crates/strategy/src/embedding/probe.rs. Prints the probabilities of
the first three points.

Run: python3 docs/reference/probe.py
"""

import numpy as np


def points():
    n = np.arange(30, dtype=np.float64)
    group = n % 3
    x = group + 1.5 * np.sin(1.3 * n)
    y = 10 * (0.5 * group + np.sin(0.7 * n + 0.2))
    return np.stack([x, y], 1), group.astype(int)


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def optimum(inputs, labels, penalty):
    """Minimizes the sum of cross-entropies and half the penalty times the squared weights. The last
    column of the inputs is that of the bias."""
    samples, features = inputs.shape
    classes = labels.max() + 1
    targets = np.eye(classes)[labels]
    weights = np.zeros((features, classes))
    penalties = np.repeat([penalty] * (features - 1) + [0.0], classes)
    for _ in range(50):
        p = softmax(inputs @ weights)
        gradient = (inputs.T @ (p - targets)).ravel() + penalties * weights.ravel()
        hessian = np.zeros((features * classes,) * 2)
        for row, x in zip(p, inputs):
            hessian += np.kron(np.outer(x, x), np.diag(row) - np.outer(row, row))
        hessian += np.diag(penalties)
        # The same bias for all classes changes nothing: the least-squares solution leaves it out.
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        weights -= step.reshape(weights.shape)
    assert np.abs(gradient).max() < 1e-10
    return weights


def main():
    x, labels = points()
    x = (x - x.mean(0)) / x.std(0)
    inputs = np.concatenate([x, np.ones((len(x), 1))], 1)
    for penalty in (1.0, 0.1):
        p = softmax(inputs @ optimum(inputs, labels, penalty))
        print(penalty, np.array2string(p[:3], precision=6, separator=", "))


if __name__ == "__main__":
    main()
