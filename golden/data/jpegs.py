"""Makes the golden values of crates/data for the kinds of JPEG that there are: small drawn pictures and the pixels that
Pillow decodes from them, or the samples that libjpeg-turbo does where Pillow reads 8 bits only.

    python golden/data/jpegs.py           (Pillow, numpy, imagecodecs, pydicom with pylibjpeg-libjpeg; cjpeg of libjpeg-turbo 3
                                           on the path or at $CJPEG)

Writes beside itself jpeg/* and jpegs.json + jpegs.bin:

    pixels   Pillow's L and RGB of a file.
    samples  what is stored in a file of one channel of more than 8 bits: 16 bits a sample, the low byte first.
    cuts     a file whose scan is cut after so many bytes and followed by an end marker: the rows from the top in which
             Pillow, which fills up what is missing, has the pixels of the whole file, down to whole blocks.
    dicoms   stored values of a DICOM as pydicom reads them, by pylibjpeg-libjpeg.
"""

import io
import json
import os
import subprocess
import tempfile
from pathlib import Path

import imagecodecs
import numpy as np
import PIL
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

HERE = Path(__file__).parent
OUT = HERE / "jpeg"
OUT.mkdir(exist_ok=True)
CJPEG = os.environ.get("CJPEG", "cjpeg")
rng = np.random.default_rng(1992)
cases, blob = {"pixels": [], "samples": [], "cuts": [], "dicoms": []}, bytearray()


def picture(width, height, channels, top=255):
    """Smooth shapes, hard edges and noise, in most levels."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / max(width - 1, 1), y / max(height - 1, 1)
    planes = []
    for c in range(channels):
        p = 110 + 90 * np.sin(5 * u + c) * np.cos(4 * v - c) + 60 * (u - v)
        p[(u - 0.35) ** 2 + (v - 0.5) ** 2 < 0.05] -= 70
        p[np.abs(u - 0.7) < 0.08] += 60
        planes.append(p + rng.normal(0, 5, p.shape))
    pixels = (np.stack(planes, -1) / 255).clip(0, 1) * top
    return pixels.round().astype(np.uint8 if top == 255 else np.uint16).reshape(height, width, *([3] if channels > 1 else []))


def encoded(pixels, *options, script=None, top=255):
    """What cjpeg makes of it."""
    height, width = pixels.shape[:2]
    kind = b"P5" if pixels.ndim == 2 else b"P6"
    data = pixels.tobytes() if top == 255 else pixels.astype(">u2").tobytes()
    with tempfile.TemporaryDirectory() as folder:
        if script:
            (Path(folder) / "script").write_text(script)
            options = (*options, "-scans", f"{folder}/script")
        pnm = kind + b" %d %d %d\n" % (width, height, top) + data
        return subprocess.run([CJPEG, *options], input=pnm, stdout=subprocess.PIPE, check=True).stdout


def kept(values):
    at = len(blob)
    blob.extend(values)
    return at


def pixels(name, data):
    (OUT / f"{name}.jpg").write_bytes(data)
    for mode in ("L", "RGB"):
        image = Image.open(io.BytesIO(data)).convert(mode)
        cases["pixels"].append({"file": f"{name}.jpg", "channels": "gray" if mode == "L" else "rgb", "width": image.width,
                                "height": image.height, "offset": kept(image.tobytes())})


def samples(name, data, bits, expected=None):
    """Checked against what was encoded, where that is not lost."""
    (OUT / f"{name}.jpg").write_bytes(data)
    decoded = imagecodecs.jpeg8_decode(data)
    assert expected is None or (decoded == expected).all(), name
    cases["samples"].append({"file": f"{name}.jpg", "bits": bits, "width": decoded.shape[1], "height": decoded.shape[0],
                             "offset": kept(decoded.astype("<u2").tobytes())})


def segments(data):
    """Where each segment begins, and its marker, up to the first scan; and where that scan's data begins."""
    at, found = 2, []
    while True:
        found.append((at, data[at + 1]))
        length = int.from_bytes(data[at + 2:at + 4], "big")
        at += 2 + length
        if found[-1][1] == 0xDA:
            return found, at


