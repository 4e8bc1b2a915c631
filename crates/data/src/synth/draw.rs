//! One synthetic film. Places are shares of the film's width and height, brightness is 0 (black) to 1.

use rand::Rng;

use super::plan::{Clouds, SyntheticFilm};
use crate::decode::{Channels, Image};
use crate::keys;
use crate::random::{below, between, keyed, unit};

/// What a patient's films have in common.
struct Chest {
    /// Half width and half height of the chest's inside.
    half: (f32, f32),
    /// The middle of the spine.
    middle: f32,
    heart: f32,
    /// How far the domes of the diaphragm rise, right and left lung.
    domes: [f32; 2],
    rib_spacing: f32,
    rib_slope: f32,
    rib_light: f32,
    vessels: f32,
    /// Random values on a grid, from which its noise is woven.
    texture: Vec<f32>,
}

/// Values in [`Chest::texture`], a power of two.
const TEXTURE: usize = 4096;

/// How much wider and higher than its patient's a large heart is.
const LARGE_HEART: f32 = 1.45;

/// A cloud in a lung: what pneumonia looks like here.
struct Cloud {
    at: (f32, f32),
    size: (f32, f32),
    density: f32,
}

/// Draws the film; the same seed and film give the same picture.
pub(super) fn draw(film: &SyntheticFilm, seed: u64) -> Image {
    let mut patient = keyed(keys::synth_patient(seed, film.patient));
    let mut chest = Chest::new(&mut patient);
    if film.large_heart {
        chest.heart *= LARGE_HEART;
    }
    let mut clouds: Vec<Cloud> = film.clouds.iter().flat_map(|kind| clouds(*kind, &chest, &mut patient)).collect();

    let mut rng = keyed(keys::synth_film(seed, film.number));
    let mut vary = |low: f32, high: f32| between(&mut rng, low.into(), high.into()) as f32;
    // Another day: the clouds have moved a little, grown or faded.
    let day = vary(0.75, 1.15);
    for cloud in &mut clouds {
        cloud.density *= day;
        cloud.at = (cloud.at.0 + vary(-0.01, 0.01), cloud.at.1 + vary(-0.01, 0.01));
    }
    let width = vary(320.0, 520.0) as usize;
    let height = (width as f32 * vary(0.72, 1.0)) as usize;
    // How the patient stood and how the film was exposed.
    let (turn, zoom) = (vary(-0.06, 0.06), vary(0.92, 1.08));
    let shift = (vary(-0.03, 0.03), vary(-0.03, 0.03));
    let (gamma, black, white) = (vary(0.8, 1.25), vary(0.0, 0.08), vary(0.82, 1.0));
    let noise = vary(0.008, 0.02);
    let (sin, cos) = turn.sin_cos();

    let mut image = Image::black(width, height, Channels::Gray);
    for (i, pixel) in image.pixels.iter_mut().enumerate() {
        let (x, y) = ((i % width) as f32 / width as f32 - 0.5, (i / width) as f32 / height as f32 - 0.5);
        let (u, v) = ((x * cos - y * sin) / zoom + shift.0 + 0.5, (x * sin + y * cos) / zoom + shift.1 + 0.5);
        let light = chest.light(u, v, &clouds).clamp(0.0, 1.0).powf(gamma);
        // Two uniform numbers make a tent, close enough to the grain of a film.
        let grain = (unit(&mut rng) + unit(&mut rng) - 1.0) as f32 * noise * 2.4;
        *pixel = ((black + (white - black) * light + grain) * 255.0).clamp(0.0, 255.0) as u8;
    }
    stamp(&mut image);
    image
}

impl Chest {
    fn new(rng: &mut impl Rng) -> Self {
        let texture = (0..TEXTURE).map(|_| unit(rng) as f32).collect();
        let mut vary = |low: f32, high: f32| between(rng, low.into(), high.into()) as f32;
        Self {
            half: (vary(0.34, 0.40), vary(0.33, 0.39)),
            middle: vary(0.49, 0.51),
            heart: vary(0.85, 1.15),
            domes: [vary(0.05, 0.10), vary(0.03, 0.08)],
            rib_spacing: vary(0.070, 0.088),
            rib_slope: vary(0.25, 0.55),
            rib_light: vary(0.05, 0.11),
            vessels: vary(0.05, 0.12),
            texture,
        }
    }

