// The pixels of an image, prepared as those of the training: as `predict` of the command does it.

/**
 * Returns the pixels of an image from 0 to 255, one plane per channel.
 *
 * The steps are those of `preprocessing` in `model.json`. A model without it was not trained on image
 * files: its images are resized to the size of the input.
 *
 * @param {{ data: Uint8ClampedArray, width: number, height: number }} image red, green, blue and
 *   alpha of each pixel, as of a canvas
 * @param {{ input: { shape: number[] }, preprocessing?: object }} model contents of `model.json`
 */
export function prepared(image, model) {
  const [channels, height, width] = model.input.shape;
  const steps = model.preprocessing ?? { resize: [height, width] };
  const own = [image.height, image.width];
  const resized = steps.resize === undefined ? own : sizeOf(steps.resize, own);
  const cropped = steps.crop ?? resized;
  if (cropped[0] > resized[0] || cropped[1] > resized[1] || cropped[0] !== height || cropped[1] !== width) {
    const found = `${own[0]} × ${own[1]} pixels, which are prepared as ${resized[0]} × ${resized[1]}`;
    throw new Error(`The model takes ${height} × ${width} pixels (height × width), but the image has ${found}.`);
  }
  const planes = planesOf(image.data, channels).map((plane) => crop(resize(plane, own, resized), resized, cropped));
  const pixels = new Float32Array(channels * height * width);
  planes.forEach((plane, channel) => pixels.set(plane, channel * height * width));
  return pixels;
}

/** Returns height and width of a resized image: by its shorter side, or regardless of its proportions. */
function sizeOf(resize, [height, width]) {
  if (Array.isArray(resize)) return resize;
  return height <= width
    ? [resize, Math.floor((resize * width) / height)]
    : [Math.floor((resize * height) / width), resize];
}

/** Returns the planes of red, green and blue, or the gray of Rec. 601, with the weights of Pillow. */
function planesOf(data, channels) {
  const plane = (level) => Uint8Array.from({ length: data.length / 4 }, (_, at) => level(4 * at));
  if (channels === 3) return [0, 1, 2].map((channel) => plane((at) => data[at + channel]));
  return [plane((at) => (19595 * data[at] + 38470 * data[at + 1] + 7471 * data[at + 2] + 0x8000) >> 16)];
}

/**
 * Returns a plane, resized bilinearly. If it becomes smaller, each pixel is a weighted mean of all pixels
 * that it covers, as in Pillow; the canvas of a browser does this in another way.
 */
function resize(plane, [height, width], size) {
  if (size[0] === height && size[1] === width) return plane;
  const columns = windows(width, size[1]);
  const narrowed = new Float64Array(height * size[1]);
  for (let y = 0; y < height; y++) {
    columns.forEach(({ first, weights }, x) => {
      narrowed[y * size[1] + x] = weights.reduce((sum, weight, at) => sum + weight * plane[y * width + first + at], 0);
    });
  }
  const resized = new Uint8Array(size[0] * size[1]);
  windows(height, size[0]).forEach(({ first, weights }, y) => {
    for (let x = 0; x < size[1]; x++) {
      const mean = weights.reduce((sum, weight, at) => sum + weight * narrowed[(first + at) * size[1] + x], 0);
      resized[y * size[1] + x] = Math.min(255, Math.max(0, Math.floor(mean + 0.5)));
    }
  });
  return resized;
}

/** Returns the covered pixels of each resized one, with triangular weights that sum to 1. */
function windows(from, to) {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  return Array.from({ length: to }, (_, pixel) => {
    const center = (pixel + 0.5) * scale;
    const first = Math.max(Math.floor(center - reach + 0.5), 0);
    const after = Math.min(Math.floor(center + reach + 0.5), from);
    const triangle = (_, at) => Math.max(1 - Math.abs(first + at + 0.5 - center) / reach, 0);
    const weights = Array.from({ length: after - first }, triangle);
    const sum = weights.reduce((sum, weight) => sum + weight);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** Returns the middle of a plane. */
function crop(plane, [height, width], size) {
  const [top, left] = [middle(height, size[0]), middle(width, size[1])];
  return Uint8Array.from({ length: size[0] * size[1] }, (_, at) => {
    const [y, x] = [Math.floor(at / size[1]), at % size[1]];
    return plane[(top + y) * width + left + x];
  });
}

/** Returns the start of the middle, where half a pixel is rounded to an even number, as in torchvision. */
function middle(whole, part) {
  const half = Math.floor((whole - part) / 2);
  return half + ((whole - part) % 2) * (half % 2);
}
