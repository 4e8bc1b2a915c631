"""Distances of films among features, by scikit-learn: python golden/reference/distances.py (numpy, scikit-learn).

160 films of 24 numbers, of which a few directions vary much, and ten new ones that lie ever farther out. The Mahalanobis distance is
that of PCA's precision matrix (probabilistic PCA: the mean variance of what is left in all other directions); the nearest
neighbour is the tenth, of the films in the kept directions made one long.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

FILMS, WIDTH, DIRECTIONS, NEIGHBOUR = 160, 24, 20, 10

random = np.random.default_rng(14)
scales = 2.0 ** -np.arange(WIDTH) * 8 + 0.2
turn = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))[0]
films = ((random.normal(size=(FILMS, WIDTH)) * scales) @ turn + random.normal(size=WIDTH)).astype(np.float32)
new = ((random.normal(size=(10, WIDTH)) * scales * np.linspace(0.5, 6, 10)[:, None]) @ turn).astype(np.float32)

pca = PCA(DIRECTIONS, svd_solver="full").fit(films.astype(np.float64))
away = new.astype(np.float64) - pca.mean_
mahalanobis = np.sqrt(np.einsum("ij,jk,ik->i", away, pca.get_precision(), away))
unit = lambda x: (lambda y: y / np.linalg.norm(y, axis=1, keepdims=True))(pca.transform(x.astype(np.float64)))
nearest = NearestNeighbors(n_neighbors=NEIGHBOUR).fit(unit(films)).kneighbors(unit(new))[0][:, -1]

out = {"width": WIDTH, "directions": DIRECTIONS, "rest": float(pca.noise_variance_),
       "variances": pca.explained_variance_.tolist(), "films": [float(f"{v:.7g}") for v in films.ravel().tolist()],
       "new": [float(f"{v:.7g}") for v in new.ravel().tolist()], "mahalanobis": mahalanobis.tolist(), "nearest": nearest.tolist()}
(Path(__file__).parent / "distances.json").write_text(json.dumps(out) + "\n")
