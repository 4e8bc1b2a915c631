//! Values of flags, with refusals that say what would do.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use lungfish::recipe::LearningRate;
use lungfish::{Changes, PictureFormats, PrecisionRule, Print, Recipe, RecipeError, TableRule, Uids};

/// Reads a whole number in a range.
pub fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("it is a whole number from {} to {}", range.start(), range.end()))
    }
}

/// Reads a whole number that is not negative.
pub fn count(text: &str) -> Result<usize, String> {
    text.trim().parse().map_err(|_| "it is a whole number, 0 or more".to_owned())
}

/// Reads a learning rate.
pub fn rate(text: &str) -> Result<LearningRate, String> {
    if text.trim() == "auto" {
        return Ok(LearningRate::Auto);
    }
    let rate = text.trim().parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.map(LearningRate::At).ok_or_else(|| "it is a number above 0, such as 0.001 or 1e-4, or auto".to_owned())
}

/// Reads a precision.
pub fn precision() -> impl TypedValueParser<Value = PrecisionRule> {
    PossibleValuesParser::new(PrecisionRule::ALL.map(PrecisionRule::name)).try_map(|name| name.parse::<PrecisionRule>())
}

/// Reads a time such as `90m`, `2h` or `1h30m`; a number alone is seconds.
pub fn time(text: &str) -> Result<Duration, String> {
    let refused = || "it is a time such as 90m, 2h or 1h30m".to_owned();
    let (mut seconds, mut digits) = (0.0, String::new());
    for letter in text.trim().chars() {
        let factor = match letter {
            '0'..='9' | '.' => {
                digits.push(letter);
                continue;
            }
            'd' => 86_400.0,
            'h' => 3600.0,
            'm' => 60.0,
            's' => 1.0,
            _ => return Err(refused()),
        };
        seconds += factor * std::mem::take(&mut digits).parse::<f64>().map_err(|_| refused())?;
    }
    if !digits.is_empty() {
        // A number after a unit, such as 1h30, is minutes to one and seconds to another.
        let rest = digits.parse::<f64>().ok().filter(|_| seconds == 0.0);
        seconds += rest.ok_or_else(refused)?;
    }
    Some(seconds).filter(|seconds| (1.0..=3.2e9).contains(seconds)).map(Duration::from_secs_f64).ok_or_else(refused)
}

/// A table that has the labels.
#[derive(clap::Args)]
pub struct Labels {
    /// Table of the labels, CSV or TSV with a row a film, where they are not in class folders or DIR/labels.csv
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    labels: Option<PathBuf>,
    /// Column of that table that is the path, label, patient or split; may be repeated [default: found by its name]
    #[arg(long, value_name = "path|label|patient|split=NAME", requires = "labels", value_parser = column)]
    column: Vec<(String, String)>,
    /// What is made of an uncertain label (-1) [default: ignore]
    #[arg(long, value_name = "ignore|positive|negative", requires = "labels")]
    #[arg(value_parser = PossibleValuesParser::new(["ignore", "positive", "negative"]))]
    uncertain: Option<String>,
}

impl Labels {
    /// The keys of a recipe that say the same.
    pub fn keys(&self) -> Vec<(String, String)> {
        let labels = self.labels.iter().map(|file| ("labels".to_owned(), file.to_string_lossy().into_owned()));
        let columns = self.column.iter().map(|(role, name)| (format!("columns.{role}"), name.clone()));
        let uncertain = self.uncertain.iter().map(|what| ("uncertain".to_owned(), what.clone()));
        labels.chain(columns).chain(uncertain).collect()
    }

    /// The table and how it is read, where no recipe says so.
    pub fn table(&self) -> anyhow::Result<(Option<PathBuf>, TableRule)> {
        let mut recipe = Changes::default();
        for (key, value) in self.keys() {
            recipe.set_key(&key, &value)?;
        }
        let recipe = recipe.apply(Recipe::default())?;
        Ok((self.labels.clone(), TableRule { columns: recipe.columns, uncertain: recipe.uncertain }))
    }
}

