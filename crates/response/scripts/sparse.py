"""Expected values of the losses between distributions with a teacher of two classes.

Merges the classes by hand: the distributions are over the two likeliest classes of the teacher, named
by its probabilities at a temperature of 1, and one more for the other three. Differentiates by central
differences. The logits are those of response.py.
Run: python3 scripts/sparse.py
"""

from math import exp, fsum, log

from response import STUDENT, TEACHER, log_softmax, show

FLOOR = -50.0


def events(student, teacher, rest, temperature):
    """The probabilities of teacher and student, each of three events."""
    known = sorted(range(len(teacher)), key=lambda k: -teacher[k])[:2]
    others = [k for k in range(len(teacher)) if k not in known]
    p, q = log_softmax(teacher), log_softmax(student, temperature)
    left = fsum(exp(p[k]) for k in others)
    tail = {
        "zero": 0.0,
        "tail": left ** (1 / temperature),
        "uniform": len(others) * (left / len(others)) ** (1 / temperature),
    }[rest]
    target = [exp(p[k] / temperature) for k in known] + [tail]
    target = [value / fsum(target) for value in target]
    return target, [exp(q[k]) for k in known] + [fsum(exp(q[k]) for k in others)]


def kl(p, q):
    return fsum(a * log(a / b) for a, b in zip(p, q) if a > 0)


def mix(p, q, share):
    return [share * a + (1 - share) * b for a, b in zip(p, q)]


def reverse(p, q):
    return fsum(b * (log(b) - (max(log(a), FLOOR) if a > 0 else FLOOR)) for a, b in zip(p, q))


LOSSES = {
    "soft targets": lambda p, q, t: t**2 * kl(p, q),
    "soft cross-entropy": lambda p, q, t: -t**2 * fsum(a * log(b) for a, b in zip(p, q)),
    "reverse KL": lambda p, q, t: reverse(p, q),
    "Jensen-Shannon": lambda p, q, t: (kl(p, mix(p, q, 0.5)) + kl(q, mix(p, q, 0.5))) / 2,
    "total variation": lambda p, q, t: fsum(abs(a - b) for a, b in zip(p, q)) / 2,
    "skew KL": lambda p, q, t: kl(p, mix(p, q, 0.1)),
    "reverse skew KL": lambda p, q, t: kl(q, mix(q, p, 0.1)),
}


if __name__ == "__main__":
    for name, loss in LOSSES.items():
        for rest in ("zero", "tail", "uniform"):
            show(
                f"{name}, rest {rest}, T=2",
                lambda s: [loss(*events(a, b, rest, 2.0), 2.0) for a, b in zip(s, TEACHER)],
            )
