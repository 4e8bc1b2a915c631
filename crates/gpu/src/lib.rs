//! Plans computed on the GPU a person has, through Vulkan, Metal or DX12: a [`Backend`](lungfish_engine::Backend) of the
//! engine on `wgpu`, with nothing to install but the driver that the card needs anyway.
//!
//! [`adapters`] lists what there is; [`Adapter::open`] gives a [`Wgpu`], which computes. Values lie as `[n, C, H, W]`, in
//! single precision or, on a device that has it, in halves (f16); weights as the engine has them. Sums are taken in a fixed
//! order and nothing is added atomically: the same calls give the same bits on one adapter with one driver.
//!
//! The shaders are WGSL, one operator a file, in `shaders`; `steps` says which of them an operator's step launches.
//!
//! ```no_run
//! let adapters = lungfish_gpu::adapters();
//! let gpu = adapters.first().expect("there is an adapter").open()?;
//! println!("{}", gpu.name());
//! # Ok::<(), lungfish_engine::EngineError>(())
//! ```

mod adapters;
mod backend;
mod buffer;
mod device;
mod kernel;
mod launch;
mod peak;
mod program;
mod steps;
mod values;

pub use adapters::{Adapter, AdapterKind, adapters};
pub use buffer::GpuBuffer;
pub use device::Wgpu;
pub use program::GpuProgram;