    /// How much of a lung is at a place (0 to 1), for the lung on the film's left (0) or right (1).
    fn lung(&self, side: usize, u: f32, v: f32) -> f32 {
        let sign = if side == 0 { -1.0 } else { 1.0 };
        // From the middle outwards, and from the middle of the chest downwards; both 1 at the wall.
        let across = (u - self.middle) * sign / self.half.0;
        let down = (v - 0.47) / self.half.1;
        // The wall narrows towards the top, where the lung ends round.
        let wall = (1.0 - (0.22 - down * 0.22).max(0.0).powi(2) * 1.6) * (1.0 - (-down - 0.55).max(0.0).powi(2) * 1.3);
        let inner = if side == 0 { 0.17 } else { 0.20 + 0.10 * (down + 0.1).max(0.0) };
        let top = smooth(-1.02, -0.86, down + 0.35 * (across - 0.5).powi(2));
        let floor = 0.98 - self.domes[side] * 6.0 * (1.0 - ((across - 0.50) / 0.5).powi(2)) * 0.5;
        let bottom = 1.0 - smooth(floor - 0.03, floor + 0.03, down);
        smooth(inner - 0.03, inner + 0.05, across) * (1.0 - smooth(wall - 0.06, wall + 0.02, across)) * top * bottom
    }

    fn light(&self, u: f32, v: f32, clouds: &[Cloud]) -> f32 {
        let off = u - self.middle;

        // The air beside neck and arms.
        let shoulder = 0.10 + 0.55 * (off.abs() - 0.13).max(0.0);
        let body = smooth(shoulder - 0.10, shoulder + 0.06, v + 0.12) * (1.0 - smooth(0.44, 0.52, off.abs() - 0.03));
        if body <= 0.0 {
            return 0.02;
        }
        let lungs = self.lung(usize::from(off > 0.0), u, v);
        // Flesh is brighter where it is thick.
        let tissue = 0.60 + 0.16 * smooth(0.55, 1.0, v) + 0.05 * self.cloudiness(u * 3.0, v * 3.0, 1);
        let mut light = tissue * (1.0 - lungs) + lungs * (0.17 + 0.10 * v);

        // Vessels: fine texture, strongest near the root of the lung.
        if lungs > 0.0 {
            let root = bell((off.abs() - 0.10).powi(2) / 0.010 + (v - 0.47).powi(2) / 0.03);
            let fine = self.cloudiness(u * 26.0 + v * 5.0, v * 20.0, 2) - 0.45;
            light += lungs * self.vessels * (fine * 1.1 + root * 1.5);
        }

        // Clouds of pneumonia, patchy, only where there is lung.
        for cloud in clouds {
            let (du, dv) = ((u - cloud.at.0) / cloud.size.0, (v - cloud.at.1) / cloud.size.1);
            let near = bell(du * du + dv * dv);
            if lungs > 0.0 && near > 0.01 {
                let patches = 0.45 + 0.9 * self.cloudiness(u * 13.0, v * 13.0, 3);
                light += lungs * near * patches * cloud.density * (0.85 - light).max(0.0);
            }
        }

        // Ribs behind fall outwards, ribs in front fall inwards and are fainter.
        let cage = smooth(0.03, 0.09, off.abs()) * (1.0 - smooth(self.half.0 * 0.98, self.half.0 * 1.06, off.abs()));
        let within = cage * smooth(0.08, 0.16, v) * (1.0 - smooth(0.80, 0.92, v));
        let behind = v - self.rib_slope * (off.abs() - 0.05).max(0.0).powf(1.25) + 0.9 * off * off;
        let before = v + 0.55 * off.abs();
        light += within * self.rib_light * band(behind, self.rib_spacing, 0.30);
        light += within * self.rib_light * 0.45 * band(before, self.rib_spacing * 1.1, 0.26);

        // Collar bones.
        let bone = v - 0.135 - 0.10 * (off.abs() - 0.06).max(0.0) + 0.35 * (off.abs() - 0.2).powi(2);
        light +=
            0.13 * bell((bone / 0.016).powi(2)) * smooth(0.04, 0.08, off.abs()) * (1.0 - smooth(0.36, 0.44, off.abs()));

        // Spine, windpipe, heart.
        let vertebrae = 0.75 + 0.25 * band(v, 0.062, 0.62);
        light += 0.11 * (1.0 - smooth(0.030, 0.050, off.abs())) * vertebrae;
        light -= 0.12 * (1.0 - smooth(0.008, 0.026, (off + 0.004).abs())) * (1.0 - smooth(0.28, 0.40, v));
        let heart = ((off - 0.055) / (0.145 * self.heart)).powi(2) + ((v - 0.63) / (0.17 * self.heart)).powi(2);
        let arch = ((off - 0.045) / 0.055).powi(2) + ((v - 0.36) / 0.060).powi(2);
        light +=
            (0.66 - light).max(0.0) * (1.0 - smooth(0.82, 1.12, heart)).max(0.75 * (1.0 - smooth(0.7, 1.15, arch)));

        0.02 + body * light
    }

