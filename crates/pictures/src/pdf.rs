//! Marks as a PDF of one page.
//!
//! Texts are texts of an embedded font, which says for each glyph what character it is. Films go over as they lie in
//! their PNGs, whose compression PDF shares. Nothing depends on the time or the machine.

use std::collections::BTreeMap;

use miniz_oxide::deflate::compress_to_vec_zlib;
use pdf_writer::{
    Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr,
    types::{CidFontType, FontFlags, FunctionShadingType, LineJoinStyle, Predictor, SystemInfo, UnicodeCmap},
};

use crate::{
    Film, PictureError,
    canvas::{Anchor, Mark, Outline, Rgb, Stroke},
    encode::{PngParts, SOFTWARE, encode, parts},
    font,
    print::Print,
    subset::{Subset, subset},
    svg::{characters, fingerprint},
};

/// The highest level of compression that does not search without end.
const LEVEL: u8 = 9;
/// How far from the ends of a quarter of a circle its Bézier curve has its handles, of the radius.
const HANDLE: f32 = 0.552_285;
const IDENTITY: SystemInfo = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
const CMAP: Name = Name(b"lungfish-characters");

/// A page as wide as `print` says, with films of no more than its density.
///
/// # Errors
/// [`PictureError::Png`] if a film cannot be encoded.
pub(crate) fn write(
    (width, height): (u32, u32),
    marks: &[Mark],
    title: &str,
    print: Print,
) -> Result<Vec<u8>, PictureError> {
    let (width, height) = (f64::from(width), f64::from(height));
    let (points, dots) = (print.points() / width, print.pixels() / width);
    let mut document = Document::new(dots.max(1.0), Rect::new(0.0, 0.0, width as f32, height as f32));
    let [info, catalog, pages, page, contents] = std::array::from_fn(|_| document.id());
    // First, so that the start of the file says who made it.
    document.pdf.document_info(info).producer(TextStr(SOFTWARE[1])).title(TextStr(title));
    document.pdf.catalog(catalog).pages(pages).lang(TextStr("en"));
    document.pdf.pages(pages).kids([page]).count(1);
    let page_box = Rect::new(0.0, 0.0, (width * points) as f32, (height * points) as f32);
    let resources = document.resources;
    let mut writer = document.pdf.page(page);
    writer.parent(pages).media_box(page_box).contents(contents);
    writer.pair(Name(b"Resources"), resources);
    writer.finish();

    for (bold, font) in [(false, Name(b"F0")), (true, Name(b"F1"))] {
        let characters = characters(marks, bold);
        if let Some(subset) = subset(&characters, bold).filter(|_| !characters.is_empty()) {
            document.font(subset, bold, font);
        }
    }
    let mut content = Content::new();
    // From points upwards to pixels downwards.
    content.transform([points as f32, 0.0, 0.0, -points as f32, 0.0, (height * points) as f32]);
    content.set_line_join(LineJoinStyle::RoundJoin);
    document.marks(&mut content, marks)?;
    document.compressed(contents, &content.finish());
    Ok(document.finish())
}

/// What a page refers to by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Font,
    XObject,
    Shading,
    State,
}

struct Document {
    pdf: Pdf,
    last: i32,
    resources: Ref,
    named: Vec<(Kind, Vec<u8>, Ref)>,
    fonts: BTreeMap<bool, BTreeMap<char, u16>>,
    /// A film's pixels for one of the drawing, at most.
    dots: f64,
    /// The whole drawing.
    bounds: Rect,
}

impl Document {
    fn new(dots: f64, bounds: Rect) -> Document {
        let mut document = Document {
            pdf: Pdf::new(),
            last: 0,
            resources: Ref::new(1),
            named: Vec::new(),
            fonts: BTreeMap::new(),
            dots,
            bounds,
        };
        document.resources = document.id();
        document
    }

    fn id(&mut self) -> Ref {
        self.last += 1;
        Ref::new(self.last)
    }

    /// A new object that pages call by a name.
    fn name(&mut self, kind: Kind) -> (Ref, Vec<u8>) {
        let id = self.id();
        let name = format!("N{}", self.last).into_bytes();
        self.named.push((kind, name.clone(), id));
        (id, name)
    }

