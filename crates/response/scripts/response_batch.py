"""Expected values of the losses that compare batches, standardize logits or learn a temperature.

Writes the formulas out in plain Python, in double precision, and differentiates them by central
differences. The logits are those of response.py.
Run: python3 scripts/response_batch.py
"""

from math import cos, exp, fsum, log, pi, sqrt

from response import LABELS, STUDENT, TEACHER, log_softmax, mean, softmax

RELATION_STUDENT = [[2, 0.5, -1], [0, 1, 0.5], [1, -1, 0.3], [0.2, 0.1, 2]]
RELATION_TEACHER = [[3, 0, -1], [0.5, 2, 0], [2, -2, 0], [0, 0, 3]]


def columns(rows):
    return [list(column) for column in zip(*rows)]


def pearson(a, b):
    a = [value - mean(a) for value in a]
    b = [value - mean(b) for value in b]
    norms = sqrt(fsum(v * v for v in a)) * sqrt(fsum(v * v for v in b))
    return fsum(v * w for v, w in zip(a, b)) / (norms + 1e-8)


def dist_parts(student, teacher, temperature):
    q, p = softmax(student, temperature), softmax(teacher, temperature)
    inter = 1 - mean([pearson(a, b) for a, b in zip(q, p)])
    intra = 1 - mean([pearson(a, b) for a, b in zip(columns(q), columns(p))])
    return inter, intra


def dist(student, teacher, temperature, beta=1.0, gamma=1.0):
    inter, intra = dist_parts(student, teacher, temperature)
    return temperature**2 * (beta * inter + gamma * intra)


def divergence(p, q):
    return fsum(exp(a) * (a - b) for a, b in zip(p, q))


def instance(student, teacher, temperature, mask=None):
    mask = mask or [1] * len(student)
    rows = [
        divergence(log_softmax(t, temperature), log_softmax(s, temperature))
        for s, t in zip(student, teacher)
    ]
    return temperature**2 * mean([m * row for m, row in zip(mask, rows)])


def gram(rows):
    return [[fsum(a * b for a, b in zip(x, y)) for y in rows] for x in rows]


def gram_distance(q, p, mask=None):
    mask = mask or [1] * len(q)
    pairs = zip(mask, gram(q), gram(p))
    return fsum(m * fsum((a - b) ** 2 for a, b in zip(x, y)) for m, x, y in pairs) / len(q)


def batch(student, teacher, temperature, mask=None):
    return gram_distance(softmax(student, temperature), softmax(teacher, temperature), mask)


def classes(student, teacher, temperature, mask=None):
    q, p = softmax(student, temperature), softmax(teacher, temperature)
    return gram_distance(columns(q), columns(p), mask)


