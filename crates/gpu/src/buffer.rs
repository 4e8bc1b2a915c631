//! Single floats of a store on a GPU: parameters, gradients, moments, running statistics.

use lungfish_engine::EngineError;

use crate::device::Open;
use crate::launch::View;

/// Single floats on a GPU.
#[derive(Debug)]
pub struct GpuBuffer {
    buffer: wgpu::Buffer,
    id: u64,
    len: usize,
}

impl GpuBuffer {
    /// `len` zeros.
    pub(crate) fn new(device: &Open, len: usize) -> Result<Self, EngineError> {
        let (buffer, id) = device.allocate((len as u64).saturating_mul(4))?;
        Ok(GpuBuffer { buffer, id, len })
    }

    pub(crate) fn inner(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// All of it.
    pub(crate) fn view(&self) -> View {
        View::floats(&self.buffer, self.id, 0..self.len)
    }

    /// That elements from `offset` lie within it; the place in bytes.
    pub(crate) fn place(&self, what: &str, offset: usize, len: usize) -> Result<u64, EngineError> {
        let end = offset.saturating_add(len);
        match end <= self.len {
            true => Ok(offset as u64 * 4),
            false => Err(EngineError::Length { what: what.to_owned(), got: end, want: self.len }),
        }
    }
}
