"""Makes the golden values of crates/data: small drawn pictures in every format that is read, the pixels that Pillow
decodes from them, and what torchvision's transforms make of them.

    python golden/data/make.py            (Pillow, torchvision, numpy)

Writes beside itself: files/* (the pictures), decode.json + decode.bin, transforms.json + transforms.bin. Each JSON
lists cases with the offset of their expected bytes in the .bin. Tolerances are with the tests that read them
(crates/data/tests/golden.rs).
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
import torchvision
from PIL import Image
from torchvision.transforms import functional as F
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

HERE = Path(__file__).parent
FILES = HERE / "files"
FILES.mkdir(exist_ok=True)
rng = np.random.default_rng(2018)


def picture(width, height, channels):
    """Smooth shapes, hard edges and noise, in all levels from 0 to 255."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / max(width - 1, 1), y / max(height - 1, 1)
    planes = []
    for c in range(channels):
        p = 110 + 90 * np.sin(5 * u + c) * np.cos(4 * v - c) + 60 * (u - v)
        p[(u - 0.35) ** 2 + (v - 0.5) ** 2 < 0.05] -= 70
        p[(np.abs(u - 0.7) < 0.08)] += 60
        p += rng.normal(0, 6, p.shape)
        planes.append(p)
    pixels = np.clip(np.round(np.stack(planes, -1)), 0, 255).astype(np.uint8)
    pixels[0, 0], pixels[-1, -1] = 0, 255
    return pixels[..., 0] if channels == 1 else pixels


def png(path, samples, bits, colour, palette=None, interlaced=False, transparent=None):
    """A PNG of any kind, for those that Pillow does not write. `samples`: [h, w, channels] integers."""
    height, width, _ = samples.shape

    def pack(part):
        out = b""
        for row in part:
            flat = row.reshape(-1)
            if bits == 16:
                data = flat.astype(">u2").tobytes()
            elif bits == 8:
                data = flat.astype(np.uint8).tobytes()
            else:
                digits = "".join(format(int(s), f"0{bits}b") for s in flat)
                digits += "0" * (-len(digits) % 8)
                data = bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8))
            out += b"\0" + data
        return out

    if interlaced:
        adam7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in adam7]
        data = b"".join(pack(p) for p in passes if p.size)
    else:
        data = pack(samples)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    out = b"\x89PNG\r\n\x1a\n"
    out += chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced)))
    if palette is not None:
        out += chunk(b"PLTE", palette)
    if transparent is not None:
        out += chunk(b"tRNS", transparent)
    out += chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
    path.write_bytes(out)