    fn compressed(&mut self, id: Ref, bytes: &[u8]) {
        self.pdf.stream(id, &compress_to_vec_zlib(bytes, LEVEL)).filter(Filter::FlateDecode);
    }

    fn finish(mut self) -> Vec<u8> {
        let mut resources = self.pdf.indirect(self.resources).dict();
        for (kind, key) in
            [(Kind::Font, "Font"), (Kind::XObject, "XObject"), (Kind::Shading, "Shading"), (Kind::State, "ExtGState")]
        {
            if self.named.iter().any(|(own, ..)| *own == kind) {
                let mut names = resources.insert(Name(key.as_bytes())).dict();
                for (_, name, id) in self.named.iter().filter(|(own, ..)| *own == kind) {
                    names.pair(Name(name), *id);
                }
            }
        }
        resources.finish();
        self.pdf.finish()
    }

    fn font(&mut self, subset: Subset, bold: bool, name: Name) {
        let [font, part, descriptor, file, unicode] = std::array::from_fn(|_| self.id());
        self.named.push((Kind::Font, name.0.to_vec(), font));
        // Six letters say that it is a part of a font, and which.
        let tag = fingerprint(&subset.file);
        let tag: String = (0..6).map(|place| char::from(b'A' + (tag >> (8 * place)) as u8 % 26)).collect();
        let base = format!("{tag}+NotoSans-{}", if bold { "SemiBold" } else { "Regular" });
        let base = Name(base.as_bytes());
        let mut writer = self.pdf.type0_font(font);
        writer.base_font(base).encoding_predefined(Name(b"Identity-H")).descendant_font(part).to_unicode(unicode);
        writer.finish();

        // In thousandths of the size.
        let scaled = |units: f32| units * 1000.0 / f32::from(subset.units.max(1));
        let mut writer = self.pdf.cid_font(part);
        writer.subtype(CidFontType::Type2).base_font(base).system_info(IDENTITY).font_descriptor(descriptor);
        writer.default_width(0.0).cid_to_gid_map_predefined(Name(b"Identity"));
        writer.widths().consecutive(0, subset.advances.iter().map(|&advance| scaled(f32::from(advance))));
        writer.finish();

        let [left, bottom, right, top] = subset.bounds.map(|units| scaled(f32::from(units)));
        let mut writer = self.pdf.font_descriptor(descriptor);
        writer.name(base).flags(FontFlags::NON_SYMBOLIC).bbox(Rect::new(left, bottom, right, top)).italic_angle(0.0);
        writer.ascent(scaled(f32::from(subset.ascent))).descent(scaled(f32::from(subset.descent)));
        // Noto Sans' capitals; its stems are about so thick.
        writer.cap_height(714.0).stem_v(if bold { 130.0 } else { 90.0 }).font_file2(file);
        writer.finish();

        let mut characters: UnicodeCmap = UnicodeCmap::new(CMAP, IDENTITY);
        let by_glyph: BTreeMap<u16, char> =
            subset.glyphs.iter().rev().map(|(&letter, &glyph)| (glyph, letter)).collect();
        for (glyph, character) in by_glyph {
            characters.pair(glyph, character);
        }
        let characters = compress_to_vec_zlib(&characters.finish(), LEVEL);
        self.pdf.cmap(unicode, &characters).name(CMAP).system_info(IDENTITY).filter(Filter::FlateDecode);
        let data = compress_to_vec_zlib(&subset.file, LEVEL);
        // No font has two gigabytes.
        self.pdf.stream(file, &data).filter(Filter::FlateDecode).pair(Name(b"Length1"), subset.file.len() as i32);
        self.fonts.insert(bold, subset.glyphs);
    }

    fn marks(&mut self, content: &mut Content, marks: &[Mark]) -> Result<(), PictureError> {
        marks.iter().try_for_each(|mark| self.mark(content, mark))
    }

