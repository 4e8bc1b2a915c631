//! A device that is open: what it is asked to do is noted, and handed over together when something is waited for.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lungfish_engine::{Element, EngineError};

use crate::kernel::{Kernel, Pipeline, Pipelines};
use crate::launch::{ALIGN, Launch, View};

/// Launches whose numbers fit into the uniform buffer; more are handed over in between.
const SLOTS: usize = 4096;

/// Multiplications that are handed over at once, about. A system takes a GPU for hung that is silent for some seconds (Windows: two),
/// and takes it away; a small one does these in half a second.
const AT_ONCE: u64 = 25_000_000_000;

/// How long a driver may be silent before it is taken for hung.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same of one that computes on the processor, which is slow and not hung.
const PATIENCE_WITH_SOFTWARE: Duration = Duration::from_secs(3600);

/// A GPU that computes. Clones are the same device.
#[derive(Clone)]
pub struct Wgpu {
    pub(crate) open: Arc<Open>,
    /// Whether its shaders have half-precision floats (`shader-f16`).
    pub(crate) f16: bool,
    /// Bytes of each of the buffers that an arena is made of.
    pub(crate) piece: u64,
}

impl fmt::Debug for Wgpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wgpu").field(&self.open.name).finish()
    }
}

pub(crate) struct Open {
    name: String,
    /// With the interface and the driver.
    described: String,
    patience: Duration,
    device: wgpu::Device,
    queue: wgpu::Queue,
    uniforms: wgpu::Buffer,
    /// What is bound where a shader touches nothing: one for each binding, since none may be bound twice.
    nothing: Vec<View>,
    noted: Mutex<Noted>,
    /// The first thing that went wrong beside a call.
    trouble: Arc<Mutex<Option<String>>>,
}

/// What is to be handed over.
#[derive(Default)]
struct Noted {
    pipelines: Pipelines,
    launches: Vec<Ready>,
    numbers: Vec<u8>,
    work: u64,
}

struct Ready {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// Bind groups that were made before, of one program: it launches the same again and again.
#[derive(Default)]
pub(crate) struct Groups(HashMap<(Kernel, Vec<Place>), wgpu::BindGroup>);

/// A buffer's number, offset and size.
type Place = (u64, u64, u64);

pub(crate) fn device_error(device: &str, what: impl Into<String>) -> EngineError {
    EngineError::Device { backend: device.to_owned(), what: what.into() }
}

/// A number that no other buffer has.
fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// What is behind a lock is whole after every statement: somebody else's panic does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wgpu {
    pub(crate) fn new(
        (name, described): (String, String),
        software: bool,
        device: wgpu::Device,
        queue: wgpu::Queue,
    ) -> Self {
        let trouble = Arc::new(Mutex::new(None));
        let note = |trouble: &Arc<Mutex<Option<String>>>, what: String| {
            locked(trouble).get_or_insert(what);
        };
        let seen = Arc::clone(&trouble);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| note(&seen, error.to_string())));
        let seen = Arc::clone(&trouble);
        device.set_device_lost_callback(move |_, what| note(&seen, format!("the device is lost: {what}")));
        let storage = wgpu::BufferUsages::STORAGE;
        let nothing = (0..8).map(|_| View {
            buffer: create(&device, ALIGN, storage),
            id: next_id(),
            offset: 0,
            size: ALIGN,
            element: Element::F32,
            base: 0,
        });
        let open = Open {
            name,
            described,
            patience: if software { PATIENCE_WITH_SOFTWARE } else { PATIENCE },
            nothing: nothing.collect(),
            uniforms: create(&device, SLOTS as u64 * ALIGN, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST),
            noted: Mutex::new(Noted::default()),
            device,
            queue,
            trouble,
        };
        let f16 = open.device.features().contains(wgpu::Features::SHADER_F16);
        Wgpu { piece: open.largest(), f16, open: Arc::new(open) }
    }

    /// The same device with arenas in pieces of at most so many bytes, down to a multiple of 256, where it would take larger
    /// ones.
    pub fn in_pieces_of(&self, bytes: u64) -> Self {
        Wgpu { piece: (bytes / ALIGN * ALIGN).clamp(ALIGN, self.open.largest()), ..self.clone() }
    }

    /// Whether it runs plans of [`Precision::F16`](lungfish_engine::Precision::F16): what WebGPU calls `shader-f16`.
    pub fn has_f16(&self) -> bool {
        self.f16
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.open.name
    }

    /// The adapter's name, the interface and the driver, as [`Adapter::describe`](crate::Adapter::describe) has it: the same
    /// calls give the same bits where this is the same.
    pub fn describe(&self) -> String {
        self.open.described.clone()
    }
}

