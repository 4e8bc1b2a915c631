//! What a shader is launched with: pieces of buffers, numbers, and how many workgroups.

use lungfish_engine::Element;

use crate::kernel::{Kernel, Stored};

/// Bytes to which pieces of buffers are aligned, and between the numbers of two launches: as many as any adapter may ask for.
pub(crate) const ALIGN: u64 = 256;

/// A piece of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub buffer: wgpu::Buffer,
    /// Tells buffers apart, whatever became of others.
    pub id: u64,
    /// Bytes.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// What it holds.
    pub element: Element,
    /// Element of the piece at which what it is about begins.
    pub base: u32,
}

impl View {
    /// Elements `range`, and what lies before them back to a boundary that every adapter takes.
    pub fn new(buffer: &wgpu::Buffer, id: u64, element: Element, range: std::ops::Range<usize>) -> Self {
        let bytes = element.bytes() as u64;
        let (start, end) = (range.start as u64 * bytes, range.end as u64 * bytes);
        let offset = start / ALIGN * ALIGN;
        // Nothing cannot be bound, and half a word neither.
        let size = (end - offset).max(4).next_multiple_of(4);
        View { buffer: buffer.clone(), id, offset, size, element, base: ((start - offset) / bytes) as u32 }
    }

    /// Single floats.
    pub fn floats(buffer: &wgpu::Buffer, id: u64, range: std::ops::Range<usize>) -> Self {
        View::new(buffer, id, Element::F32, range)
    }

    /// Byte of the buffer at which what it is about begins.
    pub fn start(&self) -> u64 {
        self.offset + u64::from(self.base) * self.element.bytes() as u64
    }

    /// The same from a later element on.
    pub fn from(self, element: usize) -> Self {
        View { base: self.base.saturating_add(u32::try_from(element).unwrap_or(u32::MAX)), ..self }
    }
}

/// Numbers of a launch, as they lie in the shader's `P` after `at`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(pub Vec<u32>);

impl Numbers {
    /// An integer. What a device can hold has fewer elements than a `u32` counts.
    pub fn u(mut self, value: usize) -> Self {
        self.0.push(u32::try_from(value).unwrap_or(u32::MAX));
        self
    }

    /// Several.
    pub fn us<const N: usize>(self, values: [usize; N]) -> Self {
        values.into_iter().fold(self, Numbers::u)
    }

    /// A truth, as 0 or 1.
    pub fn b(self, value: bool) -> Self {
        self.u(usize::from(value))
    }

    /// A float.
    pub fn f(mut self, value: f32) -> Self {
        self.0.push(value.to_bits());
        self
    }

    /// Up to the next boundary of 16 bytes, where a struct or a vector begins.
    pub fn aligned(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// A shader with all that it needs.
#[derive(Debug)]
pub(crate) struct Launch {
    pub kernel: Kernel,
    /// What the values that it sees lie as.
    pub stored: Stored,
    /// By binding; `None` is something that the shader does not touch this time.
    pub views: Vec<Option<View>>,
    pub numbers: Numbers,
    pub workgroups: [u32; 3],
    /// Multiplications, about.
    pub work: u64,
}

impl Launch {
    /// A thread for each of `count` elements, which are single floats, in workgroups of 256.
    pub fn each(kernel: Kernel, count: usize, views: Vec<Option<View>>, numbers: Numbers) -> Self {
        let groups = count.div_ceil(256).max(1);
        // A row of workgroups has an end; they go on in the next.
        let row = groups.min(1 << 15);
        let workgroups = [row as u32, groups.div_ceil(row) as u32, 1];
        Launch { kernel, stored: Stored::SINGLE, views, numbers, workgroups, work: count as u64 }
    }

    /// The same of values that lie otherwise.
    pub fn of(self, stored: Stored) -> Self {
        Launch { stored, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_has_a_thread_for_each_element_and_no_row_that_is_too_long() {
        for count in [1, 255, 256, 257, 1 << 23, (1 << 23) + 1, 400_000_000] {
            let launch = Launch::each(Kernel::Add, count, Vec::new(), Numbers::default());
            let [x, y, z] = launch.workgroups.map(|side| side as usize);
            assert!(x <= 65_535 && y <= 65_535 && z == 1, "{count}: {x} by {y}");
            assert!((count..count + 256 * x).contains(&(x * y * 256)), "{count}: {x} by {y}");
        }
    }

    #[test]
    fn numbers_lie_as_a_shader_reads_them() {
        let numbers = Numbers::default().us([1, 2]).f(1.0).b(true).u(usize::MAX).aligned().f(-0.0);
        assert_eq!(numbers.0, [1, 2, 0x3F80_0000, 1, u32::MAX, 0, 0, 0, 0x8000_0000]);
    }
}
