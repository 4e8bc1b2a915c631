//! Windows that slide over images: those of convolutions and poolings.

use crate::{EngineError, Shape};

/// Zeros around an image before a window slides over it (ONNX `pads` and `auto_pad`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Top, left, bottom, right, in pixels.
    Explicit([usize; 4]),
    /// TensorFlow's SAME: `out = ceil(in / stride)`, the odd pixel at bottom and right.
    /// Depends on the image size, so it is resolved when a plan is made.
    SameUpper,
}

impl Padding {
    /// The same number of pixels on all four sides.
    pub const fn all(pixels: usize) -> Self {
        Padding::Explicit([pixels; 4])
    }

    /// Top, left, bottom, right for an input of `h` by `w`; the stride is not 0.
    pub fn resolve(self, [h, w]: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> [usize; 4] {
        match self {
            Padding::Explicit(pads) => pads,
            Padding::SameUpper => {
                let total = |i: usize, k: usize, s: usize| (i.div_ceil(s).saturating_sub(1) * s + k).saturating_sub(i);
                let (v, u) = (total(h, kernel[0], stride[0]), total(w, kernel[1], stride[1]));
                [v / 2, u / 2, v - v / 2, u - u / 2]
            }
        }
    }
}

/// The window of a convolution or a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width, pixels.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step, pixels.
    pub stride: [usize; 2],
    /// Zeros around the image (minus infinity for a max-pool).
    pub padding: Padding,
}

impl Window {
    /// Most pixels of a side, a step or a pad.
    const MOST: usize = 1 << 16;

    /// A square window.
    pub const fn square(kernel: usize, stride: usize, padding: Padding) -> Self {
        Window { kernel: [kernel; 2], stride: [stride; 2], padding }
    }

    /// What is wrong with it, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let ([kh, kw], [sv, sh]) = (self.kernel, self.stride);
        let most = Window::MOST;
        if kh == 0 || kw == 0 {
            return Err(format!("a window of {kh} by {kw} pixels has none"));
        }
        if sv == 0 || sh == 0 {
            return Err(format!("a stride of {sv} by {sh} pixels does not move the window"));
        }
        let pads = if let Padding::Explicit(pads) = self.padding { pads } else { [0; 4] };
        match [kh, kw, sv, sh].iter().chain(&pads).find(|pixels| **pixels > most) {
            Some(pixels) => Err(format!("{pixels} pixels for a window, a stride or a pad are more than {most}")),
            None => Ok(()),
        }
    }

    /// Shape of what it gives from `x`, with `c` channels.
    pub(crate) fn slide(&self, name: &str, x: Shape, c: usize) -> Result<Shape, EngineError> {
        let [top, left, bottom, right] = self.padding.resolve([x.h, x.w], self.kernel, self.stride);
        let (h, w) = (x.h + top + bottom, x.w + left + right);
        if h < self.kernel[0] || w < self.kernel[1] {
            return Err(EngineError::Shape {
                what: format!(
                    "{name}: an image of {} by {} is smaller than its {} by {} window; use larger images",
                    x.h, x.w, self.kernel[0], self.kernel[1]
                ),
            });
        }
        Ok(Shape { c, h: (h - self.kernel[0]) / self.stride[0] + 1, w: (w - self.kernel[1]) / self.stride[1] + 1 })
    }

    /// With its padding resolved.
    pub(crate) fn sliding(&self, x: Shape, y: Shape) -> Sliding {
        let pads = self.padding.resolve([x.h, x.w], self.kernel, self.stride);
        Sliding { x, y, kernel: self.kernel, stride: self.stride, pads }
    }
}

/// The window of a convolution or pooling with its padding resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    /// Input of one film.
    pub x: Shape,
    /// Output of one film.
    pub y: Shape,
    /// Height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal.
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
}
