//! What must hold for every picture: it stands alone, it is not cut off, and nothing given to it makes it fail.

use std::{io::Cursor, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lungfish_pictures::{
    Augmented, Benefit, ClassOverview, Curve, Epoch, Film, Heading, Heat, HeatPanel, HeatScale, Picture, PictureError,
    Print, ReliabilityBin, Tile, Tone, classify, classify_with_heat, confusion_matrix, decision_curve, film_grid,
    film_pairs, heat_grid, learning_curves, overview, precision_recall, reliability, roc,
};
use proptest::prelude::*;
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{self, fontdb, roxmltree},
};
use skrifa::MetadataProvider;

#[allow(dead_code)]
#[path = "../examples/gallery.rs"]
mod gallery;

/// Nothing but white lies so close to the edge.
const EDGE: usize = 14;

struct Pixels {
    width: usize,
    height: usize,
    rgb: Vec<[u8; 3]>,
    density: Option<u32>,
}

impl Pixels {
    fn of(picture: &Picture) -> Pixels {
        Pixels::decoded(&picture.png().unwrap())
    }

    fn decoded(file: &[u8]) -> Pixels {
        let mut decoder = png::Decoder::new(Cursor::new(file));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        let density = reader.info().pixel_dims.map(|density| density.xppu);
        let rgb = bytes.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Pixels { width: info.width as usize, height: info.height as usize, rgb, density }
    }

    /// As [`Pixels::of`] without the way through a PNG, and from the SVG, with the fonts in it and no other.
    fn drawn(picture: &Picture) -> Pixels {
        let mut options = usvg::Options::default();
        for font in fonts(picture.svg()) {
            options.fontdb_mut().load_font_data(font);
        }
        let tree = usvg::Tree::from_str(picture.svg(), &options).unwrap();
        let (width, height) = picture.size();
        assert_eq!((tree.size().width(), tree.size().height()), (width as f32, height as f32));
        let mut pixmap = Pixmap::new(width, height).unwrap();
        resvg::render(&tree, Transform::default(), &mut pixmap.as_mut());
        let rgb = pixmap.data().chunks_exact(4).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Pixels { width: width as usize, height: height as usize, rgb, density: None }
    }

    fn count(&self, colour: [u8; 3]) -> usize {
        self.rgb.iter().filter(|pixel| **pixel == colour).count()
    }

    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        self.rgb[y * self.width + x]
    }

    /// Whether the outermost pixels are white: what is cut off would touch them.
    fn has_margins(&self) -> bool {
        let edge = |x: usize, y: usize| x < EDGE || y < EDGE || x >= self.width - EDGE || y >= self.height - EDGE;
        (0..self.height).all(|y| (0..self.width).all(|x| !edge(x, y) || self.at(x, y) == [255; 3]))
    }
}

/// The font files inside an SVG.
fn fonts(svg: &str) -> Vec<Vec<u8>> {
    let sources = svg.split("url(data:font/ttf;base64,").skip(1);
    sources.map(|rest| STANDARD.decode(rest.split_once(')').unwrap().0).unwrap()).collect()
}

/// The texts of an SVG that are seen, in the order drawn.
fn texts(picture: &Picture) -> Vec<String> {
    let document = roxmltree::Document::parse(picture.svg()).unwrap();
    let texts = document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")));
    texts.map(|node| node.text().unwrap().to_owned()).collect()
}

