//! The shaders, and the pipelines made of them when they are first launched.

use std::collections::HashMap;
use std::sync::Arc;

use lungfish_engine::Element;

/// A shader: an operator of a step, forward or backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kernel {
    Activation,
    ActivationGradient,
    Adam,
    Add,
    AveragePool,
    AveragePoolGradient,
    Blend,
    ChannelSum,
    Conv,
    ConvData,
    ConvWeight,
    Depthwise,
    DepthwiseData,
    DepthwiseWeight,
    LogSoftmax,
    LogSoftmaxGradient,
    MaxPool,
    MaxPoolGradient,
    Multiply,
    Normalise,
    NormaliseGradient,
    NormaliseSums,
    NormaliseSumsEnd,
    Peak,
    Pixels,
    ScaleGradient,
    Squares,
    Statistics,
    StatisticsEnd,
    SumParts,
}

/// What the values of a step lie as, which its shader is written for: `X` and `Y` of the WGSL files (see `common.wgsl`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stored {
    /// What it reads, and the gradients to that.
    pub x: Element,
    /// What it writes, what is added to that, and the gradients from there.
    pub y: Element,
}

impl Stored {
    /// Single floats.
    pub const SINGLE: Stored = Stored { x: Element::F32, y: Element::F32 };

    /// What stands before a shader.
    fn prelude(self) -> String {
        let name = |element| match element {
            // Nothing is compiled for bfloat16: a plan of it is refused.
            Element::F32 | Element::Bf16 => "f32",
            Element::F16 => "f16",
        };
        let halves = [self.x, self.y].contains(&Element::F16);
        let enable = if halves { "enable f16;\n" } else { "" };
        format!("{enable}alias X = {};\nalias Y = {};\n", name(self.x), name(self.y))
    }
}

const COMMON: &str = include_str!("shaders/common.wgsl");
const FINISH: &str = include_str!("shaders/finish.wgsl");
const REDUCE: &str = include_str!("shaders/reduce.wgsl");
const TILE: &str = include_str!("shaders/tile.wgsl");
const WINDOW: &str = include_str!("shaders/window.wgsl");

impl Kernel {
    #[cfg(test)]
    pub const ALL: [Kernel; 30] = [
        Kernel::Activation,
        Kernel::ActivationGradient,
        Kernel::Adam,
        Kernel::Add,
        Kernel::AveragePool,
        Kernel::AveragePoolGradient,
        Kernel::Blend,
        Kernel::ChannelSum,
        Kernel::Conv,
        Kernel::ConvData,
        Kernel::ConvWeight,
        Kernel::Depthwise,
        Kernel::DepthwiseData,
        Kernel::DepthwiseWeight,
        Kernel::LogSoftmax,
        Kernel::LogSoftmaxGradient,
        Kernel::MaxPool,
        Kernel::MaxPoolGradient,
        Kernel::Multiply,
        Kernel::Normalise,
        Kernel::NormaliseGradient,
        Kernel::NormaliseSums,
        Kernel::NormaliseSumsEnd,
        Kernel::Peak,
        Kernel::Pixels,
        Kernel::ScaleGradient,
        Kernel::Squares,
        Kernel::Statistics,
        Kernel::StatisticsEnd,
        Kernel::SumParts,
    ];

    /// Its files, which make one shader together.
    fn files(self) -> &'static [&'static str] {
        match self {
            Kernel::Activation => &[COMMON, include_str!("shaders/activation.wgsl")],
            Kernel::ActivationGradient => &[COMMON, include_str!("shaders/activation_gradient.wgsl")],
            Kernel::Adam => &[COMMON, include_str!("shaders/adam.wgsl")],
            Kernel::Add => &[COMMON, include_str!("shaders/add.wgsl")],
            Kernel::AveragePool => &[COMMON, include_str!("shaders/average_pool.wgsl")],
            Kernel::AveragePoolGradient => &[COMMON, include_str!("shaders/average_pool_gradient.wgsl")],
            Kernel::Blend => &[COMMON, include_str!("shaders/blend.wgsl")],
            Kernel::ChannelSum => &[REDUCE, include_str!("shaders/channel_sum.wgsl")],
            Kernel::Conv => &[COMMON, FINISH, TILE, WINDOW, include_str!("shaders/conv.wgsl")],
            Kernel::ConvData => &[TILE, WINDOW, include_str!("shaders/conv_data.wgsl")],
            Kernel::ConvWeight => &[TILE, WINDOW, include_str!("shaders/conv_weight.wgsl")],
            Kernel::Depthwise => &[COMMON, FINISH, WINDOW, include_str!("shaders/depthwise.wgsl")],
            Kernel::DepthwiseData => &[COMMON, WINDOW, include_str!("shaders/depthwise_data.wgsl")],
            Kernel::DepthwiseWeight => &[REDUCE, WINDOW, include_str!("shaders/depthwise_weight.wgsl")],
            Kernel::LogSoftmax => &[COMMON, include_str!("shaders/log_softmax.wgsl")],
            Kernel::LogSoftmaxGradient => &[COMMON, include_str!("shaders/log_softmax_gradient.wgsl")],
            Kernel::MaxPool => &[COMMON, WINDOW, include_str!("shaders/max_pool.wgsl")],
            Kernel::MaxPoolGradient => &[COMMON, WINDOW, include_str!("shaders/max_pool_gradient.wgsl")],
            Kernel::Multiply => &[COMMON, include_str!("shaders/multiply.wgsl")],
            Kernel::Normalise => &[COMMON, include_str!("shaders/normalise.wgsl")],
            Kernel::NormaliseGradient => &[COMMON, include_str!("shaders/normalise_gradient.wgsl")],
            Kernel::NormaliseSums => &[COMMON, REDUCE, include_str!("shaders/normalise_sums.wgsl")],
            Kernel::NormaliseSumsEnd => &[include_str!("shaders/normalise_sums_end.wgsl")],
            Kernel::Peak => &[COMMON, include_str!("shaders/peak.wgsl")],
            Kernel::Pixels => &[COMMON, include_str!("shaders/pixels.wgsl")],
            Kernel::ScaleGradient => &[COMMON, include_str!("shaders/scale_gradient.wgsl")],
            Kernel::Squares => &[REDUCE, include_str!("shaders/squares.wgsl")],
            Kernel::Statistics => &[REDUCE, include_str!("shaders/statistics.wgsl")],
            Kernel::StatisticsEnd => &[include_str!("shaders/statistics_end.wgsl")],
            Kernel::SumParts => &[COMMON, include_str!("shaders/sum_parts.wgsl")],
        }
    }

    /// Whether it reads or writes values of a step, which may be halves.
    pub fn sees_values(self) -> bool {
        self.files().iter().any(|file| file.contains("array<X>") || file.contains("array<Y>"))
    }

    /// The shader, for values that lie as told.
    pub fn source(self, stored: Stored) -> String {
        stored.prelude() + &self.files().join("\n")
    }

    /// Storage buffers that it sees.
    pub fn buffers(self) -> usize {
        self.files().iter().map(|file| file.matches("var<storage").count()).sum()
    }
}

