"""The losses on responses in double precision, from their formulas.

    python3 docs/reference/response.py            writes response.json beside this file
    python3 docs/reference/response.py --check    compares with it instead

Every loss is written out in NumPy, independently of the Rust code, and differentiated without any
derivation: by a complex step, Im L(z + ih) / h, which is exact to rounding. Each run first proves
itself: values and gradients on a fixture of four samples and five classes must be those that the
code of the methods' authors gives, or where there is none, another derivation; and central
differences must agree with the complex step on a sample of the elements.
"""

import json
import sys
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).with_suffix(".json")
SHAPES = [(64, 100), (8, 1000)]
STEP = 1e-30


# The numbers that losses are compared on, n counting row by row.


def student_logits(shape):
    return 3 * np.sin(0.7 * np.arange(np.prod(shape)).reshape(shape) + 0.3)


def teacher_logits(shape):
    return 3 * np.cos(1.1 * np.arange(np.prod(shape)).reshape(shape) + 0.1)


def class_labels(shape):
    rows, classes = shape
    return 7 * np.arange(rows) % classes


# Functions that are analytic in their argument, as a complex step needs: no absolute value, no
# norm, no conjugate. A maximum that only shifts is that of the real part.


def log_sum_exp(x, axis=-1):
    top = x.real.max(axis=axis, keepdims=True)
    return np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top


def log_softmax(logits, temperature=1.0):
    z = logits / temperature
    return z - log_sum_exp(z)


def log_mixture(log_a, log_b, weight):
    """log(weight a + (1 − weight) b)"""
    both = np.stack(np.broadcast_arrays(log_a + np.log(weight), log_b + np.log1p(-weight)))
    return log_sum_exp(both, axis=0)[0]


def absolute(x):
    return np.where(x.real < 0, -x, x)


def kl(log_a, log_b):
    """Of every row. An event of no probability contributes nothing."""
    possible = np.isfinite(log_a.real)
    difference = np.where(possible, log_a - log_b, 0)
    return (np.exp(log_a) * difference).sum(axis=1)


def pick(x, labels):
    return x[np.arange(len(labels)), labels]


def others(x, labels):
    """Every row without the column of its label."""
    rows, classes = x.shape
    kept = np.arange(classes)[None, :] != labels[:, None]
    return x[kept].reshape(rows, classes - 1)


# The losses: from the teacher's logits and the labels to a function of the student's logits. A
# function gives one value per row, whose mean is the loss, or, if rows are compared with each
# other, one value.


def soft_target(teacher, labels, temperature):
    log_p = log_softmax(teacher, temperature)
    return lambda z: temperature**2 * kl(log_p, log_softmax(z, temperature))


def soft_target_limit(teacher, labels, temperature):
    """What soft_target tends to; exact enough above a temperature of 50."""
    centered = logit_matching(teacher, labels, "centered")
    return lambda z: centered(z) / 2


def cross_entropy(teacher, labels):
    return lambda z: -pick(log_softmax(z), labels)


def logit_matching(teacher, labels, variant, temperature=1.0):
    def rows(z):
        d = (z - teacher) / temperature
        if variant == "centered":
            d = d - d.mean(axis=1, keepdims=True)
        square = (d * d).sum(axis=1)
        return square / 2 if variant == "half-sum" else square / d.shape[1]

    return rows


def probability_matching(teacher, labels):
    p = np.exp(log_softmax(teacher))
    return lambda z: ((np.exp(log_softmax(z)) - p) ** 2).mean(axis=1)


def soft_cross_entropy(teacher, labels, temperature, scale_t2):
    p = np.exp(log_softmax(teacher, temperature))
    scale = temperature**2 if scale_t2 else 1.0
    return lambda z: -scale * (p * log_softmax(z, temperature)).sum(axis=1)


def soft_cross_entropy_of_probabilities(teacher, labels, temperature, renormalize):
    """Of targets that sum to two, at a temperature of 1 times the share that is asked for."""
    p = 2 * np.exp(log_softmax(teacher))
    if renormalize:
        p = p / p.sum(axis=1, keepdims=True)
    return lambda z: -temperature**2 * (p * log_softmax(z, temperature)).sum(axis=1)