/// The gallery with its PNGs, which take a while, made once.
fn gallery() -> &'static [(&'static str, Picture, Vec<u8>)] {
    static GALLERY: OnceLock<Vec<(&'static str, Picture, Vec<u8>)>> = OnceLock::new();
    GALLERY.get_or_init(|| {
        let drawn = gallery::pictures().into_iter().map(|(name, picture)| (name, picture.unwrap()));
        drawn.map(|(name, picture)| (name, picture.clone(), picture.png().unwrap())).collect()
    })
}

/// Whether the SVG is well formed, of the stated size, with the characters of its texts and without anything outside
/// itself.
fn stands_alone(picture: &Picture) {
    let document = roxmltree::Document::parse(picture.svg()).unwrap();
    let root = document.root_element();
    let (width, height) = picture.size();
    assert_eq!(root.attribute("viewBox"), Some(format!("0 0 {width} {height}").as_str()));
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        assert!(!["tspan", "script", "foreignObject"].contains(&node.tag_name().name()));
        if node.tag_name().name() == "style" {
            let rules = node.text().unwrap();
            assert!(rules.matches("url(").count() == rules.matches("url(data:font/ttf;base64,").count(), "{rules}");
            assert!(rules.matches('{').count() == rules.matches("@font-face{font-family:'Noto Sans';").count());
        }
        for attribute in node.attributes() {
            let value = attribute.value();
            if attribute.name() == "href" {
                assert!(value.starts_with("data:image/png;base64,"), "{}", &value[..value.len().min(60)]);
            }
            if let Some((_, after)) = value.split_once("url(") {
                assert!(after.starts_with('#'), "{value}");
            }
        }
    }
    assert!(root.first_element_child().is_some_and(|first| first.tag_name().name() == "title"));
    assert!(root.attribute("font-family").unwrap().starts_with("'Noto Sans', "));
    // Each weight has every character that is drawn in it: nothing falls back to a font of the system.
    let mut faces = fontdb::Database::new();
    fonts(picture.svg()).into_iter().for_each(|font| faces.load_font_data(font));
    for node in document.descendants().filter(|node| node.tag_name().name() == "text") {
        let bold = node.attribute("font-weight") == Some("600");
        let face = faces.faces().find(|face| (face.weight == fontdb::Weight::SEMIBOLD) == bold).unwrap();
        let lacking = faces.with_face_data(face.id, |data, index| {
            let characters = skrifa::FontRef::from_index(data, index).unwrap().charmap();
            node.text().unwrap().chars().find(|&character| characters.map(character).is_none())
        });
        assert_eq!(lacking, Some(None), "{:?}", node.text());
    }
}

fn heading() -> Heading {
    Heading { title: "A picture".into(), subtitle: Some("of something".into()), synthetic: false }
}

fn gray(value: u8, side: usize) -> Film {
    Film { width: side, height: side, channels: 1, pixels: vec![value; side * side] }
}

fn tile(film: Film, tone: Tone) -> Tile {
    Tile { film, lines: vec!["a line".into()], name: None, tone }
}

/// One of each picture with these names in it.
fn named(names: &[String]) -> Vec<Result<Picture, PictureError>> {
    let heading = Heading { title: names[0].clone(), subtitle: Some(names.concat()), synthetic: true };
    let n = names.len();
    let counts: Vec<Vec<u64>> =
        (0..n).map(|row| (0..n).map(|column| (row * n + column) as u64 * 997).collect()).collect();
    let curves: Vec<Curve> = names
        .iter()
        .map(|name| Curve {
            name: name.clone(),
            points: vec![[0.0, 0.0], [0.1, 0.8], [1.0, 1.0]],
            area: Some(0.85),
            operating: Some([0.1, 0.8]),
            baseline: Some(0.3),
        })
        .collect();
    let classes: Vec<ClassOverview> = names
        .iter()
        .map(|name| ClassOverview {
            name: name.clone(),
            counts: names.iter().take(4).map(|side| (side.clone(), 12_345_678)).collect(),
            sizes: vec![[400, 300], [1200, 900]],
            intensity: vec![1.0 / 256.0; 256],
        })
        .collect();
    let epochs: Vec<Epoch> = names
        .iter()
        .map(|name| Epoch {
            phase: name.clone(),
            epoch: 1,
            train_loss: Some(0.5),
            val_loss: 0.4,
            train_accuracy: Some(0.8),
            val_accuracy: 0.9,
            val_auc: None,
            augmented: None,
            lr: 1e-3,
        })
        .collect();
    let probabilities: Vec<(String, f64)> = names.iter().map(|name| (name.clone(), 0.5)).collect();
    let tiles: Vec<Tile> = names
        .iter()
        .map(|name| Tile {
            film: gray(90, 40),
            lines: vec![name.clone(); 2],
            name: Some(name.clone()),
            tone: Tone::Wrong,
        })
        .collect();
    let pairs: Vec<(Tile, Tile)> = tiles.iter().map(|tile| (tile.clone(), tile.clone())).collect();
    vec![
        learning_curves(&heading, &epochs, Some(0)),
        confusion_matrix(&heading, names, &counts),
        roc(&heading, &curves),
        precision_recall(&heading, &curves),
        reliability(
            &heading,
            &names[n - 1],
            &[ReliabilityBin { probability: 0.5, share: 0.6, interval: [0.4, 0.8], films: 9 }],
            &names[..n.min(2)],
        ),
        decision_curve(
            &heading,
            &names[n - 1],
            &[Benefit { threshold: 0.0, model: 0.5, all: 0.5 }, Benefit { threshold: 0.9, model: 0.2, all: -4.0 }],
        ),
        film_grid(&heading, &tiles, 5),
        film_pairs(&heading, &names[0], &names[n - 1], &pairs),
        classify(&heading, &gray(90, 300), &probabilities),
        overview(&heading, &classes),
    ]
}