    fn mark(&mut self, content: &mut Content, mark: &Mark) -> Result<(), PictureError> {
        match mark {
            Mark::Words { at, degrees, text, size, bold, fill, anchor } => {
                let Some(glyphs) = self.fonts.get(bold) else { return Ok(()) };
                let encoded: Vec<u8> =
                    text.chars().flat_map(|letter| glyphs.get(&letter).copied().unwrap_or(0).to_be_bytes()).collect();
                let before = font::width(text, *size, *bold)
                    * match anchor {
                        Anchor::Start => 0.0,
                        Anchor::Middle => 0.5,
                        Anchor::End => 1.0,
                    };
                let (sine, cosine) = degrees.to_radians().sin_cos();
                let (x, y) = (at[0] - before * cosine, at[1] - before * sine);
                let matrix = [cosine, sine, sine, -cosine, x, y].map(|value| rounded(value, 1e4));
                set_fill(content, *fill);
                content.begin_text().set_font(Name(if *bold { b"F1" } else { b"F0" }), rounded(*size, 1e3));
                content.set_text_matrix(matrix).show(Str(&encoded)).end_text();
            }
            Mark::Shape { outline, fill, stroke } => shape(content, outline, *fill, stroke.as_ref()),
            Mark::Picture { area, film } => {
                let name = self.film(&film.shown([area[2], area[3]], self.dots))?;
                let [x, y, width, height] = area.map(pixel);
                // An image is a square of one pixel with its top at 1.
                content.save_state().transform([width, 0.0, 0.0, -height, x, y + height]);
                content.x_object(Name(&name)).restore_state();
            }
            Mark::Ramp { area, colours } => {
                let [x, y, width, height] = area.map(pixel);
                let name = self.ramp([y + height, y], colours);
                content.save_state().rect(x, y, width, height).clip_nonzero().end_path();
                content.shading(Name(&name)).restore_state();
            }
            Mark::Clipped { area, marks } => {
                let [x, y, width, height] = area.map(pixel);
                content.save_state().rect(x, y, width, height).clip_nonzero().end_path();
                self.marks(content, marks)?;
                content.restore_state();
            }
            Mark::Faint { opacity, marks } => {
                // A group, so that marks over marks are no darker than one.
                let mut inner = Content::new();
                inner.set_line_join(LineJoinStyle::RoundJoin);
                self.marks(&mut inner, marks)?;
                let inner = compress_to_vec_zlib(&inner.finish(), LEVEL);
                let ((group, group_name), (state, state_name)) = (self.name(Kind::XObject), self.name(Kind::State));
                let mut form = self.pdf.form_xobject(group, &inner);
                form.filter(Filter::FlateDecode);
                form.bbox(self.bounds).pair(Name(b"Resources"), self.resources);
                form.group().transparency().isolated(true).knockout(false).color_space().device_rgb();
                form.finish();
                let opacity = rounded(*opacity, 1e3);
                self.pdf.ext_graphics(state).stroking_alpha(opacity).non_stroking_alpha(opacity);
                content.save_state().set_parameters(Name(&state_name)).x_object(Name(&group_name)).restore_state();
            }
        }
        Ok(())
    }

    /// A film as an image; gives its name.
    fn film(&mut self, film: &Film) -> Result<Vec<u8>, PictureError> {
        // No side of a film kept for a drawing comes near u32::MAX.
        let png = encode((film.width as u32, film.height as u32), &film.pixels, film.channels, None)?;
        let PngParts { palette, data } = parts(&png);
        let (id, name) = self.name(Kind::XObject);
        let mut image = self.pdf.image_xobject(id, &data);
        image.width(film.width as i32).height(film.height as i32).bits_per_component(8).interpolate(true);
        let colours = match (film.channels, palette.is_empty()) {
            (1, _) => {
                image.color_space().device_gray();
                1
            }
            (_, true) => {
                image.color_space().device_rgb();
                3
            }
            (_, false) => {
                image.color_space().indexed(Name(b"DeviceRGB"), (palette.len() / 3) as i32 - 1, &palette);
                1
            }
        };
        image.filter(Filter::FlateDecode);
        let mut how = image.decode_parms();
        how.predictor(Predictor::PngOptimum).colors(colours).bits_per_component(8).columns(film.width as i32);
        how.finish();
        Ok(name)
    }

