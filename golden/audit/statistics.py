"""Writes statistics.json: ten numbers of golden films, for crates/data/src/statistics.rs.

    python statistics.py          (numpy, Pillow)
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224
FILMS = Path(__file__).parents[1] / "data" / "files"


def statistics(path):
    image = Image.open(path).convert("L")
    x = np.asarray(image if image.size == (SIDE, SIDE) else image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float64)
    inner = x[1:-1, 1:-1]
    sharpness = np.abs(4 * inner - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]).mean()
    coarse = x.reshape(SIDE // 8, 8, SIDE // 8, 8).mean((1, 3)).std()
    steps = np.abs(np.diff(x, axis=1))
    amplitude = np.fft.fftshift(np.abs(np.fft.fft2(x - x.mean())))
    rows, columns = np.mgrid[-SIDE // 2 : SIDE // 2, -SIDE // 2 : SIDE // 2]
    radius = np.hypot(rows, columns)
    low = amplitude[radius < 20].mean() + 1e-9
    return [
        sharpness,
        sharpness / (x.std() + 1e-9),
        (x < 10).mean(),
        (x > 245).mean(),
        x.std(),
        coarse,
        amplitude[radius > 80].mean() / low,
        amplitude[(radius > 30) & (radius < 60)].mean() / low,
        steps[:, 7::8].mean() / (steps.mean() + 1e-9),
        x.mean(),
    ]


names = ["landscape.png", "portrait.png", "square.png", "gray_8.png", "rgb_8.png", "gray_alpha_8.png", "rgb_24.bmp"]
Path(__file__).with_suffix(".json").write_text(
    json.dumps({name: [float(v) for v in statistics(FILMS / name)] for name in names}, indent=1) + "\n"
)