#[test]
fn every_picture_stands_alone_and_keeps_its_margins() {
    for (name, picture, png) in gallery() {
        stands_alone(picture);
        let pixels = Pixels::decoded(png);
        assert_eq!((pixels.width as u32, pixels.height as u32), picture.size(), "{name}");
        assert_eq!(pixels.density, Some(5_669), "{name}");
        assert!(pixels.has_margins(), "{name} is cut off");
        let ink = pixels.rgb.iter().filter(|pixel| **pixel != [255; 3]).count();
        assert!(ink * 50 > pixels.rgb.len(), "{name} is nearly blank");
        let title = pixels.rgb[..50 * pixels.width].iter().filter(|pixel| **pixel == [0x1a; 3]).count();
        assert!(title > 100, "{name} has no title");
    }
}

#[test]
fn the_svg_and_the_png_are_the_same_drawing() {
    for (name, picture, png) in gallery() {
        let (drawn, pixels) = (Pixels::drawn(picture), Pixels::decoded(png));
        let far = drawn
            .rgb
            .iter()
            .zip(&pixels.rgb)
            .filter(|(left, right)| left.iter().zip(right.iter()).any(|(left, right)| left.abs_diff(*right) > 32))
            .count();
        assert!(far * 5_000 < pixels.rgb.len(), "{name}: {far} of {} pixels differ", pixels.rgb.len());
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for (index, ((name, first, png), (_, second))) in gallery().iter().zip(gallery::pictures()).enumerate() {
        let second = second.unwrap();
        assert_eq!(first.svg(), second.svg(), "{name}");
        assert!(!index.is_multiple_of(4) || *png == second.png().unwrap(), "{name}");
    }
}

#[test]
fn names_of_any_kind_are_drawn_within_the_margins() {
    let long = "pneumonia with a pleural effusion of unknown origin ".repeat(8);
    let kinds: [&[&str]; 4] = [
        &["<script>alert(\"&amp;\")</script>", "]]>", "a'b\"c", "&#0;"],
        &["🫁🩻", "\u{0}\u{1b}[31m\n\t", "\u{202e}reversed", "", "肺炎", "Ångström naïve Ελληνικά"],
        &[&long, "W".repeat(200).leak(), "i".repeat(10_000).leak()],
        &[
            "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
            "20",
        ],
    ];
    for names in kinds {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        for (index, picture) in named(&names).into_iter().enumerate() {
            let picture = picture.unwrap();
            stands_alone(&picture);
            assert!(Pixels::drawn(&picture).has_margins(), "picture {index} of {:?}", names[0]);
        }
    }
}

#[test]
fn texts_can_be_selected_and_searched() {
    let classes = ["NORMAL".to_owned(), "<b>&\"".to_owned()];
    let picture = confusion_matrix(&heading(), &classes, &[vec![198, 36], vec![6, 384]]).unwrap();
    let texts = texts(&picture);
    for wanted in ["A picture", "of something", "NORMAL", "<b>&\"", "198", "84.6 %", "true class"] {
        assert!(texts.iter().any(|text| text == wanted), "{wanted} in {texts:?}");
    }
    assert!(picture.svg().len() < 40_000, "{}", picture.svg().len());
}

#[test]
fn pictures_in_one_page_share_no_names() {
    let names = |picture: &Picture| -> Vec<String> {
        let document = roxmltree::Document::parse(picture.svg()).unwrap();
        document.descendants().filter_map(|node| node.attribute("id").map(str::to_owned)).collect()
    };
    let matrix = |count| confusion_matrix(&heading(), &["a".into()], &[vec![count]]).unwrap();
    let (first, second) = (names(&matrix(1)), names(&matrix(2)));
    assert!(!first.is_empty() && first.iter().all(|name| !second.contains(name)), "{first:?} {second:?}");
}

#[test]
fn a_print_has_the_pixels_of_its_width_and_says_so() {
    // Lines one pixel wide: they are lost at the size of the screen and there on paper.
    let pixels: Vec<u8> = (0..600 * 600).map(|at| if at % 2 == 0 { 20 } else { 220 }).collect();
    let film = Film { width: 600, height: 600, channels: 1, pixels };
    let picture = film_grid(&heading(), &[tile(film, Tone::Plain)], 1).unwrap();
    let print = |width, dpi| Pixels::decoded(&picture.png_at(Print::new(width, dpi).unwrap()).unwrap());
    let paper = print(110.0, 300);
    let (width, height) = picture.size();
    assert_eq!((paper.width, paper.density), (1299, Some(11_811)));
    assert_eq!(paper.height, (1299.0 * f64::from(height) / f64::from(width)).round() as usize);
    assert!(paper.has_margins());
    let screen = Pixels::of(&picture);
    let contrast = |pixels: &Pixels| {
        let y = pixels.height / 2;
        let row: Vec<u8> = (0..pixels.width).map(|x| pixels.at(x, y)[0]).filter(|&value| value < 230).collect();
        row.iter().max().unwrap() - row.iter().min().unwrap()
    };
    assert!(contrast(&paper) > 2 * contrast(&screen), "{} and {}", contrast(&paper), contrast(&screen));
    // As it is on the screen, at the density that it has by itself.
    assert_eq!(print(picture.width_mm(), 144).rgb, screen.rgb);
    let refused = |width, dpi| picture.png_at(Print::new(width, dpi).unwrap()).unwrap_err().to_string();
    assert!(refused(2000.0, 2400).contains("16384 a side"));
}

#[test]
fn a_tile_says_the_name_of_its_file_where_it_is_given() {
    let named = |name: Option<&str>, lines: usize| {
        let tile = Tile { lines: vec!["NORMAL 98 %".into(); lines], ..tile(gray(100, 50), Tone::Right) };
        film_grid(&heading(), &[Tile { name: name.map(str::to_owned), ..tile }], 1).unwrap()
    };
    let (without, with) = (named(None, 1), named(Some("IM-0001.jpeg"), 1));
    assert_eq!(texts(&with).len(), texts(&without).len() + 1);
    assert!(texts(&with).contains(&"IM-0001.jpeg".to_owned()));
    assert!(with.size().1 > without.size().1, "the name has a line of its own");
    // What tells two names apart is at their ends.
    let long = format!("{} {}.jpeg", "a very long name ".repeat(20), 4711);
    let texts = texts(&named(Some(&long), 2));
    assert!(texts.iter().any(|text| text.starts_with("a very") && text.contains('…') && text.ends_with(" 4711.jpeg")));
    // A name alone stands clear of the mark.
    assert!(Pixels::of(&named(Some("IM-0001.jpeg"), 0)).has_margins());
}

#[test]
fn synthetic_films_are_called_synthetic_and_real_ones_are_not() {
    let badge = [0xfd, 0xee, 0xe2];
    for synthetic in [true, false] {
        let heading = Heading { synthetic, ..heading() };
        let picture = classify(&heading, &gray(100, 64), &[("a".into(), 1.0)]).unwrap();
        assert_eq!(Pixels::of(&picture).count(badge) > 1000, synthetic);
        assert_eq!(picture.svg().contains("Synthetic films, not real ones"), synthetic);
        assert!(picture.svg().contains("a research tool, not a diagnosis"));
    }
}

#[test]
fn a_film_is_shown_whole_and_unchanged() {
    // 220 x 110, left half dark and right half light, in a tile of 340: enlarged to 340 x 170.
    let pixels: Vec<u8> = (0..110 * 220).map(|at| if at % 220 < 110 { 30 } else { 222 }).collect();
    let film = Film { width: 220, height: 110, channels: 1, pixels };
    let picture = film_grid(&heading(), &[tile(film.clone(), Tone::Plain)], 1).unwrap();
    let shown = Pixels::of(&picture);
    for value in [30, 222] {
        let count = shown.count([value; 3]);
        assert!((170 * 165..=170 * 171).contains(&count), "{count} of {value}");
    }
    // Wide films leave no room empty above and below them.
    let four = film_grid(&heading(), &vec![tile(film, Tone::Plain); 4], 2).unwrap();
    assert!(four.size().1 < 580, "{:?}", four.size());
    // Colours stay, and a film larger than its tile is made smaller.
    let red = Film { width: 900, height: 900, channels: 3, pixels: [200, 10, 60].repeat(900 * 900) };
    let picture = film_grid(&heading(), &[tile(red, Tone::Plain)], 1).unwrap();
    assert_eq!(Pixels::of(&picture).count([200, 10, 60]), 340 * 340);
    assert!(picture.svg().len() < 400_000, "a film is embedded no larger than it is shown");
}

#[test]
fn right_and_wrong_differ_without_colour() {
    let (green, vermillion) = ("#009e73", "#d55e00");
    let svg = |tone| film_grid(&heading(), &[tile(gray(100, 50), tone)], 1).unwrap().svg().to_owned();
    let (plain, right, wrong) = (svg(Tone::Plain), svg(Tone::Right), svg(Tone::Wrong));
    assert!(right.contains(green) && !right.contains(vermillion));
    assert!(wrong.contains(vermillion) && !wrong.contains(green));
    assert!(!plain.contains(green) && !plain.contains(vermillion));
    let paths = |svg: &str| svg.matches("<path").count();
    assert_ne!(paths(&right), paths(&wrong), "a tick is one stroke, a cross is two");
}

#[test]
fn the_matrix_is_shaded_by_the_share_of_the_true_class() {
    let classes = ["a".to_owned(), "b".to_owned()];
    // 1,000 of 1,000 and 3 of 3 are equally dark.
    let picture = confusion_matrix(&heading(), &classes, &[vec![1000, 0], vec![0, 3]]).unwrap();
    let pixels = Pixels::of(&picture);
    let (dark, light) = (pixels.count([8, 48, 107]), pixels.count([247, 251, 255]));
    assert!(dark > 2 * 170 * 150 && dark < 2 * 170 * 170, "{dark}");
    assert!(light > 2 * 170 * 150 && light < 2 * 170 * 171, "{light}");
    // A class without films has no share.
    let picture = confusion_matrix(&heading(), &classes, &[vec![0, 0], vec![0, 3]]).unwrap();
    assert!(Pixels::of(&picture).count([0xee; 3]) > 2 * 170 * 150);
}

#[test]
fn a_curve_passes_where_its_points_say() {
    let curve =
        Curve { name: "a".into(), points: vec![[0.0, 0.0], [0.0, 0.5], [1.0, 0.5], [1.0, 1.0]], ..Curve::default() };
    let pixels = Pixels::of(&roc(&heading(), &[curve]).unwrap());
    let blue = [0x00, 0x72, 0xb2];
    let rows: Vec<usize> =
        (0..pixels.height).filter(|&y| (0..700).filter(|&x| pixels.at(x, y) == blue).count() > 500).collect();
    // The plot is 600 pixels high and begins below the heading; its middle row is the sensitivity of 0.5.
    assert!((2..=3).contains(&rows.len()) && rows[0] > 380 && rows[0] < 430, "{rows:?}");
}

#[test]
fn bars_are_as_long_as_their_probabilities() {
    let probabilities = [("rare".to_owned(), 0.25), ("often".to_owned(), 0.75), ("none".to_owned(), f64::NAN)];
    let pixels = Pixels::of(&classify(&heading(), &gray(50, 100), &probabilities).unwrap());
    let length = |colour: [u8; 3]| {
        (0..pixels.height).map(|y| (0..pixels.width).filter(|&x| pixels.at(x, y) == colour).count()).max().unwrap()
    };
    assert_eq!((length([0x00, 0x72, 0xb2]), length([0x8f, 0xa3, 0xb3])), (285, 95));
}

#[test]
fn what_cannot_be_drawn_is_refused_in_words() {
    let said = |picture: Result<Picture, PictureError>| picture.unwrap_err().to_string();
    assert_eq!(said(learning_curves(&heading(), &[], None)), "a picture of learning curves needs at least one epoch");
    assert_eq!(said(roc(&heading(), &[])), "a picture of ROC curves needs at least one curve");
    assert_eq!(said(reliability(&heading(), "A", &[], &[])), "a picture of reliability needs at least one bin");
    assert_eq!(
        said(decision_curve(&heading(), "A", &[])),
        "a picture of a decision curve needs at least one threshold"
    );
    assert_eq!(said(film_grid(&heading(), &[], 3)), "a picture of films needs at least one film");
    let counts = said(confusion_matrix(&heading(), &["a".into(), "b".into()], &[vec![1, 2], vec![3]]));
    assert_eq!(counts, "a confusion matrix of 2 classes needs 2 rows of 2 counts");
    let film = Film { width: 3, height: 2, channels: 2, pixels: vec![0; 12] };
    let film = said(classify(&heading(), &film, &[("a".into(), 1.0)]));
    assert!(film.starts_with("a film of 3 x 2 pixels with 2 channels cannot be drawn from 12 bytes"), "{film}");
    let classes = vec![String::new(); 600];
    assert!(said(confusion_matrix(&heading(), &classes, &vec![vec![0; 600]; 600])).contains("draw fewer at a time"));
    let many = vec![tile(gray(9, 2), Tone::Plain); 300];
    assert!(said(film_grid(&heading(), &many, 1)).contains("16384 a side, so draw fewer at a time"));
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..1.0_f64,
        2 => any::<f64>(),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, 1e300, 1e-320, f64::MAX]),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![any::<char>(), prop::char::range(' ', '~')], 0..30)
        .prop_map(|letters| letters.into_iter().collect())
}