def reverse_kl(teacher, labels, temperature, floor=None, scale_t2=False):
    log_p = log_softmax(teacher, temperature)
    if floor is not None:
        log_p = np.maximum(log_p, floor)
    scale = temperature**2 if scale_t2 else 1.0
    return lambda z: scale * kl(log_softmax(z, temperature), log_p)


def jensen_shannon(teacher, labels, beta, temperature=1.0):
    log_p = log_softmax(teacher, temperature)

    def rows(z):
        log_q = log_softmax(z, temperature)
        log_m = log_mixture(log_p, log_q, beta)
        return beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)

    return rows


def total_variation(teacher, labels, temperature, scale="one"):
    p = np.exp(log_softmax(teacher, temperature))
    factor = {"one": 1, "temperature": temperature, "temperature-squared": temperature**2}[scale]
    return lambda z: factor * absolute(p - np.exp(log_softmax(z, temperature))).sum(axis=1) / 2


def skew_kl(teacher, labels, alpha, reverse):
    log_p = log_softmax(teacher)

    def rows(z):
        log_q = log_softmax(z)
        first, second = (log_q, log_p) if reverse else (log_p, log_q)
        return kl(first, log_mixture(first, second, alpha))

    return rows


def sparse_events(teacher, k, rest, temperature):
    """Of the k likeliest classes, whose probabilities were taken at T = 1, and of all others as one:
    the teacher's, and the function that gives the student's."""
    rows, classes = teacher.shape
    order = np.argsort(-teacher, axis=1, kind="stable")
    ids = order[:, :k]
    edge = np.take_along_axis(teacher, order[:, k - 1 : k + 1], axis=1)
    assert (edge[:, 0] - edge[:, 1]).min() > 1e-5, "single precision would choose other classes"

    known = np.take_along_axis(log_softmax(teacher), ids, axis=1)
    left = 1 - np.exp(known).sum(axis=1, keepdims=True)
    if rest == "zero":
        tail = np.full((rows, 1), -np.inf)
    elif rest == "tail":
        tail = np.log(left) / temperature
    else:  # Each of the other classes has the same, and that is tempered.
        count = classes - k
        tail = np.log(left / count) / temperature + np.log(count)
    log_p = np.concatenate([known / temperature, tail], axis=1)
    log_p = log_p - log_sum_exp(log_p)

    def student(z):
        log_q = np.take_along_axis(log_softmax(z, temperature), ids, axis=1)
        q_rest = 1 - np.exp(log_q).sum(axis=1, keepdims=True)
        return np.concatenate([log_q, np.log(q_rest)], axis=1)

    return log_p, student


def sparse_soft_target(teacher, labels, k, rest, temperature, scale_t2=True):
    log_p, student = sparse_events(teacher, k, rest, temperature)
    scale = temperature**2 if scale_t2 else 1.0
    return lambda z: scale * kl(log_p, student(z))


def sparse_reverse_kl(teacher, labels, k, rest, temperature, floor):
    log_p, student = sparse_events(teacher, k, rest, temperature)
    return lambda z: kl(student(z), np.maximum(log_p, floor))


def sparse_jensen_shannon(teacher, labels, k, rest, temperature, beta):
    log_p, student = sparse_events(teacher, k, rest, temperature)

    def rows(z):
        log_q = student(z)
        log_m = log_mixture(log_p, log_q, beta)
        return beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)

    return rows


def sparse_total_variation(teacher, labels, k, rest, temperature):
    log_p, student = sparse_events(teacher, k, rest, temperature)
    return lambda z: absolute(np.exp(log_p) - np.exp(student(z))).sum(axis=1) / 2


def decoupled(teacher, labels, alpha, beta, temperature):
    def target(z):
        """The logarithms of the probabilities of the label and of all others."""
        tempered = z / temperature
        all_classes = log_sum_exp(tempered)[:, 0]
        without = log_sum_exp(others(tempered, labels))[:, 0]
        label = pick(tempered, labels)
        return np.stack([label - all_classes, without - all_classes], axis=1)

    p_target = target(teacher)
    p_others = log_softmax(others(teacher, labels), temperature)

    def rows(z):
        of_target = kl(p_target, target(z))
        of_others = kl(p_others, log_softmax(others(z, labels), temperature))
        return temperature**2 * (alpha * of_target + beta * of_others)

    return rows


