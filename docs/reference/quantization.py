"""Quantized weights and their gradients in double precision, from their formulas.

    python3 docs/reference/quantization.py            writes quantization.json beside this file
    python3 docs/reference/quantization.py --check    compares with it instead

Every weight is quantized by itself in a loop, independently of the Rust code. The uniform grid is
that of Polino, Pascanu and Alistarh (ICLR 2018), and so are the learned levels, the step that of Esser et al. (ICLR 2020):
a rounding has the gradient of the identity, which no numerical derivative gives, so the formulas of
the papers are written out. Each run first proves itself on values that the code of Polino et al.
gives, and differentiates the learned step by central differences of a function that is smooth: the
rounded multiple is held fixed, and the residual of the rounding is added to it. The gradient by the
levels is differentiated by central differences of the quantization itself.

With n counting from 0, the weights are 0.9 sin(0.7 n + 0.3) + 0.05 n / count, and the gradient of
the loss by the quantized weights is cos(1.1 n + 0.1).
"""

import json
import math
import sys
from pathlib import Path

OUTPUT = Path(__file__).with_suffix(".json")


def weights(count):
    return [0.9 * math.sin(0.7 * n + 0.3) + 0.05 * n / count for n in range(count)]


def upstream(count):
    return [math.cos(1.1 * n + 0.1) for n in range(count)]


def half_even(x):
    return float(round(x))  # Python rounds halves to the even number


def uniform(w, bits, bucket_size):
    """Each bucket between its smallest and its largest weight."""
    steps = 2**bits - 1
    result = []
    for start in range(0, len(w), bucket_size):
        bucket = w[start : start + bucket_size]
        low = min(bucket)
        span = max(bucket) - low
        if span < 1e-10:
            span = 1.0
        for value in bucket:
            result.append(half_even((value - low) / span * steps) / steps * span + low)
    return result