fn epoch() -> impl Strategy<Value = Epoch> {
    let figures = (
        prop::option::of(number()),
        number(),
        prop::option::of(number()),
        number(),
        prop::option::of(number()),
        number(),
    );
    (prop::sample::select(vec!["frozen", "unfrozen", ""]), prop_oneof![0..9_usize, any::<usize>()], figures).prop_map(
        |(phase, epoch, (train_loss, val_loss, train_accuracy, val_accuracy, val_auc, lr))| Epoch {
            phase: phase.into(),
            epoch,
            train_loss,
            val_loss,
            train_accuracy,
            val_accuracy,
            val_auc,
            augmented: val_auc.map(|auc| Augmented { loss: val_loss, accuracy: val_accuracy, auc: Some(auc) }),
            lr,
        },
    )
}

fn point() -> impl Strategy<Value = [f64; 2]> {
    [number(), number()]
}

fn curve() -> impl Strategy<Value = Curve> {
    let points = prop::collection::vec(point(), 0..12);
    (text(), points, prop::option::of(number()), prop::option::of(point()), prop::option::of(number()))
        .prop_map(|(name, points, area, operating, baseline)| Curve { name, points, area, operating, baseline })
}

fn class() -> impl Strategy<Value = ClassOverview> {
    let counts = prop::collection::vec((text(), prop_oneof![0..9_usize, any::<usize>()]), 0..7);
    let sizes = prop::collection::vec((any::<u32>(), 0..3000_u32).prop_map(|(width, height)| [width, height]), 0..9);
    let intensity = prop_oneof![prop::collection::vec(number(), 0..4), prop::collection::vec(number(), 256)];
    (text(), counts, sizes, intensity).prop_map(|(name, counts, sizes, intensity)| ClassOverview {
        name,
        counts,
        sizes,
        intensity,
    })
}

