"""Expected values of relations between tokens, of a vote of teachers and of classes: token flow, token
similarity, relative dissimilarity, label similarity.

Writes each formula out in NumPy, in double precision and independently of the Rust code, sample by sample,
and differentiates by central differences.
Run: python3 -m pip install numpy; python3 scripts/tokens_and_votes.py
"""

import numpy as np


def wave(shape, amplitude, frequency, phase):
    n = np.arange(np.prod(shape), dtype=float)
    return (amplitude * np.sin(frequency * n + phase)).reshape(shape)


def show(name, loss, x, step=1e-6):
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[index] = step
        gradient[index] = (loss(x + moved) - loss(x - moved)) / (2 * step)
    print(f"{name:44} {loss(x):.9f}  |g| {np.linalg.norm(gradient):.9f}")


# --- tokens: three sequences of four, the last token of all but the first is padding ------------------

LENGTHS = [4, 3, 3]


def other(x):
    """A second layer: the features in reverse order, shifted."""
    return x[..., ::-1] + 0.5


def flow(x, length):
    return x[:length].T @ other(x)[:length] / length


def token_flow(teacher, lengths):
    def loss(student):
        each = zip(student, teacher, lengths)
        return np.mean([np.mean((flow(s, n) - flow(t, n)) ** 2) for s, t, n in each])

    return loss


def token_similarity(teacher, lengths):
    def similarity(x, length):
        return x[:length] @ other(x)[:length].T / x.shape[1]

    def loss(student):
        squares = []
        for s, t, n in zip(student, teacher, lengths):
            squares.extend(((similarity(s, n) - similarity(t, n)) ** 2).ravel())
        return np.mean(squares)

    return loss


STUDENT = wave((3, 4, 3), 1.0, 0.7, 0.3)
SAME, WIDE = wave((3, 4, 3), 1.0, 0.3, 0.6), wave((3, 4, 5), 1.0, 0.3, 0.6)
show("token flow", token_flow(SAME, LENGTHS), STUDENT)
show("token flow, no padding", token_flow(SAME, [4, 4, 4]), STUDENT)
show("token similarity", token_similarity(WIDE, LENGTHS), STUDENT)
show("token similarity, no padding", token_similarity(WIDE, [4, 4, 4]), STUDENT)


# --- votes ------------------------------------------------------------------------------------------


def distance(x, i, j):
    a, b = x[i] / np.linalg.norm(x[i]), x[j] / np.linalg.norm(x[j])
    return ((a - b) ** 2).sum()


def relative_dissimilarity(teachers, margin):
    def loss(student):
        terms = []
        for i in range(len(student)):
            for j in range(len(student)):
                for k in range(j):
                    if i in (j, k):
                        continue
                    vote = sum(np.sign(distance(t, i, j) - distance(t, i, k)) for t in teachers)
                    difference = distance(student, i, j) - distance(student, i, k)
                    if vote != 0:
                        terms.append(max(0, margin - np.sign(vote) * difference))
        return np.mean(terms)

    return loss


FEATURES = wave((5, 3), 1.0, 0.7, 0.3)
TEACHERS = [wave((5, 4), 1.0, 0.4, 0.3), wave((5, 6), 1.0, 0.9, 0.1), wave((5, 2), 1.0, 1.7, 0.5)]
show("relative dissimilarity, one teacher", relative_dissimilarity(TEACHERS[:1], 0.1), FEATURES)
show("relative dissimilarity, two teachers", relative_dissimilarity(TEACHERS[:2], 0.1), FEATURES)
show("relative dissimilarity, three, margin 0.5", relative_dissimilarity(TEACHERS, 0.5), FEATURES)


# --- classes ----------------------------------------------------------------------------------------

CLASSES = [1, 0, 1, 2, 0]


def label_similarity(known, eps=1e-7):
    def loss(student):
        unit = student / np.linalg.norm(student, axis=1, keepdims=True)
        total = 0.0
        for i in known:
            choices = np.array([(1 + unit[i] @ unit[j]) / 2 for j in known])
            alike = np.array([float(CLASSES[i] == CLASSES[j]) for j in known])
            p, t = choices / choices.sum(), alike / alike.sum()
            total += (t * np.log((t + eps) / (p + eps))).sum()
        return total / len(known) ** 2

    return loss


show("label similarity", label_similarity([0, 1, 2, 3, 4]), FEATURES)
show("label similarity, three with a label", label_similarity([0, 2, 4]), FEATURES)
