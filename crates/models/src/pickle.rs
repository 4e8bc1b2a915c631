//! A pickle read as data. Its opcodes build nodes in an arena; no name in it is ever looked up,
//! called or imported. Objects of classes that are not known here are kept by their class and
//! fields, so whatever lies beside the weights (an optimiser, transforms) does not matter.

mod machine;

use std::rc::Rc;

use crate::tensors::Float;

/// Index of a node in [`Pickle::nodes`].
type Id = usize;

/// Most nodes, stack entries and memo entries; a checkpoint has some dozens a tensor.
const MOST: usize = 1 << 20;
/// Most characters of all paths together, and most entries copied from one node to another: a
/// crafted pickle recalls the same large object again and again.
const MOST_WORK: usize = 1 << 26;
/// A value of the pickle.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A number that no tensor needs, bytes, None.
    Other,
    Int(i64),
    Text(Rc<str>),
    /// A name of Python's, `module.name`.
    Global(Rc<str>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Entries with text keys; of equal keys the last counts.
    Dict(Vec<(Rc<str>, Id)>),
    /// An object with the dictionaries of fields it was given.
    Object(Vec<Id>),
    Storage(Storage),
    Tensor(View),
}

/// A run of numbers that the file keeps outside the pickle.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub key: Rc<str>,
    pub kind: Element,
    /// Elements by which a view of an older storage is moved.
    pub offset: usize,
}

/// What a storage's elements are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Element {
    Float(Float),
    /// Not floating-point; bytes an element.
    Other(usize),
}

impl Element {
    /// By the name of torch's storage class.
    fn of(class: &str) -> Option<Element> {
        Some(match class.rsplit('.').next()? {
            "FloatStorage" => Element::Float(Float::F32),
            "DoubleStorage" => Element::Float(Float::F64),
            "HalfStorage" => Element::Float(Float::F16),
            "BFloat16Storage" => Element::Float(Float::Bf16),
            "LongStorage" | "ComplexFloatStorage" => Element::Other(8),
            "IntStorage" | "QInt32Storage" => Element::Other(4),
            "ShortStorage" => Element::Other(2),
            "CharStorage" | "ByteStorage" | "BoolStorage" | "QInt8Storage" | "QUInt8Storage" | "UntypedStorage" => {
                Element::Other(1)
            }
            "ComplexDoubleStorage" => Element::Other(16),
            _ => return None,
        })
    }

    /// Bytes an element.
    pub(crate) fn size(self) -> usize {
        match self {
            Element::Float(kind) => kind.size(),
            Element::Other(size) => size,
        }
    }
}

/// A tensor: a strided view of a storage, all in elements.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

/// One pickle, read to its end.
#[derive(Debug)]
pub(crate) struct Pickle {
    pub nodes: Vec<Node>,
    pub root: Id,
    /// Bytes it took.
    pub length: usize,
}

impl Pickle {
    /// Reads the pickle at the beginning of `bytes`.
    pub(crate) fn read(bytes: &[u8]) -> Result<Pickle, String> {
        machine::run(bytes)
    }

    /// Every tensor below the root with its dotted path through dictionaries and modules.
    pub(crate) fn tensors(&self) -> Result<Vec<(String, &View)>, String> {
        let mut found = Vec::new();
        let mut work = 0_usize;
        let mut open = vec![(String::new(), self.root)];
        while let Some((path, id)) = open.pop() {
            let dictionaries: Vec<Id> = match &self.nodes[id] {
                Node::Tensor(view) => {
                    found.push((path, view));
                    continue;
                }
                Node::Dict(_) => vec![id],
                // A pickled torch.nn.Module, whose state dict has none of these three names.
                Node::Object(states) => {
                    let fields = states.iter().flat_map(|&state| self.entries(state));
                    let of_module = |name: &str| matches!(name, "_parameters" | "_buffers" | "_modules");
                    fields.filter(|(name, _)| of_module(name)).map(|&(_, id)| id).collect()
                }
                _ => continue,
            };
            for (key, id) in dictionaries.iter().rev().flat_map(|&d| self.entries(d).iter().rev()) {
                work += path.len() + key.len() + 64;
                if work > MOST_WORK {
                    return Err("its dictionaries are nested beyond reason".to_owned());
                }
                open.push((if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }, *id));
            }
        }
        Ok(found)
    }

    fn entries(&self, id: Id) -> &[(Rc<str>, Id)] {
        match &self.nodes[id] {
            Node::Dict(entries) => entries,
            _ => &[],
        }
    }
}