/// A drawing or an error in words, and never one that reaches into the margins.
fn sound(picture: Result<Picture, PictureError>) {
    match picture {
        Ok(picture) => {
            stands_alone(&picture);
            assert!(Pixels::drawn(&picture).has_margins());
        }
        Err(PictureError::Svg(error)) => panic!("{error}"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_run_breaks_the_learning_curves(epochs in prop::collection::vec(epoch(), 0..9), best in prop::option::of(0..12_usize)) {
        sound(learning_curves(&heading(), &epochs, best));
    }

    #[test]
    fn no_counts_break_the_matrix(
        (names, counts) in (1..9_usize).prop_flat_map(|n| {
            let count = prop_oneof![0..99_u64, any::<u64>()];
            (prop::collection::vec(text(), n), prop::collection::vec(prop::collection::vec(count, n), n))
        })
    ) {
        sound(confusion_matrix(&heading(), &names, &counts));
    }

    #[test]
    fn no_points_break_the_curves(curves in prop::collection::vec(curve(), 0..8)) {
        sound(roc(&heading(), &curves));
        sound(precision_recall(&heading(), &curves));
    }

    #[test]
    fn no_film_breaks_a_picture_of_films(
        (width, height, channels, pixels) in (0..70_usize, 0..70_usize, 0..5_usize).prop_flat_map(|(width, height, channels)| {
            (Just(width), Just(height), Just(channels), prop::collection::vec(any::<u8>(), width * height * channels))
        }),
        columns in any::<usize>(),
        lines in prop::collection::vec(text(), 0..4),
        name in prop::option::of(text()),
        shares in prop::collection::vec((text(), number()), 0..13),
    ) {
        let film = Film { width, height, channels, pixels };
        let tile = Tile { film, lines, name, tone: Tone::Right };
        sound(film_grid(&heading(), &vec![tile.clone(); 3], columns));
        sound(film_pairs(&heading(), "a", "b", &vec![(tile.clone(), tile.clone()); 5]));
        sound(classify(&heading(), &tile.film, &shares));
        let line = tile.lines.first().cloned().unwrap_or_default();
        let full = shares.first().map_or(0.1, |(_, share)| *share);
        let scale = HeatScale { full, of: line.clone(), unit: line.clone(), note: line.clone() };
        let values: Vec<f32> = shares.iter().map(|(_, share)| *share as f32).collect();
        sound(heat_grid(&heading(), &vec![tile.clone(); 3], columns, &scale));
        let over = Heat { rows: 1, columns: values.len(), values }.over(&tile.film, full);
        sound(over.and_then(|film| {
            let panel = HeatPanel { film: &film, scale: &scale, line: &line };
            classify_with_heat(&heading(), &tile.film, &shares, panel)
        }));
    }

    #[test]
    fn no_data_set_breaks_its_overview(title in text(), classes in prop::collection::vec(class(), 0..5)) {
        sound(overview(&Heading { title, ..heading() }, &classes));
    }
}
