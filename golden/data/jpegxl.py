"""Makes the golden values of crates/data for JPEG XL: small drawn films, encoded by libjxl in DICOM and by themselves, and the
samples that they were drawn with.

    python golden/data/jpegxl.py          (imagecodecs with libjxl 0.11, pydicom 3, numpy)

Writes beside itself jpegxl/*, and jpegxl.json + jpegxl.bin: of each file its width and height, how many channels and bits a
sample has, and where its samples lie: those that were encoded, each of 16 bits with the low byte first. Of what is lossy they
are those that libjxl decodes, and `within` says how far a sample may be from them.
"""

import json
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

HERE = Path(__file__).parent
OUT = HERE / "jpegxl"
OUT.mkdir(exist_ok=True)
LOSSLESS, RECOMPRESSED, ANY = (f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112))
rng = np.random.default_rng(2021)
cases, blob = [], bytearray()


def picture(width, height, channels=1, bits=8, noise=0.02):
    """Smooth shapes, an edge, noise, and the least and the most that there is."""
    top = (1 << bits) - 1
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for c in range(channels):
        p = 0.5 + 0.35 * np.sin(9 * x / width + c) * np.cos(7 * y / height - c) + rng.normal(0, noise, x.shape)
        p[np.abs(x / width - 0.7) < 0.08] += 0.2
        p[0, :4] = [0, 1, 1 / top, 1 - 1 / top]
        planes.append(p.clip(0, 1) * top)
    pixels = np.stack(planes, -1).round()
    return pixels.astype(np.uint8 if bits == 8 else np.uint16).reshape(height, width, *([channels] if channels > 1 else []))


def every_level():
    """Each value of 16 bits once."""
    return np.arange(1 << 16).astype(np.uint16).reshape(256, 256)


def case(name, pixels, bits, within=0):
    height, width = pixels.shape[:2]
    cases.append({"file": name, "width": width, "height": height, "channels": 1 if pixels.ndim == 2 else pixels.shape[2],
                  "bits": bits, "within": within, "offset": len(blob)})
    blob.extend(pixels.astype("<u2").tobytes())


def dicom(name, code, pixels, bits, syntax=LOSSLESS, photometric=None, pieces=1, within=0, signed=False, expected=None):
    info = FileMetaDataset()
    info.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    info.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.21.{len(cases) + 1}"
    info.TransferSyntaxUID = syntax
    ds = FileDataset(name, {}, file_meta=info, preamble=b"\0" * 128, is_implicit_VR=False, is_little_endian=True)
    ds.SOPClassUID, ds.SOPInstanceUID = info.MediaStorageSOPClassUID, info.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID, ds.Modality = "Made^Up", "GOLDEN-7", "DX"
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    ds.PhotometricInterpretation = photometric or ("MONOCHROME2" if pixels.ndim == 2 else "RGB")
    if pixels.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = 8 if bits == 8 else 16
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, int(signed)
    ds.PixelData = encapsulate([code], fragments_per_frame=pieces)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    # pydicom 3.0 does not know these syntaxes by their names.
    info.FileMetaInformationGroupLength, info.FileMetaInformationVersion = 0, b"\0\1"
    info.ImplementationClassUID = "1.2.826.0.1.3680043.8.498.1"
    ds.save_as(OUT / f"{name}.dcm", force_encoding=True, implicit_vr=False, little_endian=True)
    assert dcmread(OUT / f"{name}.dcm").file_meta.TransferSyntaxUID == syntax
    case(f"{name}.dcm", pixels if expected is None else expected, bits, within)


def lossless(pixels, **options):
    code = imagecodecs.jpegxl_encode(pixels, lossless=True, **options)
    assert (imagecodecs.jpegxl_decode(code).reshape(pixels.shape) == pixels).all()
    return code


for effort in (1, 4, 7, 9):
    for bits in (8, 12, 16):
        pixels = picture(61, 47, bits=bits)
        dicom(f"gray_{bits}_effort_{effort}", lossless(pixels, effort=effort, bitspersample=bits), pixels, bits)