def normalized(teacher, labels, gamma, temperature):
    p_label = np.exp(pick(log_softmax(teacher), labels))
    p_others = np.exp(log_softmax(others(teacher, labels), temperature))

    def rows(z):
        of_label = -p_label * pick(log_softmax(z), labels)
        log_q = log_softmax(others(z, labels), temperature)
        return of_label - gamma * temperature**2 * (p_others * log_q).sum(axis=1)

    return rows


def correlation(a, b, axis):
    a = a - a.mean(axis=axis, keepdims=True)
    b = b - b.mean(axis=axis, keepdims=True)
    norms = np.sqrt((a * a).sum(axis=axis)) * np.sqrt((b * b).sum(axis=axis))
    return (a * b).sum(axis=axis) / (norms + 1e-8)


def dist(teacher, labels, temperature, beta=1.0, gamma=1.0):
    p = np.exp(log_softmax(teacher, temperature))

    def value(z):
        q = np.exp(log_softmax(z, temperature))
        inter = 1 - correlation(q, p, axis=1).mean()
        intra = 1 - correlation(q, p, axis=0).mean()
        return temperature**2 * (beta * inter + gamma * intra)

    return value


def learned_temperature(teacher, labels, theta):
    """Before a step: soft targets at the temperature that the parameter stands for."""
    return soft_target(teacher, labels, 1 + 20 / (1 + np.exp(-theta)))


def proposal_classification(
    teacher, labels, hard_weight, background_weight, foreground_weight
):
    """The background is the first class."""
    p = np.exp(log_softmax(teacher))
    weights = np.where(np.arange(p.shape[1]) == 0, background_weight, foreground_weight)

    def rows(z):
        log_q = log_softmax(z)
        soft = -(weights * p * log_q).sum(axis=1)
        return -hard_weight * pick(log_q, labels) + (1 - hard_weight) * soft

    return rows


def heat_map(teacher, labels):
    """Every column is a joint of one pixel, all visible."""
    return lambda z: ((z - teacher) ** 2).mean(axis=1) / 2


def deviation(x):
    """The unbiased standard deviation of every row."""
    d = x - x.mean(axis=1, keepdims=True)
    return np.sqrt((d * d).sum(axis=1, keepdims=True) / (x.shape[1] - 1))


def norm_kd(teacher, labels, coefficient):
    t = coefficient * deviation(teacher)
    log_p = log_softmax(teacher, t)
    return lambda z: t[:, 0] ** 2 * kl(log_p, log_softmax(z, coefficient * deviation(z)))


def standardized_soft_target(teacher, labels, temperature):
    def standardize(x):
        return (x - x.mean(axis=1, keepdims=True)) / (1e-7 + deviation(x))

    plain = soft_target(standardize(teacher), labels, temperature)
    return lambda z: plain(standardize(z))


def label_smoothing(teacher, labels, smoothing, variant):
    """What the label loses goes to all classes, or to the others alone."""

    def rows(z):
        log_q = log_softmax(z)
        label = pick(log_q, labels)
        rest = others(log_q, labels)
        if variant == "all":
            soft = log_q.mean(axis=1)
        else:
            soft = rest.mean(axis=1)
        return -(1 - smoothing) * label - smoothing * soft

    return rows


def virtual_teacher(teacher, labels, correct, temperature):
    """A softmax of the virtual probabilities, as the authors' code has it; the student is as is."""
    rows, classes = teacher.shape
    v = np.full((rows, classes), (1 - correct) / (classes - 1))
    v[np.arange(rows), labels] = correct
    log_p = log_softmax(v, temperature)
    return lambda z: kl(log_p, log_softmax(z))


def square_difference_of_grams(a, b):
    """‖aᵀa − bᵀb‖², by the smaller products."""
    if a.shape[0] >= a.shape[1]:
        d = a.T @ a - b.T @ b
        return (d * d).sum()
    aa, bb, ab = a @ a.T, b @ b.T, a @ b.T
    return (aa * aa).sum() + (bb * bb).sum() - 2 * (ab * ab).sum()


