//! What a network is made of, as torchinfo tells it of the same network in PyTorch: its layers in a tree, the shape of
//! what each gives, its parameters, multiply-adds, and what all of it takes in memory.

use lungfish_engine::{Graph, Node, Op, PartId, Shape};
use serde::Serialize;

use crate::{Architecture, ModelError, Network};

/// A row: the network, a part, a block, or a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Layer {
    /// Its name: the architecture, a part (`layer1`), or as torchvision has it (`layer1.0`, `layer1.0.conv1`).
    pub name: String,
    /// What it is: `network`, `part`, or torch's name of the module (`BasicBlock`, `Conv2d`); `Add` for a sum.
    pub kind: String,
    /// How deep it lies: 0 is the network, 1 a part.
    pub depth: usize,
    /// Whether other rows lie in it: their figures are in its own.
    pub holds: bool,
    /// Shape of what it gives, `[N, C, H, W]` or `[N, F]`.
    pub output: Vec<usize>,
    /// Learned numbers.
    pub parameters: usize,
    /// Those of them that train.
    pub trainable: usize,
    /// Multiply-adds of a forward pass over the batch, as torchinfo counts them: a convolution's weights once for each
    /// pixel that it gives, any other layer's parameters once for each film.
    pub mult_adds: u64,
}

/// The layers of a network for one size of batch and image, and totals.
///
/// ```
/// use lungfish_models::{Architecture, HeadConfig, Network, Summary};
/// let network = Network::new(Architecture::Resnet34, 2, &HeadConfig::default())?;
/// let summary = Summary::new(&network, [network.head].as_slice(), 1, 224)?;
/// assert_eq!((summary.parameters, summary.trainable), (21_416_514, 131_842));
/// assert_eq!(summary.layers[0].output, [1, 2]);
/// # Ok::<(), lungfish_models::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Summary {
    /// The network.
    pub architecture: Architecture,
    /// Classes it tells apart.
    pub classes: usize,
    /// Shape of what it takes: films, channels, height and width in pixels.
    pub input: [usize; 4],
    /// The layers, each before those that lie in it; the first is the network.
    pub layers: Vec<Layer>,
    /// Learned numbers.
    pub parameters: usize,
    /// Those of them that train.
    pub trainable: usize,
    /// Those that do not.
    pub frozen: usize,
    /// Multiply-adds of a forward pass over the batch.
    pub mult_adds: u64,
    /// Bytes of the batch.
    pub input_bytes: u64,
    /// Bytes of what the layers with parameters give, and as many for gradients: torchinfo's estimate of a forward and
    /// backward pass.
    pub pass_bytes: u64,
    /// Bytes of the parameters.
    pub parameter_bytes: u64,
    /// The three together.
    pub total_bytes: u64,
}

const BYTES: u64 = size_of::<f32>() as u64;

