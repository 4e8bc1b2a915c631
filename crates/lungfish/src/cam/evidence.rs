//! A film's map, and what it comes to.

use serde::{Serialize, Serializer};

/// Logits that are too few to be looked at: they move the odds by a tenth. No share is told of less, and no cell that adds less is
/// drawn in full colour.
pub(super) const LEAST: f64 = 0.1;
/// How wide the border is, of each side of the square.
const BORDER: f64 = 0.1;
/// What is left around the middle, of each side of the square.
const AROUND: f64 = 0.2;

/// What each place of a film adds to a score of the network, in logits. Serialised it is its [`Evidence`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HeatMap {
    /// The class or label whose score it is: the one that was asked for, else of two classes the positive one, of several the
    /// class that the film is called, of labels the most probable one. Of two classes and of labels the score is the log-odds,
    /// of several classes the logit.
    pub of: String,
    /// Rows of cells, from the top of the network's square.
    pub rows: usize,
    /// Cells in a row, from the left.
    pub columns: usize,
    /// Row by row: the logits that a cell adds, negative where it speaks against. The score is their sum and what the
    /// biases of the network's head give.
    pub values: Vec<f32>,
}

/// What a map comes to, in four numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Evidence {
    /// The class or label that it is for or against.
    pub of: String,
    /// Sum of all that speaks for it, in logits.
    pub supporting: f64,
    /// Sum of all that speaks against it, in logits: 0 or less.
    pub opposing: f64,
    /// Of what speaks for it, the share outside the middle of the square, which is three fifths of its width and of its
    /// height. Evidence that is the same everywhere has 0.64 there. None where less than 0.1 logits
    /// speak for it.
    pub outside_center: Option<f64>,
    /// Of what speaks for it, the share in the border of the square, a tenth of each side. Evidence that is the same
    /// everywhere has 0.36 there.
    pub border: Option<f64>,
}

impl HeatMap {
    /// What it comes to.
    pub fn evidence(&self) -> Evidence {
        let sum = |sign: f64| -> f64 {
            // From 0: the sum of nothing is -0.0 to the standard library, and would be written so.
            self.values
                .iter()
                .map(|value| f64::from(*value) * sign)
                .filter(|value| *value > 0.0)
                .fold(0.0, |sum, value| sum + value)
        };
        let supporting = sum(1.0);
        let opposing = 0.0 - sum(-1.0);
        let outside = |margin| (supporting >= LEAST).then(|| 1.0 - self.supporting_within(margin) / supporting);
        Evidence { of: self.of.clone(), supporting, opposing, outside_center: outside(AROUND), border: outside(BORDER) }
    }

    /// Sum of what speaks for it inside a margin, cells that it cuts by their share.
    fn supporting_within(&self, margin: f64) -> f64 {
        let share = |cell: usize, of: usize| {
            let [start, end] = [cell, cell + 1].map(|edge| edge as f64 / of.max(1) as f64);
            (end.min(1.0 - margin) - start.max(margin)).max(0.0) * of as f64
        };
        let cells = self.values.iter().enumerate().filter(|(_, value)| **value > 0.0);
        let weighed = cells.map(|(place, value)| {
            let (row, column) = (place / self.columns.max(1), place % self.columns.max(1));
            f64::from(*value) * share(row, self.rows) * share(column, self.columns)
        });
        weighed.sum()
    }
}

impl Serialize for HeatMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.evidence().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rows: usize, values: &[f32]) -> HeatMap {
        HeatMap { of: "A".to_owned(), rows, columns: values.len() / rows, values: values.to_vec() }
    }

    fn near(share: Option<f64>, expected: f64) {
        assert!((share.unwrap() - expected).abs() < 1e-9, "{share:?}, not {expected}");
    }

    #[test]
    fn shares_of_what_speaks_for_a_class() {
        // The same everywhere: areas.
        for (rows, cells) in [(1, 1), (2, 4), (7, 49), (5, 15)] {
            let even = map(rows, &vec![0.25; cells]).evidence();
            near(even.outside_center, 0.64);
            near(even.border, 0.36);
            assert!((even.supporting - 0.25 * cells as f64).abs() < 1e-12 && even.opposing == 0.0);
        }
        let cell = |row: usize, column: usize| {
            let mut values = vec![-0.5; 49];
            values[7 * row + column] = 2.0;
            map(7, &values).evidence()
        };
        // A corner: a tenth of the side is seven tenths of a cell.
        let corner = cell(0, 6);
        near(corner.outside_center, 1.0);
        near(corner.border, 0.91);
        assert_eq!((corner.supporting, corner.opposing), (2.0, -24.0));
        near(cell(3, 0).border, 0.7);
        near(cell(1, 3).outside_center, 0.4);
        near(cell(1, 3).border, 0.0);
        near(cell(3, 3).outside_center, 0.0);

        // Where next to nothing speaks for it there is nothing to share out; what is no number counts nowhere.
        let little = map(1, &[-1.0, 0.0625]).evidence();
        assert_eq!((little.border, little.outside_center, little.supporting), (None, None, 0.0625));
        let odd = map(1, &[f32::NAN, 1.0]).evidence();
        assert_eq!((odd.supporting, odd.opposing), (1.0, 0.0));
        let json = serde_json::to_string(&map(1, &[-1.0, -2.0])).unwrap();
        assert_eq!(json, r#"{"of":"A","supporting":0.0,"opposing":-3.0,"outside_center":null,"border":null}"#);
    }
}
