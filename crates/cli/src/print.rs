//! Standard output and standard error: whole lines, no control character of a file name, a quiet end when nobody reads.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Style};
use lungfish::PrecisionRule;
use lungfish_data::display::escape;

use crate::schema::{Output, Versioned};

/// That what is said was computed in a precision that did not train the model.
pub fn other_precision(precision: PrecisionRule) -> String {
    format!("computed in {precision}, which did not train the model")
}

/// Beside probabilities that are not for the classes as the training films had them.
pub const EQUAL_PRIOR: &str =
    "Probabilities are for classes that are equally frequent; among your films one may be rarer.";

/// Standard output could not take what was written.
#[derive(Debug)]
pub struct OutputError(io::Error);

impl OutputError {
    /// Whether the reader went away (`lungfish ... | head`).
    pub fn is_closed(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write to standard output: {}", self.0)
    }
}

impl std::error::Error for OutputError {}

/// Writes text and a line break to standard output.
pub fn out(text: impl fmt::Display) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(OutputError)
}

/// Writes text and a line break to standard error, its colours only where they are wanted: on a terminal, and not with
/// NO_COLOR. Nothing can be done where that fails.
pub fn err(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// The word before an aside, in the colours in which clap says what is wrong with a flag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Why nothing came of it.
    Error,
    /// Something to know about what came of it.
    Warning,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, colour) = match self {
            Label::Error => ("error:", AnsiColor::Red),
            Label::Warning => ("warning:", AnsiColor::Yellow),
        };
        let style = Style::new().bold().fg_color(Some(colour.into()));
        write!(f, "{style}{word}{style:#}")
    }
}

/// Says what went wrong in one line. A reader that went away (`lungfish ... | head`) is no error.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<OutputError>() {
        Some(error) if error.is_closed() => ExitCode::SUCCESS,
        _ => {
            err(format_args!("{} {}", Label::Error, one_line(&error.to_string())));
            ExitCode::FAILURE
        }
    }
}

/// A message without what a file name in it could do to a terminal.
pub fn one_line(message: &str) -> String {
    escape(message.replace('\n', " "))
}

/// A path, or a part of one, for a terminal.
pub fn path(path: impl AsRef<Path>) -> String {
    escape(path.as_ref())
}

/// A path as an argument of a command that somebody can paste into a shell.
pub fn argument(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Seconds as people say them.
pub fn duration(seconds: f64) -> String {
    // A float too large or not a number becomes the nearest whole number there is, or 0.
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole / 60 % 60),
    }
}

/// Bytes as people say them.
pub fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if unit == "bytes" || value >= 99.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// Exit status of what was stopped on request and kept what it had: that of a program that Ctrl-C ended.
pub const STOPPED: u8 = 130;

/// An interval, or a dash where there is none.
pub fn interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(|| "-".to_owned(), |[low, high]| format!("{low:.4} to {high:.4}"))
}

/// A metric with four digits, or a dash where it is undefined.
pub fn metric(metric: Option<f64>) -> String {
    metric.map_or_else(|| "-".to_owned(), |metric| format!("{metric:.4}"))
}

/// Why a metric is undefined.
pub fn undefined(clause: &str) -> String {
    format!("Undefined: {}.", one_line(clause))
}

/// A learning rate with three digits, as short as it gets.
pub fn rate(rate: f64) -> String {
    let text = format!("{rate:.2e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>() {
        // The digits alone: 0.00123 and not 1.23e-3.
        Ok(exponent @ -3..=1) => {
            let places = usize::try_from(2 - exponent).unwrap_or(0);
            format!("{rate:.places$}").trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.')),
    }
}

/// 20000 as 20,000.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The end of what was stopped on request. A reader that went away stopped it too, and half of it is not done.
pub fn stopped(printed: Result<(), OutputError>) -> anyhow::Result<ExitCode> {
    match printed {
        Err(error) if !error.is_closed() => Err(error.into()),
        _ => Ok(ExitCode::from(STOPPED)),
    }
}

/// A number of epochs, in words.
pub fn epochs(count: usize) -> String {
    if count == 1 { "1 epoch".to_owned() } else { format!("{count} epochs") }
}

/// `1 film`, `2 films`.
pub fn films(count: usize) -> String {
    if count == 1 { "1 film".to_owned() } else { format!("{count} films") }
}

/// What a command prints with `--json`, on one line, with its schema's name.
pub fn output(value: &impl Output) -> anyhow::Result<()> {
    json(&Versioned::from(value))
}

/// JSON on one line.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    out(serde_json::to_string(value)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let said = [0.4, 59.4, 59.6, 3599.0, 3600.0, 90_000.0, f64::NAN, -1.0].map(duration);
        assert_eq!(said, ["0s", "59s", "1m 00s", "59m 59s", "1h 00m", "25h 00m", "0s", "0s"]);
    }

    #[test]
    fn sizes() {
        let said = [0, 999, 1000, 1549, 99_949, 99_950, 999_499, 999_500, 1_234_567_890, u64::MAX].map(size);
        assert_eq!(
            said,
            [
                "0 bytes",
                "999 bytes",
                "1.0 kB",
                "1.5 kB",
                "99.9 kB",
                "100 kB",
                "999 kB",
                "1.0 MB",
                "1.2 GB",
                "18446744 TB"
            ]
        );
    }

    #[test]
    fn rates() {
        let said = [1e-4, 1e-5, 2.4471741852423237e-5, 1e-3, 0.00123456, 0.01, 0.5, 1.0, 10.0, 100.0, 4e-9].map(rate);
        let expected = ["1e-4", "1e-5", "2.45e-5", "0.001", "0.00123", "0.01", "0.5", "1", "10", "1e2", "4e-9"];
        assert_eq!(said, expected);
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 12, 123, 1234, 21_416_514].map(grouped), ["0", "12", "123", "1,234", "21,416,514"]);
    }

    #[test]
    fn arguments_can_be_pasted() {
        assert_eq!(argument(Path::new("runs/a-1")), "runs/a-1");
        assert_eq!(argument(Path::new("my run")), "'my run'");
        assert_eq!(argument(Path::new("it's")), "'it'\\''s'");
    }

    #[test]
    fn a_message_stays_on_one_line() {
        assert_eq!(one_line("a\nb\u{1b}[31m"), "a b\\x1b[31m");
    }
}
