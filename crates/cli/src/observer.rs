//! Prints what the library tells: the notebook's lines on standard output, bars and what else is worth knowing on
//! standard error.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lungfish::recipe::Schedule;
use lungfish::{Activity, EpochRecord, Event, Observer, Phase, Task, Transfer};

use crate::print::{self, OutputError};

/// Where the lines of a training go. Tests and predictions have bars only: their result is what they print.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    Printed,
    Dropped,
}

/// What a bar counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Films(Activity),
    Bytes(Transfer),
}

/// How far something has come, on a terminal.
struct Bar {
    what: What,
    bar: ProgressBar,
    since: Instant,
    /// Films or bytes done when it appeared.
    from: u64,
}

/// Tells now and then how far something has come, where no bar can: into a file, to a scheduler's log.
struct Teller {
    every: Duration,
    what: Option<What>,
    since: Instant,
    /// Done when it began.
    from: u64,
    told: Instant,
}

impl Teller {
    fn new(every: Duration) -> Self {
        Teller { every, what: None, since: Instant::now(), from: 0, told: Instant::now() }
    }

    /// The sentence that is due at this moment, if one is.
    fn at(&mut self, now: Instant, what: What, done: u64, total: u64) -> Option<String> {
        if self.what != Some(what) || done < self.from {
            *self = Teller { every: self.every, what: Some(what), since: now, from: done, told: now };
            return None;
        }
        if now.duration_since(self.told) < self.every || done >= total {
            return None;
        }
        self.told = now;
        let verb = match what {
            What::Films(Activity::Predicting) => "scored",
            What::Films(Activity::Drawing) => "drew",
            What::Films(Activity::Comparing) => "compared",
            What::Films(_) => "read",
            What::Bytes(_) => return None,
        };
        let pace = done.saturating_sub(self.from) as f64 / now.duration_since(self.since).as_secs_f64();
        let mut text = format!("{verb} {} of {} films", print::grouped(done), print::grouped(total));
        if pace.is_finite() && pace > 0.0 {
            let left = print::duration((total - done) as f64 / pace);
            text.push_str(&format!(", {pace:.0} a second, {left} left"));
        }
        Some(text)
    }
}

/// Where lines go while a [`Printer`] is at work, so that none tears a bar.
pub struct Outlet(MultiProgress);

impl Outlet {
    /// To standard output.
    pub fn out(&self, text: impl std::fmt::Display) -> Result<(), OutputError> {
        self.0.suspend(|| print::out(text))
    }

    /// To standard error.
    pub fn err(&self, text: impl std::fmt::Display) {
        self.0.suspend(|| print::err(text));
    }
}

/// An [`Observer`] for a person.
pub struct Printer {
    lines: Lines,
    /// Where standard error is no terminal, and what is printed does not say how far it is.
    teller: Option<Teller>,
    bars: MultiProgress,
    bar: Option<Bar>,
    first_epoch: bool,
    stop: Arc<AtomicBool>,
    failed: Option<OutputError>,
}

impl Printer {
    /// For a training: everything is told. `stop` is set if standard output cannot be written any more.
    pub fn training(stop: Arc<AtomicBool>) -> Printer {
        Printer::new(Lines::Printed, stop)
    }

    /// For a test or a prediction: bars (without a terminal a line a minute), warnings and bad films, all on standard
    /// error.
    pub fn scoring() -> Printer {
        Printer::new(Lines::Dropped, Arc::default())
    }

    fn new(lines: Lines, stop: Arc<AtomicBool>) -> Printer {
        // Draws nothing where standard error is no terminal.
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let aside = lines == Lines::Dropped && !std::io::stderr().is_terminal();
        let teller = aside.then(|| Teller::new(Duration::from_secs(60)));
        Printer { lines, teller, bars, bar: None, first_epoch: true, stop, failed: None }
    }

    /// What writes lines without tearing a bar.
    pub fn outlet(&self) -> Outlet {
        Outlet(self.bars.clone())
    }

