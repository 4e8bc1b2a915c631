//! Depthwise convolutions, which filter each channel by itself: direct loops, vectorised over channels. A few rows of a film
//! are copied with the zeros around them, a block of channels after another, so that every result sees a whole window and
//! finds it close by; both directions are then one kernel, and the gradient to the weights another.

mod band;
mod weights;
mod window;

pub(super) use weights::backward_weight;

use super::epilogue::{Epilogue, Finish};
use super::filter::Direction;
use super::{Call, ConvShape, Filter};
use crate::norm::BatchStatistics;
use crate::stored::Stored;
use band::convolve;
use window::Window;

pub(super) fn forward<T: Stored>(call: Call<T, T>, y: &mut [T], statistics: Option<&mut BatchStatistics>) {
    let Call { shape, n, x, filter, epilogue } = call;
    convolve(
        &Window::forward(shape),
        n,
        x,
        filter.packed(Direction::Forward),
        Finish::Epilogue(epilogue),
        y,
        statistics,
    );
}

pub(super) fn backward_data<T: Stored>(
    shape: &ConvShape,
    n: usize,
    dy: &[T],
    filter: &Filter,
    dx: &mut [T],
    accumulate: bool,
) {
    let finish = if accumulate { Finish::Accumulate } else { Finish::Epilogue(&Epilogue::NONE) };
    convolve(&Window::backward(shape), n, dy, filter.packed(Direction::Forward), finish, dx, None);
}

#[cfg(test)]
mod tests {
    use pulp::{Simd, WithSimd};

    use super::band::{Band, Taps};
    use super::weights::BandGradient;
    use super::*;

    /// Runs a kernel of one row on each instruction set this machine has, the scalar one first.
    fn on_each_machine<'a, K: WithSimd>(out: &'a mut [Vec<f32>; 3], kernel: impl Fn(&'a mut Vec<f32>) -> K) {
        let [scalar, avx2, best] = out;
        Simd::vectorize(pulp::Scalar::new(), kernel(scalar));
        crate::machine::arch().dispatch(kernel(best));
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            Simd::vectorize(simd, kernel(avx2));
            return;
        }
        crate::machine::arch().dispatch(kernel(avx2));
    }

    fn assert_agree([scalar, avx2, best]: &[Vec<f32>; 3]) {
        for ((scalar, avx2), best) in scalar.iter().zip(avx2).zip(best) {
            assert!((scalar - avx2).abs() < 1e-5 && (scalar - best).abs() < 1e-5, "{scalar} {avx2} {best}");
        }
    }

    #[test]
    fn instruction_sets_agree() {
        let (c, w) = (109, 13);
        let shape = ConvShape { h: 9, w, c_in: c, c_out: c, kernel: [3; 2], stride: [1; 2], pads: [1; 4], groups: c };
        let noise = |len: usize| (0..len).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect::<Vec<_>>();
        let (x, weights, dy) = (noise(shape.x_len()), noise(shape.weight_len()), noise(4 * w * c));
        let window = Window::forward(&shape);
        let taps = [Taps::new(&window, &window.phases[0].taps)];
        for first in [0, 3, 5] {
            let mut room = vec![f32::NAN; window.room(4)];
            let (window, source) = (&window, window.copy(&x, first, 4, &mut room));
            let mut sums = std::array::from_fn(|_| vec![0.5; shape.weight_len()]);
            on_each_machine(&mut sums, |sums| BandGradient::<f32> { window, kernel: [3; 2], source, dy: &dy, sums });
            assert_agree(&sums);

            let mut rows = std::array::from_fn(|_| vec![f32::NAN; 4 * w * c]);
            let (taps, weights, finish) = (&taps[..], &weights[..], Finish::<f32>::Epilogue(&Epilogue::NONE));
            on_each_machine(&mut rows, |y| Band { window, source, taps, weights, finish, first, at: 0, y });
            assert_agree(&rows);
        }
    }
}
