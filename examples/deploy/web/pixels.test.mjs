// node --test examples/deploy/web/pixels.test.mjs

import assert from "node:assert/strict";
import { test } from "node:test";
import { prepared } from "./pixels.js";

/** The image of 9 by 14 pixels of the tests in crates/data/src/images/preprocessing. */
function pattern() {
  const image = { data: new Uint8ClampedArray(4 * 9 * 14), width: 14, height: 9 };
  for (let y = 0; y < 9; y++) {
    for (let x = 0; x < 14; x++) {
      const levels = [x * 19 + y * 3, y * 31, x * y * 7].map((level) => level % 256);
      image.data.set([...levels, 255], 4 * (y * 14 + x));
    }
  }
  return image;
}

function pixels(shape, preprocessing) {
  return [...prepared(pattern(), { input: { shape }, preprocessing })];
}

/** Asserts that pixels are equal but for the rounding of Pillow between the two directions. */
function assertClose(found, expected) {
  assert.equal(found.length, expected.length);
  found.forEach((pixel, at) => assert.ok(Math.abs(pixel - expected[at]) <= 1, `${at}: ${pixel}`));
}

test("images are resized and cropped as by torchvision", () => {
  // `center_crop(resize(image, 6), [5, 4])` of torchvision 0.29.2 on Pillow 13.0.0.
  const found = pixels([3, 5, 4], { resize: 6, crop: [5, 4], channels: 3 });
  const red = [64, 95, 125, 154, 68, 99, 129, 158, 73, 104, 134, 163, 77, 108, 138, 167, 82, 113, 143, 172];
  const green = [12, 12, 12, 12, 55, 55, 55, 55, 100, 100, 100, 100, 148, 148, 148, 148, 193, 193, 193, 193];
  const blue = [9, 13, 17, 21, 42, 62, 81, 100, 75, 112, 147, 181, 112, 166, 200, 126, 145, 200, 128, 100];
  assertClose(found, [...red, ...green, ...blue]);
});

test("an image of a model without preprocessing gets the size of its input", () => {
  // `resize(image, [4, 20])`, the first row of red.
  const red = [2, 12, 26, 39, 52, 66, 79, 92, 106, 119, 132, 145, 159, 172, 185, 199, 212, 225, 239, 249];
  assertClose(pixels([3, 4, 20]).slice(0, 20), red);
  assert.deepEqual(pixels([3, 4, 20], { resize: [4, 20] }), pixels([3, 4, 20]));
});

test("half a pixel beside the middle is rounded to an even number", () => {
  // `center_crop(image, [4, 5])`, the first two rows of red.
  const found = pixels([3, 4, 5], { crop: [4, 5] });
  assert.deepEqual(found.slice(0, 10), [82, 101, 120, 139, 158, 85, 104, 123, 142, 161]);
});

test("gray is that of Pillow", () => {
  // `image.convert("L")`.
  const expected = [0, 6, 11, 17, 23, 28, 34, 40, 45, 51, 57, 62, 68, 74, 19, 26, 32, 39, 45, 51];
  assert.deepEqual(pixels([1, 9, 14], {}).slice(0, 20), expected);
});

test("an image of another size is refused", () => {
  assert.throws(() => pixels([3, 8, 8], {}), /takes 8 × 8 pixels .* has 9 × 14 pixels/);
  assert.throws(() => pixels([3, 9, 15], { crop: [9, 15] }), /takes 9 × 15 pixels/);
});
