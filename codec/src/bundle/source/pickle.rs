//! The pickled part of a PyTorch state dict, without running anything of it.
//!
//! Only what `torch.save` writes for a dict of tensors is understood: data, and the names of the functions that would
//! make tensors of them. Every other instruction or function is an error.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::NumberType;

/// Where the numbers of a tensor are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorEntry {
    pub(super) number_type: NumberType,
    /// Name of the storage's file below `data/`.
    pub(super) storage: String,
    /// In numbers, from the start of the storage.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// In numbers.
    pub(super) stride: Vec<usize>,
}

/// Instructions that may come before a file is taken for hostile; the largest models have some ten thousand.
const MOST_STEPS: usize = 10_000_000;

/// How deep values may be nested: dicts in dicts, and tuples in tuples. What `torch.save` writes has a depth of four.
const MOST_DEPTH: usize = 32;

/// How many values there may be at a time, on the stack, in the memo, and in tuples and dicts.
const MOST_VALUES: usize = 4_000_000;

/// How many dimensions a tensor may have.
const MOST_SIDES: usize = 64;

#[derive(Clone, Debug)]
enum Value {
    None,
    Bool,
    Int(i64),
    Text(Rc<str>),
    /// With how deep it is nested. So no value is deeper than may be, and giving memory back does not recurse further.
    Tuple(Rc<[Value]>, usize),
    List,
    Function(Rc<str>),
    Storage {
        number_type: NumberType,
        name: Rc<str>,
    },
    Tensor(Rc<TensorEntry>),
    /// By its number among all dicts.
    Dict(usize),
    Other,
    Mark,
}

type Parsed<T> = Result<T, String>;

fn odd(what: impl Into<String>) -> String {
    what.into()
}

/// The tensors of a pickled dict by name. A dict under the key `state_dict` or `model_state` counts as the dict itself.
pub(super) fn read(bytes: &[u8]) -> Parsed<BTreeMap<String, TensorEntry>> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        memo: BTreeMap::new(),
        dicts: Vec::new(),
        made: 0,
    };
    let root = machine.run()?;
    machine.tensors(&root, 0)
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: BTreeMap<u32, Value>,
    dicts: Vec<Vec<(Rc<str>, Value)>>,
    /// Values that were put into tuples and dicts.
    made: usize,
}

impl<'a> Machine<'a> {
    /// Fails if there are too many values.
    fn count(&mut self, values: usize) -> Parsed<()> {
        self.made = self.made.saturating_add(values);
        match self.made + self.stack.len() + self.memo.len() > MOST_VALUES {
            true => Err(odd("its list of tensors is too long")),
            false => Ok(()),
        }
    }

    /// A tuple of these values.
    fn tuple(&mut self, values: Vec<Value>) -> Parsed<Value> {
        self.count(values.len())?;
        let depth = |value: &Value| match value {
            Value::Tuple(_, depth) => *depth,
            _ => 0,
        };
        let depth = 1 + values.iter().map(depth).max().unwrap_or(0);
        match depth > MOST_DEPTH {
            true => Err(odd(format!(
                "its list of tensors is nested more than {MOST_DEPTH} deep"
            ))),
            false => Ok(Value::Tuple(values.into(), depth)),
        }
    }

