//! A `google.protobuf.Struct` as it comes over the wire: messages of numbered fields, and six kinds of value.
//!
//! A library's reader of it is a sixtieth of the module, most of which is for what a Struct does not have; the tests
//! hold this one against that.

use super::tree::Tree;

/// Levels of values in values that are read: more than any configuration has, and few enough for a small stack.
const DEEPEST: usize = 64;

/// What a field holds. Its kind stands before it, so that a field nobody knows can be passed over.
enum Held<'a> {
    Varint(u64),
    Fixed(f64),
    Bytes(&'a [u8]),
    Unknown,
}

/// The fields of one message, in order; an error where they break off.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Held<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| {
            let field = self.field();
            if field.is_none() {
                self.0 = &[];
            }
            field
        })
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Held<'a>)> {
        let tag = self.varint()?;
        let held = match tag & 7 {
            0 => Held::Varint(self.varint()?),
            1 => Held::Fixed(f64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = self.varint()?;
                Held::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Held::Unknown)?,
            _ => return None,
        };
        Some((tag >> 3, held))
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

/// `Struct`: entries, which are field 1.
pub(super) fn document(bytes: &[u8]) -> Option<Tree> {
    object(bytes, DEEPEST)
}

fn object(bytes: &[u8], depth: usize) -> Option<Tree> {
    let mut fields = Vec::new();
    for field in Fields(bytes) {
        if let (1, Held::Bytes(bytes)) = field? {
            fields.push(entry(bytes, depth)?);
        }
    }
    Some(Tree::object(fields))
}

/// An entry: its key and its value.
fn entry(bytes: &[u8], depth: usize) -> Option<(String, Tree)> {
    let mut entry = (String::new(), Tree::Null);
    for field in Fields(bytes) {
        match field? {
            (1, Held::Bytes(key)) => entry.0 = text(key)?,
            (2, Held::Bytes(bytes)) => entry.1 = value(bytes, depth)?,
            _ => {}
        }
    }
    Some(entry)
}

/// `Value`: one of its fields; null where it has none.
fn value(bytes: &[u8], depth: usize) -> Option<Tree> {
    let depth = depth.checked_sub(1)?;
    let mut value = Tree::Null;
    for field in Fields(bytes) {
        value = match field? {
            (1, Held::Varint(_)) => Tree::Null,
            (2, Held::Fixed(number)) => Tree::number(number),
            (3, Held::Bytes(bytes)) => Tree::struct_text(text(bytes)?),
            (4, Held::Varint(truth)) => Tree::Bool(truth != 0),
            (5, Held::Bytes(bytes)) => object(bytes, depth)?,
            (6, Held::Bytes(bytes)) => list(bytes, depth)?,
            _ => value,
        };
    }
    Some(value)
}

/// `ListValue`: values, which are field 1.
fn list(bytes: &[u8], depth: usize) -> Option<Tree> {
    let mut values = Vec::new();
    for field in Fields(bytes) {
        if let (1, Held::Bytes(bytes)) = field? {
            values.push(value(bytes, depth)?);
        }
    }
    Some(Tree::List(values))
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;
    use prost_types::value::Kind;
    use prost_types::{ListValue, Struct, Value};

    use super::*;

    /// What the library makes of it.
    fn tree(value: Value) -> Tree {
        match value.kind {
            None | Some(Kind::NullValue(_)) => Tree::Null,
            Some(Kind::BoolValue(value)) => Tree::Bool(value),
            Some(Kind::NumberValue(value)) => Tree::number(value),
            Some(Kind::StringValue(value)) => Tree::struct_text(value),
            Some(Kind::ListValue(list)) => Tree::List(list.values.into_iter().map(tree).collect()),
            Some(Kind::StructValue(value)) => of(value),
        }
    }

    fn of(value: Struct) -> Tree {
        Tree::object(value.fields.into_iter().map(|(key, value)| (key, tree(value))).collect())
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Kind::NullValue(0)),
            any::<bool>().prop_map(Kind::BoolValue),
            any::<f64>().prop_map(Kind::NumberValue),
            "\\PC{0,40}".prop_map(Kind::StringValue),
        ];
        let with = |kind| Value { kind: Some(kind) };
        let leaf = prop_oneof![1 => Just(Value { kind: None }), 9 => leaf.prop_map(with)];
        leaf.prop_recursive(5, 60, 6, move |inner| {
            let list = prop::collection::vec(inner.clone(), 0..6);
            let object = prop::collection::btree_map("\\PC{0,20}", inner, 0..6);
            prop_oneof![
                list.prop_map(move |values| with(Kind::ListValue(ListValue { values }))),
                object.prop_map(move |fields| with(Kind::StructValue(Struct { fields }))),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_what_the_library_writes_and_no_part_of_it_as_all(value in any_value()) {
            let whole = Struct { fields: [("a".to_owned(), value)].into() };
            let bytes = whole.encode_to_vec();
            for end in 1..bytes.len() {
                prop_assert_eq!(document(&bytes[..end]), None);
            }
            prop_assert_eq!(document(&bytes), Some(of(whole)));
        }

        #[test]
        fn where_a_byte_is_another_it_is_refused_or_reads_as_the_library_does(
            value in any_value(), at in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            let mut bytes = Struct { fields: [("a".to_owned(), value)].into() }.encode_to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            // What the library would not write itself it reads more generously: fields given twice, or of another kind.
            if let Ok(read) = Struct::decode(&*bytes)
                && read.encode_to_vec() == bytes
            {
                prop_assert_eq!(document(&bytes), Some(of(read)));
            }
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = document(&bytes);
        }
    }

    #[test]
    fn fields_of_other_kinds_are_passed_over_and_depth_has_an_end() {
        let entry = b"\x0a\x05\x0a\x01k\x12\x00";
        let unknown = [&entry[..], b"\x10\x96\x01", b"\x1d\x01\x02\x03\x04", b"\x22\x01x", entry].concat();
        assert_eq!(document(&unknown), Some(Tree::object(vec![("k".into(), Tree::Null), ("k".into(), Tree::Null)])));
        assert_eq!(document(b"\x0b\x0c"), None, "groups were given up long ago");
        let nested = |levels| {
            let list = |inner| Value { kind: Some(Kind::ListValue(ListValue { values: vec![inner] })) };
            let value = (1..levels).fold(Value { kind: None }, |inner, _| list(inner));
            document(&Struct { fields: [("a".to_owned(), value)].into() }.encode_to_vec()).is_some()
        };
        assert_eq!([nested(DEEPEST), nested(DEEPEST + 1)], [true, false]);
    }
}
