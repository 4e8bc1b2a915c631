//! How far a film lies from others among a network's features: two distances.
//!
//! - The Mahalanobis distance with the covariance of probabilistic principal component analysis (Tipping and Bishop 1999): its
//!   largest directions as they are, all others with their mean variance. That is a covariance shrunk to what so few films can say.
//! - The distance to the k-th nearest of the films, of features made one long (Sun et al. 2022, "Out-of-Distribution Detection with
//!   Deep Nearest Neighbors"), here about their mean and in those same directions.

use rayon::prelude::*;

/// Directions at most, and films that each needs at least.
const DIRECTIONS: usize = 64;
const FILMS_A_DIRECTION: usize = 8;
/// Directions beyond those that are kept, so that these are found exactly.
const FURTHER: usize = 8;
/// Rounds in which they are found.
const ROUNDS: usize = 8;
/// The neighbour that counts.
const NEIGHBOUR: usize = 10;

/// What is known of some films' features.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Space {
    /// `[width]`.
    pub mean: Vec<f32>,
    /// `[directions, width]`, of length one and at right angles.
    pub directions: Vec<f32>,
    /// The films' variance in each direction, largest first.
    pub variances: Vec<f32>,
    /// Their mean variance in all others.
    pub rest: f32,
    /// `[films, directions]`: each film in these directions, one long.
    pub films: Vec<f32>,
}

impl Space {
    /// Of `[films, width]` features. None where there are too few films, or all are the same.
    pub(super) fn fit(features: &[f32], width: usize) -> Option<Self> {
        let films = features.len().checked_div(width)?;
        let count = (films / FILMS_A_DIRECTION).min(DIRECTIONS).min(width.saturating_sub(1));
        if count == 0 || features.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut mean = vec![0.0_f64; width];
        for film in features.chunks_exact(width) {
            mean.iter_mut().zip(film).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        mean.iter_mut().for_each(|sum| *sum /= films as f64);
        let centered: Vec<f64> = features
            .chunks_exact(width)
            .flat_map(|film| film.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean))
            .collect();
        let all: f64 = centered.iter().map(|value| value * value).sum::<f64>() / (films - 1) as f64;
        let (mut directions, mut variances) = principal(&centered, width, (count + FURTHER).min(films - 1).min(width));
        directions.truncate(count * width);
        variances.truncate(count);
        // Directions in which the films do not differ say nothing.
        let told = variances.iter().take_while(|variance| **variance > 1e-12 * all).count();
        directions.truncate(told * width);
        variances.truncate(told);
        let rest = (all - variances.iter().sum::<f64>()) / (width - told) as f64;
        if told == 0 || rest.is_nan() || rest <= 1e-15 * all {
            return None;
        }
        let mut space = Space {
            mean: narrow(&mean),
            directions: narrow(&directions),
            variances: narrow(&variances),
            rest: rest as f32,
            films: Vec::new(),
        };
        space.films = features.chunks_exact(width).flat_map(|film| unit(space.along(film).0)).collect();
        Some(space)
    }

    /// Numbers a film.
    pub(super) fn width(&self) -> usize {
        self.mean.len()
    }

    /// The Mahalanobis distance of a film, and that to its neighbour among the films.
    pub(super) fn distances(&self, film: &[f32]) -> [f64; 2] {
        let (along, square) = self.along(film);
        let inside: f64 = along.iter().map(|value| value * value).sum();
        let scaled: f64 = along.iter().zip(&self.variances).map(|(value, of)| value * value / f64::from(*of)).sum();
        let mahalanobis = (scaled + (square - inside).max(0.0) / f64::from(self.rest)).sqrt();
        let unit = unit(along);
        let mut near: Vec<f64> = self
            .films
            .chunks_exact(self.variances.len().max(1))
            .map(|other| other.iter().zip(&unit).map(|(a, b)| f64::from(a - b).powi(2)).sum())
            .collect();
        let neighbour = (NEIGHBOUR - 1).min(near.len().saturating_sub(1));
        if near.is_empty() {
            return [mahalanobis, 0.0];
        }
        let (_, square, _) = near.select_nth_unstable_by(neighbour, f64::total_cmp);
        [mahalanobis, square.sqrt()]
    }