def cut(name, data, rows_of_blocks, shares=(0.1, 0.35, 0.5, 0.8, 0.99)):
    """The file with its scan cut at shares of it."""
    start = segments(data)[1]
    whole = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)
    for share in shares:
        length = start + int(share * (len(data) - 2 - start))
        # No half of a stuffed byte, nor of a restart marker.
        while data[length - 1] == 0xFF or data[length - 2] == 0xFF:
            length -= 1
        part = np.asarray(Image.open(io.BytesIO(data[:length] + b"\xff\xd9")).convert("L")).astype(int)
        unlike = np.flatnonzero((part != whole).any(1))
        # A row or two of interpolated chroma belong to the blocks below.
        first = unlike[0] + 2 if len(unlike) else len(whole)
        cases["cuts"].append({"file": f"{name}.jpg", "length": length,
                              "rows": int(min(len(whole), first // rows_of_blocks * rows_of_blocks))})


def dicom(name, data, transfer, pixel, photometric="MONOCHROME2", bits=8):
    info = FileMetaDataset()
    info.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    info.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.7"
    info.TransferSyntaxUID = "1.2.840.10008.1.2.4." + transfer
    ds = FileDataset(name, {}, file_meta=info, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = info.MediaStorageSOPClassUID, info.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID, ds.Modality = "Made^Up", "GOLDEN-8", "DX"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = pixel.shape[0], pixel.shape[1], 1 if pixel.ndim == 2 else 3
    ds.PhotometricInterpretation = photometric
    if pixel.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 if bits == 8 else 16, bits, bits - 1
    ds.PixelRepresentation = 0
    ds.PixelData = encapsulate([data])
    ds["PixelData"].VR = "OB"
    ds.save_as(OUT / f"{name}.dcm", enforce_file_format=True)
    stored = pydicom.dcmread(OUT / f"{name}.dcm")
    stored.pixel_array_options(decoding_plugin="pylibjpeg", raw=False)
    values = stored.pixel_array
    # The two libraries round the inverse transform each in its own way.
    assert (np.abs(values.astype(int) - pixel.astype(int)) <= (1 if pixel.ndim == 2 else 4)).all(), name
    cases["dicoms"].append({"file": f"{name}.dcm", "bits": bits, "width": pixel.shape[1], "height": pixel.shape[0],
                            "channels": 1 if pixel.ndim == 2 else 3, "offset": kept(values.astype("<u2").tobytes())})


gray, colour = picture(37, 29, 1), picture(37, 29, 3)
apart, luma_apart = "0;\n1;\n2;\n", "0;\n1,2;\n"

# Every way to sample, in one scan, in one for each channel, and in one for luma and one for both chromas.
for sampling in ("1x1,1x1,1x1", "2x1,1x1,1x1", "2x2,1x1,1x1", "1x2,1x1,1x1", "4x1,1x1,1x1", "3x1,1x1,1x1", "2x2,2x1,1x2",
                 "1x1,2x2,2x2", "2x4,1x1,1x1"):
    name = sampling.replace(",", "_")
    pixels(f"{name}", encoded(colour, "-quality", "90", "-sample", sampling))
    pixels(f"{name}_apart", encoded(colour, "-quality", "90", "-sample", sampling, script=apart))
    pixels(f"{name}_progressive", encoded(colour, "-quality", "90", "-sample", sampling, "-progressive", "-restart", "3B"))
for sampling in ("2x2,1x1,1x1", "1x2,1x1,1x1"):
    name = sampling.replace(",", "_")
    pixels(f"{name}_luma_apart_restarts", encoded(colour, "-quality", "90", "-sample", sampling, "-restart", "2B",
                                                  script=luma_apart))
    pixels(f"{name}_chroma_first", encoded(colour, "-quality", "90", "-sample", sampling, script="2;\n0;\n1;\n"))
# No scan has all of these channels.
pixels("4x4_1x1_1x1_apart", encoded(colour, "-quality", "90", "-sample", "4x4,1x1,1x1", script=apart))
for width, height in ((1, 1), (3, 5), (4, 18), (33, 2)):
    for sampling in ("2x2", "1x2", "2x1"):
        small = picture(width, height, 3)
        pixels(f"small_{width}_{height}_{sampling}", encoded(small, "-quality", "90", "-sample", sampling))
pixels("gray_2x2", encoded(gray, "-grayscale", "-sample", "2x2"))
pixels("gray_quality_1", encoded(gray, "-quality", "1"))
pixels("colour_quality_1", encoded(colour, "-quality", "1", "-sample", "2x2"))
pixels("gray_quality_100", encoded(gray, "-quality", "100", "-optimize"))

# Progressive ones of which later scans are not there: Pillow smooths them.
for name, script in {
    "dc": "0,1,2: 0-0, 0, 0;",
    "dc_but_one_bit": "0,1,2: 0-0, 0, 1;",
    "dc_apart": "0: 0-0, 0, 0;\n1: 0-0, 0, 0;\n2: 0-0, 0, 0;",
    "some": "0,1,2: 0-0, 0, 1;\n0: 1-5, 0, 2;\n2: 1-63, 0, 1;",
    "luma_whole": "0,1,2: 0-0, 0, 0;\n0: 1-63, 0, 0;",
}.items():
    for sampling in ("1x1", "2x2"):
        pixels(f"only_{name}_{sampling}", encoded(colour, "-quality", "85", "-sample", sampling, script=script))
pixels("only_dc_gray", encoded(picture(61, 47, 1), "-quality", "85", script="0: 0-0, 0, 0;"))
pixels("only_dc_narrow", encoded(picture(7, 47, 3), "-quality", "85", "-sample", "1x2", script="0,1,2: 0-0, 0, 0;"))

# What a decoder passes over.
whole = encoded(gray, "-quality", "90", "-restart", "3B")
found, start = segments(whole)
second = found[1][0]
pixels("junk_between_segments", whole[:second] + b"junk\x00\xff\x00\x12" + whole[second:])
pixels("fill_between_segments", whole[:second] + b"\xff\xff\xff" + whole[second:])
pixels("junk_behind_scan", whole[:-2] + b"\x12\x34\x56\xff\x00\x78" * 5 + whole[-2:])
restart = whole.index(b"\xff\xd0", start)
pixels("junk_before_restart", whole[:restart] + b"\x12\x34\x56" + whole[restart:])
pixels("fill_before_restart", whole[:restart] + b"\xff\xff" + whole[restart:])
pixels("restart_behind_scan", whole[:-2] + b"\xff\xd7" + whole[-2:])
tables = next(at for at, marker in found if marker == 0xDB)
steps = whole[tables + 5:tables + 69]
wide = b"\xff\xdb\x00\x83\x10" + b"".join(bytes([0, step]) for step in steps)
pixels("steps_of_16_bits", whole[:tables] + wide + whole[tables + 69:])
plain = encoded(colour, "-quality", "90", "-sample", "1x1")
jfif = bytes.fromhex("ffe000104a46494600010100000100010000")
assert plain[2:20] == jfif
bare = plain.replace(jfif, b"")
frame = bare.index(b"\xff\xc0")
scan = bare.index(b"\xff\xda")


def with_ids(ids):
    data = bytearray(bare)
    for i, number in enumerate(ids):
        data[frame + 10 + 3 * i] = number
        data[scan + 5 + 2 * i] = number
    return bytes(data)


pixels("bare_123", with_ids((1, 2, 3)))
pixels("bare_012", with_ids((0, 1, 2)))
pixels("bare_rgb", with_ids(b"RGB"))
pixels("bare_111", with_ids((1, 1, 1)))
for transform in (0, 1, 2):
    pixels(f"adobe_{transform}", b"\xff\xd8\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform]) + bare[2:])
two_tables = encoded(colour, "-quality", "90", "-sample", "2x1", "-optimize", script=apart)
pixels("tables_between_scans", two_tables)

# Lossless: every predictor, a point transform, restarts, colours.
for predictor in range(1, 8):
    pixels(f"lossless_{predictor}", encoded(gray, "-lossless", str(predictor)))
    data = encoded(picture(37, 29, 1, 4095), "-precision", "12", "-lossless", str(predictor), "-restart", "2", top=4095)
    samples(f"lossless_12_{predictor}", data, 12)
pixels("lossless_transform", encoded(gray, "-lossless", "4,2", "-restart", "3"))
pixels("lossless_rgb", encoded(colour, "-lossless", "4", "-rgb"))
pixels("lossless_rgb_apart", encoded(colour, "-lossless", "6", "-rgb", script="0: 6-0, 0, 0;\n1: 6-0, 0, 0;\n2: 6-0, 0, 0;"))
sixteen = picture(37, 29, 1, 65535)
sixteen[:2] = 65535 * (np.arange(37) % 2)
samples("lossless_16", encoded(sixteen, "-precision", "16", "-lossless", "1", top=65535), 16, sixteen)
samples("lossless_16_transform", encoded(sixteen, "-precision", "16", "-lossless", "7,3", top=65535), 16)

# Of 12 bits.
twelve = picture(37, 29, 1, 4095)
for name, options in {"twelve": ["-quality", "95"], "twelve_restarts": ["-quality", "90", "-restart", "2B"],
                      "twelve_quality_5": ["-quality", "5"], "twelve_quality_100": ["-quality", "100", "-optimize"]}.items():
    samples(name, encoded(twelve, "-precision", "12", *options, top=4095), 12)

cut("gray_2x2", (OUT / "gray_2x2.jpg").read_bytes(), 8)
cut("1x1_1x1_1x1", (OUT / "1x1_1x1_1x1.jpg").read_bytes(), 8)
cut("2x2_1x1_1x1", (OUT / "2x2_1x1_1x1.jpg").read_bytes(), 16)
cut("junk_before_restart", (OUT / "junk_before_restart.jpg").read_bytes(), 8)
cut("lossless_4", (OUT / "lossless_4.jpg").read_bytes(), 1)

twelve_bits = (OUT / "twelve.jpg").read_bytes()
dicom("extended_12", twelve_bits, "51", imagecodecs.jpeg8_decode(twelve_bits), bits=12)
eight_bits = (OUT / "gray_quality_100.jpg").read_bytes()
dicom("extended_8", eight_bits, "51", imagecodecs.jpeg8_decode(eight_bits))
dicom("baseline", eight_bits, "50", imagecodecs.jpeg8_decode(eight_bits))
lossless_12 = (OUT / "lossless_12_1.jpg").read_bytes()
dicom("lossless_12", lossless_12, "70", imagecodecs.jpeg8_decode(lossless_12), bits=12)
lossless_4 = (OUT / "lossless_12_4.jpg").read_bytes()
dicom("lossless_12_any", lossless_4, "57", imagecodecs.jpeg8_decode(lossless_4), bits=12)
ycc = (OUT / "1x1_1x1_1x1.jpg").read_bytes()
dicom("baseline_ycc", ycc, "50", np.asarray(Image.open(io.BytesIO(ycc)).convert("RGB")), "YBR_FULL")
lossless_rgb = (OUT / "lossless_rgb.jpg").read_bytes()
dicom("lossless_rgb", lossless_rgb, "70", np.asarray(Image.open(io.BytesIO(lossless_rgb)).convert("RGB")), "RGB")

made = {"pillow": PIL.__version__, "imagecodecs": imagecodecs.__version__, "pydicom": pydicom.__version__}
lists = ",\n".join(f' "{kind}": [\n  ' + ",\n  ".join(json.dumps(case) for case in found) + "\n ]"
                   for kind, found in cases.items())
(HERE / "jpegs.json").write_text(f'{{"made_with": {json.dumps(made)},\n{lists}\n}}\n')
(HERE / "jpegs.bin").write_bytes(bytes(blob))
print({kind: len(found) for kind, found in cases.items()}, len(blob), "bytes")
