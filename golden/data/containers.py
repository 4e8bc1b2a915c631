"""Makes the golden values of crates/data for WebP, GIF, JPEG 2000 and lossless JPEG: small drawn pictures and the pixels that
Pillow decodes from them (of lossless JPEG, which it does not read, those that were encoded).

    python golden/data/containers.py      (Pillow, numpy, imagecodecs)

Writes beside itself files/* and containers.json + containers.bin, as make.py does decode.json. Samples of more than 8 bits
are expected as round(255 * sample / most).
"""

import io
import json
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

HERE = Path(__file__).parent
FILES = HERE / "files"
rng = np.random.default_rng(1977)
cases, blob = [], bytearray()


def picture(width, height, channels, top=255):
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    planes = [0.5 + 0.3 * np.sin(7 * x + c) * np.cos(5 * y) + 0.2 * (x - y) * (c + 1) / 3 for c in range(channels)]
    noisy = np.stack(planes, -1) + rng.normal(0, 0.02, (height, width, channels))
    return (top * noisy.clip(0, 1)).round().astype(np.uint16 if top > 255 else np.uint8).squeeze()


def case(name, data, expected=None):
    (FILES / name).write_bytes(data)
    for channels in ("gray", "rgb"):
        if expected is None:
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert({"gray": "L", "rgb": "RGB"}[channels]))
        else:
            pixels = expected if channels == "gray" else np.stack([expected] * 3, -1)
        cases.append({"file": name, "channels": channels, "width": pixels.shape[1], "height": pixels.shape[0],
                      "offset": len(blob)})
        blob.extend(pixels.astype(np.uint8).tobytes())


def saved(array, *args, **kw):
    out = io.BytesIO()
    Image.fromarray(array).save(out, *args, **kw)
    return out.getvalue()


gray, colour = picture(45, 34, 1), picture(38, 29, 3)
case("gray_lossless.webp", saved(gray, "WEBP", lossless=True))
case("colour_lossless.webp", saved(colour, "WEBP", lossless=True))
case("colour_lossy.webp", saved(colour, "WEBP", quality=80))
case("alpha.webp", saved(np.dstack([colour, picture(38, 29, 1)]), "WEBP", lossless=True, exact=True))
case("gray.gif", saved(gray, "GIF"))
case("colour.gif", saved(np.asarray(Image.fromarray(colour).quantize(64).convert("RGB")), "GIF"))
animated = io.BytesIO()
Image.fromarray(gray).save(animated, "GIF", save_all=True, append_images=[Image.fromarray(255 - gray)])
case("animated.gif", animated.getvalue())
case("gray_lossless.jp2", saved(gray, "JPEG2000"))
case("colour_lossless.jp2", saved(colour, "JPEG2000"))
case("gray_lossy.j2k", saved(gray, "JPEG2000", irreversible=True, quality_mode="dB", quality_layers=[40], no_jp2=True))
case("gray_tiles.j2k", saved(gray, "JPEG2000", tile_size=(32, 32), no_jp2=True))
twelve = picture(45, 34, 1, 4095)
eight = lambda array, top: np.floor(255.0 * array / top + 0.5)
case("gray_12.jp2", imagecodecs.jpeg2k_encode(twelve, codecformat="jp2", bitspersample=12, reversible=True), eight(twelve, 4095))
case("gray_lossless.jpg", imagecodecs.ljpeg_encode(gray.astype(np.uint16), bitspersample=8), gray)
case("gray_lossless_12.jpg", imagecodecs.ljpeg_encode(twelve, bitspersample=12), eight(twelve, 4095))
(HERE / "containers.bin").write_bytes(bytes(blob))
(HERE / "containers.json").write_text(json.dumps({"cases": cases}, indent=1) + "\n")
print(len(cases), "cases,", len(blob), "bytes")