    /// A film from the mean, in the directions; and the square of its distance from the mean.
    pub(super) fn along(&self, film: &[f32]) -> (Vec<f64>, f64) {
        let away: Vec<f64> =
            film.iter().zip(&self.mean).map(|(value, mean)| f64::from(*value) - f64::from(*mean)).collect();
        let along = |direction: &[f32]| direction.iter().zip(&away).map(|(a, b)| f64::from(*a) * b).sum();
        let square = away.iter().map(|value| value * value).sum();
        (self.directions.chunks_exact(self.width().max(1)).map(along).collect(), square)
    }
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

fn unit(along: Vec<f64>) -> Vec<f32> {
    let length = along.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    along.into_iter().map(|value| (value / length) as f32).collect()
}

/// Sums that are added beside each other, so that vectors can hold them.
const LANES: usize = 8;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// The directions in which `[films, width]` numbers about their mean vary most, and the variances there, largest first: subspace
/// iteration (Halko, Martinsson and Tropp 2011), begun from films among them so that nothing is left to chance.
fn principal(centered: &[f64], width: usize, count: usize) -> (Vec<f64>, Vec<f64>) {
    let films = centered.len() / width;
    let film = |at: usize| &centered[at * width..][..width];
    let mut basis: Vec<Vec<f64>> = (0..count).map(|at| film(at * films / count).to_vec()).collect();
    orthonormalise(&mut basis);
    // Row by row: each film in the basis.
    let projected = |basis: &[Vec<f64>]| -> Vec<Vec<f64>> {
        (0..films).into_par_iter().map(|at| basis.iter().map(|direction| dot(film(at), direction)).collect()).collect()
    };
    for _ in 0..ROUNDS {
        let along = projected(&basis);
        basis = (0..basis.len())
            .into_par_iter()
            .map(|direction| {
                let mut sum = vec![0.0; width];
                for (at, along) in along.iter().enumerate() {
                    sum.iter_mut().zip(film(at)).for_each(|(sum, value)| *sum += along[direction] * value);
                }
                sum
            })
            .collect();
        orthonormalise(&mut basis);
    }
    let along = projected(&basis);
    let size = basis.len();
    let mut covariance = vec![0.0; size * size];
    for row in &along {
        for a in 0..size {
            for b in 0..size {
                covariance[a * size + b] += row[a] * row[b] / (films - 1) as f64;
            }
        }
    }
    let (values, vectors) = symmetric_eigen(covariance, size);
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let mut directions = Vec::with_capacity(size * width);
    for of in &order {
        let mut direction = vec![0.0; width];
        for (a, basis) in basis.iter().enumerate() {
            let share = vectors[a * size + of];
            direction.iter_mut().zip(basis).for_each(|(sum, value)| *sum += share * value);
        }
        directions.extend(direction);
    }
    (directions, order.iter().map(|of| values[*of].max(0.0)).collect())
}

/// Gram and Schmidt, twice for the sake of rounding. What lies in the others' span goes.
fn orthonormalise(basis: &mut Vec<Vec<f64>>) {
    let mut done: Vec<Vec<f64>> = Vec::with_capacity(basis.len());
    for mut vector in std::mem::take(basis) {
        let before = norm(&vector);
        for _ in 0..2 {
            for other in &done {
                let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
            }
        }
        let length = norm(&vector);
        if length > 1e-10 * before && length > 0.0 {
            vector.iter_mut().for_each(|value| *value /= length);
            done.push(vector);
        }
    }
    *basis = done;
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Eigenvalues of a symmetric matrix, and its eigenvectors as columns: Jacobi's rotations (Golub and Van Loan, "Matrix
/// Computations", 8.5).
fn symmetric_eigen(mut matrix: Vec<f64>, size: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; size * size];
    (0..size).for_each(|i| vectors[i * size + i] = 1.0);
    let scale: f64 = matrix.iter().map(|value| value * value).sum();
    for _ in 0..60 {
        let off: f64 =
            (0..size).flat_map(|p| (0..p).map(move |q| (p, q))).map(|(p, q)| matrix[p * size + q].powi(2)).sum();
        if off <= 1e-28 * scale {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                let apq = matrix[p * size + q];
                if apq == 0.0 {
                    continue;
                }
                let theta = (matrix[q * size + q] - matrix[p * size + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..size {
                    let (a, b) = (matrix[k * size + p], matrix[k * size + q]);
                    matrix[k * size + p] = c * a - s * b;
                    matrix[k * size + q] = s * a + c * b;
                }
                for k in 0..size {
                    let (a, b) = (matrix[p * size + k], matrix[q * size + k]);
                    matrix[p * size + k] = c * a - s * b;
                    matrix[q * size + k] = s * a + c * b;
                }
                for k in 0..size {
                    let (a, b) = (vectors[k * size + p], vectors[k * size + q]);
                    vectors[k * size + p] = c * a - s * b;
                    vectors[k * size + q] = s * a + c * b;
                }
            }
        }
    }
    ((0..size).map(|i| matrix[i * size + i]).collect(), vectors)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// scikit-learn's PCA (its precision matrix) and NearestNeighbors, on numbers of which few directions matter.
    #[test]
    fn distances_are_those_of_scikit_learn() {
        let golden: Value = serde_json::from_str(include_str!("../../../../golden/reference/distances.json")).unwrap();
        let numbers =
            |value: &Value| -> Vec<f64> { value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
        let width = golden["width"].as_u64().unwrap() as usize;
        let space = Space::fit(&narrow(&numbers(&golden["films"])), width).unwrap();
        assert_eq!(space.variances.len() as u64, golden["directions"].as_u64().unwrap());
        for (ours, theirs) in space.variances.iter().zip(numbers(&golden["variances"])) {
            assert!((f64::from(*ours) / theirs - 1.0).abs() < 1e-4, "{ours}, not {theirs}");
        }
        assert!((f64::from(space.rest) / golden["rest"].as_f64().unwrap() - 1.0).abs() < 1e-4);
        let new = narrow(&numbers(&golden["new"]));
        let expected = [numbers(&golden["mahalanobis"]), numbers(&golden["nearest"])];
        for (at, film) in new.chunks_exact(width).enumerate() {
            let found = space.distances(film);
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found / expected[at] - 1.0).abs() < 1e-3, "film {at}: {found}, not {}", expected[at]);
            }
        }
    }

    #[test]
    fn what_says_nothing_has_no_space() {
        assert_eq!(Space::fit(&[1.0; 200], 2), None, "all films the same");
        assert_eq!(Space::fit(&[], 4), None);
        assert_eq!(Space::fit(&[1.0, 2.0, 3.0], 0), None);
        assert_eq!(Space::fit(&(0..20).map(|i| i as f32).collect::<Vec<_>>(), 4), None, "five films");
        let mut odd: Vec<f32> = (0..400).map(|i| (i * 37 % 101) as f32).collect();
        assert!(Space::fit(&odd, 4).is_some());
        odd[7] = f32::NAN;
        assert_eq!(Space::fit(&odd, 4), None);
    }
}