def median(values):
    values, last = sorted(values), len(values) - 1
    return (values[last // 2] + values[(last + 1) // 2]) / 2


def confidence(teacher):
    p = softmax(teacher, 1.0)
    rows, sums = [max(row) for row in p], [fsum(column) for column in columns(p)]
    return [int(v <= median(rows)) for v in rows], [int(v <= median(sums)) for v in sums]


def multi_level(student, teacher, mode="none", temperatures=(2, 3, 4, 5, 6)):
    m, c = confidence(teacher)
    if mode == "masked":
        parts = lambda t: (
            instance(student, teacher, t, m)
            + batch(student, teacher, t, m)
            + classes(student, teacher, t, c)
        )
    else:
        f, g = (mean(m), mean(c)) if mode == "compat" else (1, 1)
        parts = lambda t: (
            f * instance(student, teacher, t)
            + f * batch(student, teacher, t)
            + g * classes(student, teacher, t)
        )
    return fsum(parts(t) for t in temperatures)


def deviation(row, population=False):
    centre = mean(row)
    square = fsum((value - centre) ** 2 for value in row)
    return sqrt(square / (len(row) - (not population)))


def standardized(rows, population=False):
    return [
        [(v - mean(row)) / (1e-7 + max(deviation(row, population), 1e-3)) for v in row]
        for row in rows
    ]


def norm_kd(student, teacher, coefficient=1.5):
    def row(s, t):
        warm_s, warm_t = coefficient * deviation(s), coefficient * deviation(t)
        return warm_t**2 * divergence(log_softmax(t, warm_t), log_softmax(s, warm_s))

    return mean([row(s, t) for s, t in zip(student, teacher)])


def learned(student, teacher, theta):
    return instance(student, teacher, 1 + 20 / (1 + exp(-theta)))


def learned_standardized(student, teacher, theta):
    return learned(standardized(student), standardized(teacher), theta)


def multi_level_standardized(student, teacher, temperatures=(2, 3, 4, 5, 6)):
    """Of standardized logits only the instance level."""
    s, t = standardized(student), standardized(teacher)
    return fsum(
        instance(s, t, d) + batch(student, teacher, d) + classes(student, teacher, d)
        for d in temperatures
    )


def decoupled_standardized(student, alpha, beta, temperature):
    def row(s, t, y):
        log_q, log_p = log_softmax(s, temperature), log_softmax(t, temperature)
        rest = lambda row: [value for k, value in enumerate(row) if k != y]
        binary = lambda row: [row[y], log(fsum(exp(value) for value in rest(row)))]
        among = lambda row: log_softmax(rest(row), temperature)
        target, others = divergence(binary(log_p), binary(log_q)), divergence(among(t), among(s))
        return temperature**2 * (alpha * target + beta * others)

    pairs = zip(standardized(student), standardized(TEACHER), LABELS)
    return mean([row(*pair) for pair in pairs])


def normalized_standardized(student, gamma, temperature):
    def row(s, t, y):
        rest = lambda row: log_softmax([v for k, v in enumerate(row) if k != y], temperature)
        others = fsum(exp(a) * b for a, b in zip(rest(t), rest(s)))
        target = exp(log_softmax(t)[y]) * log_softmax(s)[y]
        return -target - gamma * temperature**2 * others

    pairs = zip(standardized(student), standardized(TEACHER), LABELS)
    return mean([row(*pair) for pair in pairs])


def show(name, loss, student=STUDENT, step=1e-5):
    square = []
    for i, row in enumerate(student):
        for j in range(len(row)):
            ahead, behind = ([list(row) for row in student] for _ in range(2))
            ahead[i][j] += step
            behind[i][j] -= step
            square.append(((loss(ahead) - loss(behind)) / (2 * step)) ** 2)
    print(f"{name}: L = {loss(student):.9g}, g = {sqrt(fsum(square)):.9g}")


if __name__ == "__main__":
    for t in (1.0, 4.0):
        print(f"dist parts, T={t}:", [f"{v:.9g}" for v in dist_parts(STUDENT, TEACHER, t)])
        show(f"dist, T={t}", lambda s: dist(s, TEACHER, t))
        show(f"dist on the relations, T={t}", lambda s: dist(s, RELATION_TEACHER, t), RELATION_STUDENT)
    show("dist, T=4, beta=2, gamma=0.5", lambda s: dist(s, TEACHER, 4.0, 2.0, 0.5))
    show("dist, T=4, three rows", lambda s: dist(s, TEACHER[:1] + TEACHER[2:], 4.0), STUDENT[:1] + STUDENT[2:])

    print("confidence:", confidence(TEACHER))
    show("batch, T=4", lambda s: batch(s, TEACHER, 4.0))
    show("class, T=4", lambda s: classes(s, TEACHER, 4.0))
    m, c = confidence(TEACHER)
    show("instance, masked", lambda s: fsum(instance(s, TEACHER, t, m) for t in range(2, 7)))
    show("instance, compat", lambda s: mean(m) * fsum(instance(s, TEACHER, t) for t in range(2, 7)))
    for mode in ("none", "masked", "compat"):
        show(f"multi-level, {mode}", lambda s: multi_level(s, TEACHER, mode))
        drop = lambda rows: rows[:1] + rows[2:]
        show(f"multi-level, {mode}, three rows", lambda s: multi_level(s, drop(TEACHER), mode), drop(STUDENT))

    for population in (False, True):
        target = standardized(TEACHER, population)
        show(
            f"standardized soft targets, T=2, population={population}",
            lambda s: instance(standardized(s, population), target, 2.0),
        )
    target = standardized(TEACHER)
    square = lambda a, b: mean([(v - w) ** 2 for x, y in zip(a, b) for v, w in zip(x, y)])
    show("standardized logit matching", lambda s: square(standardized(s), target))
    show("standardized decoupled, 9, 72, T=2", lambda s: decoupled_standardized(s, 9, 72, 2.0))
    show("standardized normalized", lambda s: normalized_standardized(s, 1.5, 1.0))
    show("standardized dist", lambda s: dist(standardized(s), target, 4.0))
    show("standardized multi-level", lambda s: multi_level_standardized(s, TEACHER))
    show("standardized learned temperature, theta=-3", lambda s: learned_standardized(s, TEACHER, -3.0))
    for coefficient in (1.0, 1.5):
        show(f"norm-kd, c={coefficient}", lambda s: norm_kd(s, TEACHER, coefficient))

    show("learned temperature, theta=1", lambda s: learned(s, TEACHER, 1.0))
    ahead, behind = (learned(STUDENT, TEACHER, 1.0 + step) for step in (1e-5, -1e-5))
    print(f"  by theta: {(ahead - behind) / 2e-5:.8g}")
    for epoch in (1, 2, 5, 10, 11):
        print(f"  reversal in epoch {epoch}: {-(1 - cos(pi * min(epoch, 10) / 10)) / 2:.6f}")
