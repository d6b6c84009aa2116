"""Expected values of the losses on the features of several teachers: CA-MKD and AEKD.

Writes each formula out in NumPy, in double precision and independently of the Rust code, and differentiates
by central differences, also where the Rust code has a closed form. The weights of AEKD are those of an exact
search over the sets of weights that are at a bound.
Run: python3 -m pip install numpy; python3 crates/feature/scripts/several_teachers.py
"""

import itertools

import numpy as np

EPSILON = 1e-5
BATCH, CHANNELS, SIZE = 4, 3, 4
TEACHERS = [5, 4, 6]
CLASSES = 3
LABELS = [0, 2, 1, 1]


def wave(shape, amplitude, frequency, phase):
    n = np.arange(np.prod(shape), dtype=float)
    return (amplitude * np.sin(frequency * n + phase)).reshape(shape)


def parameter(index, shape):
    return wave(shape, 0.3, 0.5, 0.1 * (index + 1))


def projection(number, channels):
    """Weight and bias of the convolution, scale and shift of the normalization."""
    first = 4 * number
    return (
        parameter(first, (channels, CHANNELS)),
        parameter(first + 1, (channels,)),
        1 + parameter(first + 2, (channels,)),
        parameter(first + 3, (channels,)),
    )


def projected(student, number, channels):
    weight, bias, scale, shift = projection(number, channels)
    y = np.einsum("oc,bchw->bohw", weight, student) + bias[None, :, None, None]
    mean = y.mean((0, 2, 3), keepdims=True)
    variance = y.var((0, 2, 3), keepdims=True)
    normalized = (y - mean) / np.sqrt(variance + EPSILON)
    return np.maximum(normalized * scale[None, :, None, None] + shift[None, :, None, None], 0)


def pooled(map, size):
    b, c, h, w = map.shape
    return map.reshape(b, c, size, h // size, size, w // size).mean((3, 5))


def bilinear(map, size):
    """`F.interpolate` without aligned corners, for squares."""
    b, c, h, _ = map.shape
    matrix = np.zeros((size, h))
    for pixel in range(size):
        center = max((pixel + 0.5) * h / size - 0.5, 0)
        before = min(int(center), h - 1)
        after = min(before + 1, h - 1)
        matrix[pixel, before] += 1 - (center - before)
        matrix[pixel, after] += center - before
    return np.einsum("ih,bchw,jw->bcij", matrix, map, matrix)


def resized(map, size):
    return pooled(map, size) if map.shape[2] >= size else bilinear(map, size)


def log_softmax(x):
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def teacher_maps(sizes):
    maps = zip(TEACHERS, sizes)
    return [
        np.abs(wave((BATCH, channels, size, size), 1, 0.31 + 0.1 * number, 0.2))
        for number, (channels, size) in enumerate(maps)
    ]


def confidence(student, teachers):
    entropies, distances = [], []
    for number, teacher in enumerate(teachers):
        map = projected(resized(student, teacher.shape[2]), number, teacher.shape[1])
        weight = parameter(20 + 2 * number, (teacher.shape[1], CLASSES))
        bias = parameter(21 + 2 * number, (CLASSES,))
        logits = 4 * (map.mean((2, 3)) @ weight + bias)
        entropies.append(-log_softmax(logits)[range(BATCH), LABELS])
        distances.append(((map - teacher) ** 2).reshape(BATCH, -1).mean(1))
    share = np.exp(log_softmax(np.stack(entropies, 1)))
    weights = (1 - share) / (len(teachers) - 1)
    return (weights * np.stack(distances, 1)).sum() / (BATCH * len(teachers))


def gradient(loss, value, step=1e-6):
    out = np.zeros_like(value)
    for index in np.ndindex(value.shape):
        ends = []
        for sign in (1, -1):
            moved = value.copy()
            moved[index] += sign * step
            ends.append(loss(moved))
        out[index] = (ends[0] - ends[1]) / (2 * step)
    return out


def distances(student, teachers):
    maps = enumerate(teachers)
    maps = [(projected(student, n, t.shape[1]), resized(t, student.shape[2])) for n, t in maps]
    return np.array([((map - teacher) ** 2).mean() for map, teacher in maps])


def smallest(gram, cap):
    """The exact minimum of αᵀGα over the capped simplex."""
    count = len(gram)
    best = None
    for state in itertools.product(("zero", "cap", "free"), repeat=count):
        fixed = np.array([cap if s == "cap" else 0.0 for s in state])
        free = [i for i, s in enumerate(state) if s == "free"]
        alpha = fixed.copy()
        if free:
            system = np.zeros((len(free) + 1,) * 2)
            system[:-1, :-1] = gram[np.ix_(free, free)]
            system[:-1, -1] = system[-1, :-1] = 1
            right = np.append(-(gram @ fixed)[free], 1 - fixed.sum())
            alpha[free] = np.linalg.lstsq(system, right, rcond=None)[0][:-1]
        inside = (alpha > -1e-12).all() and (alpha < cap + 1e-12).all()
        if not inside or abs(alpha.sum() - 1) > 1e-9:
            continue
        value = alpha @ gram @ alpha
        if best is None or value < best[0]:
            best = (value, alpha)
    return best[1]


def adaptive(student, teachers, tolerance):
    gradients = [
        gradient(lambda moved, n=n: distances(moved, teachers)[n], student).mean(0).ravel()
        for n in range(len(teachers))
    ]
    norms = np.array([np.linalg.norm(g) for g in gradients])
    normalized = np.stack(gradients) / norms[:, None]
    alpha = smallest(normalized @ normalized.T, max(tolerance, 1 / len(teachers)))
    weights = alpha / norms
    return weights / weights.sum()


student = wave((BATCH, CHANNELS, SIZE, SIZE), 1, 0.37, 0.2)
for sizes in [(4, 4, 4), (2, 4, 8)]:
    teachers = teacher_maps(sizes)
    by_student = gradient(lambda moved: confidence(moved, teachers), student)
    print("confidence-feature", sizes, f"{confidence(student, teachers):.9f}", f"{np.linalg.norm(by_student):.9f}")
for sizes in [(4, 4, 4), (2, 4, 8)]:
    for tolerance in (0.6, 0.35):
        teachers = teacher_maps(sizes)
        weights = adaptive(student, teachers, tolerance)
        value = weights @ distances(student, teachers)
        by_student = gradient(lambda moved: weights @ distances(moved, teachers), student)
        shown = ", ".join(f"{weight:.6f}" for weight in weights)
        print("adaptive-feature", sizes, tolerance, f"[{shown}]", f"{value:.9f}", f"{np.linalg.norm(by_student):.9f}")