pixels = every_level()
dicom("every_level", lossless(pixels, effort=3), pixels, 16)
# Of several groups of 256 by 256 samples, in several pieces.
pixels = picture(260, 258, bits=12, noise=0.001)
dicom("groups", lossless(pixels, effort=3, bitspersample=12), pixels, 12, pieces=3)
# 12 bits in a codestream of 16.
pixels = picture(61, 47, bits=12)
dicom("twelve_in_sixteen", lossless(pixels, bitspersample=16), pixels, 12)
dicom("box_file", lossless(pixels, bitspersample=12, usecontainer=True), pixels, 12)
dicom("in_any", lossless(pixels, bitspersample=12), pixels, 12, syntax=ANY)
# Signed values of 12 bits, in the bits that are stored.
values = pixels.astype(np.int32) - 2048
dicom("signed", lossless((values & 4095).astype(np.uint16), bitspersample=12), pixels, 12, signed=True,
      expected=(values & 4095).astype(np.uint16))
pixels = picture(61, 47, channels=3)
dicom("rgb", lossless(pixels), pixels, 8)
dicom("rgb_effort_9", lossless(pixels, effort=9), pixels, 8)
for name, pixels, bits in (("lossy_gray", picture(96, 80), 8), ("lossy_gray_12", picture(96, 80, bits=12), 12),
                           ("lossy_rgb", picture(96, 80, channels=3), 8)):
    code = imagecodecs.jpegxl_encode(pixels, distance=1.0, bitspersample=bits)
    told = imagecodecs.jpegxl_decode(code)
    if bits == 12 and told.max() > 4095:
        told = np.round(told.astype(np.float64) * 4095 / 65535).astype(np.uint16)
    photometric = None if pixels.ndim == 2 else "XYB"
    dicom(name, code, pixels, bits, syntax=ANY, photometric=photometric, within=1 if bits == 8 else 8, expected=told)
for name, pixels, options in (("recompressed_gray", picture(61, 47), {}),
                              ("recompressed_444", picture(61, 47, channels=3), {"subsampling": "444"}),
                              ("recompressed_420", picture(61, 47, channels=3), {"subsampling": "420"})):
    code = imagecodecs.jpegxl_encode_jpeg(imagecodecs.jpeg8_encode(pixels, level=90, **options))
    told = imagecodecs.jpegxl_decode(code)
    photometric = None if pixels.ndim == 2 else "YBR_FULL_422"
    dicom(name, code, pixels, 8, syntax=RECOMPRESSED, photometric=photometric, within=1, expected=told)

for name, pixels, bits in (("gray_8.jxl", picture(61, 47), 8), ("gray_16.jxl", picture(61, 47, bits=16), 16),
                           ("rgb_8.jxl", picture(61, 47, channels=3), 8)):
    code = lossless(pixels, usecontainer=name == "gray_16.jxl")
    (OUT / name).write_bytes(code)
    case(name, pixels, bits)

# What is refused, each told by the tests; and transparency, which is dropped.
# The sizes stand in the first bytes; the rest says that all is black.
(OUT / "blank.jxl").write_bytes(lossless(np.zeros((11000, 9000), np.uint8), effort=1)[:400])
(OUT / "beyond.jxl").write_bytes(lossless(np.zeros((2048, 65536), np.uint8), effort=1)[:400])
(OUT / "float.jxl").write_bytes(lossless((picture(61, 47) / 255).astype(np.float32)))
(OUT / "two.jxl").write_bytes(lossless(np.stack([picture(61, 47)] * 2)))
alpha = np.stack([picture(61, 47), picture(61, 47)], -1)
(OUT / "alpha.jxl").write_bytes(lossless(alpha))

(HERE / "jpegxl.json").write_text(json.dumps(cases, indent=1) + "\n")
(HERE / "jpegxl.bin").write_bytes(blob)
print(len(cases), "films,", sum(f.stat().st_size for f in OUT.iterdir()), "bytes of files,", len(blob), "of samples")
