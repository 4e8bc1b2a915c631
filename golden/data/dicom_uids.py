"""Writes the SOPInstanceUID of each film of golden/data/dicom, as pydicom reads it, and its hash, as the blake3 package
makes it: dicom_uids.json, {name: [uid, hash]}.

    python golden/data/dicom_uids.py      (pydicom 3, blake3)
"""

import json
from pathlib import Path

from blake3 import blake3
from pydicom import dcmread

HERE = Path(__file__).parent
told = {}
for file in sorted((HERE / "dicom").glob("*.dcm")):
    uid = str(dcmread(file, force=True, stop_before_pixels=True).SOPInstanceUID)
    told[file.stem] = [uid, "dicom-" + blake3(b"lungfish: the film " + uid.encode()).hexdigest()[:16]]
(HERE / "dicom_uids.json").write_text(json.dumps(told, separators=(",", ":")) + "\n")
