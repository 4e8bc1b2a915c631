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


def tiff(path, samples, bits, photometric, extra=(), big_endian=False, planar=False, tile=None, orientation=1,
         palette=None):
    """An uncompressed TIFF of any kind, for those that Pillow does not write. `samples`: [h, w, channels] integers."""
    height, width, channels = samples.shape
    end = ">" if big_endian else "<"

    def pack(part):
        if bits == 16:
            return part.astype(end + "u2").tobytes()
        if bits == 8:
            return part.astype(np.uint8).tobytes()
        rows = ["".join(format(int(s), f"0{bits}b") for s in row.reshape(-1)) for row in part]
        rows = [row + "0" * (-len(row) % 8) for row in rows]
        return b"".join(bytes(int(row[i : i + 8], 2) for i in range(0, len(row), 8)) for row in rows)

    planes = [samples[..., c : c + 1] for c in range(channels)] if planar else [samples]
    chunks = []
    for plane in planes:
        if tile:
            padded = np.zeros((-(-height // tile) * tile, -(-width // tile) * tile, plane.shape[2]), plane.dtype)
            padded[:height, :width] = plane
            for y in range(0, height, tile):
                chunks += [pack(padded[y : y + tile, x : x + tile]) for x in range(0, width, tile)]
        else:
            chunks += [pack(plane[y : y + 16]) for y in range(0, height, 16)]
    entries = {256: (3, [width]), 257: (3, [height]), 258: (3, [bits] * channels), 259: (3, [1]),
               262: (3, [photometric]), 274: (3, [orientation]), 277: (3, [channels]), 284: (3, [2 if planar else 1])}
    if extra:
        entries[338] = (3, list(extra))
    if palette is not None:
        entries[320] = (3, [int(v) for v in palette])
    body, at = b"", 8
    offsets = []
    for chunk in chunks:
        chunk += b"\0" * (len(chunk) % 2)
        offsets.append(at + len(body))
        body += chunk
    lengths = [len(chunk) for chunk in chunks]
    if tile:
        entries |= {322: (3, [tile]), 323: (3, [tile]), 324: (4, offsets), 325: (4, lengths)}
    else:
        entries |= {273: (4, offsets), 278: (3, [16]), 279: (4, lengths)}
    directory, more = b"", b""
    after = at + len(body) + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        data = b"".join(struct.pack(end + {3: "H", 4: "I"}[kind], v) for v in values)
        if len(data) > 4:
            place, more = struct.pack(end + "I", after + len(more)), more + data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        directory += struct.pack(end + "HHI", tag, kind, len(values)) + place
    head = (b"MM" if big_endian else b"II") + struct.pack(end + "HI", 42, at + len(body))
    path.write_bytes(head + body + struct.pack(end + "H", len(entries)) + directory + b"\0\0\0\0" + more)


def draw_tiffs_and_inks():
    """TIFF, and JPEG of four channels."""
    gray, rgb, inks = picture(45, 37, 1), picture(45, 37, 3), picture(45, 37, 4)
    g, c, k = Image.fromarray(gray), Image.fromarray(rgb), Image.fromarray(inks, "CMYK")
    g.save(FILES / "gray_8_lzw.tif", compression="tiff_lzw", tiffinfo={317: 2})
    g.save(FILES / "gray_8_jpeg.tif", compression="jpeg", quality=92)
    g.convert("1").save(FILES / "gray_1_fax4.tif", compression="group4")
    c.save(FILES / "rgb_8_deflate.tif", compression="tiff_adobe_deflate", tiffinfo={317: 2})
    c.save(FILES / "colour_jpeg.tif", compression="jpeg", quality=95)
    c.quantize(64).save(FILES / "palette_8_packbits.tif", compression="packbits")
    k.save(FILES / "cmyk_8.tif", compression="tiff_lzw")
    g.save(FILES / "gray_8_two_pages.tif", save_all=True, append_images=[c])

    tiff(FILES / "gray_4_white_is_zero.tif", gray[..., None] >> 4, 4, 0)
    tiff(FILES / "gray_8_white_is_zero_tiled.tif", gray[..., None], 8, 0, tile=16)
    tiff(FILES / "gray_2_tiled_big_endian.tif", gray[..., None] >> 6, 2, 1, big_endian=True, tile=16)
    tiff(FILES / "gray_alpha_8.tif", np.dstack([gray, gray[::-1]]), 8, 1, extra=[2])
    tiff(FILES / "rgba_8.tif", np.dstack([rgb, gray]), 8, 2, extra=[2])
    tiff(FILES / "rgb_8_planar.tif", rgb, 8, 2, planar=True)
    entries = rng.integers(0, 65536, 48)
    tiff(FILES / "palette_4_big_endian.tif", gray[..., None] >> 4, 4, 3, big_endian=True, palette=entries)
    for turn in range(2, 9):
        tiff(FILES / f"rgb_8_orientation_{turn}.tif", rgb[:5, :7], 8, 2, orientation=turn)
    wide = rng.integers(0, 65536, (37, 45, 3))
    tiff(FILES / "gray_16.tif", wide[..., :1], 16, 1)
    tiff(FILES / "gray_16_big_endian.tif", wide[..., :1], 16, 1, big_endian=True)
    tiff(FILES / "gray_16_white_is_zero.tif", 65535 - wide[..., :1], 16, 0)
    tiff(FILES / "rgb_16_tiled.tif", wide, 16, 2, tile=16)
    for path in FILES.glob("*_16*.tif"):
        SAMPLES_16[path.name] = wide if "rgb" in path.name else wide[..., :1]

    for name, sampling, progressive in [("", 0, False), ("_420", 2, False), ("_progressive", 0, True)]:
        k.save(FILES / f"colour_cmyk{name}.jpg", quality=95, subsampling=sampling, progressive=progressive)
        # Adobe's marker says what the first three channels are: 0 is inks, 2 is luma and chroma.
        data = bytearray((FILES / f"colour_cmyk{name}.jpg").read_bytes())
        at = data.index(b"Adobe") + 11
        assert data[at] == 0
        data[at] = 2
        (FILES / f"colour_ycck{name}.jpg").write_bytes(data)


# Samples of the TIFFs of 16 bits, by file name: those of a file whose zero is white as they are once inverted.
SAMPLES_16 = {}


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
            if path.name in SAMPLES_16:
                image = expect_16(SAMPLES_16[path.name], mode)
            elif "_16" in path.name:
                image = expect_16(read_16(path), mode)
            else:
                image = Image.open(path).convert(mode)
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
draw_tiffs_and_inks()
decode_cases()
transform_cases()