    /// Smooth noise of the patient's own, three octaves, 0 to 1.
    fn cloudiness(&self, x: f32, y: f32, layer: usize) -> f32 {
        let octave = |scale: f32, k: usize| value_noise(x * scale, y * scale, &self.texture, 3 * layer + k);
        (octave(1.0, 0) * 4.0 + octave(2.1, 1) * 2.0 + octave(4.3, 2)) / 7.0
    }
}

/// The clouds of one kind of a patient; some of the faint ones are easily missed.
fn clouds(kind: Clouds, chest: &Chest, rng: &mut impl Rng) -> Vec<Cloud> {
    let count = match kind {
        Clouds::Dense => 1 + below(rng, 2),
        Clouds::Faint => 4 + below(rng, 4),
    };
    let lobe = below(rng, 2);
    let mut clouds = Vec::with_capacity(count);
    // A place is drawn until it lies in a lung; the tries are counted so that this ends.
    for _ in 0..count * 50 {
        if clouds.len() == count {
            break;
        }
        let side = if kind == Clouds::Dense && unit(rng) < 0.8 { lobe } else { below(rng, 2) };
        let at = (between(rng, 0.15, 0.85) as f32, between(rng, 0.2, 0.8) as f32);
        let mut vary = |low: f32, high: f32| between(rng, low.into(), high.into()) as f32;
        let (size, density) = match kind {
            Clouds::Dense => ((vary(0.06, 0.13), vary(0.07, 0.16)), vary(0.35, 1.0)),
            _ => ((vary(0.04, 0.08), vary(0.04, 0.09)), vary(0.25, 0.65)),
        };
        if chest.lung(side, at.0, at.1) > 0.5 {
            clouds.push(Cloud { at, size, density });
        }
    }
    clouds
}

/// 0 below `low`, 1 above `high`, a smooth step between.
fn smooth(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A bell curve of the square of a distance, 1 in the middle and 0 far out.
fn bell(square: f32) -> f32 {
    if square < 12.0 { (-square).exp() } else { 0.0 }
}

/// The whole number below; without the library call that `f32::floor` is where a processor may lack the instruction.
fn floor(x: f32) -> i32 {
    let cut = x as i32;
    if cut as f32 > x { cut - 1 } else { cut }
}

/// Soft stripes: 1 in the middle of each, `share` of `spacing` wide.
fn band(x: f32, spacing: f32, share: f32) -> f32 {
    let place = x / spacing - floor(x / spacing) as f32 - 0.5;
    1.0 - smooth(share * 0.5, share * 0.5 + 0.14, place.abs())
}

/// Random values at whole numbers, smoothly joined.
fn value_noise(x: f32, y: f32, texture: &[f32], layer: usize) -> f32 {
    let (left, top) = (floor(x), floor(y));
    let (s, t) = (smooth(0.0, 1.0, x - left as f32), smooth(0.0, 1.0, y - top as f32));
    let corner = |dx: i32, dy: i32| {
        // Odd steps, so that rows and layers meet at different places of the table.
        let at = (left + dx) * 167 + (top + dy) * 1031 + layer as i32 * 337;
        texture[at.rem_euclid(TEXTURE as i32) as usize]
    };
    let upper = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * s;
    let lower = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * s;
    upper + (lower - upper) * t
}

/// Writes DRAWN into the upper left corner, white on black, two pixels a dot.
fn stamp(image: &mut Image) {
    // Seven rows of five dots a letter.
    const LETTERS: [[u8; 7]; 5] = [
        [0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b11110],
        [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001],
        [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        [0b10001, 0b10001, 0b10001, 0b10101, 0b10101, 0b11011, 0b10001],
        [0b10001, 0b11001, 0b10101, 0b10011, 0b10001, 0b10001, 0b10001],
    ];
    const DOT: usize = 2;
    const MARGIN: usize = 4;
    let (columns, rows) = (6 * LETTERS.len() + 1, 9);
    for y in 0..rows * DOT {
        for x in 0..columns * DOT {
            let (column, row) = (x / DOT, y / DOT);
            let lit = column >= 1
                && (1..8).contains(&row)
                && (column - 1) % 6 < 5
                && LETTERS[(column - 1) / 6][row - 1] >> (4 - (column - 1) % 6) & 1 == 1;
            image.pixels[(y + MARGIN) * image.width + x + MARGIN] = if lit { 230 } else { 0 };
        }
    }
}
