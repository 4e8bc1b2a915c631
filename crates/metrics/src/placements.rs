//! How each film stands among those of the other class: what an AUC and its variance are made of.

/// Of each film, the share of the films of the other class with which it is in the right order, a tie counting half
/// (`V10` and `V01` of DeLong et al. 1988).
pub(crate) struct Placements {
    pub of_film: Vec<f64>,
    /// The mean of them over either class.
    pub auc: f64,
    pub positives: u64,
    pub negatives: u64,
}

/// By one sort, as Sun and Xu (2014) by midranks; `None` where there is no positive or no negative film, or a score is
/// not a number.
pub(crate) fn placements<T: Copy + Into<f64>>(positive: &[bool], scores: &[T]) -> Option<Placements> {
    assert_eq!(positive.len(), scores.len(), "a score a label");
    // `+ 0.0` makes -0 the equal of 0 for the total order too.
    let scores: Vec<f64> = scores.iter().map(|&score| score.into() + 0.0).collect();
    let positives = positive.iter().filter(|&&is| is).count() as u64;
    let negatives = positive.len() as u64 - positives;
    if positives * negatives == 0 || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    // Whole numbers, twice what they say so that a tie counts one: exact up to 2^63 pairs.
    let (mut negatives_below, mut positives_below, mut twice_won) = (0, 0, 0);
    let mut of_film = vec![0.0; scores.len()];
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let here = tied.iter().filter(|&&film| positive[film]).count() as u64;
        let negatives_here = tied.len() as u64 - here;
        let of_positive = 2 * negatives_below + negatives_here;
        let of_negative = 2 * (positives - positives_below) - here;
        for &film in tied {
            of_film[film] = if positive[film] {
                of_positive as f64 / (2 * negatives) as f64
            } else {
                of_negative as f64 / (2 * positives) as f64
            };
        }
        twice_won += here * of_positive;
        negatives_below += negatives_here;
        positives_below += here;
    }
    let auc = twice_won as f64 / (2 * positives * negatives) as f64;
    Some(Placements { of_film, auc, positives, negatives })
}
