//! Names of the fields of a struct, as its deserializer knows them.

use serde::de::value::Error;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// Returns the keys of the table that `read` reads as a struct.
pub fn keys_of<T>(read: impl FnOnce(Keys) -> Result<T, Error>) -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The result is always an error: there is no table to read.
    let _ = read(Keys(&mut keys));
    keys
}

/// A deserializer that records the names of the fields and always fails.
pub struct Keys<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Keys<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("only the keys of a table are asked for"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[test]
    fn the_keys_are_those_in_a_recipe() {
        #[derive(Deserialize)]
        struct Options {
            #[serde(rename = "folder")]
            _path: String,
            #[serde(default)]
            _size: usize,
        }

        assert_eq!(
            keys_of(|keys| Options::deserialize(keys)),
            ["folder", "_size"]
        );
        assert!(keys_of(|keys| Vec::<usize>::deserialize(keys)).is_empty());
    }
}
