//! Films ordered by score, those of equal score together.

/// Films of one score.
pub(crate) struct Level {
    pub score: f64,
    pub positives: u64,
    pub negatives: u64,
}

/// The levels of a list of scores, the highest first; `None` where a score is not a number.
pub(crate) fn levels<T: Copy + Into<f64>>(positive: &[bool], scores: &[T]) -> Option<Vec<Level>> {
    assert_eq!(positive.len(), scores.len(), "a score a label");
    // `+ 0.0` makes -0 the equal of 0 for the total order too.
    let mut films: Vec<(f64, bool)> =
        scores.iter().zip(positive).map(|(&score, &positive)| (score.into() + 0.0, positive)).collect();
    if films.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    films.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let level = |tied: &[(f64, bool)]| {
        let positives = tied.iter().filter(|(_, positive)| *positive).count() as u64;
        Level { score: tied[0].0, positives, negatives: tied.len() as u64 - positives }
    };
    Some(films.chunk_by(|a, b| a.0 == b.0).map(level).collect())
}
