"""Makes small files as MedMNIST's, of drawn pictures: golden/data/npz/*.npz, compressed and not, and what is in them.

    python golden/data/medmnist.py        (numpy)
"""

import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "npz"
OUT.mkdir(exist_ok=True)
rng = np.random.default_rng(28)


def arrays(columns, channels=0, top=2):
    made = {}
    for split, count in (("train", 12), ("val", 4), ("test", 6)):
        shape = (count, 9, 7) + ((channels,) if channels else ())
        made[f"{split}_images"] = rng.integers(0, 256, shape, np.uint8)
        made[f"{split}_labels"] = rng.integers(0, top, (count, columns)).astype(np.uint8)
        made[f"{split}_labels"][:top, 0] = range(min(top, count))
    return made


expected = {}
for name, made, save in (("pneumoniamnist", arrays(1), np.savez_compressed), ("chestmnist", arrays(14), np.savez),
                         ("other_rgb", arrays(1, 3, 3), np.savez_compressed)):
    save(OUT / f"{name}.npz", **made)
    expected[name] = {key: {"shape": value.shape, "values": value.ravel().tolist()} for key, value in made.items()}
(OUT.parent / "npz.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
# Films of which nobody says what they show.
np.savez(OUT / "images_only.npz", test_images=made["test_images"])
