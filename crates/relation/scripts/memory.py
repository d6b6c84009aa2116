"""Expected values of the losses with a memory: contrastive, relational representation.

Writes each formula out in NumPy, in double precision and independently of the Rust code, and differentiates
by central differences.
Run: python3 -m pip install numpy; python3 scripts/memory.py
"""

import numpy as np


def wave(shape, amplitude, frequency, phase):
    n = np.arange(np.prod(shape), dtype=float)
    return (amplitude * np.sin(frequency * n + phase)).reshape(shape)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def show(name, loss, x, step=1e-6):
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[index] = step
        gradient[index] = (loss(x + moved) - loss(x - moved)) / (2 * step)
    print(f"{name:44} {loss(x):.9f}  |g| {np.linalg.norm(gradient):.9f}")


# What both are called with: four samples of three and of five features, embedded in four.
STUDENT = wave((4, 3), 1.0, 0.7, 0.3)
TEACHER = wave((4, 5), 1.0, 0.4, 0.3)
W_STUDENT, W_TEACHER = wave((3, 4), 0.6, 1.3, 0.2), wave((5, 4), 0.6, 0.9, 0.5)


# --- contrastive ------------------------------------------------------------------------------------

# Six samples, two of each class, and the places of those of the batch.
CLASSES = np.array([0, 0, 1, 1, 2, 2])
PLACES = [0, 3, 4, 1]
STUDENT_BANK, TEACHER_BANK = unit(wave((6, 4), 1.0, 0.77, 0.2)), unit(wave((6, 4), 1.0, 0.53, 0.9))


def contrastive_side(v, bank, negatives, z=8.0, temperature=0.7):
    """All samples of other classes are drawn, alone or among the others: they are those that count."""
    c = negatives / len(bank)
    p = np.exp(v @ bank.T / temperature) / z
    total = 0.0
    for row, place in zip(p, PLACES):
        total -= np.log(row[place] / (row[place] + c + 1e-7))
        for other, score in enumerate(row):
            if CLASSES[other] != CLASSES[place]:
                total -= np.log(c / (score + c + 1e-7))
    return total / len(PLACES)


def contrastive(bias, negatives):
    teacher = contrastive_side(unit(TEACHER @ W_TEACHER + bias), STUDENT_BANK, negatives)

    def loss(student):
        return teacher + contrastive_side(unit(student @ W_STUDENT + bias), TEACHER_BANK, negatives)

    return loss


show("contrastive, the four of other classes", contrastive(0.0, 4), STUDENT)
show("contrastive, shared, all six drawn", contrastive(0.1, 6), STUDENT)

# --- relational representation ----------------------------------------------------------------------

QUEUE = unit(wave((6, 4), 1.0, 0.8, 0.6))


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def relational_representation(student):
    s, t = unit(student @ W_STUDENT + 0.1), unit(TEACHER @ W_TEACHER + 0.1)
    # The batch is remembered first, and the oldest leave.
    queue = np.concatenate([QUEUE, t])[-6:]
    p, q = softmax(t @ queue.T / 0.02), softmax(s @ queue.T / 0.1)
    return -(p * np.log(q)).sum(axis=1).mean()


show("relational representation", relational_representation, STUDENT)
