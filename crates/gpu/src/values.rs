//! Values between the host, where they are single floats, and a device, where they may be halves.

use half::f16;
use lungfish_engine::{Element, EngineError};

use crate::device::Open;
use crate::launch::View;

/// Bytes to a multiple of four, as buffers take them, at the beginning of a view.
pub(crate) fn write_bytes(device: &Open, view: &View, bytes: &[u8]) -> Result<(), EngineError> {
    let whole = bytes.len() / 4 * 4;
    device.write(&view.buffer, view.start(), &bytes[..whole])?;
    if whole < bytes.len() {
        let mut last = [0; 4];
        last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
        device.write(&view.buffer, view.start() + whole as u64, &last)?;
    }
    Ok(())
}

/// Values as the view's lie, rounded to nearest even where they are halves.
pub(crate) fn write(device: &Open, view: &View, values: &[f32]) -> Result<(), EngineError> {
    match view.element {
        Element::F16 => {
            let halves: Vec<u16> = values.iter().map(|&value| f16::from_f32(value).to_bits()).collect();
            write_bytes(device, view, bytemuck::cast_slice(&halves))
        }
        // Nothing is compiled for bfloat16.
        Element::F32 | Element::Bf16 => write_bytes(device, view, bytemuck::cast_slice(values)),
    }
}

/// The first `len` values of a view.
pub(crate) fn read(device: &Open, view: &View, len: usize) -> Result<Vec<f32>, EngineError> {
    match view.element {
        Element::F16 => {
            let mut halves = vec![0u16; len.next_multiple_of(2)];
            device.read(&view.buffer, view.start(), bytemuck::cast_slice_mut(&mut halves))?;
            Ok(halves[..len].iter().map(|&bits| f16::from_bits(bits).to_f32()).collect())
        }
        Element::F32 | Element::Bf16 => {
            let mut host = vec![0.0; len];
            device.read(&view.buffer, view.start(), bytemuck::cast_slice_mut(&mut host))?;
            Ok(host)
        }
    }
}
