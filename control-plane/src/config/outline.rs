//! A YAML document as keys with their lines and values as texts, whatever they are of.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A value. Not for the log: some of the texts are secrets.
pub enum Outline {
    Mapping(Vec<Key>),
    Sequence(Vec<Self>),
    Scalar(String),
    /// As a section that has nothing in it.
    Nothing,
}

pub struct Key {
    pub name: String,
    pub line: u64,
    pub value: Outline,
}

impl Outline {
    /// The name of the key whose value begins on a line.
    #[must_use]
    pub fn key_at(&self, line: u64) -> Option<String> {
        match self {
            Self::Mapping(keys) => {
                let within = |key: &Key| Some(format!("{}.{}", key.name, key.value.key_at(line)?));
                let own = |key: &Key| (key.line == line).then(|| key.name.clone());
                keys.iter().find_map(|key| within(key).or_else(|| own(key)))
            }
            Self::Sequence(items) => items.iter().find_map(|item| item.key_at(line)),
            Self::Scalar(_) | Self::Nothing => None,
        }
    }
}

impl fmt::Debug for Outline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mapping(keys) => formatter.debug_set().entries(keys).finish(),
            Self::Sequence(items) => formatter.debug_list().entries(items).finish(),
            Self::Scalar(_) | Self::Nothing => formatter.write_str("_"),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {:?}", self.name, self.value)
    }
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OutlineVisitor)
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any YAML value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let mut keys = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            keys.push(Key { line: key.referenced.line(), name: key.value, value: map.next_value()? });
        }
        Ok(Outline::Mapping(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Outline, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Outline::Sequence(items))
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Outline, D::Error> {
        Outline::deserialize(from)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Outline, D::Error> {
        Outline::deserialize(from)
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, data: A) -> Result<Outline, A::Error> {
        data.variant::<IgnoredAny>().map(|_| Outline::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Outline, E> {
        Ok(Outline::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Outline, E> {
        Ok(Outline::Scalar(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Outline, E> {
        Ok(Outline::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Outline, E> {
        Ok(Outline::Scalar(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Outline, E> {
        Ok(Outline::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Outline, E> {
        Ok(Outline::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Outline, E> {
        Ok(Outline::Scalar(value.to_string()))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Outline, E> {
        Ok(Outline::Nothing)
    }

    fn visit_unit<E>(self) -> Result<Outline, E> {
        Ok(Outline::Nothing)
    }

    fn visit_none<E>(self) -> Result<Outline, E> {
        Ok(Outline::Nothing)
    }
}
