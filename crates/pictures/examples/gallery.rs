//! One of each picture, and of each hard case, from made-up values: `cargo run -p lungfish-pictures --example gallery -- DIR`.
#![allow(clippy::print_stdout)]

use std::{env, error::Error, fs, path::PathBuf};

use lungfish_pictures::{
    Augmented, ClassOverview, Curve, Epoch, Film, Heading, Heat, HeatPanel, HeatScale, Picture, PictureError, Print,
    Tile, Tone, classify, classify_with_heat, confusion_matrix, film_grid, film_pairs, heat_grid, learning_curves,
    overview, precision_recall, roc,
};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args().nth(1).unwrap_or_else(|| "gallery".to_owned()));
    fs::create_dir_all(&folder)?;
    for (name, picture) in pictures() {
        let picture = picture?;
        let png = picture.png()?;
        let pdf = picture.pdf(picture.width_mm())?;
        let sizes = [picture.svg().len(), png.len(), pdf.len()];
        println!("{name}: {:?}, svg, png and pdf of {sizes:?} bytes", picture.size());
        fs::write(folder.join(name).with_extension("svg"), picture.svg())?;
        fs::write(folder.join(name).with_extension("png"), png)?;
        fs::write(folder.join(name).with_extension("pdf"), pdf)?;
        // A page's width for paper, of the pictures with films in them and of one without.
        if ["films-12", "classify-2", "roc-14"].contains(&name) {
            fs::write(folder.join(format!("{name}-print.png")), picture.png_at(Print::new(180.0, Print::DPI)?)?)?;
        }
    }
    Ok(())
}

const FINDINGS: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural thickening",
    "Pneumonia",
    "Pneumothorax",
];

fn names(many: usize) -> Vec<String> {
    match many {
        2 => vec!["NORMAL".into(), "PNEUMONIA".into()],
        14 => FINDINGS.map(String::from).to_vec(),
        _ => (0..many).map(|index| format!("class {index} with a name that goes on <&\"> 🫁")).collect(),
    }
}

/// A name and what is drawn.
pub type Named = (&'static str, Result<Picture, PictureError>);

/// The gallery.
pub fn pictures() -> Vec<Named> {
    let heading = |title: &str| Heading {
        title: title.into(),
        subtitle: Some("efficientnet-lite0 at 224 pixels, 624 films of the test split, 2026-03-14".into()),
        synthetic: true,
    };
    let real = |title: &str| Heading { synthetic: false, ..heading(title) };
    let long = Heading {
        title: "A title of a run that somebody named with great care and very many words so that it needs two lines or more of it".into(),
        subtitle: Some("words ".repeat(120)),
        synthetic: true,
    };
    let two = names(2);
    let probabilities = |many: usize| -> Vec<(String, f64)> {
        names(many).into_iter().enumerate().map(|(index, name)| (name, 0.62_f64.powi(index as i32) * 0.38)).collect()
    };
    vec![
        ("curves-1", learning_curves(&heading("Learning curves"), &epochs(1, 0), Some(0))),
        ("curves-2-phases", learning_curves(&heading("Learning curves"), &epochs(5, 8), Some(11))),
        ("curves-60", learning_curves(&real("Learning curves"), &epochs(20, 40), Some(47))),
        ("curves-long-title", learning_curves(&long, &epochs(0, 3), None)),
        ("confusion-2", confusion_matrix(&heading("Confusion matrix"), &two, &[vec![198, 36], vec![6, 384]])),
        ("confusion-3", confusion_matrix(&heading("Confusion matrix"), &names(3), &counts(3))),
        ("confusion-14", confusion_matrix(&real("Confusion matrix"), &names(14), &counts(14))),
        ("confusion-50", confusion_matrix(&real("Confusion matrix"), &names(50), &counts(50))),
        ("roc-1", roc(&heading("ROC curve"), &curves(1, false))),
        ("roc-14", roc(&real("ROC curves, one class against the rest"), &curves(14, false))),
        ("roc-50", roc(&real("ROC curves, one class against the rest"), &curves(50, false))),
        ("precision-recall-1", precision_recall(&heading("Precision-recall curve"), &curves(1, true))),
        ("precision-recall-3", precision_recall(&real("Precision-recall curves"), &curves(3, true))),
        ("precision-recall-14", precision_recall(&real("Precision-recall curves"), &curves(14, true))),
        ("films-1", film_grid(&heading("One film"), &tiles(1), 4)),
        ("films-12", film_grid(&heading("Films of the test split"), &tiles(12), 4)),
        ("films-18", film_grid(&real("Worst errors, highest loss first"), &tiles(18), 6)),
        ("pairs-2", film_pairs(&heading("Preview"), "as stored", "as the network sees it", &pairs(2))),
        ("pairs-8", film_pairs(&heading("Preview"), "as stored", "as the network sees it", &pairs(8))),
        (
            "classify-2",
            classify(&heading("person1946_bacteria_4874.jpeg"), &film(640, 480, 1, 3), &probabilities(2)[..]),
        ),
        (
            "classify-sure",
            classify(
                &real("A film"),
                &film(300, 620, 1, 9),
                &[("NORMAL".into(), 0.000_03), ("PNEUMONIA".into(), 0.999_97)],
            ),
        ),
        ("classify-14", classify(&heading("A film of many findings"), &film(224, 224, 3, 5), &probabilities(14))),
        ("films-cam", heat_grid(&heading("Films with maps"), &heat_tiles(6), 3, &scale())),
        ("classify-cam", {
            let over = heat(3).over(&film(400, 400, 1, 3), scale().full);
            over.and_then(|over| {
                let panel = HeatPanel { film: &over, scale: &scale(), line: "B: +1.20, \u{2212}0.40 logits" };
                classify_with_heat(&heading("A film and its map"), &film(640, 480, 1, 3), &probabilities(2), panel)
            })
        }),
        ("overview-2", overview(&heading("chest_xray"), &classes(2))),
        ("overview-14", overview(&real("A data set of 14 findings"), &classes(14))),
        ("overview-long", overview(&long, &classes(3))),
    ]
}

/// Numbers that look random and are the same every time: 0 to 1.
fn noise(seed: usize) -> f64 {
    let mixed = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 40) as f64 / f64::from(1 << 24)
}

