//! What libjpeg makes of a progressive picture whose later scans are not there: the first coefficients that are not wholly
//! known are estimated from the means of 25 blocks (`decompress_smooth_data` in libjpeg-turbo's `jdcoefct.c`).

use super::ZIGZAG;
use super::frame::{Component, Frame};
use super::progressive::Coefficients;

/// Weights of the means of 5 by 5 blocks, row by row, in 256ths.
type Weights = [i16; 25];

/// Those of the coefficients after the first, in the file's order, where nothing is known of any of them.
const OF_MEANS_ALONE: [Weights; 9] = [
    [-1, -1, 0, 1, 1, -3, 13, 0, -13, 3, -3, 38, 0, -38, 3, -3, 13, 0, -13, 3, -1, -1, 0, 1, 1],
    [-1, -3, -3, -3, -1, -1, 13, 38, 13, -1, 0, 0, 0, 0, 0, 1, -13, -38, -13, 1, 1, 3, 3, 3, 1],
    [0, 0, 1, 0, 0, 0, 2, 7, 2, 0, 0, -5, -14, -5, 0, 0, 2, 7, 2, 0, 0, 0, 1, 0, 0],
    [-1, 0, 0, 0, 1, 0, 9, 0, -9, 0, 0, 0, 0, 0, 0, 0, -9, 0, 9, 0, 1, 0, 0, 0, -1],
    [0, 0, 0, 0, 0, 0, 2, -5, 2, 0, 1, 7, -14, 7, 1, 0, 2, -5, 2, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1, 0, -1, 0, 0, 2, 0, -2, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1, -3, 1, 0, 0, 0, 0, 0, 0, 0, -1, 3, -1, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1, 0, -1, 0, 0, -3, 0, 3, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, -1, -2, -1, 0, 0, 0, 0, 0, 0],
];

/// That of the first itself then.
const OF_THE_FIRST: Weights =
    [-2, -6, -8, -6, -2, -6, 6, 42, 6, -6, -8, 42, 152, 42, -8, -6, 6, 42, 6, -6, -2, -6, -8, -6, -2];

/// Where some of them are known.
const OF_OTHERS: [Weights; 5] = [
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -7, 50, 0, -50, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, -7, 0, 0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, -50, 0, 0, 0, 0, 7, 0, 0],
    [0, 0, -1, 0, 0, 0, 0, 13, 0, 0, 0, 0, -24, 0, 0, 0, 0, 13, 0, 0, 0, 0, -1, 0, 0],
    [0, -1, 0, 1, 0, -1, 10, 0, -10, 1, 0, 0, 0, 0, 0, 1, -10, 0, 10, -1, 0, 1, 0, -1, 0],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 13, -24, 13, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];

/// Whether libjpeg estimates anything in a picture.
pub(super) fn is_due(channels: &[Coefficients]) -> bool {
    channels.iter().all(|channel| channel.quantization[..10].iter().all(|&quantization| quantization > 0))
        && channels.iter().any(|channel| channel.unknown[1..10].iter().any(|&bits| bits != 0))
}

/// A block with its estimates.
pub(super) fn smoothed(
    frame: &Frame,
    component: &Component,
    channel: &Coefficients,
    (x, y): (usize, usize),
) -> [i16; 64] {
    let means = means(frame, component, channel, (x, y));
    let mut block = channel.blocks[y * channel.across + x];
    let alone = channel.unknown[1..10].iter().all(|&bits| bits == -1);
    let estimate = |weights: &Weights, i: usize| {
        let sum: i64 = means.iter().zip(weights).map(|(mean, weight)| mean * i64::from(*weight)).sum();
        let (sum, own) = (sum * i64::from(channel.quantization[0]), i64::from(channel.quantization[i]));
        // Rounded half away from zero, and no larger than what is left aside of it.
        let most = if i > 0 && channel.unknown[i] > 0 { (1 << channel.unknown[i]) - 1 } else { i64::MAX };
        (((own << 7) + sum.abs()) / (own << 8)).min(most) * sum.signum()
    };
    let weights: &[Weights] = if alone { &OF_MEANS_ALONE } else { &OF_OTHERS };
    for (i, weights) in (1..).zip(weights) {
        let value = &mut block[usize::from(ZIGZAG[i])];
        if channel.unknown[i] != 0 && *value == 0 {
            *value = estimate(weights, i) as i16;
        }
    }
    if alone {
        block[0] = estimate(&OF_THE_FIRST, 0) as i16;
    }
    block
}

/// The first coefficients of the blocks around one, row by row; at the edges, as libjpeg has them.
fn means(frame: &Frame, component: &Component, channel: &Coefficients, (x, y): (usize, usize)) -> [i64; 25] {
    // libjpeg counts rows of blocks by those in a row of units, of which the last may have fewer.
    let (across, high) = component.blocks;
    let tall = component.sampling.1;
    let units = frame.height.div_ceil(8 * frame.most.1);
    let unit = y / tall;
    let in_unit = if unit + 1 < units { tall } else { high - unit * tall };
    let (count, rows) = (unit * in_unit + y % tall, units * in_unit);
    let above = y - usize::from(count > 0);
    let below = y + usize::from(count + 1 < rows);
    let ys = [above - usize::from(count > 1), above, y, below, below + usize::from(count + 2 < rows)];
    std::array::from_fn(|i| {
        let column = (x + i % 5).saturating_sub(2).min(across - 1);
        channel.blocks.get(ys[i / 5] * channel.across + column).map_or(0, |block| i64::from(block[0]))
    })
}