/// Reads `path=NAME`.
fn column(text: &str) -> Result<(String, String), String> {
    let (role, name) = text.split_once('=').unwrap_or((text, ""));
    if !["path", "label", "patient", "split"].contains(&role) || name.is_empty() {
        return Err("it is path, label, patient or split, = and the name of a column".to_owned());
    }
    Ok((role.to_owned(), name.to_owned()))
}

/// How UIDs are told, by whether they are asked for.
pub fn uids(plain: bool) -> Uids {
    if plain { Uids::Plain } else { Uids::Hashed }
}

/// How pictures are written besides PNG and SVG for a screen.
#[derive(clap::Args)]
pub struct Formats {
    /// Write each picture as PDF too, with texts that can be searched
    #[arg(long)]
    pdf: bool,
    /// Make pictures for paper: PNGs so wide at 300 dots an inch, PDFs of this width
    #[arg(long, value_name = "MM", value_parser = print_width, allow_negative_numbers = true)]
    print_width: Option<Print>,
}

impl Formats {
    /// What is asked for; refused where no picture is, which `with` would change.
    pub fn of(&self, drawn: bool, with: &str) -> anyhow::Result<PictureFormats> {
        if let (false, Some(flag)) = (drawn, self.flag()) {
            anyhow::bail!("{flag} is for pictures, and none is asked for: {with}");
        }
        Ok(PictureFormats { pdf: self.pdf, print: self.print_width })
    }

    fn flag(&self) -> Option<&'static str> {
        if self.pdf { Some("--pdf") } else { self.print_width.map(|_| "--print-width") }
    }
}

/// Reads a width on paper.
fn print_width(text: &str) -> Result<Print, String> {
    let print = text.trim().parse().ok().and_then(|width| Print::new(width, Print::DPI).ok());
    print.ok_or_else(|| "it is a width in millimetres from 10 to 2000, such as 85 or 180".to_owned())
}

/// Asks for every key of a recipe file; what is wrong with one is said with the file's name.
pub fn read_recipe(changes: &mut Changes, recipe: &Path) -> anyhow::Result<()> {
    changes.read(recipe).map_err(|error| match error {
        // These name the file themselves.
        RecipeError::Read { .. } | RecipeError::Syntax { .. } => error.into(),
        _ => anyhow::anyhow!("{}: {error}", recipe.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let seconds = |text| time(text).map(|time| time.as_secs());
        assert_eq!(
            ["90m", "2h", "1h30m", "45s", "120", "1.5h", "1d"].map(seconds),
            [5400, 7200, 5400, 45, 120, 5400, 86400].map(Ok)
        );
        for text in ["", "h", "2x", "1h30", "-2h", "0", "inf", "9e99"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_and_what_is_none() {
        assert_eq!(count("7"), Ok(7));
        for text in ["-1", "x", "", "1.5", "99999999999999999999999"] {
            assert_eq!(count(text), Err("it is a whole number, 0 or more".to_owned()), "{text}");
        }
        assert_eq!(whole(1..=9_u16)("9"), Ok(9));
        for text in ["0", "10", "70000", "nine"] {
            assert_eq!(whole(1..=9_u16)(text), Err("it is a whole number from 1 to 9".to_owned()), "{text}");
        }
        assert_eq!(print_width("180").map(Print::width_mm), Ok(180.0));
        for text in ["0", "-1", "nan", "inf", "18 cm", "", "1e9"] {
            assert!(print_width(text).unwrap_err().contains("10 to 2000"), "{text}");
        }
        assert_eq!(rate("1e-4"), Ok(LearningRate::At(1e-4)));
        assert_eq!(rate("auto"), Ok(LearningRate::Auto));
        for text in ["0", "-1", "nan", "inf", "0,001", ""] {
            assert!(rate(text).unwrap_err().contains("0.001"), "{text}");
        }
    }
}