fn epochs(frozen: usize, unfrozen: usize) -> Vec<Epoch> {
    let steps = (1..=frozen).map(|epoch| ("frozen", epoch, 1e-3));
    let then =
        (0..=unfrozen).filter(|_| unfrozen > 0).map(|epoch| ("unfrozen", epoch, 1e-4 * 0.9_f64.powi(epoch as i32)));
    let every = steps.chain(then).enumerate().map(|(index, (phase, epoch, lr))| {
        let age = index as f64 + if phase == "unfrozen" { 3.0 } else { 0.0 };
        let train = 0.62 * (-age / 6.0).exp() + 0.03 + 0.01 * noise(index);
        let val_loss = 0.55 * (-age / 5.0).exp() + 0.09 + 0.03 * noise(index + 500) + 0.0006 * age * age.sqrt();
        Epoch {
            phase: phase.into(),
            epoch,
            train_loss: (epoch > 0).then_some(train),
            val_loss,
            train_accuracy: (epoch > 0).then_some(1.0 - train / 3.0),
            val_accuracy: 1.0 - val_loss / 2.4,
            val_auc: Some(1.0 - val_loss / 8.0),
            augmented: Some(Augmented {
                loss: val_loss * 1.4,
                accuracy: 1.0 - val_loss / 1.9,
                auc: Some(1.0 - val_loss / 5.0),
            }),
            lr,
        }
    });
    every.collect()
}

fn counts(many: usize) -> Vec<Vec<u64>> {
    let cell = |label: usize, predicted: usize| {
        let chance = noise(label * many + predicted);
        if label == predicted { 60 + (chance * 1500.0) as u64 } else { (chance.powi(6) * 90.0) as u64 }
    };
    (0..many).map(|label| (0..many).map(|predicted| cell(label, predicted)).collect()).collect()
}

fn curves(many: usize, precision: bool) -> Vec<Curve> {
    let names = if many == 1 { vec!["PNEUMONIA".to_owned()] } else { names(many) };
    let curve = |(index, name): (usize, String)| {
        let sharp = 2.0 + 12.0 * noise(index + 77);
        let prevalence = 0.1 + 0.6 * noise(index + 99);
        let mut points: Vec<[f64; 2]> = (0..=120)
            .map(|step| {
                let x = f64::from(step) / 120.0;
                let sensitivity = (1.0 - (1.0 - x).powf(sharp)).min(1.0);
                let precision =
                    prevalence * sensitivity / (prevalence * sensitivity + (1.0 - prevalence) * x).max(1e-9);
                if precision.is_nan() || step == 0 {
                    [0.0, if precision.is_nan() { 1.0 } else { 0.0 }]
                } else {
                    [x, sensitivity]
                }
            })
            .collect();
        if precision {
            points = (0..=60)
                .map(|step| {
                    let recall = f64::from(60 - step) / 60.0;
                    [
                        recall,
                        (1.0 - (1.0 - prevalence) * recall.powf(sharp) - 0.02 * noise(step as usize + index)).max(0.0),
                    ]
                })
                .collect();
        }
        Curve {
            name,
            operating: Some(points[25]),
            points,
            area: (index != 7).then_some(1.0 - 1.0 / (sharp + 1.0)),
            baseline: precision.then_some(prevalence),
        }
    };
    names.into_iter().enumerate().map(curve).collect()
}

