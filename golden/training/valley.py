"""Which learning rate fastai's lr_find suggests (SuggestionMethod "valley"), for made-up range tests.

The function is fastai 2.7's fastai.callback.schedule.valley (Apache 2.0), without tensors and plotting; the losses are
what its recorder would keep. Makes valley.json:

    python golden/training/valley.py > golden/training/valley.json
"""
import json
import math
import random


def valley(losses):
    n = len(losses)
    max_start, max_end = 0, 0
    lds = [1] * n
    for i in range(1, n):
        for j in range(0, i):
            if (losses[i] < losses[j]) and (lds[i] < lds[j] + 1):
                lds[i] = lds[j] + 1
            if lds[max_end] < lds[i]:
                max_end = i
                max_start = max_end - lds[max_end]
    sections = (max_end - max_start) / 3
    return max_start + int(sections) + int(sections / 2)


cases = []
rng = random.Random(5)
for case in range(24):
    n = rng.randint(12, 85)
    turn, depth, noise = rng.uniform(0.4, 0.9) * n, rng.uniform(0.1, 0.6), rng.choice([0.0, 0.002, 0.02])
    losses = []
    for i in range(n):
        fall = depth / (1 + math.exp(-(i - 0.6 * turn) / (0.1 * n)))
        losses.append(0.7 - fall + max(0.0, i - turn) ** 2 / n * 0.3 + rng.gauss(0, noise))
    place = valley(losses)
    assert place >= 0
    cases.append({"losses": [round(x, 9) for x in losses], "place": valley([round(x, 9) for x in losses])})
print(json.dumps({"cases": cases}))
