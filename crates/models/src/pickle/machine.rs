//! The opcodes of a pickle.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Element, Id, MOST, MOST_WORK, Node, Pickle, Storage, View};

/// Longest name of Python's.
const LONGEST_NAME: usize = 1 << 12;

/// Reads the pickle at the beginning of `bytes`.
pub(super) fn run(bytes: &[u8]) -> Result<Pickle, String> {
    let mut machine =
        Machine { bytes, at: 0, nodes: vec![], stack: vec![], marks: vec![], memo: HashMap::new(), work: 0 };
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
    /// Entries copied so far.
    work: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id, String> {
        loop {
            if [self.nodes.len(), self.stack.len(), self.memo.len(), self.marks.len()].into_iter().any(|n| n > MOST) {
                return Err("its pickle has too many objects".to_owned());
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
                    self.push(Node::List(items));
                }
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Node::Tuple(items));
                }
                0x85..=0x87 => {
                    let items = self.pop_many(usize::from(op - 0x84))?;
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
                    let node = self.persistent(id)?;
                    self.push(node);
                }
                _ => return Err(format!("its pickle has an opcode that is not known, 0x{op:02x}")),
            }
        }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..n)).ok_or("its pickle is cut off")?;
        self.at += n;
        Ok(taken)
    }

    fn counted(&mut self, n: u64) -> Result<&'a [u8], String> {
        self.take(usize::try_from(n).map_err(|_| "its pickle is cut off")?)
    }

    /// Little-endian.
    fn unsigned(&mut self, width: usize) -> Result<u64, String> {
        Ok(self.take(width)?.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b)))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&b| b == b'\n').ok_or("its pickle is cut off")?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.at += end + 1;
        Ok(line)
    }

    fn index_line(&mut self) -> Result<u64, String> {
        self.line()?.trim().parse().map_err(|_| "its pickle has a broken memo index".to_owned())
    }

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.stack.push(self.nodes.len() - 1);
    }

    /// The stack above the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.get(self.floor()..).and_then(<[Id]>::last).copied().ok_or_else(|| "its pickle is broken".to_owned())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, n: usize) -> Result<Vec<Id>, String> {
        let start = self.stack.len().checked_sub(n).filter(|&s| s >= self.floor()).ok_or("its pickle is broken")?;
        Ok(self.stack.split_off(start))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|&m| m <= self.stack.len()).ok_or("its pickle is broken")?;
        Ok(self.stack.split_off(mark))
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        if module.len() + name.len() > LONGEST_NAME {
            return Err("its pickle has a class with an endless name".to_owned());
        }
        self.push(Node::Global(format!("{module}.{name}").into()));
        Ok(())
    }

    fn text(&self, id: Id) -> Result<Rc<str>, String> {
        match &self.nodes[id] {
            Node::Text(text) => Ok(text.clone()),
            _ => Err("its pickle is broken".to_owned()),
        }
    }

    fn items(&self, id: Id) -> &[Id] {
        match &self.nodes[id] {
            Node::Tuple(items) | Node::List(items) => items,
            _ => &[],
        }
    }

    /// Text-keyed pairs into the dictionary or object on top; other keys are dropped.
    fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        let pairs = self.pairs(items.chunks_exact(2));
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Dict(entries) => entries.extend(pairs),
            Node::Object(_) => {}
            _ => return Err("its pickle sets items of what is no dictionary".to_owned()),
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

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(list) => list.extend(items),
            Node::Object(_) => {}
            _ => return Err("its pickle appends to what is no list".to_owned()),
        }
        Ok(())
    }

    /// State for the object on top: its `__dict__`, alone or first of a pair with its slots.
    fn build(&mut self, state: Id) -> Result<(), String> {
        let state = self.items(state).first().copied().unwrap_or(state);
        let top = self.top()?;
        if let Node::Object(states) = &mut self.nodes[top] {
            states.push(state);
        }
        Ok(())
    }

    /// What Python would get by calling a global: a tensor or dictionary where it is one of the
    /// few that make them, else an object without fields.
    fn call(&mut self, callable: Id, arguments: Id) -> Result<Id, String> {
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
            ("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2", _) => self.view(arguments)?,
            ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", [data, ..]) => {
                return Ok(*data);
            }
            ("collections.OrderedDict", []) => Node::Dict(vec![]),
            ("collections.OrderedDict", [pairs, ..]) => {
                let pairs = self.pairs(self.items(*pairs).iter().map(|&pair| self.items(pair)));
                self.work += pairs.len();
                if self.work > MOST_WORK {
                    return Err("its pickle copies the same dictionary beyond reason".to_owned());
                }
                Node::Dict(pairs)
            }
            _ => Node::Object(vec![]),
        };
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, ...)`.
    fn view(&self, arguments: &[Id]) -> Result<Node, String> {
        let sizes = |id: Id| -> Option<Vec<usize>> {
            self.items(id).iter().map(|&i| self.size(i)).collect::<Option<Vec<usize>>>().filter(|v| v.len() <= 32)
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
            .map(Node::Tensor)
            .ok_or_else(|| "one of its tensors has a broken description".to_owned())
    }

    fn size(&self, id: Id) -> Option<usize> {
        match self.nodes[id] {
            Node::Int(v) => usize::try_from(v).ok(),
            _ => None,
        }
    }

    /// `("storage", class, key, device, elements[, (view key, offset, elements)])`, or
    /// `("module", class, ...)` in legacy files.
    fn persistent(&self, id: Id) -> Result<Node, String> {
        let broken = || "one of its storages has a broken description".to_owned();
        let items = self.items(id);
        match (items.first().map(|&i| &self.nodes[i]), items) {
            (Some(Node::Text(tag)), &[_, class, ..]) if &**tag == "module" => Ok(self.nodes[class].clone()),
            (Some(Node::Text(tag)), &[_, class, key, _, _, ref view @ ..]) if &**tag == "storage" => {
                let Node::Global(class) = &self.nodes[class] else { return Err(broken()) };
                let kind = Element::of(class).ok_or_else(|| format!("it has a storage of an unknown kind, {class}"))?;
                let key = match &self.nodes[key] {
                    Node::Text(key) => key.clone(),
                    Node::Int(key) => key.to_string().into(),
                    _ => return Err(broken()),
                };
                let offset = match view.first().map(|&v| self.items(v)) {
                    Some(&[_, offset, _]) => self.size(offset).ok_or_else(broken)?,
                    _ => 0,
                };
                Ok(Node::Storage(Storage { key, kind, offset }))
            }
            _ => Ok(Node::Other),
        }
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
