//! A font cut down to the characters of one picture, small enough to travel inside it.
//!
//! Only the tables that a browser and a PDF reader ask of a TrueType font are written; features of layout (kerning) stay
//! behind, and pictures are drawn without them. The fonts are the two of `font`, whose every character is in Unicode's
//! first plane, so a character is one code unit.

use std::collections::{BTreeMap, BTreeSet};

use crate::font;

/// Tables that are taken as they are.
const KEPT: [&[u8; 4]; 3] = [b"OS/2", b"name", b"post"];
/// What all 32-bit words of a font file add up to.
const MAGIC: u32 = 0xb1b0_afba;

/// A font of a few glyphs.
pub(crate) struct Subset {
    /// A TrueType font file.
    pub file: Vec<u8>,
    /// The characters in it and their glyphs.
    pub glyphs: BTreeMap<char, u16>,
    /// How far each glyph moves the pen, in units of which [`Subset::units`] are the font's size.
    pub advances: Vec<u16>,
    /// Units a size.
    pub units: u16,
    /// The box of all glyphs in units: left, bottom, right, top.
    pub bounds: [i16; 4],
    /// Above and below the baseline in units.
    pub ascent: i16,
    pub descent: i16,
}

/// The font of one weight with these characters; `None` if the font's file is not what it should be, which the tests of
/// this module rule out for the two that there are.
pub(crate) fn subset(characters: &BTreeSet<char>, bold: bool) -> Option<Subset> {
    let source = Source::new(font::file(bold))?;
    // Old glyphs in their new order: the box of what is missing, those of the characters, the parts of which they consist.
    let mut old: Vec<u16> = vec![0];
    let mut new_of: BTreeMap<u16, u16> = BTreeMap::from([(0, 0)]);
    let mut take = |glyph: u16, old: &mut Vec<u16>| -> u16 {
        *new_of.entry(glyph).or_insert_with(|| {
            old.push(glyph);
            (old.len() - 1) as u16
        })
    };
    let mut glyphs = BTreeMap::new();
    for &character in characters.iter().filter(|&&character| u32::from(character) < 0xffff) {
        let glyph = take(font::glyph(character, bold), &mut old);
        glyphs.insert(character, glyph);
    }
    let (mut glyf, mut loca, mut hmtx, mut advances) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut next = 0;
    while let Some(&glyph) = old.get(next) {
        loca.extend(u32::try_from(glyf.len()).ok()?.to_be_bytes());
        let mut outline = source.outline(glyph)?.to_vec();
        for place in parts(&outline)? {
            let part = take(read16(&outline, place)?, &mut old);
            outline[place..place + 2].copy_from_slice(&part.to_be_bytes());
        }
        glyf.extend(outline);
        glyf.resize(glyf.len().next_multiple_of(4), 0);
        let (advance, bearing) = source.metrics(glyph)?;
        advances.push(advance);
        hmtx.extend(advance.to_be_bytes());
        hmtx.extend(bearing.to_be_bytes());
        next += 1;
    }
    loca.extend(u32::try_from(glyf.len()).ok()?.to_be_bytes());
    let many = u16::try_from(old.len()).ok()?;

    let mut head = source.table(b"head")?.to_vec();
    // The checksum is made below; offsets are long.
    head.get_mut(8..12)?.fill(0);
    head.get_mut(50..52)?.copy_from_slice(&1_u16.to_be_bytes());
    let mut hhea = source.table(b"hhea")?.to_vec();
    hhea.get_mut(34..36)?.copy_from_slice(&many.to_be_bytes());
    let mut maxp = source.table(b"maxp")?.to_vec();
    maxp.get_mut(4..6)?.copy_from_slice(&many.to_be_bytes());
    let bounds = [36, 38, 40, 42].map(|place| read16(&head, place).unwrap_or(0) as i16);
    let (units, ascent, descent) = (read16(&head, 18)?, read16(&hhea, 4)? as i16, read16(&hhea, 6)? as i16);

    let mut tables: BTreeMap<[u8; 4], Vec<u8>> = BTreeMap::new();
    for name in KEPT {
        tables.insert(*name, source.table(name)?.to_vec());
    }
    tables.extend([(*b"head", head), (*b"hhea", hhea), (*b"maxp", maxp), (*b"cmap", cmap(&glyphs))]);
    tables.extend([(*b"glyf", glyf), (*b"loca", loca), (*b"hmtx", hmtx)]);
    Some(Subset { file: written(&tables)?, glyphs, advances, units, bounds, ascent, descent })
}

