"""Expected values of the losses of labels, boxes and maps, in double precision.

Writes the formulas out in plain Python and differentiates them by central differences.
Run: python3 scripts/labeled.py
"""

from math import cos, exp, fsum, log, sin, sqrt

from response import LABELS, STUDENT, TEACHER, log_softmax, mean, show, soft_target


def others(row, label):
    return [value for k, value in enumerate(row) if k != label]


def divergence(log_p, log_q):
    return fsum(exp(a) * (a - b) for a, b in zip(log_p, log_q))


def binary(row, label, temperature):
    log_p = log_softmax(row, temperature)
    return [log_p[label], log(fsum(exp(value) for value in others(log_p, label)))]


def target_part(student, temperature):
    return [
        temperature**2 * divergence(binary(t, y, temperature), binary(s, y, temperature))
        for s, t, y in zip(student, TEACHER, LABELS)
    ]


def others_part(student, temperature):
    return [
        temperature**2
        * divergence(
            log_softmax(others(t, y), temperature), log_softmax(others(s, y), temperature)
        )
        for s, t, y in zip(student, TEACHER, LABELS)
    ]


def decoupled(student, alpha=1.0, beta=8.0, temperature=4.0):
    parts = zip(target_part(student, temperature), others_part(student, temperature))
    return [alpha * target + beta * rest for target, rest in parts]


def normalized(student, temperature, gamma):
    def row(s, t, y):
        target = exp(log_softmax(t)[y]) * log_softmax(s)[y]
        p, q = (log_softmax(others(z, y), temperature) for z in (t, s))
        rest = fsum(exp(a) * b for a, b in zip(p, q))
        return -target - gamma * temperature**2 * rest

    return [row(s, t, y) for s, t, y in zip(student, TEACHER, LABELS)]


def weights_of_labels(student):
    """1 − exp(−CE_S / CE_T) of every row, at a temperature of 1."""
    own = (-log_softmax(s)[y] for s, y in zip(student, LABELS))
    other = (-log_softmax(t)[y] for t, y in zip(TEACHER, LABELS))
    return [1 - exp(-a / (b + 1e-7)) for a, b in zip(own, other)]


def weighted_soft_labels(student, weights, temperature):
    def row(s, t, w):
        p, q = log_softmax(t, temperature), log_softmax(s, temperature)
        return -w * temperature**2 * fsum(exp(a) * b for a, b in zip(p, q))

    return [row(s, t, w) for s, t, w in zip(student, TEACHER, weights)]


def cross_entropy(student):
    return [-log_softmax(s)[y] for s, y in zip(student, LABELS)]


def virtual_teacher(student, correct=0.99, temperature=20.0, student_temperature=1.0):
    def row(s, y):
        wrong = (1 - correct) / (len(s) - 1)
        v = [correct if k == y else wrong for k in range(len(s))]
        return divergence(log_softmax(v, temperature), log_softmax(s, student_temperature))

    return [row(s, y) for s, y in zip(student, LABELS)]


def teacher_free(student, alpha, temperature, multiplier):
    """The regularisation of the authors' code: its divergence is a mean over elements."""
    classes = len(student[0])
    pairs = zip(cross_entropy(student), virtual_teacher(student, 0.99, temperature))
    return [(1 - alpha) * a + alpha * multiplier * b / classes for a, b in pairs]


def label_smoothing(student, smoothing, spread):
    def row(s, y):
        log_q = log_softmax(s)
        if spread == "all":
            target = [smoothing / len(s)] * len(s)
            target[y] += 1 - smoothing
        else:
            target = [smoothing / (len(s) - 1)] * len(s)
            target[y] = 1 - smoothing
        return -fsum(a * b for a, b in zip(target, log_q))

    return [row(s, y) for s, y in zip(student, LABELS)]


def classification(student, hard=0.5, background=1.5, foreground=1.0):
    def row(s, t, y):
        log_q, log_p = log_softmax(s), log_softmax(t)
        weights = [background] + [foreground] * (len(s) - 1)
        soft = -fsum(w * exp(a) * b for w, a, b in zip(weights, log_p, log_q))
        return -hard * log_q[y] + (1 - hard) * soft

    return [row(s, t, y) for s, t, y in zip(student, TEACHER, LABELS)]


