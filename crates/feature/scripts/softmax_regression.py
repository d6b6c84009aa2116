"""Expected values of the softmax-regression loss (SRRL), in double precision.

Writes the formula out in plain Python and differentiates it by central differences, which are exact
for a quadratic function but for rounding.
Run: python3 scripts/softmax_regression.py
"""

from math import fsum, pi, sin, sqrt

SAMPLES, CHANNELS, PIXELS, CLASSES = 2, 3, 16, 5


def wave(amplitude, step, offset):
    numbers = range(SAMPLES * CHANNELS * PIXELS)
    return [amplitude * sin(step * n + offset) for n in numbers]


STUDENT = wave(1.0, 0.37, 0.2)
TEACHER = wave(1.0, 0.23, 0.5 + pi / 2)
WEIGHT = [[sin(1.1 * (CLASSES * c + k) + 0.4) for k in range(CLASSES)] for c in range(CHANNELS)]


def pooled(maps):
    rows = range(SAMPLES * CHANNELS)
    means = [fsum(maps[PIXELS * r : PIXELS * (r + 1)]) / PIXELS for r in rows]
    return [means[CHANNELS * b : CHANNELS * (b + 1)] for b in range(SAMPLES)]


def loss(student, alpha, beta):
    pairs = list(zip(pooled(student), pooled(TEACHER)))
    differences = [[a - b for a, b in zip(*pair)] for pair in pairs]
    logits = [
        [fsum(d * WEIGHT[c][k] for c, d in enumerate(row)) for k in range(CLASSES)]
        for row in differences
    ]
    features = fsum(d * d for row in differences for d in row) / (SAMPLES * CHANNELS)
    predictions = fsum(z * z for row in logits for z in row) / (SAMPLES * CLASSES)
    return alpha * features + beta * predictions


def gradient_norm(alpha, beta, step=1e-3):
    def derivative(n):
        ahead, behind = list(STUDENT), list(STUDENT)
        ahead[n] += step
        behind[n] -= step
        return (loss(ahead, alpha, beta) - loss(behind, alpha, beta)) / (2 * step)

    return sqrt(fsum(derivative(n) ** 2 for n in range(len(STUDENT))))


if __name__ == "__main__":
    for alpha, beta in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (2.0, 0.5)):
        value, norm = loss(STUDENT, alpha, beta), gradient_norm(alpha, beta)
        print(f"alpha {alpha}, beta {beta}: L = {value:.9g}, g = {norm:.9g}")
