"""Expected values of the strong augmentations.

Applies the operations of the Python Imaging Library (Pillow, of which 13.0 was used) to two images
that a formula gives, and draws the operations of a view from a ChaCha8 written out here.
Run: pip install Pillow && python3 scripts/strong.py
"""

from math import floor

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

MASK = 0xFFFFFFFF


def image(channels, height, width):
    pixels = [
        tuple((31 * x + 17 * y + 7 * x * y + 50 * c) % 200 + 20 for c in range(channels))
        for y in range(height)
        for x in range(width)
    ]
    result = Image.new("RGB" if channels == 3 else "L", (width, height))
    result.putdata(pixels if channels == 3 else [pixel for (pixel,) in pixels])
    return result


def planes(result):
    return [level for band in result.split() for level in band.tobytes()]


def checksum(result):
    return sum((place + 1) * level for place, level in enumerate(planes(result)))


def affine(picture, matrix):
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix)


OPERATIONS = {
    "AutoContrast": lambda p, _: ImageOps.autocontrast(p),
    "Equalize": lambda p, _: ImageOps.equalize(p),
    "Rotate": lambda p, v: p.rotate(v),
    "Solarize": lambda p, v: ImageOps.solarize(p, v),
    "Posterize": lambda p, v: ImageOps.posterize(p, v),
    "Color": lambda p, v: ImageEnhance.Color(p).enhance(v),
    "Contrast": lambda p, v: ImageEnhance.Contrast(p).enhance(v),
    "Brightness": lambda p, v: ImageEnhance.Brightness(p).enhance(v),
    "Sharpness": lambda p, v: ImageEnhance.Sharpness(p).enhance(v),
    "ShearX": lambda p, v: affine(p, (1, v, 0, 0, 1, 0)),
    "ShearY": lambda p, v: affine(p, (1, 0, 0, v, 1, 0)),
    "TranslateX": lambda p, v: affine(p, (1, 0, -v, 0, 1, 0)),
    "TranslateY": lambda p, v: affine(p, (1, 0, 0, 0, 1, -v)),
}


def strengths(name):
    """Of RandAugment on 32 pixels, every magnitude in turn, or zero if there is no strength."""
    steps = range(31)
    both = [(m, sign) for m in steps for sign in (1, -1)]
    if name in ("AutoContrast", "Equalize"):
        return [0]
    if name == "Solarize":
        return [255 - 8.5 * m for m in steps]
    if name == "Posterize":
        return [8 - round(m / 7.5) for m in steps]
    if name == "Rotate":
        return [sign * float(m) for m, sign in both]
    if name.startswith("Shear"):
        return [sign * 0.01 * m for m, sign in both]
    if name.startswith("Translate"):
        return [int(sign * 150 / 331 * 32 * m / 30) for m, sign in both]
    return [1 + sign * 0.03 * m for m, sign in both]


SMALL = {
    "AutoContrast": 0,
    "Equalize": 0,
    "Rotate": 30,
    "Solarize": 128,
    "Posterize": 2,
    "Color": 1.9,
    "Contrast": 0.1,
    "Brightness": 1.9,
    "Sharpness": 0.1,
    "ShearX": 0.3,
    "ShearY": -0.3,
    "TranslateX": 1,
    "TranslateY": -2,
}


def chacha8(key):
    """Words of 64 bits of the key stream, with a counter and a nonce of 64 bits that begin at 0."""
    constants = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    words = [word >> shift & MASK for word in key for shift in (0, 32)]
    quarters = [(i, i + 4, i + 8, i + 12) for i in range(4)]
    quarters += [(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4)]
    counter = 0
    while True:
        start = constants + words + [counter & MASK, counter >> 32, 0, 0]
        state = list(start)
        for _ in range(4):
            for a, b, c, d in quarters:
                for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                    state[x] = (state[x] + state[y]) & MASK
                    word = state[z] ^ state[x]
                    state[z] = (word << turn | word >> (32 - turn)) & MASK
        block = [(a + b) & MASK for a, b in zip(state, start)]
        yield from (block[i] | block[i + 1] << 32 for i in range(0, 16, 2))
        counter += 1


def generator(seed, sample, epoch, view, purpose=4):
    words = chacha8([seed, sample, epoch, purpose << 32 | view])

    def below(bound):
        while True:
            product = next(words) * bound
            if product % 2**64 >= (2**64 - bound) % bound:
                return product >> 64

    return below


KINDS = (
    "Identity ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness "
    "Posterize Solarize AutoContrast Equalize"
).split()


def rand_augment(below, operations, side, size=32):
    drawn = [(KINDS[below(14)], "-+"[1 - below(2)]) for _ in range(operations)]
    centres = [below(size), below(size)]
    covered = [(max(0, c - side // 2), min(size, c + side // 2)) for c in centres]
    return drawn, dict(zip(("rows", "columns"), covered))


def unit(below):
    return below(2**53) / 2**53


def fix_match(below, operations, size=32):
    drawn = [(KINDS[below(14)], unit(below)) for _ in range(operations)]
    side = unit(below) * 0.5 * size
    # As the loader of logit-standardization-KD covers, whatever the two numbers between 0 and size.
    left, top = (int(max(0, unit(below) * size - side / 2.0)) for _ in range(2))
    right, bottom = min(size, left + side), min(size, top + side)
    canvas = Image.new("L", (size, size))
    ImageDraw.Draw(canvas).rectangle((left, top, right, bottom), 1)
    x0, y0, x1, y1 = canvas.getbbox()
    return drawn, {"rows": (y0, y1), "columns": (x0, x1)}


if __name__ == "__main__":
    print("colour, 3 by 4:", planes(image(3, 3, 4)))
    for name, strength in SMALL.items():
        print(name, strength, planes(OPERATIONS[name](image(3, 3, 4), strength)))
    print("grey, 5 by 3:", planes(image(1, 5, 3)))
    for name, strength in SMALL.items():
        print(name, strength, planes(OPERATIONS[name](image(1, 5, 3), strength)))
    for channels, height, width in ((3, 32, 32), (1, 23, 17)):
        print("checksums of", channels, height, width)
        for name, operation in OPERATIONS.items():
            picture = image(channels, height, width)
            print(name, sum(checksum(operation(picture, v)) for v in strengths(name)))
    print("RandAugment", rand_augment(generator(3, 14, 15, 1), 3, 16))
    print("FixMatch", fix_match(generator(3, 14, 15, 1), 3))