/// A font file as it is read.
struct Source {
    file: &'static [u8],
    many: u16,
    long: bool,
    metrics: u16,
}

impl Source {
    fn new(file: &'static [u8]) -> Option<Source> {
        let mut source = Source { file, many: 0, long: false, metrics: 0 };
        source.many = read16(source.table(b"maxp")?, 4)?;
        source.long = read16(source.table(b"head")?, 50)? == 1;
        source.metrics = read16(source.table(b"hhea")?, 34)?;
        Some(source)
    }

    fn table(&self, name: &[u8; 4]) -> Option<&'static [u8]> {
        let many = usize::from(read16(self.file, 4)?);
        let entry = self.file.get(12..12 + 16 * many)?.chunks_exact(16).find(|entry| entry.starts_with(name))?;
        let (start, length) = (read32(entry, 8)? as usize, read32(entry, 12)? as usize);
        self.file.get(start..start.checked_add(length)?)
    }

    /// A glyph's entry of `glyf`; a blank has an empty one.
    fn outline(&self, glyph: u16) -> Option<&'static [u8]> {
        if glyph >= self.many {
            return None;
        }
        let (loca, glyph) = (self.table(b"loca")?, usize::from(glyph));
        let at = |index: usize| match self.long {
            true => read32(loca, 4 * index).map(|offset| offset as usize),
            false => read16(loca, 2 * index).map(|half| 2 * usize::from(half)),
        };
        self.table(b"glyf")?.get(at(glyph)?..at(glyph + 1)?)
    }

    /// Advance and left side bearing. Glyphs after the last full entry share its advance.
    fn metrics(&self, glyph: u16) -> Option<(u16, u16)> {
        let (hmtx, full) = (self.table(b"hmtx")?, usize::from(self.metrics));
        let glyph = usize::from(glyph);
        let advance = read16(hmtx, 4 * glyph.min(full.checked_sub(1)?))?;
        let bearing = if glyph < full { 4 * glyph + 2 } else { 4 * full + 2 * (glyph - full) };
        Some((advance, read16(hmtx, bearing)?))
    }
}

/// Where in a composite glyph the numbers of its parts stand.
fn parts(outline: &[u8]) -> Option<Vec<usize>> {
    const WORDS: u16 = 0x1;
    const SCALE: u16 = 0x8;
    const MORE: u16 = 0x20;
    const TWO_SCALES: u16 = 0x40;
    const MATRIX: u16 = 0x80;
    let mut places = Vec::new();
    if outline.is_empty() || read16(outline, 0)? as i16 >= 0 {
        return Some(places);
    }
    let mut place = 10;
    loop {
        let flags = read16(outline, place)?;
        read16(outline, place + 2)?;
        places.push(place + 2);
        place += 4 + if flags & WORDS == 0 { 2 } else { 4 };
        place += match flags & (SCALE | TWO_SCALES | MATRIX) {
            0 => 0,
            SCALE => 2,
            TWO_SCALES => 4,
            _ => 8,
        };
        if flags & MORE == 0 {
            return Some(places);
        }
    }
}

/// A table of characters: format 4 for Unicode's first plane, one segment a run of neighbours in both numbers.
fn cmap(glyphs: &BTreeMap<char, u16>) -> Vec<u8> {
    // First and last character, and what is added to a character to get its glyph.
    let mut segments: Vec<[u16; 3]> = Vec::new();
    for (&character, &glyph) in glyphs {
        let code = u32::from(character) as u16;
        let delta = glyph.wrapping_sub(code);
        match segments.last_mut() {
            Some([_, last, same]) if *same == delta && last.wrapping_add(1) == code => *last = code,
            _ => segments.push([code, code, delta]),
        }
    }
    segments.push([0xffff, 0xffff, 1]);
    let many = segments.len() as u16;
    let below = many.ilog2();
    let range = 2 << below;
    let mut table = vec![0, 0, 0, 1, 0, 3, 0, 1, 0, 0, 0, 12];
    let mut put = |value: u16| table.extend(value.to_be_bytes());
    [4, 16 + 8 * many, 0, 2 * many, range, below as u16, 2 * many - range].into_iter().for_each(&mut put);
    segments.iter().for_each(|[_, last, _]| put(*last));
    put(0);
    segments.iter().for_each(|[first, ..]| put(*first));
    segments.iter().for_each(|[.., delta]| put(*delta));
    segments.iter().for_each(|_| put(0));
    table
}