fn create(device: &wgpu::Device, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

impl Open {
    pub fn error(&self, what: impl Into<String>) -> EngineError {
        device_error(&self.name, what)
    }

    /// What went wrong beside a call, once it is known.
    fn checked(&self) -> Result<(), EngineError> {
        match &*locked(&self.trouble) {
            None => Ok(()),
            Some(what) => Err(self.error(what)),
        }
    }

    /// Most bytes of one buffer that a shader sees, a multiple of [`ALIGN`] that a `u32` counts.
    pub fn largest(&self) -> u64 {
        let limits = self.device.limits();
        let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        most.min(u64::from(u32::MAX)) / ALIGN * ALIGN
    }

    /// `bytes` zeros, and the buffer's number.
    pub fn allocate(&self, bytes: u64) -> Result<(wgpu::Buffer, u64), EngineError> {
        let out_of_memory = EngineError::OutOfMemory { bytes: usize::try_from(bytes).unwrap_or(usize::MAX) };
        let size = bytes.max(4).next_multiple_of(4);
        if size > self.largest() {
            return Err(out_of_memory);
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let buffer = create(&self.device, size, usage);
        match pollster::block_on(scope.pop()) {
            None => self.checked().map(|()| (buffer, next_id())),
            Some(_) => Err(out_of_memory),
        }
    }

    /// Notes a launch. It runs after what was noted before it and sees what that wrote.
    pub fn launch(&self, groups: &mut Groups, launch: Launch) -> Result<(), EngineError> {
        let Launch { kernel, stored, views, mut numbers, workgroups, work } = launch;
        if workgroups.iter().any(|&side| side > 65_535) {
            return Err(self.error(format!("{kernel:?} of {workgroups:?} workgroups is too large for one launch")));
        }
        let mut noted = locked(&self.noted);
        if noted.launches.len() == SLOTS || noted.work > AT_ONCE {
            self.hand_over(&mut noted, None);
        }
        let pipeline = noted.pipelines.get(&self.device, kernel, stored);
        let views: Vec<&View> =
            views.iter().zip(&self.nothing).map(|(own, none)| own.as_ref().unwrap_or(none)).collect();
        let key = (kernel, views.iter().map(|view| (view.id, view.offset, view.size)).collect());
        let group = groups.0.entry(key).or_insert_with(|| self.bind(&pipeline, &views));
        let slot = noted.launches.len() * ALIGN as usize;
        let mut at = views.iter().map(|view| view.base).collect::<Vec<u32>>();
        at.resize(8, 0);
        at.append(&mut numbers.0);
        debug_assert!(at.len() * 4 <= ALIGN as usize);
        noted.numbers.resize(slot, 0);
        noted.numbers.extend_from_slice(bytemuck::cast_slice(&at));
        noted.work += work;
        noted.launches.push(Ready { pipeline, group: group.clone(), workgroups });
        Ok(())
    }

    fn bind(&self, pipeline: &Pipeline, views: &[&View]) -> wgpu::BindGroup {
        let piece = |buffer, offset, size| wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) };
        let mut entries = vec![wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(piece(&self.uniforms, 0, ALIGN)),
        }];
        for (i, view) in views.iter().enumerate() {
            entries.push(wgpu::BindGroupEntry {
                binding: i as u32 + 1,
                resource: wgpu::BindingResource::Buffer(piece(&view.buffer, view.offset, view.size)),
            });
        }
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.groups,
            entries: &entries,
        })
    }

    /// Hands over what is noted, and then a copy of a piece of a buffer to another one.
    fn hand_over(&self, noted: &mut Noted, copy: Option<(&wgpu::Buffer, u64, &wgpu::Buffer, u64)>) {
        if noted.launches.is_empty() && copy.is_none() {
            return;
        }
        noted.numbers.resize(noted.launches.len() * ALIGN as usize, 0);
        self.queue.write_buffer(&self.uniforms, 0, &noted.numbers);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (slot, ready) in noted.launches.iter().enumerate() {
                let [x, y, z] = ready.workgroups;
                pass.set_pipeline(&ready.pipeline.pipeline);
                pass.set_bind_group(0, &ready.group, &[(slot * ALIGN as usize) as u32]);
                pass.dispatch_workgroups(x, y, z);
            }
        }
        if let Some((from, offset, to, size)) = copy {
            encoder.copy_buffer_to_buffer(from, offset, to, 0, size);
        }
        self.queue.submit([encoder.finish()]);
        noted.launches.clear();
        noted.numbers.clear();
        noted.work = 0;
    }

    /// Writes bytes, after what was noted before.
    pub fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<(), EngineError> {
        self.hand_over(&mut locked(&self.noted), None);
        self.queue.write_buffer(buffer, offset, bytes);
        self.checked()
    }

    /// Reads bytes, a multiple of four, after what was noted before; waits for them.
    pub fn read(&self, buffer: &wgpu::Buffer, offset: u64, host: &mut [u8]) -> Result<(), EngineError> {
        let size = host.len() as u64;
        if size == 0 {
            return self.checked();
        }
        let staging = create(&self.device, size, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        self.hand_over(&mut locked(&self.noted), Some((buffer, offset, &staging, size)));
        self.checked()?;
        let (say, said) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |mapped| _ = say.send(mapped));
        self.wait()?;
        // Where several threads wait, another one may be about to say it.
        match said.recv_timeout(self.patience) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(self.error(error.to_string())),
            Err(_) => return Err(self.error("the driver gives no answer")),
        }
        let bytes = staging.get_mapped_range(..).map_err(|error| self.error(error.to_string()))?;
        host.copy_from_slice(&bytes);
        drop(bytes);
        staging.unmap();
        self.checked()
    }

    fn wait(&self) -> Result<(), EngineError> {
        let asked = wgpu::PollType::Wait { submission_index: None, timeout: Some(self.patience) };
        match self.device.poll(asked) {
            Ok(_) => self.checked(),
            Err(wgpu::PollError::Timeout) => {
                Err(self.error(format!("the driver has not answered for {} seconds", self.patience.as_secs())))
            }
            Err(error) => Err(self.error(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use lungfish_engine::{Backend, Element};

    use crate::adapters;

    #[test]
    fn a_device_that_is_lost_is_told_and_takes_nobody_down() {
        let Some(adapter) = adapters().pop() else { return };
        let gpu = adapter.open().unwrap();
        let mut buffer = gpu.allocate(Element::F32, 1000).unwrap();
        gpu.upload(&mut buffer, 0, &[1.0; 1000]).unwrap();
        gpu.open.device.destroy();
        let mut host = [0.0; 10];
        let refused = gpu.download(&buffer, 0, &mut host).unwrap_err().to_string();
        assert!(refused.starts_with(adapter.name()), "{refused}");
        let refused = gpu
            .scale(&mut buffer, std::slice::from_ref(&(0..1000)), 2.0)
            .and_then(|()| gpu.download(&buffer, 0, &mut host));
        assert!(refused.is_err());
        assert!(gpu.allocate(Element::F32, 10).is_err());
    }
}
