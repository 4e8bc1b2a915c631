//! A schedule made ready for a GPU: its arena in pieces, and room for what is between two launches of a step.

use std::ops::Range;

use lungfish_engine::schedule::Schedule;
use lungfish_engine::{EngineError, Region};

use crate::device::{Groups, Open};
use crate::launch::{Launch, View};

/// A schedule with its memory on the device.
pub struct GpuProgram {
    /// Each at most as large as a shader sees; no region lies across two.
    arena: Vec<(wgpu::Buffer, u64)>,
    piece: u64,
    scratch: Room,
    /// Pixels as they come.
    films: Room,
    groups: Groups,
}

/// A buffer that grows.
#[derive(Default)]
struct Room(Option<(wgpu::Buffer, u64)>);

impl Room {
    /// A buffer of at least so many bytes. What was in a smaller one is gone.
    fn of(&mut self, device: &Open, bytes: u64) -> Result<(wgpu::Buffer, u64), EngineError> {
        match &self.0 {
            Some((buffer, id)) if buffer.size() >= bytes => Ok((buffer.clone(), *id)),
            _ => Ok(self.0.insert(device.allocate(bytes)?).clone()),
        }
    }
}

impl GpuProgram {
    pub(crate) fn new(device: &Open, schedule: &Schedule, piece: u64, scratch: usize) -> Result<Self, EngineError> {
        let mut left = schedule.arena as u64;
        let mut arena = Vec::new();
        while left > 0 || arena.is_empty() {
            arena.push(device.allocate(left.min(piece))?);
            left = left.saturating_sub(piece);
        }
        let mut program =
            GpuProgram { arena, piece, scratch: Room::default(), films: Room::default(), groups: Groups::default() };
        program.scratch.of(device, scratch as u64 * 4)?;
        Ok(program)
    }

    /// Where a region lies for some films of a batch.
    pub(crate) fn view(&self, region: Region, films: &Range<usize>) -> View {
        let range = region.films(films);
        let index = (region.offset as u64 / self.piece) as usize;
        let before = index * self.piece as usize / region.element.bytes();
        let (buffer, id) = &self.arena[index];
        View::new(buffer, *id, region.element, range.start - before..range.end - before)
    }

    /// The first elements of the room between two launches of a step.
    pub(crate) fn scratch(&mut self, device: &Open, elements: usize) -> Result<View, EngineError> {
        let (buffer, id) = self.scratch.of(device, elements as u64 * 4)?;
        Ok(View::floats(&buffer, id, 0..elements))
    }

    /// Room for so many bytes of pixels.
    pub(crate) fn films(&mut self, device: &Open, bytes: usize) -> Result<View, EngineError> {
        let words = bytes.div_ceil(4);
        let (buffer, id) = self.films.of(device, words as u64 * 4)?;
        Ok(View::floats(&buffer, id, 0..words))
    }

    pub(crate) fn launch(&mut self, device: &Open, launch: Launch) -> Result<(), EngineError> {
        device.launch(&mut self.groups, launch)
    }
}
