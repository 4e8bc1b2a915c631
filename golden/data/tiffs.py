"""Makes the golden values of crates/data for the rarer TIFF, BMP and GIF: small drawn pictures, and what Pillow decodes from
them. Where Pillow refuses a kind or clips it (floats, 32 bits, 12 bits shown by their value), the expected levels are those of
the rules that crates/data/src/decode/tiff states, computed here by NumPy from the samples that were written.

    python golden/data/tiffs.py      (Pillow, numpy, imagecodecs)

Writes beside itself tiffs/* and tiffs.json + tiffs.bin, as make.py does decode.json; `sample_bits` is the setting with which a
film is decoded.
"""

import io
import json
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import PIL
from PIL import Image

HERE = Path(__file__).parent
FILES = HERE / "tiffs"
FILES.mkdir(exist_ok=True)
rng = np.random.default_rng(1895)
cases, blob = [], bytearray()
W, H = 45, 37


def picture(channels, width=W, height=H):
    """Smooth shapes, hard edges and noise, in all levels from 0 to 255."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    planes = [120 + 80 * np.sin(6 * x + c) * np.cos(4 * y) + 50 * (x - y) * (c + 1) / 3 for c in range(channels)]
    out = np.stack(planes, -1) + rng.normal(0, 7, (height, width, channels))
    out[(np.abs(x - 0.6) < 0.07)] += 60
    out = out.clip(0, 255).round().astype(np.uint8)
    out[0, 0], out[-1, -1] = 0, 255
    return out


def case(name, data, expected=None, sample_bits=None, modes=("L", "RGB")):
    """Expected are Pillow's pixels, or those given: [h, w] or [h, w, 3]."""
    (FILES / name).write_bytes(data)
    for mode in modes:
        image = Image.open(io.BytesIO(data)) if expected is None else Image.fromarray(expected.astype(np.uint8))
        if image.mode == "La":
            image = image.convert("LA")
        pixels = np.asarray(image.convert(mode))
        entry = {"file": name, "channels": {"L": "gray", "RGB": "rgb"}[mode], "width": pixels.shape[1], "height": pixels.shape[0],
                 "offset": len(blob)}
        cases.append(entry if sample_bits is None else entry | {"sample_bits": sample_bits})
        blob.extend(pixels.tobytes())


def levels(samples, most):
    """Samples of 0 to most as levels, rounded; those above are white."""
    return np.floor(255.0 * np.minimum(samples, most) / most + 0.5)


def tiff(chunks, photometric, bits, channels=1, end="<", compression=1, rows=16, tile=None, planar=False, more=None,
         width=W, height=H, leave_out=()):
    """A TIFF of given strips or tiles. `more`: further tags, {tag: (type, values)} with type 3 or 4."""
    body, offsets = b"", []
    for chunk in chunks:
        offsets.append(8 + len(body))
        body += chunk + b"\0" * (len(chunk) % 2)
    entries = {256: (3, [width]), 257: (3, [height]), 258: (3, [bits] * channels), 259: (3, [compression]),
               262: (3, [photometric]), 277: (3, [channels]), 284: (3, [2 if planar else 1])}
    lengths = [len(chunk) for chunk in chunks]
    if tile:
        entries |= {322: (3, [tile]), 323: (3, [tile]), 324: (4, offsets), 325: (4, lengths)}
    else:
        entries |= {273: (4, offsets), 278: (3, [rows]), 279: (4, lengths)}
    entries |= more or {}
    entries = {tag: entry for tag, entry in entries.items() if tag not in leave_out}
    directory, behind = b"", b""
    after = 8 + len(body) + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        data = b"".join(struct.pack(end + {3: "H", 4: "I"}[kind], v) for v in values)
        place = data.ljust(4, b"\0")
        if len(data) > 4:
            place, behind = struct.pack(end + "I", after + len(behind)), behind + data + b"\0" * (len(data) % 2)
        directory += struct.pack(end + "HHI", tag, kind, len(values)) + place
    head = (b"II" if end == "<" else b"MM") + struct.pack(end + "HI", 42, 8 + len(body))
    return head + body + struct.pack(end + "H", len(entries)) + directory + b"\0\0\0\0" + behind