/// A font file of these tables.
fn written(tables: &BTreeMap<[u8; 4], Vec<u8>>) -> Option<Vec<u8>> {
    let many = tables.len() as u16;
    let below = many.ilog2();
    let range = 16 << below;
    let mut file = vec![0, 1, 0, 0];
    for value in [many, range, below as u16, 16 * many - range] {
        file.extend(value.to_be_bytes());
    }
    let mut start = 12 + 16 * tables.len();
    for (name, table) in tables {
        file.extend(name);
        for value in [sum(table), u32::try_from(start).ok()?, u32::try_from(table.len()).ok()?] {
            file.extend(value.to_be_bytes());
        }
        start += table.len().next_multiple_of(4);
    }
    let mut head = 0;
    for (name, table) in tables {
        if name == b"head" {
            head = file.len();
        }
        file.extend(table);
        file.resize(file.len().next_multiple_of(4), 0);
    }
    let adjustment = MAGIC.wrapping_sub(sum(&file));
    file.get_mut(head + 8..head + 12)?.copy_from_slice(&adjustment.to_be_bytes());
    Some(file)
}

/// All 32-bit words, the last filled up with zeros.
fn sum(bytes: &[u8]) -> u32 {
    let word = |bytes: &[u8]| bytes.iter().zip([24, 16, 8, 0]).map(|(byte, shift)| u32::from(*byte) << shift).sum();
    bytes.chunks(4).map(word).fold(0, |sum: u32, word| sum.wrapping_add(word))
}

fn read16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn read32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use skrifa::{
        FontRef, GlyphId, MetadataProvider,
        instance::{LocationRef, Size},
        outline::{DrawSettings, pen::SvgPen},
    };

    use super::*;

    /// A glyph's outline as words.
    fn outline(font: &FontRef, glyph: GlyphId) -> String {
        let mut pen = SvgPen::default();
        if let Some(glyph) = font.outline_glyphs().get(glyph) {
            glyph.draw(DrawSettings::unhinted(Size::unscaled(), LocationRef::default()), &mut pen).unwrap();
        }
        pen.to_string()
    }

    /// Against another reader of fonts: every character keeps its outline and its width.
    #[test]
    fn every_character_keeps_its_outline_and_its_width() {
        for bold in [false, true] {
            let whole = FontRef::new(font::file(bold)).unwrap();
            let every: BTreeSet<char> =
                whole.charmap().mappings().filter_map(|(code, _)| char::from_u32(code)).collect();
            let few: BTreeSet<char> = "Pneumonia ÅǺộ 99.9 %, – μ…\u{fffd}".chars().collect();
            for characters in [every, few] {
                let subset = subset(&characters, bold).unwrap();
                assert_eq!(sum(&subset.file), MAGIC);
                let cut = FontRef::new(&subset.file).unwrap();
                let advance = |font: &FontRef, glyph| {
                    font.glyph_metrics(Size::unscaled(), LocationRef::default()).advance_width(glyph).unwrap()
                };
                for &character in &characters {
                    let (before, after) =
                        (whole.charmap().map(character).unwrap(), cut.charmap().map(character).unwrap());
                    assert_eq!(after.to_u32(), u32::from(subset.glyphs[&character]));
                    assert_eq!(outline(&whole, before), outline(&cut, after), "{character:?}");
                    assert_eq!(advance(&whole, before), advance(&cut, after));
                    assert_eq!(f32::from(subset.advances[after.to_u32() as usize]), advance(&cut, after));
                }
                assert_eq!(cut.charmap().map('Ж').is_some(), characters.contains(&'Ж'));
            }
        }
    }

    #[test]
    fn a_picture_of_plain_words_carries_little() {
        let letters: BTreeSet<char> = (' '..='~').collect();
        let file = subset(&letters, false).unwrap().file;
        assert!(file.len() < 20_000, "{}", file.len());
        assert!(subset(&BTreeSet::new(), true).unwrap().file.len() < 4_000);
    }
}
