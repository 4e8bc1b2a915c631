"""Makes the golden values of crates/data for DICOM: small drawn films in the ways that films are stored, and the levels
that pydicom's apply_modality_lut and apply_voi_lut make of them.

    python golden/data/dicom.py           (pydicom 3, numpy)

Writes beside itself dicom/*.dcm and dicom.json: {name: {"width", "height", "levels"}}. From pydicom's values to levels: of
a VOI LUT the value over the most that its bits allow; of a window the value between the ends that pydicom gives to the
stored range; without either the value in the stored range after the modality LUT, the least first; times 255, rounded half
up; inverted before that where MONOCHROME1 or PresentationLUTShape say so; 0 where the value is padding. The names of
patients in the files are made up.
"""

import json
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian,
                         ImplicitVRLittleEndian, RLELossless)
from pydicom import dcmread

HERE = Path(__file__).parent
OUT = HERE / "dicom"
OUT.mkdir(exist_ok=True)
ROWS, COLUMNS = 9, 14
rng = np.random.default_rng(1895)
expected = {}


def lut(first, bits, values, vr="US"):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(values), first, bits])
    item.add_new("LUTData", vr, list(values) if vr == "US" else np.array(values, "<u2").tobytes())
    return item


def film(name, syntax=ExplicitVRLittleEndian, bits=12, allocated=16, signed=False, preamble=True, meta=True, high=None,
         photometric="MONOCHROME2", cut=0, **tags):
    low, top = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    values = low + (top - low) * (0.5 + 0.5 * np.sin(x / 2) * np.cos(y / 3)) + rng.normal(0, (top - low) / 60, x.shape)
    values = values.clip(low, top).round().astype(np.int64)
    values[0, :4] = [low, top, low + 1, top - 1]
    info = FileMetaDataset()
    info.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    info.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498." + str(len(expected) + 1)
    info.TransferSyntaxUID = syntax
    ds = FileDataset(name, {}, file_meta=info, preamble=b"\0" * 128,
                     is_implicit_VR=syntax == ImplicitVRLittleEndian, is_little_endian=syntax != ExplicitVRBigEndian)
    ds.SOPClassUID, ds.SOPInstanceUID = info.MediaStorageSOPClassUID, info.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID, ds.PatientSex, ds.PatientAge = "Made^Up", "GOLDEN-7", "F", "047Y"
    ds.Manufacturer, ds.Modality, ds.ViewPosition = "Nobody & Sons", "DX", "PA"
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, photometric
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, bits, bits - 1 if high is None else high
    ds.PixelRepresentation = int(signed)
    for key, value in tags.items():
        setattr(ds, key, value)
    stored = values << (ds.HighBit + 1 - bits)
    stored &= (1 << allocated) - 1
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data = stored.astype(f"{order}u{allocated // 8}").tobytes()
    if syntax == RLELossless:
        ds.PixelData = stored.astype(f"<u{allocated // 8}").tobytes()
        ds["PixelData"].VR = "OW"
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(RLELossless)
    else:
        ds.PixelData = data + b"\0" * (len(data) % 2)
        ds["PixelData"].VR = "OW"
    ds.save_as(OUT / f"{name}.dcm", enforce_file_format=True)
    path = OUT / f"{name}.dcm"
    whole = path.read_bytes()
    if not preamble:
        whole = whole[132:]
    if not meta:
        # The group length says where the file's own header ends.
        whole = path.read_bytes()
        whole = whole[132 + 12 + int.from_bytes(whole[140:144], "little"):]
    if cut:
        whole = whole[:-cut]
    path.write_bytes(whole)
    if not cut:
        expected[name] = {"width": COLUMNS, "height": ROWS, "levels": levels(ds, values).ravel().tolist()}


def levels(ds, values):
    bits = ds.BitsStored
    low, top = (-(1 << bits - 1), (1 << bits - 1) - 1) if ds.PixelRepresentation else (0, (1 << bits) - 1)
    kind = np.int32 if bits > 16 else np.int16 if ds.PixelRepresentation else np.uint16
    value = apply_modality_lut(values.astype(kind), ds)
    if "ModalityLUTSequence" in ds:
        ends = 0, 2 ** ds.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    else:
        slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
        ends = low * slope + intercept, top * slope + intercept
    shown = apply_voi_lut(value, ds, prefer_lut=True)
    if "VOILUTSequence" in ds:
        light = shown / (2.0 ** ds.VOILUTSequence[0].LUTDescriptor[2] - 1)
    elif "WindowCenter" in ds:
        light = (shown - ends[0]) / (ends[1] - ends[0])
    else:
        light = (shown - min(ends)) / abs(ends[1] - ends[0])
    light = light.clip(0, 1)
    if ds.PhotometricInterpretation == "MONOCHROME1" or ds.get("PresentationLUTShape") == "INVERSE":
        light = 1 - light
    made = np.floor(255 * light + 0.5)
    if "PixelPaddingValue" in ds:
        last = ds.get("PixelPaddingRangeLimit", ds.PixelPaddingValue)
        made[(values >= min(ds.PixelPaddingValue, last)) & (values <= max(ds.PixelPaddingValue, last))] = 0
    return made.astype(int)