    /// What writes a line to standard error without tearing a bar.
    pub fn teller(&self) -> impl Fn(&str) + Send + 'static {
        let bars = self.bars.clone();
        move |text| bars.suspend(|| print::err(text))
    }

    /// The error that standard output met, if any. Events cannot fail, so it waits here.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        self.failed.take().map_or(Ok(()), Err)
    }

    fn line(&mut self, text: impl std::fmt::Display) {
        if self.lines == Lines::Printed && self.failed.is_none() {
            let written = self.bars.suspend(|| print::out(text));
            if let Err(error) = written {
                self.failed = Some(error);
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    fn aside(&self, text: &str) {
        self.bars.suspend(|| print::err(print::one_line(text)));
    }

    fn warning(&self, text: &str) {
        self.bars.suspend(|| print::err(format_args!("{} {}", print::Label::Warning, print::one_line(text))));
    }

    fn note(&mut self, text: &str) {
        match self.lines {
            Lines::Printed => self.line(print::one_line(text)),
            Lines::Dropped if std::io::stderr().is_terminal() => self.aside(text),
            Lines::Dropped => {}
        }
    }

    fn progress(&mut self, what: What, done: u64, total: Option<u64>) {
        if let (Some(teller), Some(total)) = (&mut self.teller, total)
            && let Some(text) = teller.at(Instant::now(), what, done, total)
        {
            self.aside(&text);
        }
        if self.bar.as_ref().is_none_or(|bar| bar.what != what || bar.bar.position() > done) {
            self.clear();
            let bar = match total {
                Some(total) => ProgressBar::new(total),
                None => ProgressBar::no_length(),
            };
            // The templates are constants; the plain bar would do too.
            let style = ProgressStyle::with_template(template(what, total.is_some()));
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
            let bar = self.bars.add(bar.with_style(style).with_message(name(what)));
            self.bar = Some(Bar { what, bar, since: Instant::now(), from: done });
        }
        if let Some(Bar { bar, since, from, .. }) = &self.bar {
            bar.set_position(done);
            // What was done when the bar appeared took a time that nobody measured.
            let pace = done.saturating_sub(*from) as f64 / since.elapsed().as_secs_f64();
            if done > *from && pace.is_finite() {
                bar.set_prefix(prefix(what, pace, total.map(|total| total.saturating_sub(done))));
            }
        }
        if total.is_some_and(|total| done >= total) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        if let Some(Bar { bar, .. }) = self.bar.take() {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Observer for Printer {
    fn event(&mut self, event: &Event) {
        let goes_on = matches!(
            event,
            Event::Progress { .. } | Event::Transferred { .. } | Event::BadFilm { .. } | Event::Saved { .. }
        );
        if !goes_on {
            self.clear();
        }
        match event {
            Event::Note(text) => self.note(text),
            Event::Warning(text) => self.warning(text),
            Event::BadFilm { path, reason } => self.aside(&format!("bad film {}: {reason}", print::path(path))),
            Event::Dataset { split, root, task, count, classes, transforms } => {
                self.line(format_args!("Dataset {split}"));
                self.line(format_args!("    Number of datapoints: {count}"));
                self.line(format_args!("    Root location: {}", print::path(root)));
                let classes: Vec<String> =
                    classes.iter().map(|(name, films)| format!("{} {films}", print::one_line(name))).collect();
                let kind = if *task == Task::AnyOf { "Labels" } else { "Classes" };
                self.line(format_args!("    {kind}: {}", classes.join(", ")));
                self.line("    Transforms:");
                for transform in transforms {
                    self.line(format_args!("        {transform}"));
                }
            }
            Event::Weights { source, loaded, missing, unexpected } => {
                self.line(format_args!("Weights: {}, {loaded} tensors", print::one_line(source)));
                for (what, names) in [("new, to be trained", missing), ("of the file, not used", unexpected)] {
                    if !names.is_empty() {
                        self.line(format_args!("    {what}: {}", print::one_line(&some(names))));
                    }
                }
            }
            Event::PhaseStarted { phase, parts, trainable_parameters, schedule, rates, .. } => {
                self.line("");
                self.line(match phase {
                    Phase::Frozen => format!("{trainable_parameters} trainable parameters in frozen model"),
                    Phase::Unfrozen => {
                        format!("{trainable_parameters} trainable parameters in unfrozen model ({})", parts.join(", "))
                    }
                });
                self.line(rates_line(rates, *schedule));
                self.first_epoch = true;
            }
            Event::TrialStarted { trial, rung, of, epochs, side, .. } => {
                let of = if *of > 1 { format!(" ({of} on this rung)") } else { String::new() };
                self.line(format_args!(
                    "Rung {}, trial {}{of}, {} at {side} pixels: {}",
                    rung + 1,
                    trial.number,
                    print::epochs(*epochs),
                    print::one_line(&trial.words())
                ));
            }
            Event::TrialDone { trial, rung } => {
                let Some(result) = trial.results.get(*rung) else { return };
                let took = print::duration(result.seconds);
                match result.choice {
                    Some(loss) => self.line(format_args!(
                        "    loss {loss:.4}, val AUC {}, augmented AUC {}, {took}",
                        print::metric(result.auc),
                        print::metric(result.robust_auc)
                    )),
                    None => self.line(format_args!("    ran away after {took}")),
                }
            }
            Event::EpochStarted { epoch, of, .. } => {
                if !std::mem::take(&mut self.first_epoch) {
                    self.line("");
                }
                self.line(format_args!("Epoch {epoch}/{of}"));
            }
            Event::Progress { task, done, total } => {
                self.progress(What::Films(*task), *done as u64, Some(*total as u64));
            }
            Event::Transferred { transfer, done, total } => self.progress(What::Bytes(*transfer), *done, *total),
            Event::EpochDone { record, seconds_left, .. } => {
                for line in epoch_lines(record, *seconds_left) {
                    self.line(line);
                }
                self.first_epoch = false;
            }
            Event::EarlyStop { phase, epoch, patience } => self.line(format_args!(
                "The {phase} phase ends after epoch {epoch}: no better metric in {patience} epochs"
            )),
            // The best is told once, at the end, and checkpoints are for a day when something fails.
            Event::Best(_) | Event::Saved { .. } => {}
            _ => {}
        }
    }
}

fn epoch_lines(record: &EpochRecord, seconds_left: Option<f64>) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(loss), Some(accuracy)) = (record.train_loss, record.train_accuracy) {
        lines.push(format!("train Loss: {loss:.4} Acc: {accuracy:.4}"));
    } else {
        lines.push("Before the first step".to_owned());
    }
    let auc = print::metric(record.val_auc);
    lines.push(format!("val Loss: {:.4} Acc: {:.4} AUC: {auc}", record.val_loss, record.val_accuracy));
    if let Some(seen) = &record.robust {
        let auc = print::metric(seen.auc);
        lines.push(format!("augmented val Loss: {:.4} Acc: {:.4} AUC: {auc}", seen.loss, seen.accuracy));
    }
    let parts: Vec<String> = record.part_lr.iter().map(|(part, lr)| format!("{part} {}", print::rate(*lr))).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    let lr = record.train_loss.map(|_| format!("lr {}{parts}", print::rate(record.lr)));
    let pace = record.films_per_s.map(|pace| format!("{pace:.1} films/s"));
    let left = seconds_left.map(|seconds| format!("{} left", print::duration(seconds)));
    let pace: Vec<String> = lr.into_iter().chain(pace).chain(left).collect();
    if !pace.is_empty() {
        lines.push(pace.join(", "));
    }
    lines
}

/// The learning rates with which a phase begins or which it comes to.
fn rates_line(rates: &[(String, f64)], schedule: Schedule) -> String {
    let schedule = schedule.name();
    match rates {
        [(_, first), others @ ..] if others.iter().all(|(_, rate)| rate == first) => {
            format!("learning rate {}, {schedule}", print::rate(*first))
        }
        _ => {
            let rates: Vec<String> =
                rates.iter().map(|(part, rate)| format!("{part} {}", print::rate(*rate))).collect();
            format!("learning rates {}; {schedule}", rates.join(", "))
        }
    }
}

/// The first few of many names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

fn name(what: What) -> String {
    let name = match what {
        What::Films(Activity::Features { split, view }) => return format!("features of {split}, view {view}"),
        What::Films(Activity::Checking) => "checking",
        What::Films(Activity::Training) => "train",
        What::Films(Activity::RangeTest) => "range test",
        What::Films(Activity::Averaging) => "averaging",
        What::Films(Activity::Validating) => "val",
        What::Films(Activity::Comparing) => "comparing",
        What::Films(Activity::Stressing) => "stress tests",
        What::Films(Activity::Remembering) => "remembering",
        What::Films(Activity::Predicting) => "predicting",
        What::Films(Activity::Drawing) => "drawing",
        What::Films(Activity::Measuring) => "measuring",
        What::Bytes(Transfer::Downloading) => "downloading",
        What::Bytes(Transfer::Verifying) => "verifying",
        What::Bytes(Transfer::Unpacking) => "unpacking",
        _ => "working",
    };
    name.to_owned()
}

fn template(what: What, has_end: bool) -> &'static str {
    match (what, has_end) {
        (What::Films(Activity::Stressing), _) => "{msg} [{bar:30}] {pos}/{len}{prefix}",
        (What::Films(_), true) => "{msg} [{bar:30}] {pos}/{len} films{prefix}",
        (What::Films(_), false) => "{msg} {pos} films{prefix}",
        (What::Bytes(_), true) => "{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes}{prefix}",
        (What::Bytes(_), false) => "{msg} {decimal_bytes}{prefix}",
    }
}

/// Rate and time left.
fn prefix(what: What, pace: f64, left: Option<u64>) -> String {
    let rate = match what {
        What::Films(_) => format!(", {pace:.0}/s"),
        What::Bytes(_) => format!(", {}/s", DecimalBytes(pace as u64)),
    };
    let left = left.map(|left| format!(", {} left", print::duration(left as f64 / pace)));
    rate + &left.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use lungfish::RobustMetrics;

    use super::*;

    #[test]
    fn an_epoch_reads_as_the_notebook_has_it() {
        let record = EpochRecord {
            phase: Phase::Frozen,
            epoch: 3,
            train_loss: Some(0.12341),
            train_accuracy: Some(0.9567),
            val_loss: 0.2,
            val_accuracy: 0.9,
            val_auc: Some(0.98765),
            robust: Some(RobustMetrics { loss: 0.4, accuracy: 0.85, auc: Some(0.91234), choice: 0.3 }),
            lr: 1e-3,
            part_lr: [("layer4".to_owned(), 1e-5)].into(),
            seconds: 2.0,
            films_per_s: Some(41.24),
        };
        assert_eq!(
            epoch_lines(&record, Some(72.0)),
            [
                "train Loss: 0.1234 Acc: 0.9567",
                "val Loss: 0.2000 Acc: 0.9000 AUC: 0.9877",
                "augmented val Loss: 0.4000 Acc: 0.8500 AUC: 0.9123",
                "lr 0.001 (layer4 1e-5), 41.2 films/s, 1m 12s left"
            ]
        );
        let before = EpochRecord {
            epoch: 0,
            train_loss: None,
            train_accuracy: None,
            val_auc: None,
            robust: None,
            films_per_s: None,
            ..record
        };
        assert_eq!(epoch_lines(&before, None), ["Before the first step", "val Loss: 0.2000 Acc: 0.9000 AUC: -"]);
    }

    #[test]
    fn learning_rates_are_told_once_or_a_part() {
        let rates = |of: &[(&str, f64)]| of.iter().map(|(part, rate)| ((*part).to_owned(), *rate)).collect::<Vec<_>>();
        let same = rates(&[("layer4", 1e-4), ("head", 1e-4)]);
        assert_eq!(rates_line(&same, Schedule::Cosine), "learning rate 1e-4, cosine");
        let other = rates(&[("layer4", 1e-5), ("head", 1e-3)]);
        assert_eq!(rates_line(&other, Schedule::OneCycle), "learning rates layer4 1e-5, head 0.001; one-cycle");
    }

    #[test]
    fn a_bar_says_rate_and_time_left() {
        let bytes = What::Bytes(Transfer::Downloading);
        assert_eq!(prefix(bytes, 12_340_000.0, Some(1_234_000_000)), ", 12.34 MB/s, 1m 40s left");
        assert_eq!(prefix(bytes, 900.0, None), ", 900 B/s");
        assert_eq!(prefix(What::Films(Activity::Checking), 41.2, Some(412)), ", 41/s, 10s left");
    }

    #[test]
    fn without_a_terminal_a_line_a_minute_says_how_far_it_is() {
        let mut teller = Teller::new(Duration::from_secs(60));
        let begun = Instant::now();
        let films = What::Films(Activity::Predicting);
        let mut at = |seconds, done| teller.at(begun + Duration::from_secs(seconds), films, done, 20_000);
        assert_eq!(at(0, 200), None);
        assert_eq!(at(59, 1000), None);
        assert_eq!(at(60, 1400).as_deref(), Some("scored 1,400 of 20,000 films, 20 a second, 15m 30s left"));
        assert_eq!(at(119, 2000), None);
        assert_eq!(at(130, 20_000), None, "the end is told by what is printed");
        assert_eq!(at(190, 2100).as_deref(), Some("scored 2,100 of 20,000 films, 10 a second, 29m 50s left"));
    }

    #[test]
    fn many_names_are_cut_short() {
        let names: Vec<String> = (0..9).map(|n| format!("t{n}")).collect();
        assert_eq!(some(&names), "t0, t1, t2, t3, t4, t5 and 3 more");
        assert_eq!(some(&names[..2]), "t0, t1");
    }
}
