//! What is made of resamples against scipy: bootstrap.py.

use lungfish_metrics::Confidence;
use lungfish_metrics::bootstrap::{Bootstrap, Resampled};
use serde_json::Value;

use crate::{close, close_interval, numbers};

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn intervals_of_resamples_are_those_of_scipy() {
    let golden: Value = serde_json::from_str(include_str!("../../../../golden/metrics/bootstrap.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let samples: Vec<Vec<f64>> = case["samples"].as_array().unwrap().iter().map(numbers).collect();
        let values: Vec<f64> = samples.concat();
        let stratum: Vec<usize> = (0..samples.len()).flat_map(|at| vec![at; samples[at].len()]).collect();
        let names: Vec<usize> = (0..values.len()).collect();
        let drawn = |films: &[usize], of: usize| {
            films.iter().filter(|&&film| stratum[film] == of).map(|&film| values[film]).collect::<Vec<f64>>()
        };
        let metric = |films: &[usize]| {
            let first = drawn(films, 0);
            Some(match name {
                "mean" | "mean of 0 and 1" => mean(&first),
                "deviation" => {
                    let middle = mean(&first);
                    mean(&first.iter().map(|value| (value - middle).powi(2)).collect::<Vec<_>>()).sqrt()
                }
                _ => mean(&first) - mean(&drawn(films, 1)),
            })
        };
        // Their resamples, with the acceleration that is found here.
        let ours = Bootstrap::new(1).run_stratified(&names, &stratum, metric).unwrap();
        close(&format!("{name}: estimate"), Some(ours.estimate), &case["estimate"], 1e-12);
        close(&format!("{name}: acceleration"), ours.acceleration, &case["acceleration"], 1e-10);
        let level = Confidence::new(case["level"].as_f64().unwrap()).unwrap();
        let mut theirs = numbers(&case["values"]);
        theirs.sort_unstable_by(f64::total_cmp);
        // The very number that they compare with: how many resamples are the estimate itself matters.
        let estimate = case["estimate"].as_f64().unwrap();
        let resampled = Resampled { estimate, values: theirs, ..ours.clone() };
        close(&format!("{name}: error"), resampled.standard_error(), &case["standard_error"], 1e-10);
        close_interval(&format!("{name}: percentile"), resampled.percentile(level), &case["percentile"], 1e-10);
        close_interval(&format!("{name}: BCa"), resampled.bca(level), &case["bca"], 1e-10);

        // Their 499 resamples and these 2,000 of another generator tell the same story.
        let (own, width) = (ours.bca(level).unwrap(), resampled.bca(level).unwrap().width());
        assert!((own.width() - width).abs() < 0.2 * width, "{name}: {own:?}, {width}");
    }
}