def learned_step(w, g, bits, step):
    """Quantized weights, and the gradients by the weights and by the step."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    scale = 1 / math.sqrt(len(w) * high)
    quantized, by_weights, by_step = [], [], 0.0
    for value, outer in zip(w, g):
        multiple = value / step
        if multiple <= low:
            quantized.append(low * step)
            by_weights.append(0.0)
            by_step += outer * low
        elif multiple >= high:
            quantized.append(high * step)
            by_weights.append(0.0)
            by_step += outer * high
        else:
            rounded = half_even(multiple)
            quantized.append(rounded * step)
            by_weights.append(outer)
            by_step += outer * (rounded - multiple)
    return quantized, by_weights, by_step * scale


def learned_levels(w, g, levels, bucket_size):
    """Quantized weights, and the gradient by the levels."""
    quantized, by_levels = [], [0.0] * len(levels)
    for start in range(0, len(w), bucket_size):
        bucket = w[start : start + bucket_size]
        low = min(bucket)
        span = max(bucket) - low
        if span < 1e-10:
            span = 1.0
        for value, outer in zip(bucket, g[start : start + bucket_size]):
            scaled = (value - low) / span
            nearest = min(range(len(levels)), key=lambda i: abs(scaled - levels[i]))
            quantized.append(low + span * levels[nearest])
            by_levels[nearest] += span * outer
    return quantized, by_levels


def initial_step(w, bits):
    return 2 * (sum(abs(value) for value in w) / len(w)) / math.sqrt(2 ** (bits - 1) - 1)


def prove():
    w = [0.1, -0.5, 0.33, 0.9, -0.2, 0.05, 0.7, -0.9, 0.4, 0.25]
    whole = [0.3, -0.3, 0.3, 0.9, -0.3, 0.3, 0.9, -0.9, 0.3, 0.3]
    fours = [-1 / 30, -0.5, 13 / 30, 0.9, -11 / 30, 1 / 6, 0.7, -0.9, 0.4, 0.25]
    for found, expected in [
        (uniform(w, 2, 256), whole),
        (uniform(w, 2, 4), fours),
        (uniform([0, 0.5, 1.5, 2.5, 3], 2, 256), [0, 0, 2, 2, 3]),
        (uniform([0.7] * 3, 4, 2), [0.7] * 3),
    ]:
        assert all(abs(a - b) < 1e-12 for a, b in zip(found, expected, strict=True)), found

    # Where a weight is inside, Q = step · (w / step + residual) with a constant residual.
    count, bits, step = 40, 3, 0.21
    w, g = weights(count), upstream(count)
    quantized, by_weights, by_step = learned_step(w, g, bits, step)
    low, high = -4, 3

    def loss(w_of, step_of):
        total = 0.0
        for outer, now, before in zip(g, w_of, w):
            multiple = min(max(before / step, low), high)
            residual = half_even(multiple) - multiple
            total += outer * step_of * (min(max(now / step_of, low), high) + residual)
        return total

    h = 1e-6
    numeric = (loss(w, step + h) - loss(w, step - h)) / (2 * h) / math.sqrt(count * high)
    assert abs(numeric - by_step) < 1e-7, (numeric, by_step)
    for index in range(count):
        moved = [w[:index] + [w[index] + d] + w[index + 1 :] for d in (h, -h)]
        numeric = (loss(moved[0], step) - loss(moved[1], step)) / (2 * h)
        assert abs(numeric - by_weights[index]) < 1e-7, index
    assert abs(loss(w, step) - sum(a * b for a, b in zip(g, quantized))) < 1e-12

    levels = bent(2)
    _, by_levels = learned_levels(w, g, levels, 7)
    for index in range(len(levels)):
        moved = [levels[:index] + [levels[index] + d] + levels[index + 1 :] for d in (h, -h)]
        up, down = (
            sum(a * b for a, b in zip(g, learned_levels(w, g, each, 7)[0])) for each in moved
        )
        assert abs((up - down) / (2 * h) - by_levels[index]) < 1e-7, index


def bent(bits):
    """Levels at unequal distances from 0 to 1."""
    last = 2**bits - 1
    return [(level / last) ** 1.5 for level in range(last + 1)]


def fixtures():
    for count, bits, bucket_size in [(40, 1, 16), (40, 2, 7), (40, 4, 16), (40, 8, 256)]:
        values = uniform(weights(count), bits, bucket_size)
        yield dict(kind="uniform", count=count, bits=bits, bucket_size=bucket_size, values=values)
    for count, bits, step in [(40, 2, 0.4), (40, 3, 0.21), (40, 4, 0.2), (40, 8, 0.005)]:
        w, g = weights(count), upstream(count)
        values, by_weights, by_step = learned_step(w, g, bits, step)
        yield dict(
            kind="learned-step",
            count=count,
            bits=bits,
            step=step,
            initial_step=initial_step(w, bits),
            values=values,
            by_weights=by_weights,
            by_step=by_step,
        )
    for count, bits, bucket_size in [(40, 1, 256), (40, 2, 7), (40, 3, 16), (40, 5, 13)]:
        levels = bent(bits)
        values, by_levels = learned_levels(weights(count), upstream(count), levels, bucket_size)
        yield dict(
            kind="learned-levels",
            count=count,
            bits=bits,
            bucket_size=bucket_size,
            levels=levels,
            values=values,
            by_levels=by_levels,
        )


def write(computed):
    lines = ",\n".join(json.dumps(fixture) for fixture in computed)
    OUTPUT.write_text(f"[\n{lines}\n]\n")


def check(computed):
    """Another C library may round the last digit of a sine otherwise."""
    stored = json.loads(OUTPUT.read_text())
    assert len(stored) == len(computed), f"{len(stored)} fixtures stored, {len(computed)} computed"
    for old, new in zip(stored, computed):
        for key, value in new.items():
            pairs = zip(old[key], value) if isinstance(value, list) else [(old[key], value)]
            same = old[key] == value or all(abs(a - b) < 1e-12 for a, b in pairs)
            assert same, f"{key} of {new['kind']} of {new['bits']} bits: {old[key]}, not {value}"


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
