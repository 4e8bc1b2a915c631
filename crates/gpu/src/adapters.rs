//! What there is to compute on: the adapters that the drivers of this machine show.

use std::fmt;

use lungfish_engine::EngineError;

use crate::Wgpu;
use crate::device::device_error;

/// What an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// A part of the processor, which shares its memory.
    Integrated,
    /// A part of a card, lent to a virtual machine.
    Virtual,
    /// Something else that is no processor.
    Other,
    /// The processor, playing an adapter (llvmpipe, lavapipe, WARP): right, and slow.
    Software,
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AdapterKind::Discrete => "discrete",
            AdapterKind::Integrated => "integrated",
            AdapterKind::Virtual => "virtual",
            AdapterKind::Other => "other",
            AdapterKind::Software => "software",
        })
    }
}

/// Something to compute on.
#[derive(Clone, Debug)]
pub struct Adapter {
    inner: wgpu::Adapter,
    info: wgpu::AdapterInfo,
}

/// The adapters of this machine: cards first, what the processor plays last, each kind in the order of its driver. One that
/// several interfaces show is listed under each.
pub fn adapters() -> Vec<Adapter> {
    // Validation layers and debugging aids are for those who write shaders, and take what they like from the environment.
    let flags = wgpu::InstanceFlags::empty();
    let descriptor = wgpu::InstanceDescriptor { flags, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let found = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::PRIMARY));
    let mut adapters: Vec<Adapter> = found.into_iter().map(|inner| Adapter { info: inner.get_info(), inner }).collect();
    adapters.sort_by_key(Adapter::kind);
    adapters
}

impl Adapter {
    /// The name that its driver gives it.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// `vulkan`, `metal` or `dx12`.
    pub fn interface(&self) -> &'static str {
        match self.info.backend {
            wgpu::Backend::Vulkan => "vulkan",
            wgpu::Backend::Metal => "metal",
            wgpu::Backend::Dx12 => "dx12",
            _ => "other",
        }
    }

    /// What it is.
    pub fn kind(&self) -> AdapterKind {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            wgpu::DeviceType::Other => AdapterKind::Other,
        }
    }

    /// The company that makes it, by its PCI number; `None` where that is none of the well-known ones.
    pub fn maker(&self) -> Option<&'static str> {
        match self.info.vendor {
            0x1002 => Some("AMD"),
            0x106B => Some("Apple"),
            0x10DE => Some("NVIDIA"),
            0x13B5 => Some("Arm"),
            0x5143 => Some("Qualcomm"),
            0x8086 => Some("Intel"),
            0x1_0005 => Some("Mesa"),
            _ => None,
        }
    }

    /// Its driver, with the version.
    pub fn driver(&self) -> String {
        format!("{} {}", self.info.driver, self.info.driver_info).trim().to_owned()
    }

    /// Its name, the interface and the driver: `NVIDIA H200 (vulkan, NVIDIA 570.86)`.
    pub fn describe(&self) -> String {
        format!("{} ({}, {})", self.name(), self.interface(), self.driver())
    }

    /// Most bytes of one buffer that a shader sees.
    pub fn largest_buffer(&self) -> u64 {
        let limits = self.inner.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }

    /// What it can do beyond what is asked of every adapter: `f16`, `subgroups of 32`, `cooperative matrices`.
    pub fn features(&self) -> Vec<String> {
        let features = self.inner.features();
        let mut found = Vec::new();
        if features.contains(wgpu::Features::SHADER_F16) {
            found.push("f16".to_owned());
        }
        if features.contains(wgpu::Features::SUBGROUP) {
            let (least, most) = (self.info.subgroup_min_size, self.info.subgroup_max_size);
            found.push(if least == most {
                format!("subgroups of {most}")
            } else {
                format!("subgroups of {least} to {most}")
            });
        }
        if features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            found.push("cooperative matrices".to_owned());
        }
        found
    }

    /// Makes it ready to compute.
    ///
    /// # Errors
    /// [`EngineError::Device`] where the driver refuses.
    pub fn open(&self) -> Result<Wgpu, EngineError> {
        // All that it has of what is used: the largest buffers, the rest as every adapter has it.
        let own = self.inner.limits();
        let limits = wgpu::Limits {
            max_buffer_size: own.max_buffer_size,
            max_storage_buffer_binding_size: own.max_storage_buffer_binding_size,
            min_storage_buffer_offset_alignment: own.min_storage_buffer_offset_alignment,
            min_uniform_buffer_offset_alignment: own.min_uniform_buffer_offset_alignment,
            ..wgpu::Limits::default()
        };
        let required_features = self.inner.features() & wgpu::Features::SHADER_F16;
        let asked = wgpu::DeviceDescriptor { required_limits: limits, required_features, ..Default::default() };
        let opened = pollster::block_on(self.inner.request_device(&asked));
        let (device, queue) = opened.map_err(|error| device_error(self.name(), error.to_string()))?;
        Ok(Wgpu::new((self.name().to_owned(), self.describe()), self.kind() == AdapterKind::Software, device, queue))
    }
}
