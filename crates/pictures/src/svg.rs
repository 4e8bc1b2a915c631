//! Marks as SVG elements, and the page around them.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    PictureError,
    canvas::{Anchor, Mark, Outline, Rgb, Stroke},
    encode::encode,
    font,
    palette::hex,
    subset::subset,
};

/// Stands before every name until all is written. No text can have it: control characters are dropped from texts.
const OWN: char = '\u{1}';

/// The marks as SVG elements on a white ground, films with no more than `scale` of their pixels for one of the drawing,
/// all names its own.
///
/// # Errors
/// [`PictureError::Png`] if a film cannot be encoded.
pub(crate) fn body((width, height): (u32, u32), marks: &[Mark], scale: f64) -> Result<String, PictureError> {
    let mut writer = Writer { body: String::new(), names: 0, scale };
    let _ = write!(writer.body, r##"<rect width="{width}" height="{height}" fill="#ffffff"/>"##);
    writer.marks(marks)?;
    // Several pictures in one page must not share names.
    let own = format!("p{:016x}-", fingerprint(writer.body.as_bytes()));
    Ok(writer.body.replace(OWN, &own))
}

/// A whole SVG around [`body`], for usvg, which has the fonts.
pub(crate) fn bare(size: (u32, u32), body: &str) -> String {
    format!("{}{body}</svg>", Opening { size, role: "" })
}

/// A whole SVG around [`body`] that stands alone: with a title and a description for those who cannot see it, and with
/// the letters of its texts as fonts.
pub(crate) fn whole(size: (u32, u32), body: &str, marks: &[Mark], title: &str, description: &str) -> String {
    let opening = Opening { size, role: r#" role="img""# };
    let (title, description) = (escape(&font::clean(title)), escape(&font::clean(description)));
    format!("{opening}<title>{title}</title><desc>{description}</desc>{}{body}</svg>", faces(marks))
}

/// The characters drawn in one weight.
pub(crate) fn characters(marks: &[Mark], bold: bool) -> BTreeSet<char> {
    let mut characters = BTreeSet::new();
    for mark in marks {
        match mark {
            Mark::Words { text, bold: own, .. } if *own == bold => characters.extend(text.chars()),
            Mark::Clipped { marks, .. } | Mark::Faint { marks, .. } => {
                characters.extend(self::characters(marks, bold));
            }
            _ => {}
        }
    }
    characters
}

/// Both weights as rules of CSS. Each says which characters it has, so that pictures in one page help themselves to the
/// right one of several.
fn faces(marks: &[Mark]) -> String {
    let mut rules = String::new();
    for (bold, weight) in [(false, 400), (true, 600)] {
        let characters = characters(marks, bold);
        // Without characters there is nothing to show, and without a font the next of the family's list.
        let Some(subset) = subset(&characters, bold).filter(|_| !characters.is_empty()) else { continue };
        let _ = write!(
            rules,
            "@font-face{{font-family:'{}';font-weight:{weight};unicode-range:{};src:url(data:font/ttf;base64,{})\
             format('truetype')}}",
            font::FAMILY,
            ranges(&characters),
            STANDARD.encode(&subset.file)
        );
    }
    if rules.is_empty() { rules } else { format!("<style>{rules}</style>") }
}

/// Characters in CSS' words: `U+20-7E,U+2026`.
fn ranges(characters: &BTreeSet<char>) -> String {
    let mut runs: Vec<[u32; 2]> = Vec::new();
    for code in characters.iter().map(|&character| u32::from(character)) {
        match runs.last_mut() {
            Some([_, last]) if *last + 1 == code => *last = code,
            _ => runs.push([code, code]),
        }
    }
    let run = |[first, last]: &[u32; 2]| {
        if first == last { format!("U+{first:X}") } else { format!("U+{first:X}-{last:X}") }
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

/// The first tag.
struct Opening {
    size: (u32, u32),
    role: &'static str,
}

impl fmt::Display for Opening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Opening { size: (width, height), role } = self;
        write!(
            formatter,
            r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}" height="{height}" viewBox="0 0 {width} {height}"{role} font-family="{}" style="font-kerning:none">"#,
            font::FAMILIES
        )
    }
}

struct Writer {
    body: String,
    names: usize,
    scale: f64,
}

impl Writer {
    fn marks(&mut self, marks: &[Mark]) -> Result<(), PictureError> {
        marks.iter().try_for_each(|mark| self.mark(mark))
    }

    fn mark(&mut self, mark: &Mark) -> Result<(), PictureError> {
        match mark {
            Mark::Words { at, degrees, text, size, bold, fill, anchor } => {
                let [x, y] = at.map(number);
                self.put(format_args!(r#"<text x="{x}" y="{y}" font-size="{}" fill="{}""#, number(*size), hex(*fill)));
                if *bold {
                    self.body.push_str(r#" font-weight="600""#);
                }
                match anchor {
                    Anchor::Start => {}
                    Anchor::Middle => self.body.push_str(r#" text-anchor="middle""#),
                    Anchor::End => self.body.push_str(r#" text-anchor="end""#),
                }
                if *degrees != 0.0 {
                    self.put(format_args!(r#" transform="rotate({} {x} {y})""#, number(*degrees)));
                }
                self.put(format_args!(">{}</text>", escape(text)));
            }
            Mark::Shape { outline, fill, stroke } => self.shape(outline, *fill, stroke.as_ref()),
            Mark::Picture { area, film } => {
                let film = film.shown([area[2], area[3]], self.scale);
                // No side of a film kept for a drawing comes near u32::MAX.
                let png = encode((film.width as u32, film.height as u32), &film.pixels, film.channels, None)?;
                let ([x, y, width, height], data) = (area.map(number), STANDARD.encode(png));
                self.put(format_args!(
                    r#"<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" xlink:href="data:image/png;base64,{data}"/>"#
                ));
            }
            Mark::Ramp { area, colours } => {
                let name = self.name();
                self.put(format_args!(r#"<linearGradient id="{name}" x1="0" y1="1" x2="0" y2="0">"#));
                for (index, colour) in colours.iter().enumerate() {
                    let offset = number(index as f64 / (colours.len().max(2) - 1) as f64);
                    self.put(format_args!(r#"<stop offset="{offset}" stop-color="{}"/>"#, hex(*colour)));
                }
                let [x, y, width, height] = area.map(number);
                self.put(format_args!(
                    r#"</linearGradient><rect x="{x}" y="{y}" width="{width}" height="{height}" fill="url(#{name})"/>"#
                ));
            }
            Mark::Clipped { area, marks } => {
                let ([x, y, width, height], name) = (area.map(number), self.name());
                self.put(format_args!(
                    r#"<clipPath id="{name}"><rect x="{x}" y="{y}" width="{width}" height="{height}"/></clipPath><g clip-path="url(#{name})">"#
                ));
                self.marks(marks)?;
                self.body.push_str("</g>");
            }
            Mark::Faint { opacity, marks } => {
                self.put(format_args!(r#"<g opacity="{}">"#, number(*opacity)));
                self.marks(marks)?;
                self.body.push_str("</g>");
            }
        }
        Ok(())
    }

    fn shape(&mut self, outline: &Outline, fill: Option<Rgb>, stroke: Option<&Stroke>) {
        match outline {
            Outline::Rect { area, round } => {
                let [x, y, width, height] = area.map(number);
                self.put(format_args!(r#"<rect x="{x}" y="{y}" width="{width}" height="{height}""#));
                if *round > 0.0 {
                    self.put(format_args!(r#" rx="{}""#, number(*round)));
                }
            }
            Outline::Circle { centre, radius } => {
                let [x, y] = centre.map(number);
                self.put(format_args!(r#"<circle cx="{x}" cy="{y}" r="{}""#, number(*radius)));
            }
            Outline::Path { points, closed } => {
                self.body.push_str(r#"<path d=""#);
                for (index, point) in points.iter().enumerate() {
                    let [x, y] = point.map(number);
                    self.put(format_args!("{}{x} {y}", if index == 0 { "M" } else { "L" }));
                }
                self.body.push_str(if *closed {
                    r#"Z" stroke-linejoin="round""#
                } else {
                    r#"" stroke-linejoin="round""#
                });
            }
        }
        self.put(format_args!(r#" fill="{}""#, fill.map_or("none".to_owned(), hex)));
        if let Some(Stroke { colour, thick, dash }) = stroke {
            self.put(format_args!(r#" stroke="{}" stroke-width="{}""#, hex(*colour), number(*thick)));
            if !dash.is_empty() {
                let dash: Vec<String> = dash.iter().copied().map(number).collect();
                self.put(format_args!(r#" stroke-dasharray="{}""#, dash.join(" ")));
            }
        }
        self.body.push_str("/>");
    }

    fn put(&mut self, text: fmt::Arguments<'_>) {
        // cannot fail: a String takes all.
        let _ = self.body.write_fmt(text);
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("{OWN}n{}", self.names)
    }
}

/// A coordinate as text: two decimals are enough for an eye.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `text` between two tags or in an attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// FNV-1a: the same for the same bytes, on every machine.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([1.0, 0.5, -0.001, 12.345, 100.0].map(number), ["1", "0.5", "0", "12.35", "100"].map(String::from));
    }

    #[test]
    fn characters_are_named_as_css_does() {
        assert_eq!(ranges(&"cab–z".chars().collect()), "U+61-63,U+7A,U+2013");
    }
}
