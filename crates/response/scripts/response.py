"""Expected values of the tests of this crate, in double precision.

Writes the formulas out in plain Python and differentiates them by central differences. The values
marked RepDistiller, TextBrewer and Zoo in the tests were also produced by running that code.
Run: python3 scripts/response.py
"""

from math import cos, exp, fsum, log, sin, sqrt

STUDENT = [[3 * sin(0.7 * (5 * i + k) + 0.3) for k in range(5)] for i in range(4)]
TEACHER = [[3 * cos(1.1 * (5 * i + k) + 0.1) for k in range(5)] for i in range(4)]
LABELS = [0, 2, 4, 1]


def log_softmax(row, temperature=1.0):
    row = [value / temperature for value in row]
    top = max(row)
    total = top + log(fsum(exp(value - top) for value in row))
    return [value - total for value in row]


def mean(values):
    return fsum(values) / len(values)


def soft_target(student, teacher, temperature):
    def divergence(s, t):
        p, q = log_softmax(t, temperature), log_softmax(s, temperature)
        return fsum(exp(a) * (a - b) for a, b in zip(p, q))

    return [temperature**2 * divergence(s, t) for s, t in zip(student, teacher)]


def logit_matching(student, teacher, variant="mean", temperature=1.0):
    def row(s, t):
        d = [(a - b) / temperature for a, b in zip(s, t)]
        if variant == "centered":
            d = [value - mean(d) for value in d]
        if variant == "absolute-sum":
            return fsum(abs(value) for value in d)
        square = fsum(value**2 for value in d)
        return square / 2 if variant == "half-sum" else square / len(d)

    return [row(s, t) for s, t in zip(student, teacher)]


def hard_target(student, teacher):
    predicted = [max(range(len(row)), key=row.__getitem__) for row in teacher]
    return [-log_softmax(s)[k] for s, k in zip(student, predicted)]


def soft_cross_entropy(student, targets, temperature, scale=True, epsilon=0.0):
    factor = temperature**2 if scale else 1.0

    def log_predictions(row):
        shares = [exp(value) + epsilon / len(row) for value in log_softmax(row, temperature)]
        return [log(share / fsum(shares)) for share in shares]

    rows = ((log_predictions(s), q) for s, q in zip(student, targets))
    return [-factor * fsum(a * b for a, b in zip(q, p)) for p, q in rows]


def probability_matching(student, teacher):
    def row(s, t):
        p, q = ([exp(value) for value in log_softmax(row)] for row in (s, t))
        return mean([(a - b) ** 2 for a, b in zip(p, q)])

    return [row(s, t) for s, t in zip(student, teacher)]


def confidence_weighted(student, teacher, labels):
    """Rows whose mean is the loss: the weights add up to one."""
    confidence = [exp(max(log_softmax(row))) for row in teacher]
    total = fsum(confidence)
    rows = zip(student, labels, confidence)
    return [-len(student) * c / total * log_softmax(s)[y] for s, y, c in rows]


def softmax(rows, temperature):
    return [[exp(value) for value in log_softmax(row, temperature)] for row in rows]


def gradient(loss, student, step=1e-5):
    def derivative(i, j):
        ahead, behind = ([list(row) for row in student] for _ in range(2))
        ahead[i][j] += step
        behind[i][j] -= step
        return (mean(loss(ahead)) - mean(loss(behind))) / (2 * step)

    return [[derivative(i, j) for j in range(len(row))] for i, row in enumerate(student)]


def show(name, loss, student=STUDENT, digits=9):
    norm = sqrt(fsum(value**2 for row in gradient(loss, student) for value in row))
    print(f"{name}: L = {mean(loss(student)):.{digits}g}, g = {norm:.{digits}g}")


if __name__ == "__main__":
    rows = range(4)
    show("cross-entropy with labels", lambda s: [-log_softmax(s[i])[LABELS[i]] for i in rows])
    for temperature in (1.0, 4.0, 49.9, 50.0, 50.1, 100.0, 1e4):
        show(f"soft targets, T={temperature}", lambda s: soft_target(s, TEACHER, temperature))
    print("  rows at T=4:", [f"{v:.6f}" for v in soft_target(STUDENT, TEACHER, 4.0)])
    show("limit", lambda s: [v / 2 for v in logit_matching(s, TEACHER, "centered")])
    show("probabilities", lambda s: probability_matching(s, TEACHER))
    show("confidence", lambda s: confidence_weighted(s, TEACHER, LABELS))
    for variant in ("mean", "half-sum", "centered", "absolute-sum"):
        show(f"logits, {variant}", lambda s: logit_matching(s, TEACHER, variant))
        print("  rows:", [f"{v:.6f}" for v in logit_matching(STUDENT, TEACHER, variant)])
    show("logits, T=4", lambda s: logit_matching(s, TEACHER, "mean", 4.0))
    show("hard targets", lambda s: hard_target(s, TEACHER))
    print("  rows:", [f"{v:.6f}" for v in hard_target(STUDENT, TEACHER)])
    targets = softmax(TEACHER, 4.0)
    for scale in (True, False):
        show(f"soft CE, T=4, {scale}", lambda s: soft_cross_entropy(s, targets, 4.0, scale))
    print("  rows at T=4:", [f"{v:.6f}" for v in soft_cross_entropy(STUDENT, targets, 4.0)])
    targets = softmax(TEACHER, 1.0)
    for epsilon in (1e-5, 0.1):
        smooth = lambda s: soft_cross_entropy(s, softened, 2.0, False, epsilon)
        softened = softmax(TEACHER, 2.0)
        show(f"soft CE, T=2, epsilon {epsilon}", smooth)
    show("soft CE, T=1", lambda s: soft_cross_entropy(s, targets, 1.0))
    double = [[2 * v for v in row] for row in targets]
    show("soft CE, T=1, targets doubled", lambda s: soft_cross_entropy(s, double, 1.0))

    print("large logits: exact at T=50 and limit")
    for factor in (1, 3, 10, 30):
        s, t = ([[factor * v for v in row] for row in rows] for rows in (STUDENT, TEACHER))
        limit = mean(logit_matching(s, t, "centered")) / 2
        print(f"  x{factor}: {mean(soft_target(s, t, 50.0)):.6f} {limit:.6f}")