def packed(samples, bits, end="<"):
    """Rows of samples, each from a byte's begin, the first sample in the highest bits."""
    if bits >= 8 and bits % 8 == 0:
        return samples.astype(samples.dtype.newbyteorder(end)).tobytes()
    out = b""
    for row in samples.reshape(samples.shape[0], -1):
        digits = "".join(format(int(s), f"0{bits}b") for s in row)
        digits += "0" * (-len(digits) % 8)
        out += bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8))
    return out


def strips(samples, bits, end="<", rows=16):
    return [packed(samples[y : y + rows], bits, end) for y in range(0, samples.shape[0], rows)]


def tiles(samples, bits, end="<", side=16):
    padded = np.zeros((-(-H // side) * side, -(-W // side) * side, *samples.shape[2:]), samples.dtype)
    padded[: samples.shape[0], : samples.shape[1]] = samples
    return [packed(padded[y : y + side, x : x + side], bits, end)
            for y in range(0, padded.shape[0], side) for x in range(0, padded.shape[1], side)]


TURN = bytes(int(f"{b:08b}"[::-1], 2) for b in range(256))


def turned(chunks):
    """With the lowest bit of each byte first."""
    return [chunk.translate(TURN) for chunk in chunks]


def saved(array, **kw):
    out = io.BytesIO()
    Image.fromarray(array).save(out, **kw)
    return out.getvalue()


def strip_of(data, tag=273, count=279):
    """The one strip of a TIFF that Pillow wrote."""
    image = Image.open(io.BytesIO(data))
    (at,), (length,) = image.tag_v2[tag], image.tag_v2[count]
    return data[at : at + length]


def fill_order_and_fax():
    gray = picture(1)[..., 0]
    last = {266: (3, [2])}
    for bits in (1, 2, 4):
        case(f"turned_{bits}.tif", tiff(turned(strips(gray >> 8 - bits, bits)), 1, bits, more=last))
    case("turned_8.tif", tiff(turned(strips(gray, 8)), 1, 8, more=last))
    case("turned_8_lzw.tif", tiff(turned([imagecodecs.lzw_encode(gray.tobytes())]), 1, 8, compression=5, rows=H, more=last))
    wide = rng.integers(0, 65536, (H, W)).astype(np.uint16)
    case("turned_16.tif", tiff(turned(strips(wide, 16)), 1, 16, more=last), levels(wide, 65535))

    # One bit a pixel, with black rows, white rows and runs longer than one code.
    page = np.zeros((18, 2700), bool)
    page[1:3, 3:2690] = page[4, ::2] = page[5:12, 100:140] = page[13, :64] = page[17] = True
    page[6:12:3, 105:130:4] = False
    pages = {"group3": {}, "group3_2d": {"tiffinfo": {292: 1}}, "group4": {}, "tiff_ccitt": {}}
    for name, options in pages.items():
        data = saved(~page, format="TIFF", compression=name.removesuffix("_2d"), **options)
        case(f"fax_{name}.tif", data, modes="L")
        strip, image = strip_of(data), Image.open(io.BytesIO(data))
        tags = {266: (3, [2])} | ({292: (4, [image.tag_v2[292]])} if 292 in image.tag_v2 else {})
        compression = image.tag_v2[259]
        fax = dict(compression=compression, rows=18, width=2700, height=18)
        case(f"fax_{name}_turned.tif", tiff(turned([strip]), image.tag_v2[262], 1, more=tags, **fax), modes="L")
        tags.pop(266)
        case(f"fax_{name}_black_is_zero.tif", tiff([strip], 1 - image.tag_v2[262], 1, more=tags, **fax),
             modes="L")


def wide_samples():
    gray = picture(1)[..., 0]
    kind = lambda number: {339: (3, [number])}
    unit = gray / 255.0
    for name, dtype, end in [("16", np.float16, "<"), ("32", np.float32, "<"), ("32_big_endian", np.float32, ">"),
                             ("64", np.float64, ">")]:
        samples = unit.astype(dtype)
        bits = 8 * samples.itemsize
        expected = np.floor(255 * samples.astype(np.float64) + 0.5)
        case(f"float_{name}.tif", tiff(strips(samples, bits, end), 1, bits, end=end, more=kind(3)), expected)
    samples = unit.astype(np.float32)
    case("float_32_white_is_zero.tif", tiff(strips(samples, 32), 0, 32, more=kind(3)), 255 - gray)
    # The bytes of each row by significance, then differences (Adobe's technical note 3).
    predicted = imagecodecs.floatpred_encode(samples, axis=-1)
    case("float_32_predicted.tif", tiff([imagecodecs.zlib_encode(np.ascontiguousarray(predicted).tobytes())], 1, 32,
                                        compression=8, rows=H, more=kind(3) | {317: (3, [3])}), gray)
    rgb = picture(3)
    case("float_32_rgb.tif", tiff(strips((rgb / 255).astype(np.float32), 32), 2, 32, channels=3,
                                  more={339: (3, [3, 3, 3])}), rgb)
    case("float_32_of_8.tif", tiff(strips(gray.astype(np.float32), 32), 1, 32, more=kind(3)), gray, sample_bits=8)
    resized = np.asarray(Image.fromarray(gray).convert("F").resize((W, H), Image.BILINEAR, (0.3, 0.4, W - 0.2, H - 0.9)))
    case("float_32_resized.tif", tiff(strips(resized, 32), 1, 32, more=kind(3)), np.floor(resized + 0.5), sample_bits=8)
    twelve = rng.integers(0, 4096, (H, W))
    case("float_64_of_12.tif", tiff(strips(twelve.astype(np.float64), 64), 1, 64, more=kind(3)), levels(twelve, 4095),
         sample_bits=12)
    for name, dtype, number, end in [("int_16", np.int16, 2, "<"), ("int_32", np.int32, 2, ">"),
                                     ("int_64", np.int64, 2, "<"), ("uint_32", np.uint32, 1, "<"),
                                     ("uint_64", np.uint64, 1, ">")]:
        samples = twelve.astype(dtype)
        bits = 8 * samples.itemsize
        data = tiff(strips(samples, bits, end), 1, bits, end=end, more=kind(number))
        case(f"{name}_of_12.tif", data, levels(twelve, 4095), sample_bits=12)
    sixteen = rng.integers(0, 65536, (H, W))
    # Differences of numbers of 32 bits.
    differences = np.diff(sixteen.astype(np.int32), axis=1, prepend=np.int32(0))
    case("int_32_predicted.tif", tiff([imagecodecs.lzw_encode(differences.tobytes())], 1, 32, compression=5, rows=H,
                                      more=kind(2) | {317: (3, [2])}), levels(sixteen, 65535))
    case("int_8.tif", tiff(strips((gray // 2).astype(np.int8), 8), 1, 8, more=kind(2)))
    for bits in (10, 12, 14):
        samples = rng.integers(0, 2**bits, (H, W))
        case(f"gray_{bits}.tif", tiff(strips(samples, bits), 1, bits), levels(samples, 2**bits - 1))
    case("gray_12_in_16_white_is_zero.tif", tiff(strips((4095 - twelve).astype(np.uint16), 16), 0, 16),
         levels(twelve, 4095), sample_bits=12)


def planes_and_transparency():
    rgb = picture(3)
    wide = rng.integers(0, 65536, (H, W, 3)).astype(np.uint16)
    planes = lambda of, cut, bits: [chunk for c in range(of.shape[-1]) for chunk in cut(of[..., c], bits)]
    case("planar_tiled.tif", tiff(planes(rgb, tiles, 8), 2, 8, channels=3, tile=16, planar=True), rgb)
    case("planar_tiled_16.tif", tiff(planes(wide, tiles, 16), 2, 16, channels=3, tile=16, planar=True),
         levels(wide, 65535))
    rows = [imagecodecs.lzw_encode(np.diff(rgb[..., c].astype(np.uint8), axis=1, prepend=np.uint8(0)).tobytes())
            for c in range(3)]
    case("planar_lzw_predicted.tif", tiff(rows, 2, 8, channels=3, compression=5, rows=H, planar=True,
                                          more={317: (3, [2])}))
    # A fourth channel that nothing explains, and differences over four.
    four = np.dstack([rgb, picture(1)])
    differences = np.diff(four.astype(np.uint8), axis=1, prepend=np.zeros((H, 1, 4), np.uint8))
    case("rgb_and_one_predicted.tif", tiff([imagecodecs.lzw_encode(differences.tobytes())], 2, 8, channels=4,
                                           compression=5, rows=H, more={317: (3, [2]), 338: (3, [0])}))
    # Colours multiplied with their transparency, which has every value.
    alpha = (np.arange(W * H) % 256).reshape(H, W, 1)
    multiplied = lambda of: np.dstack([(of * alpha.astype(int) + 127) // 255, alpha]).astype(np.uint8)
    associated = {338: (3, [1])}
    case("gray_multiplied.tif", tiff(strips(multiplied(picture(1)), 8), 1, 8, channels=2, more=associated))
    case("rgb_multiplied.tif", tiff(strips(multiplied(rgb), 8), 2, 8, channels=4, more=associated))
    sixteen = multiplied(rgb).astype(np.uint16) * 256 + rng.integers(0, 256, (H, W, 4)).astype(np.uint16)
    case("rgb_multiplied_16.tif", tiff(strips(sixteen, 16), 2, 16, channels=4, more=associated))
    index = picture(1)[..., 0]
    table = rng.integers(1, 256, 768)
    colours = table.reshape(3, 256).T[index]
    # 8 bits an entry, which Pillow takes for 16 and so for black.
    case("palette_of_bytes.tif", tiff(strips(index, 8), 3, 8, more={320: (3, table.tolist())}), colours)


def old_codes():
    gray = picture(1)[..., 0]
    # LZW of before TIFF 5.0: from the lowest bit, all codes of 9 bits since the table is cleared early enough.
    digits = ""
    for i, sample in enumerate(gray.reshape(-1)):
        if i % 200 == 0:
            digits += format(256, "09b")[::-1]
        digits += format(int(sample), "09b")[::-1]
    digits += format(257, "09b")[::-1]
    digits += "0" * (-len(digits) % 8)
    data = bytes(int(digits[i : i + 8][::-1], 2) for i in range(0, len(digits), 8))
    case("lzw_from_the_lowest_bit.tif", tiff([data], 1, 8, compression=5, rows=H), gray)
    rgb = picture(3)
    jpeg = saved(rgb, format="JPEG", quality=95, subsampling=0)
    case("colour_old_jpeg.tif", tiff([jpeg], 6, 8, channels=3, compression=6, rows=H,
                                     more={513: (4, [8]), 514: (4, [len(jpeg)])}))
    # Compressed strips without their lengths.
    packed_bits = imagecodecs.packbits_encode(gray.tobytes())
    case("packbits_without_lengths.tif", tiff([packed_bits], 1, 8, compression=32773, rows=H, leave_out=(279,)), gray)


def bmp(width, height, bits, body, compression=0, palette=b"", header=40, used=0, masks=b"", offset=None, head=True):
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(body), 2835, 2835, used, 0)
    info = (info + bytes(124))[: min(header, 40)] + masks + bytes(max(0, header - 40 - len(masks)))
    start = 14 + len(info) + len(palette)
    file = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start if offset is None else offset)
    return (file if head else b"") + info + palette + body


def run_length(rows, nibbles):
    """Runs and pixels one by one in turn, row by row from the bottom."""
    out = b""
    for y, row in enumerate(rows[::-1]):
        at = 0
        while at < len(row):
            part = [int(v) for v in row[at : at + 7]]
            at += len(part)
            if len(set(part)) == 1:
                out += bytes([len(part), part[0] * (17 if nibbles else 1)])
            elif len(part) < 3:
                for v in part:
                    out += bytes([1, v << 4 if nibbles else v])
            else:
                halves = part + [0] * (len(part) % 2)
                data = bytes(a << 4 | b for a, b in zip(halves[::2], halves[1::2])) if nibbles else bytes(part)
                out += bytes([0, len(part)]) + data + b"\0" * (len(data) % 2)
        out += b"\0\0" if y + 1 < len(rows) else b"\0\1"
    return out


def bmps():
    gray, rgb = picture(1, 21, 17)[..., 0], picture(3, 21, 17)
    table = rng.integers(0, 256, (256, 3)).astype(np.uint8)
    table[0] = 9, 8, 7
    entries = lambda n: b"".join(bytes(c[::-1]) + b"\0" for c in table[:n])
    index = gray >> 4
    index[3:6] = 5
    case("rle_8.bmp", bmp(21, 17, 8, run_length(index, False), 1, entries(16), used=16))
    case("rle_4.bmp", bmp(21, 17, 4, run_length(index, True), 2, entries(16)))
    # A jump of 2 to the right and 3 up, and an early end: what is left out has colour 0.
    moved = np.zeros((17, 21), int)
    moved[16, :4], moved[13, 6:11] = 3, 7
    case("rle_8_moved.bmp", bmp(21, 17, 8, bytes([4, 3, 0, 2, 2, 3, 5, 7, 0, 1]), 1, entries(16), used=16), table[moved])
    padded = np.pad(gray, ((0, 0), (0, 3)))
    rows = padded[::-1].tobytes()
    case("palette_where_pixels_are_said_to_be.bmp", bmp(21, 17, 8, rows, palette=entries(256), used=256, offset=54))
    case("palette_8_no_place.bmp", bmp(21, 17, 8, rows, palette=entries(256), offset=0))
    case("bare.dib", bmp(21, 17, 8, rows, palette=entries(256), head=False))
    bgr = np.pad(rgb[::-1, :, ::-1].reshape(17, -1), ((0, 0), (0, 1))).tobytes()
    usual = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    case("rgb_24_masks.bmp", bmp(21, 17, 24, bgr, 3, masks=usual))
    bgrx = np.dstack([rgb[::-1, :, ::-1], np.zeros((17, 21, 1), np.uint8)]).tobytes()
    case("rgb_32_no_masks.bmp", bmp(21, 17, 32, bgrx, 3, masks=bytes(16), header=56))
    case("rgba_32_transparent.bmp", bmp(21, 17, 32, bgrx, 3, masks=usual + struct.pack("<I", 0xFF000000), header=124))
    case("rgb_24_short_header.bmp", bmp(21, 17, 24, bgr, header=16), rgb)
    two = np.pad(gray >> 6, ((0, 0), (0, 11)))
    bytes_of_two = packed(two[::-1], 2)
    case("palette_2.bmp", bmp(21, 17, 2, bytes_of_two, palette=entries(4), used=4), table[gray >> 6])


def gifs():
    index = (picture(1, 13, 9)[..., 0] >> 5).astype(np.uint8)
    table = rng.integers(0, 256, 24).astype(np.uint8).tobytes()
    whole = Image.fromarray(index, "P")
    whole.putpalette(table, "RGB")
    out = io.BytesIO()
    whole.save(out, "GIF", optimize=False)
    data = out.getvalue()
    start = data.index(b",\0\0\0\0\x0d\0\x09\0")

    def gif(name, canvas, left, top, transparent):
        control = b"!\xf9\x04" + bytes([1 if transparent is not None else 0, 0, 0, transparent or 0, 0])
        image = b"," + struct.pack("<HH", left, top) + data[start + 5 :]
        case(name, data[:6] + struct.pack("<HH", *canvas) + data[10:start] + control + image)

    gif("beside_transparent.gif", (20, 15), 4, 3, 5)
    gif("beside_colour_0.gif", (20, 15), 4, 3, None)
    gif("beyond_the_canvas.gif", (10, 8), 2, 0, 5)


fill_order_and_fax()
wide_samples()
planes_and_transparency()
old_codes()
bmps()
gifs()
(HERE / "tiffs.bin").write_bytes(bytes(blob))
lines = ",\n".join("  " + json.dumps(entry) for entry in cases)
(HERE / "tiffs.json").write_text(
    f'{{"made_with": {json.dumps({"pillow": PIL.__version__, "imagecodecs": imagecodecs.__version__})}, "cases": [\n{lines}\n]}}\n'
)
print(len(cases), "cases,", len(blob), "bytes")
