//! A network: a pretrained backbone with a new head on it, as a graph that the engine compiles.

use lungfish_engine::{Graph, GraphBuilder, PartId, ValueId};

use crate::{Architecture, ModelError};

/// What a network gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Log-probabilities of classes of which one is right; trained with [`lungfish_engine::Seed::Targets`].
    #[default]
    LogSoftmax,
    /// Logits of labels of which any may hold; trained with [`lungfish_engine::Seed::BinaryTargets`], and
    /// [`lungfish_engine::sigmoid`] makes probabilities of them.
    Logits,
}

/// The head that replaces ImageNet's classifier: `Linear(features, hidden)`, ReLU,
/// `Linear(hidden, classes)`, and LogSoftmax where the output asks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadConfig {
    /// Width of the hidden layer.
    pub hidden: usize,
    /// Probability with which a pooled feature is dropped while training, before the first linear
    /// layer; at 0 the graph has no dropout node.
    pub dropout: f32,
    /// What it gives.
    pub output: Output,
}

impl Default for HeadConfig {
    /// 256 hidden features, no dropout, log-probabilities.
    fn default() -> Self {
        HeadConfig { hidden: 256, dropout: 0.0, output: Output::LogSoftmax }
    }
}

/// A network ready to be compiled: normalised pixels `[N, 3, H, W]` in, log-probabilities or logits
/// `[N, classes]` out.
///
/// ```
/// use lungfish_models::{Architecture, HeadConfig, Network};
/// let network = Network::new(Architecture::Resnet34, 2, &HeadConfig::default())?;
/// assert_eq!(network.graph.param_count(&[network.head]), 131_842);
/// # Ok::<(), lungfish_models::ModelError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Network {
    /// The backbone.
    pub architecture: Architecture,
    /// Number of classes.
    pub classes: usize,
    /// The whole network; its parameters and buffers bear torchvision's names (the Lite networks:
    /// `efficientnet_lite_pytorch`'s), its last value is the output.
    pub graph: Graph,
    /// Named values worth looking at, in running order: the output of `stem` and of each layer or
    /// stage (`top` for a Lite network, before pooling), `pool` (`[N, features]`), `logits` (`[N, classes]`,
    /// before LogSoftmax).
    pub taps: Vec<(String, ValueId)>,
    /// The part with the head. The parts before it are the backbone, which ends with the pooling.
    pub head: PartId,
}

impl Network {
    /// The network with a new head for `classes` classes.
    ///
    /// # Errors
    /// [`ModelError::Engine`] for a head that cannot be: no classes, no hidden features or too many, a dropout that is no
    /// probability.
    pub fn new(architecture: Architecture, classes: usize, head: &HeadConfig) -> Result<Network, ModelError> {
        let mut g = GraphBuilder::new(3);
        let mut taps = Vec::new();
        let facts = architecture.facts();
        let pool = (facts.backbone)(&mut g, &mut taps);
        taps.push(("pool".to_owned(), pool));

        g.part("head");
        let fc = facts.classifier;
        let mut x = pool;
        if head.dropout != 0.0 {
            x = g.dropout(&format!("{fc}.dropout"), x, head.dropout);
        }
        let x = g.gemm(&format!("{fc}.fc1"), x, head.hidden);
        let x = g.relu(&format!("{fc}.relu"), x);
        let logits = g.gemm(&format!("{fc}.fc2"), x, classes);
        taps.push(("logits".to_owned(), logits));
        let output = match head.output {
            Output::LogSoftmax => g.log_softmax(&format!("{fc}.output"), logits),
            Output::Logits => logits,
        };
        let graph = g.finish(output)?;
        let head = graph.part("head")?;
        Ok(Network { architecture, classes, graph, taps, head })
    }

    /// A value of [`taps`](Self::taps) by name.
    pub fn tap(&self, name: &str) -> Option<ValueId> {
        self.taps.iter().find(|(n, _)| n == name).map(|&(_, v)| v)
    }

    /// The name of the bias of the last layer, a number a class.
    pub fn output_bias(&self) -> String {
        format!("{}.fc2.bias", self.architecture.facts().classifier)
    }

    /// The parts named in a comma-separated list, or every part for `all`, in the network's order
    /// and each once. The head is always among them.
    ///
    /// ```
    /// # use lungfish_models::{Architecture, HeadConfig, Network};
    /// let network = Network::new(Architecture::Resnet18, 2, &HeadConfig::default())?;
    /// let parts = network.parts_by_names("layer4, layer3")?;
    /// let names: Vec<&str> = parts.iter().map(|&p| network.graph.part_name(p)).collect();
    /// assert_eq!(names, ["layer3", "layer4", "head"]);
    /// # Ok::<(), lungfish_models::ModelError>(())
    /// ```
    ///
    /// # Errors
    /// [`ModelError::NoSuchPart`], with the names there are.
    pub fn parts_by_names(&self, names: &str) -> Result<Vec<PartId>, ModelError> {
        let mut wanted = vec![self.head];
        for name in names.split(',').map(str::trim) {
            match name {
                "all" => wanted.extend(self.parts()),
                _ => wanted.push(self.part(name)?),
            }
        }
        Ok(self.parts().into_iter().filter(|part| wanted.contains(part)).collect())
    }

    /// Every part, from the input on.
    pub fn parts(&self) -> Vec<PartId> {
        self.graph.parts().iter().filter_map(|name| self.graph.part(name).ok()).collect()
    }

    /// The part of that name.
    ///
    /// # Errors
    /// [`ModelError::NoSuchPart`], with the names there are and the ones that may have been meant.
    pub fn part(&self, name: &str) -> Result<PartId, ModelError> {
        self.graph.part(name).map_err(|_| ModelError::NoSuchPart {
            name: name.to_owned(),
            architecture: self.architecture.to_string(),
            parts: self.graph.parts().to_vec(),
        })
    }
}
