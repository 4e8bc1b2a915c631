//! Histograms of the parts of a film made even, as far as a bound lets them.

use crate::decode::{Channels, Image};
use crate::vector::vectorised;

/// Tiles along each side, as OpenCV has by default.
const TILES: usize = 8;

/// The clip limit that is usual for films: no level of a tile counts for more than twice the mean.
pub const USUAL_CLIP_LIMIT: f64 = 2.0;

/// Contrast limited adaptive histogram equalisation (Zuiderveld 1994) on 8 by 8 tiles with bilinear interpolation between
/// them: OpenCV's `cv2.createCLAHE(clip_limit, (8, 8)).apply(film)` for films of 8 bits, to the last bit. Each channel of
/// an RGB film is taken by itself, as `equalize` takes it. A limit that is not above 0 bounds nothing, which is OpenCV's
/// rule too.
pub fn clahe(image: &mut Image, clip_limit: f64) {
    match image.channels {
        Channels::Gray => clahe_channels::<1>(image, clip_limit),
        Channels::Rgb => clahe_channels::<3>(image, clip_limit),
    }
}

/// What becomes of each level in each tile of a row.
type TileRow = [[u8; 256]; TILES];

fn clahe_channels<const C: usize>(image: &mut Image, clip_limit: f64) {
    let (width, height) = (image.width, image.height);
    if width == 0 || height == 0 {
        return;
    }
    let (columns, rows) = tiled(width, height);
    let across: Vec<Mix> = mixes(width, columns.len() / TILES);
    let down: Vec<Mix> = mixes(height, rows.len() / TILES);
    for channel in 0..C {
        let tables = tables::<C>(image, channel, (&columns, &rows), clip_limit);
        vectorised(
            #[inline(always)]
            || {
                for (row, y) in image.pixels.chunks_exact_mut(width * C).zip(&down) {
                    let (above, below) = (&tables[y.tiles[0]], &tables[y.tiles[1]]);
                    for (pixel, x) in row.as_chunks_mut::<C>().0.iter_mut().zip(&across) {
                        let level = usize::from(pixel[channel]);
                        let between = |tables: &TileRow| {
                            let [left, right] = x.tiles.map(|tile| f32::from(tables[tile][level]));
                            left * x.shares[0] + right * x.shares[1]
                        };
                        let value = between(above) * y.shares[0] + between(below) * y.shares[1];
                        pixel[channel] = value.round_ties_even() as u8;
                    }
                }
            },
        );
    }
}

/// For each column and row of whole tiles the one of the film that it shows: a film whose sides are not multiples of 8 goes
/// on beyond its right and lower edge as its mirror image. Where one side is not, both go on, as in OpenCV.
fn tiled(width: usize, height: usize) -> (Vec<usize>, Vec<usize>) {
    let spare = |side: usize| match (width % TILES, height % TILES) {
        (0, 0) => 0,
        _ => TILES - side % TILES,
    };
    let line = |side: usize| (0..side + spare(side)).map(|place| mirrored(place, side)).collect();
    (line(width), line(height))
}

/// OpenCV's `BORDER_REFLECT_101`: the pixel at the edge is not repeated.
fn mirrored(place: usize, side: usize) -> usize {
    let period = (2 * (side - 1)).max(1);
    let place = place % period;
    place.min(period - place).min(side - 1)
}

/// Between which two tiles a column or row lies, and how much of each it takes.
#[derive(Clone, Copy, Debug)]
struct Mix {
    tiles: [usize; 2],
    shares: [f32; 2],
}

fn mixes(side: usize, tile: usize) -> Vec<Mix> {
    let part = 1.0 / tile as f32;
    let mix = |place: usize| {
        let at = place as f32 * part - 0.5;
        let first = at.floor();
        let second = at - first;
        // Before the middle of the first tile `first` is -1.
        let tiles = [first, first + 1.0].map(|tile| (tile as usize).min(TILES - 1));
        Mix { tiles, shares: [1.0 - second, second] }
    };
    (0..side).map(mix).collect()
}

fn tables<const C: usize>(
    image: &Image,
    channel: usize,
    (columns, rows): (&[usize], &[usize]),
    clip_limit: f64,
) -> Vec<TileRow> {
    let (width, height) = (columns.len() / TILES, rows.len() / TILES);
    let pixels = image.pixels.as_chunks::<C>().0;
    let mut tables = vec![[[0; 256]; TILES]; TILES];
    for (rows, tables) in rows.chunks_exact(height).zip(&mut tables) {
        let mut counts = [[0_u32; 256]; TILES];
        for y in rows {
            let row = &pixels[y * image.width..][..image.width];
            for (columns, counts) in columns.chunks_exact(width).zip(&mut counts) {
                for x in columns {
                    counts[usize::from(row[*x][channel])] += 1;
                }
            }
        }
        for (counts, table) in counts.iter_mut().zip(tables) {
            if clip_limit > 0.0 {
                clip(counts, ((clip_limit * (width * height) as f64 / 256.0) as u32).max(1));
            }
            *table = cumulated(counts, width * height);
        }
    }
    tables
}

/// Cuts off what is above the limit and gives it to all levels; the rest of that division goes to single ones, evenly
/// spread.
fn clip(counts: &mut [u32; 256], limit: u32) {
    let clipped: u32 = counts.iter().map(|count| count.saturating_sub(limit)).sum();
    let (each, rest) = (clipped / 256, clipped % 256);
    counts.iter_mut().for_each(|count| *count = (*count).min(limit) + each);
    let apart: usize = (256 / rest.max(1) as usize).max(1);
    counts.iter_mut().step_by(apart).take(rest as usize).for_each(|count| *count += 1);
}

fn cumulated(counts: &[u32; 256], pixels: usize) -> [u8; 256] {
    let scale = 255.0 / pixels as f32;
    let mut sum = 0;
    counts.map(|count| {
        sum += count;
        (sum as f32 * scale).round_ties_even() as u8
    })
}
