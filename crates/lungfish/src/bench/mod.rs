//! How fast this program is on this machine: figures to choose by, and to compare with other programs'.

mod loader;
pub(crate) mod made_up;
mod step;

pub use loader::{LoaderMeasure, LoaderRequest, loader};
pub use step::{Mode, StepMeasure, StepRequest, step};

/// Where half of the values are below and half above; of an even number of them the upper one of the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(super::median(&[5.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(super::median(&[4.0, 3.0]), Some(4.0));
        assert_eq!(super::median(&[]), None);
    }
}