    fn take(&mut self, len: usize) -> Parsed<&'a [u8]> {
        let end = self.at.checked_add(len);
        let bytes = end.and_then(|end| self.bytes.get(self.at..end));
        let bytes = bytes.ok_or_else(|| odd("its list of tensors is cut off"))?;
        self.at += len;
        Ok(bytes)
    }

    fn number<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let bytes = self.take(N)?;
        bytes
            .try_into()
            .map_err(|_| odd("its list of tensors is cut off"))
    }

    fn byte(&mut self) -> Parsed<u8> {
        Ok(self.number::<1>()?[0])
    }

    fn line(&mut self) -> Parsed<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|&byte| byte == b'\n');
        let len = len.ok_or_else(|| odd("its list of tensors is cut off"))?;
        let line = self.take(len)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| odd("a name in it is not UTF-8"))
    }

    fn text(&mut self, len: usize) -> Parsed<Value> {
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| odd("a name in it is not UTF-8"))?;
        Ok(Value::Text(text.into()))
    }

    fn pop(&mut self) -> Parsed<Value> {
        self.stack
            .pop()
            .ok_or_else(|| odd("its list of tensors makes no sense"))
    }

    /// All that was pushed since the last mark.
    fn since_mark(&mut self) -> Parsed<Vec<Value>> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark));
        let mark = mark.ok_or_else(|| odd("its list of tensors makes no sense"))?;
        let values = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(values)
    }

    fn run(&mut self) -> Parsed<Value> {
        for _ in 0..MOST_STEPS {
            let step = self.byte()?;
            self.count(0)?;
            match step {
                0x80 => drop(self.byte()?),
                0x95 => drop(self.number::<8>()?),
                b'.' => return self.pop(),
                b'(' => self.stack.push(Value::Mark),
                b'N' => self.stack.push(Value::None),
                0x88 | 0x89 => self.stack.push(Value::Bool),
                b'J' => {
                    let value = i32::from_le_bytes(self.number()?);
                    self.stack.push(Value::Int(value.into()));
                }
                b'K' => {
                    let value = self.byte()?;
                    self.stack.push(Value::Int(value.into()));
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.number()?);
                    self.stack.push(Value::Int(value.into()));
                }
                0x8a => {
                    let len = self.byte()?;
                    let value = long(self.take(len.into())?)?;
                    self.stack.push(Value::Int(value));
                }
                b'G' => {
                    self.number::<8>()?;
                    self.stack.push(Value::Other);
                }
                b'X' => {
                    let len = u32::from_le_bytes(self.number()?);
                    let text = self.text(len as usize)?;
                    self.stack.push(text);
                }
                0x8c => {
                    let len = self.byte()?;
                    let text = self.text(len.into())?;
                    self.stack.push(text);
                }
                b')' => self.stack.push(Value::Tuple([].into(), 1)),
                b']' => self.stack.push(Value::List),
                b'}' => {
                    self.dicts.push(Vec::new());
                    self.stack.push(Value::Dict(self.dicts.len() - 1));
                }
                b't' => {
                    let values = self.since_mark()?;
                    let tuple = self.tuple(values)?;
                    self.stack.push(tuple);
                }
                0x85..=0x87 => {
                    let len = usize::from(step - 0x84);
                    let at = self.stack.len().checked_sub(len);
                    let at = at.ok_or_else(|| odd("its list of tensors makes no sense"))?;
                    let values = self.stack.split_off(at);
                    let tuple = self.tuple(values)?;
                    self.stack.push(tuple);
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.stack
                        .push(Value::Function(format!("{module}.{name}").into()));
                }
                0x93 => {
                    let (Value::Text(name), Value::Text(module)) = (self.pop()?, self.pop()?) else {
                        return Err(odd("its list of tensors makes no sense"));
                    };
                    self.stack
                        .push(Value::Function(format!("{module}.{name}").into()));
                }
                b'q' | b'r' | 0x94 => {
                    let key = match step {
                        b'q' => self.byte()?.into(),
                        b'r' => u32::from_le_bytes(self.number()?),
                        _ => self.memo.len() as u32,
                    };
                    let value = self.pop()?;
                    self.memo.insert(key, value.clone());
                    self.stack.push(value);
                }
                b'h' | b'j' => {
                    let key = match step {
                        b'h' => self.byte()?.into(),
                        _ => u32::from_le_bytes(self.number()?),
                    };
                    let value = self.memo.get(&key).cloned();
                    let value = value.ok_or_else(|| odd("its list of tensors makes no sense"))?;
                    self.stack.push(value);
                }
                b'Q' => {
                    let value = self.pop()?;
                    self.stack.push(storage(&value)?);
                }
                b'R' => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    let value = self.call(&function, &arguments)?;
                    self.stack.push(value);
                }
                // What an object is given besides: `_metadata` of a state dict.
                b'b' => drop(self.pop()?),
                b'a' => drop(self.pop()?),
                b'e' => drop(self.since_mark()?),
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let values = self.since_mark()?;
                    self.set(&values)?;
                }
                other => {
                    return Err(odd(format!(
                        "it holds more than tensors (instruction {other:#04x} of its pickle); save the weights alone, by \
                         torch.save(model.state_dict(), ...)"
                    )));
                }
            }
        }
        Err(odd("its list of tensors has no end"))
    }

    /// Puts pairs of key and value into the dict on top of the stack.
    fn set(&mut self, pairs: &[Value]) -> Parsed<()> {
        self.count(pairs.len())?;
        let Some(Value::Dict(dict)) = self.stack.last() else {
            return Err(odd("its list of tensors makes no sense"));
        };
        let dict = self.dicts.get_mut(*dict);
        let dict = dict.ok_or_else(|| odd("its list of tensors makes no sense"))?;
        for pair in pairs.chunks_exact(2) {
            if let [Value::Text(key), value] = pair {
                dict.push((key.clone(), value.clone()));
            }
        }
        Ok(())
    }

    fn call(&mut self, function: &Value, arguments: &Value) -> Parsed<Value> {
        let (Value::Function(name), Value::Tuple(arguments, _)) = (function, arguments) else {
            return Err(odd("its list of tensors makes no sense"));
        };
        match (&**name, &**arguments) {
            ("collections.OrderedDict", _) => {
                self.dicts.push(Vec::new());
                Ok(Value::Dict(self.dicts.len() - 1))
            }
            (
                "torch._utils._rebuild_tensor_v2",
                [
                    Value::Storage { number_type, name },
                    Value::Int(offset),
                    Value::Tuple(shape, _),
                    Value::Tuple(stride, _),
                    ..,
                ],
            ) => Ok(Value::Tensor(Rc::new(TensorEntry {
                number_type: *number_type,
                storage: name.to_string(),
                offset: usize::try_from(*offset).map_err(|_| odd("a tensor begins before its storage"))?,
                shape: sizes(shape)?,
                stride: sizes(stride)?,
            }))),
            ("torch._utils._rebuild_parameter", [tensor @ Value::Tensor(_), ..]) => Ok(tensor.clone()),
            _ => Err(odd(format!(
                "it holds more than tensors (it would call {name}); save the weights alone, by \
                 torch.save(model.state_dict(), ...)"
            ))),
        }
    }

    fn tensors(&self, value: &Value, depth: usize) -> Parsed<BTreeMap<String, TensorEntry>> {
        let entries = match value {
            Value::Dict(dict) if depth < MOST_DEPTH => self.dicts.get(*dict),
            _ => None,
        };
        let entries = entries.ok_or_else(|| odd("it holds no dict of tensors"))?;
        let tensors: BTreeMap<String, TensorEntry> = entries
            .iter()
            .filter_map(|(key, value)| match value {
                Value::Tensor(entry) => Some((key.to_string(), (**entry).clone())),
                _ => None,
            })
            .collect();
        let inner = entries
            .iter()
            .find(|(key, _)| matches!(&**key, "state_dict" | "model_state"));
        match inner {
            Some((_, inner)) if tensors.is_empty() => self.tensors(inner, depth + 1),
            _ if tensors.is_empty() => Err(odd("it holds no tensors")),
            _ => Ok(tensors),
        }
    }
}