/// A shader made ready.
pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub groups: wgpu::BindGroupLayout,
}

/// The pipelines of a device.
#[derive(Default)]
pub(crate) struct Pipelines {
    made: HashMap<(Kernel, Stored), Arc<Pipeline>>,
    /// By the number of storage buffers.
    layouts: HashMap<usize, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>,
}

impl Pipelines {
    /// The shader's pipeline for values that lie as told, which is made when it is first asked for.
    pub fn get(&mut self, device: &wgpu::Device, kernel: Kernel, stored: Stored) -> Arc<Pipeline> {
        if let Some(made) = self.made.get(&(kernel, stored)) {
            return Arc::clone(made);
        }
        // One that sees no values is the same whatever they lie as.
        let single = stored == Stored::SINGLE || kernel.sees_values();
        if !single {
            let made = self.get(device, kernel, Stored::SINGLE);
            self.made.insert((kernel, stored), Arc::clone(&made));
            return made;
        }
        let buffers = kernel.buffers();
        let (groups, layout) = self.layouts.entry(buffers).or_insert_with(|| layouts(device, buffers));
        let label = format!("{kernel:?}");
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(kernel.source(stored).into()),
        });
        // Every shader writes what it reads of the memory that a workgroup shares.
        let options =
            wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: false, ..Default::default() };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: options,
            cache: None,
        });
        let made = Arc::new(Pipeline { pipeline, groups: groups.clone() });
        self.made.insert((kernel, stored), Arc::clone(&made));
        made
    }
}

/// Numbers in a slot of the uniform buffer, then storage buffers.
fn layouts(device: &wgpu::Device, buffers: usize) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
    let entry = |binding: usize| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: match binding {
                0 => wgpu::BufferBindingType::Uniform,
                // Pieces of one arena are read and written by the same shader.
                _ => wgpu::BufferBindingType::Storage { read_only: false },
            },
            has_dynamic_offset: binding == 0,
            min_binding_size: None,
        },
        count: None,
    };
    let entries: Vec<_> = (0..=buffers).map(entry).collect();
    let groups = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&groups)],
        immediate_size: 0,
    });
    (groups, layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is a shader by the rules of WGSL, within what every adapter has: 8 storage buffers, 256 threads, 16 KiB.
    #[test]
    fn every_shader_is_valid_and_asks_for_no_more_than_every_adapter_has() {
        let all = [Element::F32, Element::F16].map(|x| [Element::F32, Element::F16].map(|y| Stored { x, y }));
        let mut halves = 0;
        for (kernel, stored) in
            Kernel::ALL.into_iter().flat_map(|kernel| all.concat().into_iter().map(move |s| (kernel, s)))
        {
            let source = kernel.source(stored);
            let module = naga::front::wgsl::parse_str(&source)
                .unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source)));
            let flags = naga::valid::ValidationFlags::all();
            // Single floats ask for nothing, and halves for themselves.
            let capabilities = match stored {
                Stored::SINGLE => naga::valid::Capabilities::empty(),
                _ => naga::valid::Capabilities::SHADER_FLOAT16,
            };
            let mut validator = naga::valid::Validator::new(flags, capabilities);
            validator.validate(&module).unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source)));
            assert!((1..=8).contains(&kernel.buffers()), "{kernel:?} sees {} buffers", kernel.buffers());
            let threads: u32 = module.entry_points[0].workgroup_size.iter().product();
            assert!(threads <= 256, "{kernel:?} has {threads} threads");
            let mut layouter = naga::proc::Layouter::default();
            layouter.update(module.to_ctx()).unwrap();
            let shared = module.global_variables.iter().filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
            let bytes: u32 = shared.map(|(_, v)| layouter[v.ty].size).sum();
            assert!(bytes <= 16 << 10, "{kernel:?} shares {bytes} bytes");
            halves += usize::from(kernel.sees_values() && stored != Stored::SINGLE);
        }
        // Not so: softmax, the optimiser, sums of parts, and what has nothing to do with steps.
        assert_eq!(halves, 3 * (Kernel::ALL.len() - 9));
    }
}
