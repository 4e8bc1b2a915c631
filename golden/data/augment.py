"""Makes golden values of the augmentation in crates/data: what Pillow, OpenCV, NumPy and SciPy make of small drawn pictures.

    python golden/data/augment.py            (Pillow, opencv-python-headless, numpy, scipy)

Writes beside itself augment.json + augment.bin, in the form of transforms.json. The pictures are those of make.py (files/).
Tolerances are with the test that reads them (crates/data/tests/golden.rs).
"""

import io
import json
import math
from pathlib import Path

import cv2
import numpy as np
import scipy
from PIL import Image, ImageOps
from PIL import __version__ as pillow
from scipy.ndimage import convolve1d

HERE = Path(__file__).parent
cases, blob = [], bytearray()


def add(file, op, args, image):
    pixels = np.asarray(image)
    channels = "gray" if pixels.ndim == 2 else "rgb"
    cases.append(dict(file=file, op=op, args=args, channels=channels, width=pixels.shape[1], height=pixels.shape[0], offset=len(blob)))
    blob.extend(pixels.tobytes())


def affine(image, degrees, scale, shift, mirrored, resample):
    """Pillow's own resampling, of the film in a frame of black, from the formula in the documentation of `Affine`."""
    w, h = image.size
    framed = ImageOps.expand(image, border=1, fill=0)
    t = math.radians(degrees)
    flip = -1 if mirrored else 1
    # Counter-clockwise on a screen, whose rows go down; first the scale, then the turn.
    a, b = math.cos(t) * scale[0] * flip, -math.sin(t) * scale[1]
    d, e = math.sin(t) * scale[0] * flip, math.cos(t) * scale[1]
    c = w / 2 + shift[0] * w + 1 - a * w / 2 - b * h / 2
    f = h / 2 + shift[1] * h + 1 - d * w / 2 - e * h / 2
    return framed.transform((w, h), Image.Transform.AFFINE, (a, b, c, d, e, f), resample=resample, fillcolor=0)


def levels(values):
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def unsharp(pixels, amount):
    x = pixels.astype(np.float64)
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    blurred = convolve1d(convolve1d(x, kernel, axis=1, mode="nearest"), kernel, axis=0, mode="nearest")
    return levels(x + amount * (x - blurred))


def tone(pixels, gamma, contrast, brightness):
    x = (pixels / 255.0) ** gamma
    return levels(255 * brightness * (x.mean() + contrast * (x - x.mean())))


def clahe(image, clip_limit):
    """Each channel by itself."""
    of_8_by_8 = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(8, 8))
    return Image.merge(image.mode, [Image.fromarray(of_8_by_8.apply(np.asarray(band))) for band in image.split()])


def jpeg(image, quality):
    """Saved and opened again; colours keep all their pixels."""
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality, subsampling=0)
    return Image.open(file).convert(image.mode)


def padded(image, size):
    """The square of `fit = pad`, as make.py has it."""
    w, h = image.size
    small = (size, int(size * h / w)) if w > h else (int(size * w / h), size)
    image = image.resize(small, Image.Resampling.BILINEAR)
    left, top = (size - small[0]) // 2, (size - small[1]) // 2
    return ImageOps.expand(image, border=(left, top, size - small[0] - left, size - small[1] - top), fill=0)


for file, mode in [("square.png", "L"), ("portrait.png", "L"), ("colour.png", "RGB")]:
    image = Image.open(HERE / "files" / file).convert(mode)
    w, h = image.size
    for args in [
        (0.0, (0.71, 0.71), (0.0, 0.0), False),
        (13.7, (1.0, 1.0), (0.0, 0.0), False),
        (-20.0, (0.83, 1.02), (0.05, -0.03), True),
        (5.5, (1.05, 1.1), (-0.2, 0.4), False),
        (91.0, (0.5, 2.0), (0.0, 0.0), True),
    ]:
        flat = [args[0], *args[1], *args[2], float(args[3])]
        add(file, "affine", flat, affine(image, *args, Image.Resampling.BILINEAR))
        add(file, "affine_nearest", flat, affine(image, *args, Image.Resampling.NEAREST))
    for factor in (1.3, 2.6, 4.1):
        small = (max(round(w / factor), 1), max(round(h / factor), 1))
        add(file, "downsample", [factor], image.resize(small, Image.Resampling.BILINEAR).resize((w, h), Image.Resampling.BILINEAR))
    for amount in (0.4, 2.0):
        add(file, "unsharp", [amount], unsharp(np.asarray(image), amount))
    for args in ((0.67, 1.0, 1.0), (1.0, 1.49, 1.0), (1.4, 0.7, 1.12)):
        add(file, "tone", list(args), tone(np.asarray(image), *args))
    add(file, "equalize", [], ImageOps.equalize(image))
    for clip_limit in (0.0, 1.3, 4.0):
        add(file, "clahe", [clip_limit], clahe(image, clip_limit))
    for size in ((48, 37), (5, 3)):  # one side alone is a multiple of 8; smaller than a tile each
        add(file, "resized_clahe", list(size), clahe(image.resize(size, Image.Resampling.BILINEAR), 2.0))
    for quality in (1, 10, 37, 50, 75, 90, 95, 100):
        add(file, "jpeg", [quality], jpeg(image, quality))
        extremes = image.point(lambda level: 255 if level % 2 else 0)
        add(file, "extreme_jpeg", [quality], jpeg(extremes, quality))
    for size in (64, 45):  # tiles of 8 pixels, and a film that goes on beyond its edges
        add(file, "square_equalize", [size], ImageOps.equalize(padded(image, size)))
        add(file, "square_clahe", [size], clahe(padded(image, size), 2.0))

versions = dict(pillow=pillow, numpy=np.__version__, scipy=scipy.__version__, opencv=cv2.__version__)
(HERE / "augment.json").write_text(json.dumps(dict(versions=versions, cases=cases), indent=0) + "\n")
(HERE / "augment.bin").write_bytes(blob)
print(len(cases), "cases,", len(blob), "bytes")