def multi_level(teacher, labels, temperatures, instance, batch, class_, confidence="none"):
    """Sums over the temperatures. The last two terms compare rows, so this is one value."""
    if confidence != "none":
        assert not class_, "the mask of classes is not written out here"
        return unsure_levels(teacher, labels, temperatures, instance, batch, confidence)
    softened = [(t, np.exp(log_softmax(teacher, t))) for t in temperatures]

    def value(z):
        total = 0.0
        for t, p in softened:
            q = np.exp(log_softmax(z, t))
            total += instance * soft_target(teacher, labels, t)(z).mean() if instance else 0.0
            total += batch * square_difference_of_grams(p.T, q.T) / z.shape[0] if batch else 0.0
            total += class_ * square_difference_of_grams(p, q) / z.shape[1] if class_ else 0.0
        return total

    return value


def unsure_levels(teacher, labels, temperatures, instance, batch, confidence):
    """Instance and batch level of the rows of which the teacher is at most as sure as of the median
    one, or both times the share of such rows."""
    surest = np.exp(log_softmax(teacher)).max(axis=1)
    mask = (surest <= np.median(surest)).astype(float)
    if confidence == "reference-compat":
        mask[:] = mask.mean()

    def value(z):
        total = 0.0
        for t in temperatures:
            p, q = np.exp(log_softmax(teacher, t)), np.exp(log_softmax(z, t))
            d = p @ p.T - q @ q.T
            total += instance * (mask * soft_target(teacher, labels, t)(z)).mean()
            total += batch * (mask * (d * d).sum(axis=1)).sum() / len(z)
        return total

    return value


# Values and gradients.


def value_of(loss, z):
    return np.mean(loss(z))


def gradient(loss, z):
    moved = z.astype(complex)
    result = np.zeros(z.shape)
    if np.ndim(loss(z)) == 1:
        # No row depends on another: the same column of all of them at once.
        for column in range(z.shape[1]):
            moved[:, column] += 1j * STEP
            result[:, column] = loss(moved).imag / STEP / len(z)
            moved[:, column] = z[:, column]
    else:
        for index in np.ndindex(z.shape):
            moved[index] += 1j * STEP
            result[index] = loss(moved).imag / STEP
            moved[index] = z[index]
    return result


def assert_differences(name, loss, z, derivative):
    """Fourth-order central differences, on elements spread over the batch."""
    step = 1e-3
    scale = np.abs(derivative).max()
    for flat in np.linspace(0, z.size - 1, 12).astype(int):
        index = np.unravel_index(flat, z.shape)

        def at(steps):
            moved = z.copy()
            moved[index] += steps * step
            return value_of(loss, moved)

        numeric = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
        error = abs(numeric - derivative[index])
        assert error <= 1e-6 * scale, f"{name} at {index}: {numeric}, not {derivative[index]}"


# The proof: known values.


def assert_known(name, loss, z, value, norm=None):
    def close(actual, expected):
        # The known values have six digits at least.
        return abs(actual - expected) <= 1e-6 * abs(expected)

    actual = value_of(loss, z)
    assert close(actual, value), f"{name}: {actual:.10g} is not {value}"
    if norm is not None:
        actual = np.linalg.norm(gradient(loss, z))
        assert close(actual, norm), f"gradient of {name}: {actual:.10g} is not {norm}"


def prove():
    four_by_five()
    three_by_three()


