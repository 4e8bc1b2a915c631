//! A machine that runs a pickle's opcodes over plain nodes, as CPython's unpickler does over objects.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use super::{Element, Id, MOST, MOST_ENTRIES, MOST_NAMES, MOST_TENSORS, Node, Pickle, Storage, View};
use crate::error::{Fault, shown, unless_stopped};

/// Longest name of Python's.
const LONGEST_NAME: usize = 1 << 12;

/// Reads the pickle at the beginning of `bytes`.
pub(super) fn run(bytes: &[u8], stop: &AtomicBool) -> Result<Pickle, Fault> {
    let mut machine = Machine {
        bytes,
        at: 0,
        nodes: vec![],
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
        entries: 0,
        names: 0,
        tensors: 0,
        stop,
    };
    let root = machine.run()?;
    Ok(Pickle { nodes: machine.nodes, root, length: machine.at })
}

/// CPython's unpickler without the classes.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Entries of all containers so far.
    entries: usize,
    /// Bytes of classes' names so far.
    names: usize,
    /// Descriptions of tensors so far.
    tensors: usize,
    stop: &'a AtomicBool,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id, Fault> {
        for turn in 0_usize.. {
            if turn.is_multiple_of(4096) {
                unless_stopped(self.stop)?;
            }
            if [self.nodes.len(), self.stack.len(), self.memo.len(), self.marks.len()].into_iter().any(|n| n > MOST) {
                return Err(Fault::excessive("its pickle has too many objects"));
            }
            let op = self.take(1)?[0];
            match op {
                0x80 => drop(self.take(1)?), // PROTO
                0x95 => drop(self.take(8)?), // FRAME
                b'.' => return self.pop(),   // STOP
                b'(' => self.marks.push(self.stack.len()),
                b'0' => {
                    // POP takes a bare mark too.
                    if self.marks.last() == Some(&self.stack.len()) {
                        self.marks.pop();
                    } else {
                        self.pop()?;
                    }
                }
                b'1' => drop(self.pop_to_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }

                b'N' | 0x88 | 0x89 => self.push(Node::Other),
                b'I' | b'L' => {
                    let line = self.line()?;
                    self.push(line.trim_end_matches('L').parse().map_or(Node::Other, Node::Int));
                }
                b'F' => {
                    self.line()?;
                    self.push(Node::Other);
                }
                b'G' => {
                    self.take(8)?;
                    self.push(Node::Other);
                }
                b'K' | b'M' => {
                    let value = self.unsigned(if op == b'K' { 1 } else { 2 })?;
                    self.push(Node::Int(value as i64));
                }
                b'J' => {
                    let value = self.unsigned(4)? as u32;
                    self.push(Node::Int(i64::from(value as i32)));
                }
                0x8a | 0x8b => {
                    let length = self.unsigned(if op == 0x8a { 1 } else { 4 })?;
                    let digits = self.counted(length)?;
                    self.push(long(digits));
                }

                b'V' | b'S' => {
                    let line = self.line()?;
                    self.push(Node::Text(line.trim_matches(['\'', '"']).into()));
                }
                b'X' | b'T' | b'U' | 0x8c | 0x8d => {
                    let length = self.unsigned(match op {
                        b'U' | 0x8c => 1,
                        0x8d => 8,
                        _ => 4,
                    })?;
                    let text = String::from_utf8_lossy(self.counted(length)?).into();
                    self.push(Node::Text(text));
                }
                b'B' | b'C' | 0x8e | 0x96 => {
                    let length = self.unsigned(match op {
                        b'C' => 1,
                        b'B' => 4,
                        _ => 8,
                    })?;
                    self.counted(length)?;
                    self.push(Node::Other);
                }

                b']' | 0x8f => self.push(Node::List(vec![])),
                b'}' => self.push(Node::Dict(vec![])),
                b')' => self.push(Node::Tuple(vec![])),
                b'l' | 0x91 => {
                    let items = self.pop_to_mark()?;
                    self.hold(items.len())?;
                    self.push(Node::List(items));
                }
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.hold(items.len())?;
                    self.push(Node::Tuple(items));
                }
                0x85..=0x87 => {
                    let items = self.pop_many(usize::from(op - 0x84))?;
                    self.hold(items.len())?;
                    self.push(Node::Tuple(items));
                }
                b'd' => {
                    let items = self.pop_to_mark()?;
                    self.push(Node::Dict(vec![]));
                    self.set_items(&items)?;
                }
                b's' => {
                    let items = self.pop_many(2)?;
                    self.set_items(&items)?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(&items)?;
                }
                b'a' => {
                    let items = self.pop_many(1)?;
                    self.append(items)?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_to_mark()?;
                    self.append(items)?;
                }

                b'p' | b'q' | b'r' | 0x94 => {
                    let key = match op {
                        b'p' => self.index_line()?,
                        b'q' => self.unsigned(1)?,
                        b'r' => self.unsigned(4)?,
                        _ => self.memo.len() as u64,
                    };
                    let top = self.top()?;
                    self.memo.insert(key, top);
                }
                b'g' | b'h' | b'j' => {
                    let key = match op {
                        b'g' => self.index_line()?,
                        b'h' => self.unsigned(1)?,
                        _ => self.unsigned(4)?,
                    };
                    let id = *self.memo.get(&key).ok_or("its pickle recalls what it never kept")?;
                    self.stack.push(id);
                }

                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(&module, &name)?;
                }
                0x93 => {
                    let names = self.pop_many(2)?;
                    let (module, name) = (self.text(names[0])?, self.text(names[1])?);
                    self.global(&module, &name)?;
                }
                b'R' | 0x81 => {
                    let call = self.pop_many(2)?;
                    let built = self.call(call[0], call[1])?;
                    self.stack.push(built);
                }
                0x92 => {
                    self.pop_many(3)?;
                    self.push(Node::Object(vec![]));
                }
                b'i' => {
                    self.line()?;
                    self.line()?;
                    self.pop_to_mark()?;
                    self.push(Node::Object(vec![]));
                }
                b'o' => {
                    self.pop_to_mark()?;
                    self.push(Node::Object(vec![]));
                }
                b'b' => {
                    let state = self.pop()?;
                    self.build(state)?;
                }
                b'P' => {
                    self.line()?;
                    self.push(Node::Other);
                }
                b'Q' => {
                    let id = self.pop()?;
                    let found = self.persistent(id)?;
                    self.stack.push(found);
                }
                _ => return Err(format!("its pickle has an opcode that is not known, 0x{op:02x}").into()),
            }
        }
        Err("its pickle is cut off".into())
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..n)).ok_or("its pickle is cut off")?;
        self.at += n;
        Ok(taken)
    }

    fn counted(&mut self, n: u64) -> Result<&'a [u8], Fault> {
        self.take(usize::try_from(n).map_err(|_| "its pickle is cut off")?)
    }

    /// Little-endian.
    fn unsigned(&mut self, width: usize) -> Result<u64, Fault> {
        Ok(self.take(width)?.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b)))
    }

    fn line(&mut self) -> Result<String, Fault> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&b| b == b'\n').ok_or("its pickle is cut off")?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.at += end + 1;
        Ok(line)
    }

    fn index_line(&mut self) -> Result<u64, Fault> {
        self.line()?.trim().parse().map_err(|_| "its pickle has a broken memo index".into())
    }

    /// Counts entries that a container is about to get.
    fn hold(&mut self, entries: usize) -> Result<(), Fault> {
        self.entries += entries;
        if self.entries > MOST_ENTRIES {
            return Err(Fault::excessive("its pickle has too many entries in its lists and dictionaries"));
        }
        Ok(())
    }

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.stack.push(self.nodes.len() - 1);
    }

    /// The stack above the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Fault> {
        self.stack.get(self.floor()..).and_then(<[Id]>::last).copied().ok_or_else(|| "its pickle is broken".into())
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, n: usize) -> Result<Vec<Id>, Fault> {
        let start = self.stack.len().checked_sub(n).filter(|&s| s >= self.floor()).ok_or("its pickle is broken")?;
        Ok(self.stack.split_off(start))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let mark = self.marks.pop().filter(|&m| m <= self.stack.len()).ok_or("its pickle is broken")?;
        Ok(self.stack.split_off(mark))
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        self.names += module.len() + name.len();
        if module.len() + name.len() > LONGEST_NAME || self.names > MOST_NAMES {
            return Err(Fault::excessive("its pickle has classes with endless names"));
        }
        self.push(Node::Global(format!("{module}.{name}").into()));
        Ok(())
    }

    fn text(&self, id: Id) -> Result<Rc<str>, Fault> {
        match &self.nodes[id] {
            Node::Text(text) => Ok(text.clone()),
            _ => Err("its pickle is broken".into()),
        }
    }

    fn items(&self, id: Id) -> &[Id] {
        match &self.nodes[id] {
            Node::Tuple(items) | Node::List(items) => items,
            _ => &[],
        }
    }

    /// Text-keyed pairs into the dictionary or object on top; other keys are dropped.
    fn set_items(&mut self, items: &[Id]) -> Result<(), Fault> {
        self.hold(items.len() / 2)?;
        let pairs = self.pairs(items.chunks_exact(2));
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Dict(entries) => entries.extend(pairs),
            Node::Object(_) => {}
            _ => return Err("its pickle sets items of what is no dictionary".into()),
        }
        Ok(())
    }

    fn pairs<'i>(&self, pairs: impl Iterator<Item = &'i [Id]>) -> Vec<(Rc<str>, Id)> {
        pairs
            .filter_map(|pair| match (pair, &self.nodes[*pair.first()?]) {
                ([_, value], Node::Text(key)) => Some((key.clone(), *value)),
                _ => None,
            })
            .collect()
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Fault> {
        self.hold(items.len())?;
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(list) => list.extend(items),
            Node::Object(_) => {}
            _ => return Err("its pickle appends to what is no list".into()),
        }
        Ok(())
    }

    /// State for the object on top: its `__dict__`, alone or first of a pair with its slots.
    fn build(&mut self, state: Id) -> Result<(), Fault> {
        self.hold(1)?;
        let state = self.items(state).first().copied().unwrap_or(state);
        let top = self.top()?;
        if let Node::Object(states) = &mut self.nodes[top] {
            states.push(state);
        }
        Ok(())
    }

    /// What Python would get by calling a global: a tensor or dictionary where it is one of the
    /// few that make them, else an object without fields.
    fn call(&mut self, callable: Id, arguments: Id) -> Result<Id, Fault> {
        const FROM_TYPE: &str = "torch._tensor._rebuild_from_type_v2";
        let name_of = |id: Id| match &self.nodes[id] {
            Node::Global(name) => name.clone(),
            _ => "".into(),
        };
        let (mut name, mut arguments) = (name_of(callable), arguments);
        // (function, class, its arguments, state): a subclass of Tensor.
        if let (FROM_TYPE, &[function, _, inner, ..]) = (&*name, self.items(arguments)) {
            (name, arguments) = (name_of(function), inner);
        }
        let arguments = self.items(arguments);
        let node = match (&*name, arguments) {
            ("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2", _) => {
                let view = self.view(arguments)?;
                self.tensors += 1;
                if self.tensors > MOST_TENSORS {
                    return Err(Fault::excessive(format!("it has more than {MOST_TENSORS} tensors")));
                }
                view
            }
            ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", [data, ..]) => {
                return Ok(*data);
            }
            ("collections.OrderedDict", []) => Node::Dict(vec![]),
            ("collections.OrderedDict", &[pairs, ..]) => {
                // The pairs may be recalled, and with them those that went into another dictionary before.
                self.hold(self.items(pairs).len())?;
                Node::Dict(self.pairs(self.items(pairs).iter().map(|&pair| self.items(pair))))
            }
            _ => Node::Object(vec![]),
        };
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, ...)`.
    fn view(&self, arguments: &[Id]) -> Result<Node, Fault> {
        /// More than torch has in earnest.
        const MOST_DIMENSIONS: usize = 32;
        let sizes = |id: Id| -> Option<Vec<usize>> {
            let items = Some(self.items(id)).filter(|items| items.len() <= MOST_DIMENSIONS)?;
            items.iter().map(|&i| self.size(i)).collect()
        };
        let view =
            match arguments {
                &[storage, offset, shape, stride, ..] => match (&self.nodes[storage], self.size(offset)) {
                    (Node::Storage(storage), Some(offset)) => sizes(shape)
                        .zip(sizes(stride))
                        .map(|(shape, stride)| View { storage: storage.clone(), offset, shape, stride }),
                    _ => None,
                },
                _ => None,
            };
        view.filter(|v| v.shape.len() == v.stride.len())
            .map(|view| Node::Tensor(Box::new(view)))
            .ok_or_else(|| "one of its tensors has a broken description".into())
    }

    fn size(&self, id: Id) -> Option<usize> {
        match self.nodes[id] {
            Node::Int(v) => usize::try_from(v).ok(),
            _ => None,
        }
    }

    /// `("storage", class, key, device, elements[, (view key, offset, elements)])`, or
    /// `("module", class, ...)` in legacy files, which is the class and no copy of it.
    fn persistent(&mut self, id: Id) -> Result<Id, Fault> {
        let broken = || Fault::from("one of its storages has a broken description");
        let items = self.items(id);
        let node = match (items.first().map(|&i| &self.nodes[i]), items) {
            (Some(Node::Text(tag)), &[_, class, ..]) if &**tag == "module" => return Ok(class),
            (Some(Node::Text(tag)), &[_, class, key, _, _, ref view @ ..]) if &**tag == "storage" => {
                let Node::Global(class) = &self.nodes[class] else { return Err(broken()) };
                let kind = Element::of(class)
                    .ok_or_else(|| format!("it has a storage of an unknown kind, {}", shown(class)))?;
                let key = match &self.nodes[key] {
                    Node::Text(key) => key.clone(),
                    Node::Int(key) => key.to_string().into(),
                    _ => return Err(broken()),
                };
                let offset = match view.first().map(|&v| self.items(v)) {
                    Some(&[_, offset, _]) => self.size(offset).ok_or_else(broken)?,
                    _ => 0,
                };
                Node::Storage(Rc::new(Storage { key, kind, offset }))
            }
            _ => Node::Other,
        };
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }
}

/// A little-endian two's-complement integer of any length.
fn long(digits: &[u8]) -> Node {
    if digits.len() > 8 {
        return Node::Other;
    }
    let filler = if digits.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
    let mut bytes = [filler; 8];
    bytes[..digits.len()].copy_from_slice(digits);
    Node::Int(i64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static GO: AtomicBool = AtomicBool::new(false);

    /// Opcodes with a good argument each: what pickles of weights are made of, with few texts and memo places so that
    /// they meet.
    fn opcode() -> impl Strategy<Value = Vec<u8>> {
        let plain = b"(012NIl]})t\x85\x86\x87dsuaebRQo\x81\x8f\x90\x91\x92\x93\x94";
        let globals = prop::sample::select(vec![
            &b"ctorch._utils\n_rebuild_tensor_v2\n"[..],
            b"ctorch._utils\n_rebuild_parameter\n",
            b"ctorch._tensor\n_rebuild_from_type_v2\n",
            b"ccollections\nOrderedDict\n",
            b"ctorch\nFloatStorage\n",
            b"cos\nsystem\n",
        ]);
        let texts =
            prop::sample::select(vec!["storage", "module", "0", "w", "_modules", "_parameters", "class_to_idx"]);
        prop_oneof![
            6 => prop::sample::select(plain.to_vec()).prop_map(|op| if op == b'I' { b"I7\n".to_vec() } else { vec![op] }),
            3 => (prop::sample::select(b"qh".to_vec()), 0..6_u8).prop_map(|(op, at)| vec![op, at]),
            2 => texts.prop_map(|text| [&[b'U', text.len() as u8], text.as_bytes()].concat()),
            2 => globals.prop_map(<[u8]>::to_vec),
            2 => (0..4_u8).prop_map(|n| vec![b'K', n]),
            1 => any::<[u8; 5]>().prop_map(|[a, b, c, d, e]| vec![a, b, c, d, e]),
            // A storage, and a tensor of it, whole.
            1 => Just(b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQ".to_vec()),
            1 => Just(b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQ\
                        K\x00K\x02K\x02\x86K\x02K\x01\x86tR".to_vec()),
        ]
    }

    proptest! {
        // LUNGFISH_FUZZ_CASES asks for more.
        #![proptest_config(ProptestConfig {
            cases: std::env::var("LUNGFISH_FUZZ_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(2000),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Whatever opcodes come, in whatever order: a tree whose nodes are all there, or a sentence.
        #[test]
        fn any_program_ends(opcodes in prop::collection::vec(opcode(), 0..120), stop in prop::bool::weighted(0.9)) {
            let mut bytes = b"\x80\x02}".to_vec();
            bytes.extend(opcodes.concat());
            if stop {
                bytes.push(b'.');
            }
            let Ok(pickle) = run(&bytes, &GO) else { return Ok(()) };
            prop_assert!(pickle.length <= bytes.len() && pickle.root < pickle.nodes.len());
            for node in &pickle.nodes {
                let ids: Vec<Id> = match node {
                    Node::Tuple(ids) | Node::List(ids) | Node::Object(ids) => ids.clone(),
                    Node::Dict(entries) => entries.iter().map(|(_, id)| *id).collect(),
                    Node::Tensor(view) => {
                        prop_assert_eq!(view.shape.len(), view.stride.len());
                        vec![]
                    }
                    _ => vec![],
                };
                prop_assert!(ids.into_iter().all(|id| id < pickle.nodes.len()));
            }
            if let Ok(found) = pickle.tensors(&GO) {
                prop_assert!(found.len() <= MOST_TENSORS);
            }
            pickle.classes();
        }
    }

    #[test]
    fn a_stop_is_honoured() {
        assert_eq!(run(b"\x80\x02}.", &AtomicBool::new(true)).unwrap_err(), Fault::Stopped);
        let pickle = run(b"\x80\x02}.", &GO).unwrap();
        assert!(pickle.tensors(&GO).unwrap().is_empty());
    }
}