/// A little-endian number of two's complement.
fn long(bytes: &[u8]) -> Parsed<i64> {
    if bytes.len() > 8 {
        return Err(odd("a number in it is too large"));
    }
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    Ok(i64::from_le_bytes(all))
}

fn sizes(values: &[Value]) -> Parsed<Vec<usize>> {
    if values.len() > MOST_SIDES {
        return Err(odd(format!("a tensor in it has {} dimensions", values.len())));
    }
    let size = |value: &Value| match value {
        Value::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    let sizes: Option<Vec<usize>> = values.iter().map(size).collect();
    sizes.ok_or_else(|| odd("a tensor in it has no shape"))
}

/// What a persistent id names: ("storage", type, name, device, length).
fn storage(value: &Value) -> Parsed<Value> {
    let Value::Tuple(parts, _) = value else {
        return Err(odd("its list of tensors makes no sense"));
    };
    let [Value::Text(kind), Value::Function(class), Value::Text(name), ..] = &**parts else {
        return Err(odd("its list of tensors makes no sense"));
    };
    let number_type = match class.strip_prefix("torch.") {
        Some("FloatStorage") => NumberType::F32,
        Some("HalfStorage") => NumberType::F16,
        Some("BFloat16Storage") => NumberType::BF16,
        Some("DoubleStorage") => NumberType::F64,
        Some("LongStorage") => NumberType::I64,
        Some("IntStorage") => NumberType::I32,
        Some("BoolStorage") => NumberType::BOOL,
        _ => return Err(odd(format!("numbers of the kind {class} are not supported"))),
    };
    if &**kind != "storage" {
        return Err(odd("its list of tensors makes no sense"));
    }
    Ok(Value::Storage {
        number_type,
        name: name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        read(bytes).unwrap_err()
    }

    #[test]
    fn nesting_is_bounded() {
        // One tuple in the other, a million times; through the memo; and with pairs, where each holds the one before twice.
        for wrap in [&b"\x85"[..], b"\x94\x85", b"2\x86"] {
            let wrap: &[u8] = if wrap[0] == b'2' { b"\x94h\0\x86" } else { wrap };
            let bytes = [&b"\x80\x02)"[..], &wrap.repeat(1_000_000), b"."].concat();
            let found = message(&bytes);
            assert!(found.contains("deep"), "{found}");
        }
    }

    #[test]
    fn counts_are_bounded() {
        let marks = [&b"\x80\x02"[..], &b"(".repeat(MOST_VALUES + 2), b"."].concat();
        assert!(message(&marks).contains("too long"));
        let dicts = [&b"\x80\x02}"[..], &b"}0".repeat(10), b"."].concat();
        assert!(read(&dicts).is_err());
        let shape = [&b"\x80\x02("[..], &b"K\x01".repeat(100_000), b"t."].concat();
        assert!(message(&shape).contains("no dict"));
    }

    #[test]
    fn noise_is_no_danger() {
        let mut state = 9u64;
        for len in 0..2000 {
            let bytes: Vec<u8> = (0..len % 97)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    // Often an instruction, else any byte.
                    match state >> 62 {
                        0 => (state >> 33) as u8,
                        _ => b"\x80.(NKJMX\x8c)]}t\x85\x86\x87cqh\x94QRbaesu"[(state >> 40) as usize % 27],
                    }
                })
                .collect();
            let _ = read(&bytes);
        }
    }
}