def four_by_five():
    shape = (4, 5)
    z, t, y = student_logits(shape), teacher_logits(shape), np.array([0, 2, 4, 1])
    known = [
        # RepDistiller, mdistiller
        (cross_entropy, {}, 4.4202778, None),
        (soft_target, dict(temperature=1.0), 2.00714917, 0.446282362),
        (soft_target, dict(temperature=4.0), 3.43276022, 0.609944507),
        # Knowledge-Distillation-Zoo, TextBrewer; the last two: another derivation
        (logit_matching, dict(variant="mean"), 9.25778358, 1.36071919),
        (logit_matching, dict(variant="mean", temperature=4.0), 0.578611474, 0.0850449494),
        (logit_matching, dict(variant="half-sum"), 23.144459, 3.40179798),
        (logit_matching, dict(variant="centered"), 7.21748413, 1.20145613),
        # TextBrewer
        (soft_cross_entropy, dict(temperature=4.0, scale_t2=False), 1.7000706, 0.0381215317),
        # TRL
        (reverse_kl, dict(temperature=1.0), 2.92230586, 0.43582764),
        (reverse_kl, dict(temperature=4.0), 0.23883076, 0.0426385417),
        (jensen_shannon, dict(beta=0.1), 0.154786179, 0.0246385146),
        (jensen_shannon, dict(beta=0.5), 0.383430609, 0.048292412),
        (jensen_shannon, dict(beta=0.9), 0.177999629, 0.0229477041),
        (jensen_shannon, dict(beta=0.5, temperature=4.0), 0.0542795009, 0.00922636091),
        # DistillKit; uniform: another derivation
        (total_variation, dict(temperature=1.0), 0.693634576, 0.0734855626),
        (total_variation, dict(temperature=4.0), 0.261615451, 0.0285788723),
        (sparse, dict(rest="zero", temperature=1.0), 2.17788895, 0.467485012),
        (sparse, dict(rest="zero", temperature=2.0), 1.23628429, 0.17793778),
        (sparse, dict(rest="tail", temperature=1.0), 1.80149803, 0.426096738),
        (sparse, dict(rest="tail", temperature=2.0), 0.680735334, 0.137127059),
        (sparse, dict(rest="uniform", temperature=2.0), 0.500863, None),
        # Another derivation: crates/response/scripts/sparse.py
        (sparse_reverse_kl, two("zero") | dict(floor=-50.0), 30.3977505, 2.92621875),
        (sparse_reverse_kl, two("tail") | dict(floor=-50.0), 0.66231609, 0.107486075),
        (sparse_jensen_shannon, two("uniform") | dict(beta=0.5), 0.108149633, 0.0203602537),
        (sparse_total_variation, two("tail"), 0.464128744, 0.0425235944),
        # mdistiller
        (decoupled, dict(alpha=1.0, beta=8.0, temperature=4.0), 26.9512647, 5.22445216),
        (decoupled, dict(alpha=1.0, beta=0.0, temperature=4.0), 0.88086216, 0.298063003),
        (decoupled, dict(alpha=0.0, beta=1.0, temperature=4.0), 3.25880031, 0.649139179),
        # cls_KD
        (normalized, dict(gamma=1.5, temperature=1.0), 4.46726587, 0.71461186),
        (normalized, dict(gamma=3.5, temperature=3.0), 49.7062504, 2.24351802),
        # image_classification_sota
        (dist, dict(temperature=1.0), 2.25227841, 0.362771809),
        (dist, dict(temperature=1.0, gamma=0.0), 1.12913412, None),
        (dist, dict(temperature=1.0, beta=0.0), 1.1231443, None),
        (dist, dict(temperature=4.0), 33.0105964, 4.00528645),
        # BiLD's port of NormKD; logit-standardization-KD
        (norm_kd, dict(coefficient=1.5), 4.6462093, 0.611875457),
        (standardized_soft_target, dict(temperature=2.0), 0.840799317, 0.108832562),
        # PyTorch; Teacher-free-KD
        (label_smoothing, dict(smoothing=0.1, variant="all"), 4.24586837, 0.564727426),
        (label_smoothing, dict(smoothing=0.1, variant="others"), 4.20226601, 0.554809054),
        # Multi-Level-Logit-Distillation
        (multi_level, only("batch"), 0.00779972349, 0.00191953254),
        (multi_level, only("class_"), 0.047646382, 0.012140619),
        (multi_level, only("instance"), 3.43276022, 0.609944507),
        # its `kd_loss`, masked by hand
        (multi_level, unsure("select"), 6.95075458, 1.91673517),
        (multi_level, unsure("reference-compat"), 8.35031592, 1.50070057),
        # Another derivation: crates/response/scripts
        (probability_matching, {}, 0.159334357, 0.0280741214),
    ]
    for make, parameters, value, norm in known:
        assert_known(f"{make.__name__} {parameters}", make(t, y, **parameters), z, value, norm)

    # Teacher-free-KD averages over classes too, then multiplies by 100.
    soft, hard = virtual_teacher(t, y, 0.99, 20.0), cross_entropy(t, y)
    regularized = lambda x: 0.9 * hard(x) + 0.1 * 100 / 5 * soft(x)
    assert_known("the regularisation of Tf-KD", regularized, z, 6.14709542, 1.02567549)

    # The limit is one.
    exact, limit = (make(t, y, 1e4)(z).mean() for make in (soft_target, soft_target_limit))
    assert abs(exact / limit - 1) < 2e-5, f"{limit} is not the limit of {exact}"

    # KD = TCKD + (1 − p(label)) NCKD, sample by sample.
    p_label = np.exp(pick(log_softmax(t, 4.0), y))
    of_target, of_others = (decoupled(t, y, *parts, 4.0)(z) for parts in [(1, 0), (0, 1)])
    whole = soft_target(t, y, 4.0)(z)
    assert np.allclose(of_target + (1 - p_label) * of_others, whole, rtol=1e-12)

    # CTKD at θ = 1: the temperature, the loss, its gradients by the logits and by θ.
    temperature = lambda theta: 1 + 20 / (1 + np.exp(-theta))
    at_start = soft_target(t, y, temperature(1.0))
    assert_known("the start of CTKD", at_start, z, 3.61311205, 0.608897767)
    by_theta = soft_target(t, y, temperature(1 + 1j * STEP))(z).mean().imag / STEP
    assert abs(by_theta / 0.0036023067 - 1) < 1e-7, f"∂L/∂θ of CTKD is {by_theta}"

    # Both ways to the difference of Gram matrices.
    p, q = np.exp(log_softmax(t)), np.exp(log_softmax(z))
    direct = ((p.T @ p - q.T @ q) ** 2).sum()
    assert np.isclose(square_difference_of_grams(p, q), direct, rtol=1e-12)