BOX_STUDENT = [[sin(0.7 * (4 * i + k) + 0.3) for k in range(4)] for i in range(4)]
BOX_TEACHER = [[cos(1.1 * (4 * i + k) + 0.1) for k in range(4)] for i in range(4)]
BOX_TARGET = [[sin(0.5 * (4 * i + k) + 0.9) for k in range(4)] for i in range(4)]


def bounded(student, margin):
    def row(s, t, y):
        ours = fsum((a - b) ** 2 for a, b in zip(s, y))
        theirs = fsum((a - b) ** 2 for a, b in zip(t, y))
        return ours if ours + margin > theirs else 0.0

    return [row(s, t, y) for s, t, y in zip(student, BOX_TEACHER, BOX_TARGET)]


def smooth_l1(student):
    def element(d):
        return d * d / 2 if abs(d) < 1 else abs(d) - 0.5

    return [fsum(element(a - b) for a, b in zip(s, y)) for s, y in zip(student, BOX_TARGET)]


def regression(student, margin=0.0, weight=0.5):
    return [a + weight * b for a, b in zip(smooth_l1(student), bounded(student, margin))]


MAP_STUDENT = [[sin(0.37 * (48 * i + k) + 0.2) for k in range(48)] for i in range(2)]
MAP_TEACHER = [[cos(0.23 * (48 * i + k) + 0.5) for k in range(48)] for i in range(2)]


def heat_map(student, visibility):
    def row(s, t, w):
        return mean([(w[k // 16] * (a - b)) ** 2 / 2 for k, (a, b) in enumerate(zip(s, t))])

    return [row(s, t, w) for s, t, w in zip(student, MAP_TEACHER, visibility)]


if __name__ == "__main__":
    show("decoupled", decoupled)
    show("  target part", lambda s: target_part(s, 4.0))
    show("  part of the others", lambda s: others_part(s, 4.0))
    print("  rows:", [f"{v:.6f}" for v in decoupled(STUDENT)])
    confident = [log_softmax(t, 4.0)[y] for t, y in zip(TEACHER, LABELS)]
    parts = zip(target_part(STUDENT, 4.0), others_part(STUDENT, 4.0), confident)
    whole = [a + (1 - exp(p)) * b for a, b, p in parts]
    print("  whole:", mean(whole), mean(soft_target(STUDENT, TEACHER, 4.0)))
    show("normalized, 1, 1.5", lambda s: normalized(s, 1.0, 1.5))
    show("normalized, 3, 3.5", lambda s: normalized(s, 3.0, 3.5))
    print("  rows:", [f"{v:.6f}" for v in normalized(STUDENT, 1.0, 1.5)])
    weights = weights_of_labels(STUDENT)
    print("weights of labels:", [f"{v:.6f}" for v in weights])
    for temperature in (1.0, 2.0, 4.0):
        show(f"weighted, {temperature}", lambda s: weighted_soft_labels(s, weights, temperature))
    show("virtual teacher", virtual_teacher)
    show("  softened student, T=2", lambda s: virtual_teacher(s, 0.99, 2.0, 2.0))
    print("  rows:", [f"{v:.6f}" for v in virtual_teacher(STUDENT)])
    show("teacher-free, .1, 20, 100", lambda s: teacher_free(s, 0.1, 20.0, 100.0))
    show("label smoothing, all", lambda s: label_smoothing(s, 0.1, "all"))
    show("label smoothing, others", lambda s: label_smoothing(s, 0.1, "others"))
    show("classification of proposals", classification)
    show("bounded, 0", lambda s: bounded(s, 0.0), BOX_STUDENT)
    show("bounded, 1", lambda s: bounded(s, 1.0), BOX_STUDENT)
    print("  rows:", [f"{v:.6f}" for v in bounded(BOX_STUDENT, 0.0)])
    show("smooth L1", smooth_l1, BOX_STUDENT)
    show("regression", regression, BOX_STUDENT)
    show("heat maps", lambda s: heat_map(s, [[1, 0, 1], [1, 1, 0]]), MAP_STUDENT)
    show("heat maps, all visible", lambda s: heat_map(s, [[1] * 3] * 2), MAP_STUDENT)