/// Two dark lungs on a gray ground, with a bright spot.
fn film(width: usize, height: usize, channels: usize, seed: usize) -> Film {
    let mut pixels = Vec::with_capacity(width * height * channels);
    for row in 0..height {
        for column in 0..width {
            let (x, y) = (column as f64 / width as f64 - 0.5, row as f64 / height as f64 - 0.5);
            let lung = |middle: f64| (((x - middle) / 0.17).powi(2) + ((y + 0.02) / 0.34).powi(2)).min(1.6);
            let spot = (-((x + 0.2).powi(2) + (y - 0.1 * noise(seed)).powi(2)) * 90.0).exp() * 90.0 * noise(seed + 8);
            let body = 60.0 + 65.0 * lung(-0.22).min(lung(0.22)) + spot - 120.0 * (x.abs() - 0.4).max(0.0);
            let value = (body + 8.0 * noise(row * width + column)).clamp(0.0, 255.0) as u8;
            pixels.extend(std::iter::repeat_n(value, channels));
        }
    }
    Film { width, height, channels, pixels }
}

/// A map that speaks for something at its right and against it at its left.
fn heat(seed: usize) -> Heat {
    let value = |cell: usize| (cell % 7) as f32 * 0.1 - 0.25 + 0.05 * ((cell * 7 + seed) % 5) as f32;
    Heat { rows: 7, columns: 7, values: (0..49).map(value).collect() }
}

fn scale() -> HeatScale {
    HeatScale {
        full: HeatScale::full_of([&heat(0)], 0.1),
        of: "PNEUMONIA".into(),
        unit: "In logits a cell (7 x 7 cells), one scale for all films".into(),
        note: "A map shows what raised or lowered the score, and no disease.".into(),
    }
}

fn heat_tiles(many: usize) -> Vec<Tile> {
    let over = |(index, tile): (usize, Tile)| Tile {
        film: heat(index).over(&tile.film, scale().full).unwrap_or(tile.film),
        tone: Tone::Plain,
        ..tile
    };
    tiles(many).into_iter().enumerate().map(over).collect()
}

fn tiles(many: usize) -> Vec<Tile> {
    let tile = |index: usize| {
        let right = index % 3 != 1;
        Tile {
            film: film(200 + 130 * (index % 4), 420 - 40 * (index % 5), 1, index),
            lines: vec![
                format!("PNEUMONIA {:.1} %", 99.0 - index as f64 * 2.3),
                format!("true class: {}", if right { "PNEUMONIA" } else { "NORMAL" }),
            ],
            name: Some(match index {
                2 => "Ada Lovelace, second visit, taken lying down 2026-03-14.dcm".into(),
                _ => format!("person{}_bacteria_{}.jpeg", 1900 + index, 4000 + 7 * index * index * index * index),
            }),
            tone: if right { Tone::Right } else { Tone::Wrong },
        }
    };
    (0..many).map(tile).collect()
}

fn pairs(many: usize) -> Vec<(Tile, Tile)> {
    let pair = |index: usize| {
        let tile = |width, height, line: String| Tile {
            film: film(width, height, 1, index),
            lines: vec![line],
            name: None,
            tone: Tone::Plain,
        };
        (
            tile(500, 380 + 20 * index, if index.is_multiple_of(2) { "NORMAL".into() } else { "PNEUMONIA".into() }),
            tile(224, 224, "turned by 7.3°".into()),
        )
    };
    (0..many).map(pair).collect()
}

fn classes(many: usize) -> Vec<ClassOverview> {
    let class = |(index, name): (usize, String)| {
        let films = 1341 + (2534.0 * noise(index + 3)) as usize;
        let sizes = (0..150).map(|film| {
            let width = 700.0 + 1500.0 * noise(film * 31 + index * 977);
            [width as u32, (width * (0.65 + 0.3 * noise(film + 9 + index * 53))) as u32]
        });
        let bins: Vec<f64> = (0..256)
            .map(|bin| {
                let away = (f64::from(bin) - 110.0 - 9.0 * index as f64) / (38.0 + 2.0 * index as f64);
                if bin == 0 { 0.6 } else { (-away * away).exp() + 0.15 * noise(bin as usize + 300 * index) }
            })
            .collect();
        let whole: f64 = bins.iter().sum::<f64>() + if index == 0 { 8.0 } else { 0.0 };
        let intensity = bins
            .iter()
            .enumerate()
            .map(|(bin, value)| if bin == 0 && index == 0 { 8.6 / whole } else { value / whole });
        ClassOverview {
            name,
            counts: vec![("train".into(), films), ("val".into(), 8), ("test".into(), films / 6)],
            sizes: sizes.collect(),
            intensity: intensity.collect(),
        }
    };
    names(many).into_iter().enumerate().map(class).collect()
}