impl Summary {
    /// For batches of `films` films of `size` by `size` pixels, of which the parts of `train` train.
    ///
    /// # Errors
    /// [`lungfish_engine::EngineError::Shape`] where the image is too small for the network.
    pub fn new(network: &Network, train: &[PartId], films: usize, size: usize) -> Result<Summary, ModelError> {
        let graph = &network.graph;
        let shapes = graph.shapes(size, size)?;
        let kind = "network".to_owned();
        let mut layers = vec![row(network.architecture.name(), kind, 0, &[])];
        // The rows that the next one may lie in, outermost first.
        let mut open = vec![0];
        let mut pass_bytes = 0;
        for node in graph.nodes() {
            let leaf = leaf(graph, node, &shapes, films, train.contains(&node.part));
            if leaf.parameters > 0 {
                pass_bytes += 2 * BYTES * leaf.output.iter().product::<usize>() as u64;
            }
            let part = (graph.part_name(node.part).to_owned(), "part".to_owned());
            // The pooling between backbone and head learns nothing and stands between the parts, as it does in torch.
            let mut holders = if node.op == Op::GlobalAveragePool { Vec::new() } else { vec![part] };
            holders
                .extend(block(&node.name).map(|name| (name.to_owned(), network.architecture.facts().block.to_owned())));
            let shared =
                holders.iter().zip(&open[1..]).take_while(|((name, _), row)| layers[**row].name == *name).count();
            open.truncate(1 + shared);
            for (name, kind) in holders.into_iter().skip(shared) {
                open.push(layers.len());
                layers.push(row(&name, kind, open.len() - 1, &leaf.output));
            }
            for &holder in &open {
                let holder = &mut layers[holder];
                holder.output.clone_from(&leaf.output);
                holder.parameters += leaf.parameters;
                holder.trainable += leaf.trainable;
                holder.mult_adds += leaf.mult_adds;
            }
            layers.push(Layer { depth: open.len(), ..leaf });
        }
        let Layer { parameters, trainable, mult_adds, .. } = layers[0];
        let input = [films, graph.channels(Graph::INPUT), size, size];
        let input_bytes = BYTES * input.iter().product::<usize>() as u64;
        let parameter_bytes = BYTES * parameters as u64;
        Ok(Summary {
            architecture: network.architecture,
            classes: network.classes,
            input,
            layers,
            parameters,
            trainable,
            frozen: parameters - trainable,
            mult_adds,
            input_bytes,
            pass_bytes,
            parameter_bytes,
            total_bytes: input_bytes + pass_bytes + parameter_bytes,
        })
    }
}

/// A row that other rows will lie in.
fn row(name: &str, kind: String, depth: usize, output: &[usize]) -> Layer {
    let (name, output) = (name.to_owned(), output.to_vec());
    Layer { name, kind, depth, holds: true, output, parameters: 0, trainable: 0, mult_adds: 0 }
}

fn leaf(graph: &Graph, node: &Node, shapes: &[Shape], films: usize, trains: bool) -> Layer {
    let Shape { c, h, w } = shapes[node.output.index()];
    let params = node.op.params();
    let parameters: usize = params.iter().map(|param| graph.params()[param.index()].len()).sum();
    let (places, output) = match node.op {
        Op::Conv(_) => (films * h * w, vec![films, c, h, w]),
        // torch's average pooling keeps two axes of one pixel; what follows reads a vector.
        Op::GlobalAveragePool => (0, vec![films, c, 1, 1]),
        Op::Gemm(_) | Op::Dropout(_) | Op::LogSoftmax => (films, vec![films, c]),
        Op::Relu | Op::Clip(_) if is_vector(graph, node) => (0, vec![films, c]),
        _ => (films, vec![films, c, h, w]),
    };
    Layer {
        name: node.name.clone(),
        kind: kind(&node.op).to_owned(),
        depth: 0,
        holds: false,
        output,
        parameters,
        trainable: if trains { parameters } else { 0 },
        mult_adds: parameters as u64 * places as u64,
    }
}

/// Whether a node reads what a linear layer gives.
fn is_vector(graph: &Graph, node: &Node) -> bool {
    graph.writer(node.inputs[0]).is_some_and(|before| matches!(before.op, Op::Gemm(_)))
}

/// torch's name of the module.
fn kind(op: &Op) -> &'static str {
    match op {
        Op::Conv(_) => "Conv2d",
        Op::BatchNormalization(_) => "BatchNorm2d",
        Op::Relu => "ReLU",
        Op::Clip(_) => "ReLU6",
        Op::MaxPool(_) => "MaxPool2d",
        Op::GlobalAveragePool => "AdaptiveAvgPool2d",
        Op::Gemm(_) => "Linear",
        Op::Add | Op::Dropout(_) | Op::LogSoftmax => op.name(),
    }
}

/// The block that a layer lies in: `layer1.0` of `layer1.0.downsample.0`, none for `conv1`.
fn block(name: &str) -> Option<&str> {
    let (at, _) = name.match_indices('.').nth(1)?;
    let (_, number) = name[..at].split_once('.')?;
    number.parse::<usize>().is_ok().then_some(&name[..at])
}
