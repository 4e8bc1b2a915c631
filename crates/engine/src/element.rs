//! The types of number that values and tensors are made of.

/// What an element of a region or of a buffer is.
///
/// How many elements something has and how many bytes it takes are two questions: shapes answer the first, this the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// A single-precision float.
    F32,
    /// A bfloat16, the upper half of one.
    Bf16,
    /// A half-precision float of IEEE 754 (5 bits of exponent, 11 of precision).
    F16,
}

impl Element {
    /// Bytes of one.
    pub const fn bytes(self) -> usize {
        match self {
            Element::F32 => size_of::<f32>(),
            Element::Bf16 | Element::F16 => size_of::<u16>(),
        }
    }
}

/// The precision of a plan, as PyTorch's autocast has it: what the values between its layers are.
///
/// Weights, their gradients, the optimiser, the statistics of batch normalisations, everything after the pooling of pixels,
/// softmax and loss are single precision in each, and every sum is taken in single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision everywhere.
    #[default]
    Fp32,
    /// Values of images and their gradients are bfloat16 (8 bits of exponent, 8 of precision), rounded to nearest even; so
    /// are the operands of matrix products that have an instruction for it.
    Bf16,
    /// Values of images and their gradients are half-precision floats (5 bits of exponent, 11 of precision), rounded to nearest
    /// even. Beyond 65,504 they are infinite and below 6e-8 (on some devices 6e-5) zero, so that a training in it scales its loss.
    F16,
}

impl Precision {
    /// `fp32`, `bf16` or `f16`.
    pub const fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        }
    }

    /// What the values of images are stored as.
    pub(crate) const fn of_images(self) -> Element {
        match self {
            Precision::Fp32 => Element::F32,
            Precision::Bf16 => Element::Bf16,
            Precision::F16 => Element::F16,
        }
    }
}