def bmp(path, width, height, bits, rows, masks=None, palette=b"", top_down=False):
    """A BMP of any kind. `rows`: packed rows from the top, unpadded."""
    stride = (width * bits + 31) // 32 * 4
    packed = [row + b"\0" * (stride - len(row)) for row in (rows if top_down else rows[::-1])]
    extra = b"" if masks is None else struct.pack("<III", *masks)
    offset = 14 + 40 + len(extra) + len(palette)
    body = b"".join(packed)
    head = b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset)
    info = struct.pack("<IiiHHIIiiII", 40, width, -height if top_down else height, 1, bits,
                       0 if masks is None else 3, len(body), 2835, 2835, len(palette) // 4, 0)
    path.write_bytes(head + info + extra + palette + body)


def draw_files():
    gray, rgb = picture(61, 47, 1), picture(61, 47, 3)
    g, c = Image.fromarray(gray), Image.fromarray(rgb)
    g.save(FILES / "gray_baseline.jpg", quality=92)
    g.save(FILES / "gray_progressive.jpg", quality=92, progressive=True)
    g.save(FILES / "gray_restarts.jpg", quality=80, restart_marker_blocks=3)
    for name, sampling in [("444", 0), ("422", 1), ("420", 2)]:
        c.save(FILES / f"colour_{name}.jpg", quality=95, subsampling=sampling)
        c.save(FILES / f"colour_{name}_progressive.jpg", quality=95, subsampling=sampling, progressive=True)
    c.save(FILES / "colour_rgb.jpg", quality=95, keep_rgb=True)
    Image.merge("RGB", [g, g, g]).save(FILES / "gray_in_colour_420.jpg", quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees: ignored, as Image.open ignores it
    g.save(FILES / "gray_exif_turned.jpg", quality=92, exif=exif)

    wide = rng.integers(0, 65536, (23, 31, 4))
    narrow = wide // 257
    png(FILES / "gray_1.png", wide[..., :1] // 32768, 1, 0)
    png(FILES / "gray_2.png", wide[..., :1] // 16384, 2, 0)
    png(FILES / "gray_4.png", wide[..., :1] // 4096, 4, 0)
    png(FILES / "gray_8.png", narrow[..., :1], 8, 0)
    png(FILES / "gray_8_transparent.png", narrow[..., :1], 8, 0, transparent=struct.pack(">H", 7))
    png(FILES / "gray_8_interlaced.png", narrow[..., :1], 8, 0, interlaced=True)
    png(FILES / "gray_alpha_8.png", narrow[..., :2], 8, 4)
    png(FILES / "rgb_8.png", narrow[..., :3], 8, 2)
    png(FILES / "rgba_8.png", narrow, 8, 6)
    palette = rng.integers(0, 256, 48).astype(np.uint8).tobytes()
    png(FILES / "palette_4.png", wide[..., :1] // 4096, 4, 3, palette=palette, transparent=bytes([0, 128, 255]))
    png(FILES / "palette_8.png", wide[..., :1] // 4096, 8, 3, palette=palette)
    png(FILES / "gray_16.png", wide[..., :1], 16, 0)
    png(FILES / "gray_alpha_16.png", wide[..., :2], 16, 4)
    png(FILES / "rgb_16.png", wide[..., :3], 16, 2)
    png(FILES / "rgba_16_interlaced.png", wide, 16, 6, interlaced=True)

    c.crop((0, 0, 21, 17)).save(FILES / "rgb_24.bmp")
    g.crop((0, 0, 21, 17)).save(FILES / "gray_8.bmp")
    g.crop((0, 0, 21, 17)).convert("1").save(FILES / "bits_1.bmp")
    small = rgb[:17, :21].astype(np.uint32)
    entries = b"".join(bytes(e) + b"\0" for e in rng.integers(0, 256, (16, 3)).astype(np.uint8))
    index = small[..., 0] >> 4
    padded = np.concatenate([index, np.zeros((17, 1), np.uint32)], 1)
    bmp(FILES / "palette_4.bmp", 21, 17, 4, [bytes((r[0::2] << 4 | r[1::2]).astype(np.uint8)) for r in padded],
        palette=entries)
    bgrx = np.dstack([small[..., 2], small[..., 1], small[..., 0], small[..., 0]]).astype(np.uint8)
    bmp(FILES / "rgb_32_top_down.bmp", 21, 17, 32, [r.tobytes() for r in bgrx], top_down=True)
    v555 = (small[..., 0] >> 3) << 10 | (small[..., 1] >> 3) << 5 | small[..., 2] >> 3
    v565 = (small[..., 0] >> 3) << 11 | (small[..., 1] >> 2) << 5 | small[..., 2] >> 3
    bmp(FILES / "rgb_555.bmp", 21, 17, 16, [r.astype("<u2").tobytes() for r in v555])
    bmp(FILES / "rgb_565.bmp", 21, 17, 16, [r.astype("<u2").tobytes() for r in v565], masks=(0xF800, 0x07E0, 0x001F))

    # What the transforms start from: lossless, so that only they are compared.
    for name, (w, h) in {"landscape": (97, 61), "portrait": (50, 83), "square": (64, 64), "tiny": (9, 5)}.items():
        Image.fromarray(picture(w, h, 1)).save(FILES / f"{name}.png", optimize=True)
    Image.fromarray(picture(53, 41, 3)).save(FILES / "colour.png", optimize=True)


def expect_16(samples, channels):
    """Of 16 bits, 8: divided by 257 and rounded. Pillow has no such conversion (it clips, or takes the high byte)."""
    eight = np.floor(samples / 257 + 0.5).astype(np.uint8)
    if eight.shape[-1] < 3:
        image = Image.fromarray(eight[..., 0])
    else:
        image = Image.fromarray(np.ascontiguousarray(eight[..., :3]))
    return image.convert(channels)


def read_16(path):
    """The samples of a 16-bit PNG as written above: filter 0 in every row."""
    data, pos, idat = path.read_bytes(), 8, b""
    while pos < len(data):
        (n,), kind = struct.unpack(">I", data[pos : pos + 4]), data[pos + 4 : pos + 8]
        body = data[pos + 8 : pos + 8 + n]
        if kind == b"IHDR":
            w, h, _, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        idat += body if kind == b"IDAT" else b""
        pos += 12 + n
    n = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    raw, out = zlib.decompress(idat), np.zeros((h, w, n))
    adam7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    at = 0
    for x, y, dx, dy in adam7 if interlaced else [(0, 0, 1, 1)]:
        part = out[y::dy, x::dx]
        for row in part:
            row[...] = np.frombuffer(raw, ">u2", row.size, at + 1).reshape(row.shape)
            at += 1 + 2 * row.size
    return out


class Cases:
    def __init__(self, name):
        self.name, self.cases, self.blob = name, [], b""

    def add(self, image, **case):
        pixels = np.asarray(image)
        channels = "gray" if pixels.ndim == 2 else "rgb"
        case |= {"width": image.width, "height": image.height, "channels": channels, "offset": len(self.blob)}
        self.cases.append(case)
        self.blob += pixels.tobytes()

    def write(self):
        made = {"pillow": PIL.__version__, "torchvision": torchvision.__version__}
        lines = ",\n".join("  " + json.dumps(case) for case in self.cases)
        (HERE / f"{self.name}.json").write_text(f'{{"made_with": {json.dumps(made)}, "cases": [\n{lines}\n]}}\n')
        (HERE / f"{self.name}.bin").write_bytes(self.blob)


def decode_cases():
    out = Cases("decode")
    for path in sorted(FILES.iterdir()):
        if path.name in ("landscape.png", "portrait.png", "square.png", "tiny.png", "colour.png"):
            continue
        for mode in ("L", "RGB"):
            image = expect_16(read_16(path), mode) if "_16" in path.name else Image.open(path).convert(mode)
            out.add(image, file=path.name)
    out.write()


def transform_cases():
    out = Cases("transforms")
    names = ["landscape", "portrait", "square", "tiny", "colour"]
    images = {name: Image.open(FILES / f"{name}.png") for name in names}
    for name, image in images.items():
        file = f"{name}.png"
        for w, h in [(32, 20), (20, 32), (image.width, 30), (30, image.height), (120, 70), (7, 3), (1, 1)]:
            out.add(image.resize((w, h), Image.BILINEAR), file=file, op="resize", args=[w, h])
        for w, h in [(32, 32), (33, 24), (64, 64), (101, 60), (110, 111), (5, 4)]:
            out.add(CenterCrop((h, w))(image), file=file, op="center_crop", args=[w, h])
        for angle in [0, 20, -20, 7.3, -13.37, 0.001, 45, 90, -90, 180, 123.456]:
            turned = F.rotate(image, angle, InterpolationMode.NEAREST, expand=False, fill=0)
            out.add(turned, file=file, op="rotate", args=[angle])
        out.add(F.hflip(image), file=file, op="flip", args=[])
        for size in (32, 45):
            out.add(CenterCrop(size)(Resize(size)(image)), file=file, op="crop", args=[size])
            out.add(Resize((size, size))(image), file=file, op="squash", args=[size])
            w, h = image.size
            long = max(w, h)
            fitted = image.resize((max(1, int(size * w / long)), max(1, int(size * h / long))), Image.BILINEAR)
            out.add(CenterCrop(size)(fitted), file=file, op="pad", args=[size])
        # The notebook's whole chain with its random numbers given.
        chain = F.rotate(CenterCrop(40)(Resize(40)(image)), -11.25, InterpolationMode.NEAREST, fill=0)
        out.add(F.hflip(chain), file=file, op="chain", args=[40, -11.25])
    out.write()


draw_files()
decode_cases()
transform_cases()
