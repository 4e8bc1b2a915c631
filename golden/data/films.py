"""Answers crates/data/tests/films.rs: reads paths of films, one a line, and writes for each what Pillow and torchvision
make of it: gray, RGB, then from the gray one Resize(224) + CenterCrop(224), that turned by 13.7 degrees,
Resize((224, 224)), that turned. A picture is its width and height (u32, little-endian) and its pixels."""

import struct
import sys

from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize
from torchvision.transforms import functional as F

Image.MAX_IMAGE_PIXELS = None


def write(image):
    sys.stdout.buffer.write(struct.pack("<II", image.width, image.height) + image.tobytes())


for line in sys.stdin:
    film = Image.open(line.rstrip("\n"))
    gray = film.convert("L")
    write(gray)
    write(film.convert("RGB"))
    for fitted in (CenterCrop(224)(Resize(224)(gray)), Resize((224, 224))(gray)):
        write(fitted)
        write(F.rotate(fitted, 13.7, InterpolationMode.NEAREST, expand=False, fill=0))
    sys.stdout.buffer.flush()