def sparse(teacher, labels, rest, temperature):
    """Two classes, without the square of the temperature."""
    return sparse_soft_target(teacher, labels, 2, rest, temperature, scale_t2=False)


def two(rest):
    """Two classes at two degrees."""
    return dict(k=2, rest=rest, temperature=2.0)


def unsure(confidence):
    """The instance level of rows that count by the teacher's confidence."""
    return dict(
        temperatures=[2.0, 3.0, 4.0, 5.0, 6.0], instance=1.0, batch=0.0, class_=0.0
    ) | dict(confidence=confidence)


def only(term):
    """One term of the multi-level loss, at one temperature."""
    weights = dict.fromkeys(("instance", "batch", "class_"), 0.0)
    return dict(temperatures=[4.0]) | weights | {term: 1.0}


def three_by_three():
    z = np.array([[2, 0.5, -1], [0, 1, 0.5], [1, -1, 0.3], [0.2, 0.1, 2]])
    t = np.array([[3, 0, -1], [0.5, 2, 0], [2, -2, 0], [0, 0, 3.0]])
    known = [
        # image_classification_sota
        (dist, dict(temperature=1.0), 0.070118395, 0.224862717),
        (dist, dict(temperature=4.0), 1.851782519, 4.873506948),
        (soft_target, dict(temperature=4.0), 0.229354223, 0.202833919),
        # TRL
        (soft_target, dict(temperature=1.0), 0.116988909, 0.130712321),
        (jensen_shannon, dict(beta=0.1), 0.010714553, 0.011942792),
        (jensen_shannon, dict(beta=0.5), 0.032460149, 0.036177187),
        (jensen_shannon, dict(beta=0.9), 0.013304649, 0.015199198),
        (reverse_kl, dict(temperature=1.0), 0.154613143, 0.179210913),
        # DistiLLM, of which the forward form is another derivation
        (skew_kl, dict(alpha=0.1, reverse=False), 0.098185106, None),
        (skew_kl, dict(alpha=0.1, reverse=True), 0.114790, None),
        (total_variation, dict(temperature=1.0), 0.195809, None),
    ]
    for make, parameters, value, norm in known:
        assert_known(f"{make.__name__} {parameters}", make(t, None, **parameters), z, value, norm)


# The fixtures.