    /// Colours from one height to another; gives their name.
    fn ramp(&mut self, [from, to]: [f32; 2], colours: &[Rgb]) -> Vec<u8> {
        let pairs: Vec<[Rgb; 2]> = match colours {
            [one] => vec![[*one; 2]],
            _ => colours.windows(2).map(|pair| [pair[0], pair[1]]).collect(),
        };
        let steps: Vec<Ref> = pairs.iter().map(|_| self.id()).collect();
        for (&id, [first, second]) in steps.iter().zip(&pairs) {
            let mut step = self.pdf.exponential_function(id);
            step.domain([0.0, 1.0]).c0(first.map(share)).c1(second.map(share)).n(1.0);
        }
        let all = self.id();
        let many = pairs.len().max(1) as f32;
        let mut function = self.pdf.stitching_function(all);
        function.domain([0.0, 1.0]).functions(steps.iter().copied());
        function.bounds((1..pairs.len()).map(|index| index as f32 / many));
        function.encode(pairs.iter().flat_map(|_| [0.0, 1.0]));
        function.finish();
        let (id, name) = self.name(Kind::Shading);
        let mut shading = self.pdf.function_shading(id);
        shading.shading_type(FunctionShadingType::Axial).coords([0.0, from, 0.0, to]).function(all);
        shading.extend([true, true]).color_space().device_rgb();
        name
    }
}

fn shape(content: &mut Content, outline: &Outline, fill: Option<Rgb>, stroke: Option<&Stroke>) {
    if fill.is_none() && stroke.is_none() {
        return;
    }
    if let Some(fill) = fill {
        set_fill(content, fill);
    }
    if let Some(Stroke { colour, thick, dash }) = stroke {
        let [red, green, blue] = colour.map(share);
        content.set_stroke_rgb(red, green, blue).set_line_width(pixel(*thick));
        content.set_dash_pattern(dash.iter().copied().map(pixel), 0.0);
    }
    match outline {
        Outline::Rect { area, round } if *round > 0.0 => round_rect(content, area.map(pixel), pixel(*round)),
        Outline::Rect { area, .. } => {
            let [x, y, width, height] = area.map(pixel);
            content.rect(x, y, width, height);
        }
        Outline::Circle { centre, radius } => {
            let ([x, y], radius) = (centre.map(pixel), pixel(*radius));
            round_rect(content, [x - radius, y - radius, 2.0 * radius, 2.0 * radius], radius);
        }
        Outline::Path { points, closed } => {
            for (index, point) in points.iter().enumerate() {
                let [x, y] = point.map(pixel);
                if index == 0 {
                    content.move_to(x, y)
                } else {
                    content.line_to(x, y)
                };
            }
            if *closed {
                content.close_path();
            }
        }
    }
    match (fill, stroke) {
        (Some(_), Some(_)) => content.fill_nonzero_and_stroke(),
        (Some(_), None) => content.fill_nonzero(),
        _ => content.stroke(),
    };
}

/// A box with round corners; with corners as large as half of it, a circle.
fn round_rect(content: &mut Content, [x, y, width, height]: [f32; 4], round: f32) {
    let round = round.min(width / 2.0).min(height / 2.0);
    let (right, bottom, away) = (x + width, y + height, round * (1.0 - HANDLE));
    content.move_to(x + round, y).line_to(right - round, y);
    content.cubic_to(right - away, y, right, y + away, right, y + round).line_to(right, bottom - round);
    content.cubic_to(right, bottom - away, right - away, bottom, right - round, bottom).line_to(x + round, bottom);
    content.cubic_to(x + away, bottom, x, bottom - away, x, bottom - round).line_to(x, y + round);
    content.cubic_to(x, y + away, x + away, y, x + round, y).close_path();
}

fn set_fill(content: &mut Content, colour: Rgb) {
    let [red, green, blue] = colour.map(share);
    content.set_fill_rgb(red, green, blue);
}

fn share(value: u8) -> f32 {
    rounded(f64::from(value) / 255.0, 1e4)
}

/// As exactly as an SVG has it.
fn pixel(value: f64) -> f32 {
    rounded(value, 1e2)
}

fn rounded(value: f64, parts: f64) -> f32 {
    ((value * parts).round() / parts) as f32
}
