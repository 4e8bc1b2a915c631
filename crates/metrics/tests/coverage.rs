//! How often intervals of 95 % contain the truth: simulated films, keyed, so that every run draws the same.
//!
//! Scores are normal in both classes, their means so far apart that the AUC is what it is to be. Patients have one to
//! five films, of one class or of both, and half of the variance of a score is the patient's. Calls are scores above a
//! cut.
//!
//! What always runs draws few and allows for that. What draws many and prints the table is
//! `cargo test -p lungfish-metrics --test coverage -- --ignored --nocapture`.

// The table is for people to read.
#![allow(clippy::print_stdout)]

use std::f64::consts::TAU;

use lungfish_metrics::bootstrap::{Bootstrap, Resampled};
use lungfish_metrics::interval::{clopper_pearson, normal_quantile, wilson};
use lungfish_metrics::{Confidence, Interval, clustered, delong, roc_auc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Films {
    /// One of each patient.
    Alone,
    /// Patients of one class.
    OfOneClass,
    /// Patients with films of both classes.
    OfBoth,
}

const FILMS: [usize; 3] = [30, 100, 600];
const TRUTHS: [f64; 3] = [0.85, 0.9, 0.95];

struct Drawn {
    positive: Vec<bool>,
    scores: Vec<f64>,
    patients: Vec<usize>,
}

/// Half of the films are positive (of patients, on average), and a positive film scores `apart` more.
fn draw(kind: Films, films: usize, apart: f64, number: usize) -> Drawn {
    let mut random = ChaCha8Rng::seed_from_u64((films * 1_000_003 + number) as u64);
    let mut uniform = move || ((random.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    // Box and Muller.
    let normal = |uniform: &mut dyn FnMut() -> f64| (-2.0 * uniform().ln()).sqrt() * (TAU * uniform()).cos();
    let mut drawn = Drawn { positive: Vec::new(), scores: Vec::new(), patients: Vec::new() };
    let mut patient = 0;
    while drawn.scores.len() < films {
        let left = films - drawn.scores.len();
        let of_patient = if kind == Films::Alone { 1 } else { (1 + (5.0 * uniform()) as usize).min(left) };
        let common = normal(&mut uniform);
        for _ in 0..of_patient {
            let own = normal(&mut uniform);
            let positive = if kind == Films::OfBoth { uniform() < 0.5 } else { patient % 2 == 1 };
            let score = if kind == Films::Alone { own } else { (common + own) / 2.0_f64.sqrt() };
            drawn.positive.push(positive);
            drawn.scores.push(score + if positive { apart } else { 0.0 });
            drawn.patients.push(patient);
        }
        patient += 1;
    }
    drawn
}

/// Two intervals of the same draw, if there are any.
type Both = [Option<Interval>; 2];

/// In how many of `times` draws either interval contains the truth, of those in which there is one; and how many there
/// are.
fn covered(times: usize, truth: f64, intervals: impl Fn(usize) -> Both + Send + Sync) -> [(usize, usize); 2] {
    let found: Vec<Both> = (0..times).into_par_iter().map(intervals).collect();
    [0, 1].map(|which| {
        let there = found.iter().filter_map(|both| both[which]);
        (there.clone().filter(|interval| interval.contains(truth)).count(), there.count())
    })
}

fn apart(auc: f64) -> f64 {
    normal_quantile(auc).unwrap() * 2.0_f64.sqrt()
}

/// The interval to show, and the plain one, which is a single point where there is no variance.
fn of_auc(kind: Films, films: usize, auc: f64, number: usize) -> Both {
    let Drawn { positive, scores, patients } = draw(kind, films, apart(auc), number);
    let estimate = match kind {
        Films::Alone => delong::auc(&positive, &scores),
        _ => clustered::auc(&positive, &scores, &patients),
    };
    let Some(estimate) = estimate else { return [None; 2] };
    let point = Interval { low: estimate.auc, high: estimate.auc };
    let level = Confidence::default();
    [estimate.interval(level).map(|found| found.interval), Some(estimate.wald(level).unwrap_or(point))]
}

/// Wilson's interval and the exact one.
fn of_share(kind: Films, films: usize, share: f64, number: usize) -> Both {
    let Drawn { scores, patients, .. } = draw(kind, films, 0.0, number);
    let cut = normal_quantile(1.0 - share).unwrap();
    let is: Vec<bool> = scores.iter().map(|&score| score >= cut).collect();
    let level = Confidence::default();
    if kind == Films::Alone {
        let yes = is.iter().filter(|&&is| is).count() as u64;
        return [wilson(yes, is.len() as u64, level), clopper_pearson(yes, is.len() as u64, level)];
    }
    let share = clustered::proportion(&is, &patients).unwrap();
    [share.wilson(level), share.clopper_pearson(level)]
}

/// The share that is covered lies in 0.93 to 0.97, give or take what chance does (3.5 standard errors, one draw in
/// thousands, and the draws are always the same). Of 30 films it may be more: where the classes do not overlap, as in
/// one set of twenty of an AUC of 0.95, only the cautious bound is honest; and so few calls are all right that Wilson's
/// interval has few ends to choose from.
fn is_fine(what: &str, films: usize, (covered, there): (usize, usize), times: usize) {
    assert!(there * 1_000 >= times * 995, "{what}: an interval in {there} of {times}");
    let chance = 3.5 * (0.93_f64 * 0.07 / there as f64).sqrt();
    let most = if films == 30 { 1.0 } else { 0.97 + chance };
    let share = covered as f64 / there as f64;
    assert!((0.93 - chance..=most).contains(&share), "{what}: covered {covered} of {there}, {share}");
}

#[test]
fn intervals_of_aucs_cover() {
    let times = 500;
    for kind in [Films::Alone, Films::OfOneClass, Films::OfBoth] {
        for films in FILMS {
            for auc in TRUTHS {
                let [shown, plain] = covered(times, auc, |number| of_auc(kind, films, auc, number));
                is_fine(&format!("an AUC of {auc} of {films} films, {kind:?}"), films, shown, times);
                // The plain interval does not, which is why it is not the one to show.
                assert!(films > 30 || plain.0 * 100 < plain.1 * 92, "{auc} {kind:?}: {plain:?}");
            }
        }
    }
}

#[test]
fn intervals_of_shares_cover() {
    let times = 500;
    for kind in [Films::Alone, Films::OfOneClass] {
        for films in FILMS {
            for share in TRUTHS {
                let [shown, exact] = covered(times, share, |number| of_share(kind, films, share, number));
                is_fine(&format!("a share of {share} of {films} films, {kind:?}"), films, shown, times);
                assert!(exact.0 >= shown.0 * 98 / 100, "{share} of {films}, {kind:?}: {exact:?}");
            }
        }
    }
    // As if films of a patient were independent, the interval is too sure.
    let [naive, _] = covered(times, 0.85, |number| {
        let Drawn { scores, .. } = draw(Films::OfOneClass, 600, 0.0, number);
        let yes = scores.iter().filter(|&&score| score >= normal_quantile(0.15).unwrap()).count();
        [wilson(yes as u64, scores.len() as u64, Confidence::default()), None]
    });
    assert!(naive.0 * 100 < naive.1 * 92, "{naive:?}");
}

#[test]
#[ignore = "takes minutes: the table, with many draws"]
fn table() {
    let times = 20_000;
    let percent = |(covered, there): (usize, usize)| 100.0 * covered as f64 / there.max(1) as f64;
    println!("covered by intervals of 95 %, of {times} draws each");
    println!("| films | truth | patients | the one to show | Wald (AUC), Clopper-Pearson (share) |\n|-|-|-|-|-|");
    for kind in [Films::Alone, Films::OfOneClass, Films::OfBoth] {
        for films in FILMS {
            for auc in TRUTHS {
                let [shown, plain] = covered(times, auc, |number| of_auc(kind, films, auc, number)).map(percent);
                println!("| {films} | AUC {auc} | {kind:?} | {shown:.1} | {plain:.1} |");
            }
        }
    }
    for kind in [Films::Alone, Films::OfOneClass] {
        for films in FILMS {
            for share in TRUTHS {
                let [shown, exact] = covered(times, share, |number| of_share(kind, films, share, number)).map(percent);
                println!("| {films} | share {share} | {kind:?} | {shown:.1} | {exact:.1} |");
            }
        }
    }
    let times = 1_000;
    println!("\nthe bootstrap of an AUC by patients, {times} draws of 1,000 resamples");
    println!("| films | AUC | patients | BCa | percentile | draws without either |\n|-|-|-|-|-|-|");
    for kind in [Films::Alone, Films::OfOneClass] {
        for (films, auc) in [(30, 0.85), (100, 0.85), (100, 0.95)] {
            let [bca, percentile] = covered(times, auc, |number| {
                let Drawn { positive, scores, patients } = draw(kind, films, apart(auc), number);
                let metric = |drawn: &[usize]| {
                    let drawn: (Vec<bool>, Vec<f64>) = drawn.iter().map(|&film| (positive[film], scores[film])).unzip();
                    roc_auc(&drawn.0, &drawn.1)
                };
                let bootstrap = Bootstrap { resamples: 1_000, ..Bootstrap::new(1) };
                let resampled = bootstrap.run_stratified(&patients, &positive, metric);
                let of =
                    |of: fn(&Resampled, Confidence) -> Option<Interval>| of(resampled.as_ref()?, Confidence::default());
                [of(Resampled::bca), of(Resampled::percentile)]
            });
            let none = [bca.1, percentile.1].map(|there| times - there);
            let [bca, percentile] = [bca, percentile].map(percent);
            println!("| {films} | {auc} | {kind:?} | {bca:.1} | {percentile:.1} | {none:?} |");
        }
    }
}
