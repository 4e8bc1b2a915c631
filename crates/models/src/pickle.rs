//! A pickle read as data. Its opcodes build nodes in an arena; no name in it is ever looked up,
//! called or imported. Objects of classes that are not known here are kept by their class and
//! fields, so whatever lies beside the weights (an optimiser, transforms) does not matter.

//!
//! What a pickle costs is bounded before it is spent: how many objects there are, how many entries they have, how many
//! tensors. A short pickle can recall the same large object again and again.

mod machine;

use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use crate::classes;
use crate::error::{Fault, unless_stopped};
use crate::tensors::Float;

/// Index of a node in [`Pickle::nodes`].
type Id = usize;

/// Most nodes, stack entries and memo entries; a checkpoint has some dozens a tensor.
const MOST: usize = 1 << 20;
/// Most entries of all tuples, lists, dictionaries and objects together.
const MOST_ENTRIES: usize = 1 << 22;
/// Most bytes of classes' names that are put together from texts.
const MOST_NAMES: usize = 1 << 24;
/// Most descriptions of tensors in a pickle, and most tensors below its root; a large network and its
/// optimiser have some thousands.
const MOST_TENSORS: usize = 1 << 16;
/// Most work on the way to the tensors: characters of all paths together, and entries looked at.
const MOST_WORK: usize = 1 << 26;
/// Most entries of the outermost dictionary that are asked for class names, and most entries of each that are looked at.
const MOST_PLACES: usize = 64;
const MOST_KEYS: usize = 1 << 16;

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
    Storage(Rc<Storage>),
    Tensor(Box<View>),
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
    pub storage: Rc<Storage>,
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
    pub(crate) fn read(bytes: &[u8], stop: &AtomicBool) -> Result<Pickle, Fault> {
        machine::run(bytes, stop)
    }

    /// Every tensor below the root with its dotted path through dictionaries and modules.
    pub(crate) fn tensors(&self, stop: &AtomicBool) -> Result<Vec<Found<'_>>, Fault> {
        let start = Open { path: String::new(), root: 0, in_module: false, id: self.root };
        let mut walk = Walk { pickle: self, open: vec![start], work: 0, turns: 0, stop };
        let mut found = Vec::new();
        while let Some(at) = walk.open.pop() {
            match &self.nodes[at.id] {
                Node::Tensor(view) => {
                    if found.len() == MOST_TENSORS {
                        return Err(Fault::excessive(format!("it has more than {MOST_TENSORS} tensors")));
                    }
                    found.push(Found { path: at.path, root: at.root, view });
                }
                Node::Dict(_) => walk.enter(&at, at.id, false)?,
                // A pickled torch.nn.Module, whose state dict has none of these three names.
                Node::Object(states) => {
                    for &state in states.iter().rev() {
                        walk.spend(1)?;
                        for (name, field) in self.entries(state).iter().rev() {
                            walk.spend(1)?;
                            if matches!(&**name, "_parameters" | "_buffers" | "_modules") {
                                walk.enter(&at, *field, true)?;
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The class names at the root, or in what lies right below it (a state dict's companions, a pickled data set):
    /// `class_to_idx`, `classes` or `class_names`.
    pub(crate) fn classes(&self) -> Option<Vec<String>> {
        let below = self.entries(self.root).iter().take(MOST_PLACES).map(|(_, id)| *id);
        std::iter::once(self.root).chain(below).find_map(|at| self.classes_at(at))
    }

    fn classes_at(&self, at: Id) -> Option<Vec<String>> {
        let indices = self.field(at, classes::INDICES).map(|id| self.entries(id)).filter(|e| !e.is_empty());
        if let Some(indices) = indices {
            return classes::in_order(indices.iter().map(|(name, id)| match self.nodes[*id] {
                Node::Int(index) => (&**name, Some(index)),
                _ => (&**name, None),
            }));
        }
        let list = classes::LISTS.iter().find_map(|key| self.field(at, key))?;
        let (Node::List(names) | Node::Tuple(names)) = &self.nodes[list] else { return None };
        classes::listed(names.iter().map(|&id| match &self.nodes[id] {
            Node::Text(name) => Some(&**name),
            _ => None,
        }))
    }

    /// An entry of a dictionary, or a field of an object.
    fn field(&self, of: Id, name: &str) -> Option<Id> {
        /// States of an object that are looked into; objects have one.
        const STATES: usize = 4;
        let of_dictionary =
            |id: Id| self.entries(id).iter().rev().take(MOST_KEYS).find(|(key, _)| &**key == name).map(|(_, id)| *id);
        match &self.nodes[of] {
            Node::Object(states) => states.iter().rev().take(STATES).find_map(|&state| of_dictionary(state)),
            _ => of_dictionary(of),
        }
    }

    fn entries(&self, id: Id) -> &[(Rc<str>, Id)] {
        match &self.nodes[id] {
            Node::Dict(entries) => entries,
            _ => &[],
        }
    }
}

/// A tensor on its way out of a pickle.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// Where it lies, with dots.
    pub path: String,
    /// How much of the path leads to the state dict, or to the pickled module, that it belongs to.
    pub root: usize,
    pub view: &'a View,
}

/// Something yet to be looked at.
struct Open {
    path: String,
    root: usize,
    in_module: bool,
    id: Id,
}

/// On the way from the root to the tensors.
struct Walk<'a> {
    pickle: &'a Pickle,
    /// The next one last.
    open: Vec<Open>,
    work: usize,
    turns: usize,
    stop: &'a AtomicBool,
}

impl Walk<'_> {
    /// Puts a dictionary's entries before all that is open. Each dictionary may be a state dict; a module's fields belong to
    /// the outermost module.
    fn enter(&mut self, at: &Open, dictionary: Id, in_module: bool) -> Result<(), Fault> {
        let here = if at.path.is_empty() { 0 } else { at.path.len() + 1 };
        let root = if at.in_module { at.root } else { here };
        for (key, id) in self.pickle.entries(dictionary).iter().rev() {
            self.spend(at.path.len() + key.len() + 64)?;
            let path = if at.path.is_empty() { key.to_string() } else { format!("{}.{key}", at.path) };
            self.open.push(Open { path, root, in_module: in_module || at.in_module, id: *id });
        }
        Ok(())
    }

    fn spend(&mut self, work: usize) -> Result<(), Fault> {
        self.work += work;
        self.turns += 1;
        if self.work > MOST_WORK {
            return Err(Fault::excessive("its dictionaries are nested beyond reason"));
        }
        if self.turns.is_multiple_of(4096) { unless_stopped(self.stop) } else { Ok(()) }
    }
}