curve = [int(4095 * (i / 255) ** 0.6) for i in range(256)]
film("plain")
film("eight_bits", bits=8, allocated=8)
film("inverted", photometric="MONOCHROME1")
film("inverted_by_shape", PresentationLUTShape="INVERSE")
film("inverted_by_both", photometric="MONOCHROME1", PresentationLUTShape="INVERSE")
film("window", WindowCenter=1500, WindowWidth=1200)
film("window_inverted", photometric="MONOCHROME1", WindowCenter=1500, WindowWidth=1200)
film("windows", WindowCenter=[2000, 900], WindowWidth=[1800, 300])
film("window_of_one", WindowCenter=2000, WindowWidth=1)
film("window_exact", WindowCenter=1500.5, WindowWidth=1200.25, VOILUTFunction="LINEAR_EXACT")
film("window_sigmoid", WindowCenter=1500, WindowWidth=1200, VOILUTFunction="SIGMOID")
film("rescaled", RescaleSlope="1.5", RescaleIntercept="-1024")
film("rescaled_window", RescaleSlope="1.5", RescaleIntercept="-1024", WindowCenter=700, WindowWidth=2000)
film("negative_slope", RescaleSlope="-1", RescaleIntercept="4095")
film("negative_slope_window", RescaleSlope="-1", RescaleIntercept="4095", WindowCenter=1500, WindowWidth=1200)
film("signed", bits=16, signed=True)
film("signed_window", bits=14, signed=True, WindowCenter=-200, WindowWidth=6000)
film("signed_rescaled", bits=12, signed=True, RescaleSlope="2", RescaleIntercept="10", WindowCenter=0, WindowWidth=3000)
film("high_bit", bits=10, high=15)
film("thirty_two_bits", bits=20, allocated=32)
film("modality_lut", bits=8, ModalityLUTSequence=Sequence([lut(0, 16, [v * 16 for v in curve])]))
film("modality_lut_window", bits=8, ModalityLUTSequence=Sequence([lut(10, 16, curve)]), WindowCenter=2000, WindowWidth=3000)
film("voi_lut", bits=8, VOILUTSequence=Sequence([lut(0, 12, curve)]))
film("voi_lut_late", bits=12, VOILUTSequence=Sequence([lut(500, 12, curve[:200])]), WindowCenter=1, WindowWidth=2)
film("voi_lut_bytes", bits=8, VOILUTSequence=Sequence([lut(0, 12, curve, "OW")]))
film("voi_lut_implicit", syntax=ImplicitVRLittleEndian, bits=8, VOILUTSequence=Sequence([lut(0, 12, curve)]))
film("voi_lut_signed", bits=8, signed=True, VOILUTSequence=Sequence([lut(-128, 12, curve)]))
film("padding", PixelPaddingValue=0, photometric="MONOCHROME1")
film("padding_range", PixelPaddingValue=0, PixelPaddingRangeLimit=300, photometric="MONOCHROME1")
film("implicit", syntax=ImplicitVRLittleEndian, WindowCenter=1500, WindowWidth=1200)
film("big_endian", syntax=ExplicitVRBigEndian, WindowCenter=1500, WindowWidth=1200)
film("deflated", syntax=DeflatedExplicitVRLittleEndian)
film("rle", syntax=RLELossless)
film("rle_eight_bits", syntax=RLELossless, bits=8, allocated=8)
film("no_preamble", preamble=False)
film("no_header", meta=False)
film("no_header_implicit", syntax=ImplicitVRLittleEndian, meta=False)
film("truncated", cut=60)
film("frames", NumberOfFrames=2, cut=2)
film("palette", photometric="PALETTE COLOR", cut=2)
film("jpeg_ls", cut=2)
jpeg_ls = (OUT / "jpeg_ls.dcm").read_bytes()
(OUT / "jpeg_ls.dcm").write_bytes(jpeg_ls.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.80")
                                  .replace(b"UI\x14\0" + b"1.2.840.10008.1.2.4.80", b"UI\x16\0" + b"1.2.840.10008.1.2.4.80"))

for name in expected:
    # What was written is what pydicom reads, where it reads it.
    if not name.startswith("no_"):
        ds = dcmread(OUT / f"{name}.dcm")
        if ds.HighBit + 1 == ds.BitsStored:
            assert (levels(ds, ds.pixel_array.astype(np.int64)).ravel() == expected[name]["levels"]).all(), name
(HERE / "dicom.json").write_text(json.dumps(expected, separators=(",", ":")).replace("},", "},\n") + "\n")
print(len(expected), "films")
