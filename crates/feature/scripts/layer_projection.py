"""Expected values of the layer-projection loss (ALP-KD), in double precision.

Writes the formula out in plain Python and differentiates it by central differences.
Run: python3 scripts/layer_projection.py
"""

from math import exp, fsum, pi, sin, sqrt

SAMPLES, LAYERS, FEATURES = 2, 3, 6


def wave(amplitude, step, offset):
    return [amplitude * sin(step * n + offset) for n in range(SAMPLES * LAYERS * FEATURES)]


STUDENT = wave(1.0, 0.37, 0.2)
TEACHER = wave(1.0, 0.23, 0.5 + pi / 2)


def layers(values):
    """One token per sample: [samples][layers][features]."""
    rows = [values[FEATURES * r : FEATURES * (r + 1)] for r in range(SAMPLES * LAYERS)]
    return [rows[LAYERS * b : LAYERS * (b + 1)] for b in range(SAMPLES)]


def dot(a, b):
    return fsum(x * y for x, y in zip(a, b))


def loss(student):
    squares = []
    for own, other in zip(layers(student), layers(TEACHER)):
        for h in own:
            scores = [exp(dot(h, t)) for t in other]
            total = fsum(scores)
            mixture = [
                fsum(a / total * t[d] for a, t in zip(scores, other)) for d in range(FEATURES)
            ]
            squares += [(x - c) ** 2 for x, c in zip(h, mixture)]
    return fsum(squares) / len(squares)


def gradient_norm(step=1e-5):
    def derivative(n):
        ahead, behind = list(STUDENT), list(STUDENT)
        ahead[n] += step
        behind[n] -= step
        return (loss(ahead) - loss(behind)) / (2 * step)

    return sqrt(fsum(derivative(n) ** 2 for n in range(len(STUDENT))))


if __name__ == "__main__":
    print(f"L = {loss(STUDENT):.9g}, g = {gradient_norm():.9g}")