def losses():
    """The name and parameters of every fixture, and what computes it."""
    for temperature in (1.0, 4.0, 20.0):
        yield "soft-target", dict(temperature=temperature), soft_target
    yield "soft-target", dict(temperature=1e4), soft_target_limit
    for variant in ("mean", "half-sum", "centered"):
        yield "logit-matching", dict(variant=variant), logit_matching
    yield "probability-matching", {}, probability_matching
    yield "soft-cross-entropy", dict(temperature=4.0, scale_t2=True), soft_cross_entropy
    for renormalize in (False, True):
        parameters = dict(temperature=4.0, renormalize=renormalize)
        yield "soft-cross-entropy-of-probabilities", parameters, soft_cross_entropy_of_probabilities
    for temperature in (1.0, 4.0):
        yield "reverse-kl", dict(temperature=temperature), reverse_kl
    # Low enough for some classes, not for all.
    yield "reverse-kl", dict(temperature=1.0, floor=-6.0), reverse_kl
    yield "reverse-kl", dict(temperature=4.0, scale_t2=True), reverse_kl
    for beta in (0.1, 0.5, 0.9):
        yield "jensen-shannon", dict(beta=beta), jensen_shannon
    for temperature in (1.0, 4.0):
        yield "total-variation", dict(temperature=temperature), total_variation
    for scale in ("temperature", "temperature-squared"):
        yield "total-variation", dict(temperature=4.0, scale=scale), total_variation
    for reverse in (False, True):
        yield "skew-kl", dict(alpha=0.1, reverse=reverse), skew_kl
    for rest, temperature in [("zero", 1.0), ("tail", 1.0), ("uniform", 2.0)]:
        parameters = dict(k=8, rest=rest, temperature=temperature)
        yield "sparse-soft-target", parameters, sparse_soft_target
        yield "sparse-reverse-kl", parameters | dict(floor=-50.0), sparse_reverse_kl
        yield "sparse-jensen-shannon", parameters | dict(beta=0.5), sparse_jensen_shannon
        yield "sparse-total-variation", parameters, sparse_total_variation
    yield "decoupled", dict(alpha=1.0, beta=8.0, temperature=4.0), decoupled
    yield "normalized", dict(gamma=1.5, temperature=1.0), normalized
    for temperature in (1.0, 4.0):
        yield "dist", dict(temperature=temperature), dist
    yield "norm-kd", dict(coefficient=1.5), norm_kd
    yield "standardized-soft-target", dict(temperature=2.0), standardized_soft_target
    for variant in ("all", "others"):
        yield "label-smoothing", dict(smoothing=0.1, variant=variant), label_smoothing
    yield "virtual-teacher", dict(correct=0.99, temperature=20.0), virtual_teacher
    for term in ("batch", "class_"):
        yield "multi-level", only(term), multi_level
    for confidence in ("select", "reference-compat"):
        yield "multi-level", unsure(confidence) | dict(batch=1.0), multi_level
    for theta in (-2.0, 1.0):
        yield "learned-temperature", dict(theta=theta), learned_temperature
    parameters = dict(hard_weight=0.5, background_weight=1.5, foreground_weight=1.0)
    yield "proposal-classification", parameters, proposal_classification
    yield "heat-map", {}, heat_map


def fixtures():
    for shape in SHAPES:
        z, t, y = student_logits(shape), teacher_logits(shape), class_labels(shape)
        for name, parameters, make in losses():
            loss = make(t, y, **parameters)
            derivative = gradient(loss, z)
            assert_differences(f"{name} {parameters} {shape}", loss, z, derivative)
            yield {
                "name": name,
                "shape": list(shape),
                "parameters": {key.rstrip("_"): value for key, value in parameters.items()},
                "value": float(f"{value_of(loss, z):.9g}"),
                "gradient_norm": float(f"{np.linalg.norm(derivative):.9g}"),
            }


def write(computed):
    lines = ",\n".join(json.dumps(fixture) for fixture in computed)
    OUTPUT.write_text(f"[\n{lines}\n]\n")


def check(computed):
    """Another NumPy may round the last digit otherwise."""
    stored = json.loads(OUTPUT.read_text())
    assert len(stored) == len(computed), f"{len(stored)} fixtures stored, {len(computed)} computed"
    for old, new in zip(stored, computed):
        for key, value in new.items():
            if isinstance(value, float):
                same = abs(old[key] - value) <= 2e-8 * abs(value)
            else:
                same = old[key] == value
            assert same, f"{key} of {new['name']} {new['parameters']}: {old[key]}, not {value}"


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    prove()
    computed = list(fixtures())
    if sys.argv[1:]:
        check(computed)
    else:
        write(computed)
    print(f"{len(computed)} fixtures {'agree' if sys.argv[1:] else 'written'}")
