//! Reading a JSON object (RFC 8259) as tolerantly as the contract wants: keys match
//! whatever their case, of duplicate keys the last wins, unknown keys are passed
//! over. A value that is wrong, by its type or in itself, is an error that names its
//! field, and only when the field is asked for: what else was said is understood.
//!
//! The expected names are known beforehand, so an object becomes a small array of
//! borrowed values: no map, no allocation but for strings with escapes.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use base::{Code, Error, MAX_ID};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The values of the expected fields, in the order of their names.
#[derive(Debug)]
pub struct Fields<'a, const N: usize> {
    names: &'static [&'static str; N],
    values: [Value<'a>; N],
}

#[derive(Debug, Clone, Default, PartialEq)]
enum Value<'a> {
    #[default]
    Absent,
    Bool(bool),
    Integer(u64),
    /// A number that no field takes: negative, with a fraction, or too large.
    OtherNumber,
    String(Cow<'a, str>),
    Compound,
    /// It has a value's outline and is none, and why.
    Broken(String),
}

impl<'a, const N: usize> Fields<'a, N> {
    /// Reads `bytes` as an object. `names` are the documented spellings.
    ///
    /// # Errors
    /// `invalid_argument` when it is not UTF-8, not JSON, or not an object.
    pub fn parse(names: &'static [&'static str; N], bytes: &'a [u8]) -> base::Result<Self> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::new(Code::InvalidArgument, "not valid UTF-8"))?;
        Self::parse_str(names, text)
    }

    /// As [`Fields::parse`], for what is known to be UTF-8.
    ///
    /// # Errors
    /// `invalid_argument` when it is not JSON, or not an object.
    pub fn parse_str(names: &'static [&'static str; N], text: &'a str) -> base::Result<Self> {
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Error::new(Code::InvalidArgument, "must be a JSON object"));
        }
        let at = Cell::new(None);
        let mut json = serde_json::Deserializer::from_str(text);
        let values = ObjectSeed { names, at: &at }
            .deserialize(&mut json)
            .and_then(|values| json.end().map(|()| values));
        match (values, at.get()) {
            (Ok(values), _) => Ok(Self { names, values }),
            (Err(error), Some(field)) => Err(Error::invalid(field, broken(&error))),
            (Err(error), None) => Err(Error::new(Code::InvalidArgument, broken(&error))),
        }
    }

    /// Takes the string in field `index`, if there is one.
    ///
    /// # Errors
    /// `invalid_argument`, naming the field, when it has another type.
    pub fn optional_string(&mut self, index: usize) -> base::Result<Option<Cow<'a, str>>> {
        match std::mem::take(&mut self.values[index]) {
            Value::Absent => Ok(None),
            Value::String(text) => Ok(Some(text)),
            Value::Broken(why) => Err(Error::invalid(self.names[index], why)),
            _ => Err(Error::invalid(self.names[index], "must be a string")),
        }
    }

    /// Takes the string in field `index`.
    ///
    /// # Errors
    /// `invalid_argument`, naming the field, when it is missing or has another type.
    pub fn string(&mut self, index: usize) -> base::Result<Cow<'a, str>> {
        self.optional_string(index)?
            .ok_or_else(|| self.missing(index))
    }

    /// The boolean in field `index`, if there is one.
    ///
    /// # Errors
    /// `invalid_argument`, naming the field, when it has another type.
    pub fn optional_bool(&self, index: usize) -> base::Result<Option<bool>> {
        match &self.values[index] {
            Value::Absent => Ok(None),
            Value::Bool(value) => Ok(Some(*value)),
            _ => Err(Error::invalid(self.names[index], "must be true or false")),
        }
    }

    /// The integer in field `index`, from `least` to `most`, if there is one.
    ///
    /// # Errors
    /// `invalid_argument`, naming the field, when it is out of bounds, has a fraction or
    /// an exponent, or has another type.
    pub fn optional_integer(
        &self,
        index: usize,
        least: u64,
        most: u64,
    ) -> base::Result<Option<u64>> {
        match &self.values[index] {
            Value::Absent => Ok(None),
            Value::Integer(value) if (least..=most).contains(value) => Ok(Some(*value)),
            _ if most == MAX_ID => {
                let rule = format!("must be an integer from {least} to 2^53 - 1");
                Err(Error::invalid(self.names[index], rule))
            }
            _ => {
                let rule = format!("must be an integer from {least} to {most}");
                Err(Error::invalid(self.names[index], rule))
            }
        }
    }

    /// The id in field `index`: an integer from 1 to 2^53 − 1.
    ///
    /// # Errors
    /// `invalid_argument`, naming the field, when it is missing or not one.
    pub fn id<I: TryFrom<u64>>(&self, index: usize) -> base::Result<I> {
        let id = self.optional_integer(index, 1, MAX_ID)?;
        id.and_then(|id| I::try_from(id).ok())
            .ok_or_else(|| self.missing(index))
    }

    /// The id in field `index`; 0, `null` and absence say "none".
    ///
    /// # Errors
    /// `invalid_argument`, naming the field, when it is not an id.
    pub fn optional_id<I: TryFrom<u64>>(&self, index: usize) -> base::Result<Option<I>> {
        Ok(self
            .optional_integer(index, 0, MAX_ID)?
            .and_then(|id| I::try_from(id).ok()))
    }

    /// The error that says field `index` has to be there.
    pub fn missing(&self, index: usize) -> Error {
        Error::invalid(self.names[index], "is required")
    }
}

/// serde's words without its column of a line: a body is not a file.
fn broken(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    format!("not valid JSON: {words}")
}

struct ObjectSeed<'s, const N: usize> {
    names: &'static [&'static str; N],
    /// The field whose value is being read, for the error.
    at: &'s Cell<Option<&'static str>>,
}

impl<'de, const N: usize> DeserializeSeed<'de> for ObjectSeed<'_, N> {
    type Value = [Value<'de>; N];

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for ObjectSeed<'_, N> {
    type Value = [Value<'de>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut values = std::array::from_fn(|_| Value::Absent);
        while let Some(field) = object.next_key_seed(NameSeed(self.names))? {
            if let Some(index) = field {
                self.at.set(Some(self.names[index]));
                values[index] = value(object.next_value()?);
                self.at.set(None);
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(values)
    }
}

/// Finds a key among the expected names.
struct NameSeed<'s>(&'s [&'static str]);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self
            .0
            .iter()
            .position(|name| name.eq_ignore_ascii_case(key)))
    }
}

/// The value with this outline.
fn value(raw: &RawValue) -> Value<'_> {
    let text = raw.get();
    let value = ValueSeed.deserialize(&mut serde_json::Deserializer::from_str(text));
    value.unwrap_or_else(|error| {
        if text.starts_with('"') {
            Value::Broken(broken(&error))
        } else {
            // A number beyond all bounds.
            Value::OtherNumber
        }
    })
}

struct ValueSeed;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_i64<E>(self, _negative: i64) -> Result<Self::Value, E> {
        Ok(Value::OtherNumber)
    }

    fn visit_f64<E>(self, _fraction: f64) -> Result<Self::Value, E> {
        Ok(Value::OtherNumber)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Compound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Compound)
    }
}

#[cfg(test)]
mod tests {
    use base::RoomId;
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 3] = ["RoomID", "Text", "IsPrivate"];

    fn read(text: &str) -> Fields<'_, 3> {
        Fields::parse(&NAMES, text.as_bytes()).unwrap()
    }

    fn refusal(bytes: &[u8]) -> String {
        let error = Fields::parse(&NAMES, bytes).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        error.detail().to_owned()
    }

    #[test]
    fn keys_match_in_any_case_the_last_wins_and_unknown_ones_are_passed_over() {
        let text = r#" {"roomid":"x","Unknown":[{"RoomID":9}],"ROOMID":7,"text":"a\"b","isPrivate":true} "#;
        let mut fields = read(text);
        assert_eq!(fields.id::<RoomId>(0).unwrap().get(), 7);
        assert_eq!(fields.string(1).unwrap(), "a\"b");
        assert_eq!(fields.optional_bool(2).unwrap(), Some(true));
    }

    #[test]
    fn null_is_absence() {
        let mut fields = read(r#"{"RoomID":null,"Text":null,"IsPrivate":null}"#);
        assert_eq!(
            fields.id::<RoomId>(0).unwrap_err().detail(),
            "RoomID: is required"
        );
        assert_eq!(fields.optional_string(1).unwrap(), None);
        assert_eq!(fields.optional_bool(2).unwrap(), None);
    }

    #[test]
    fn what_is_not_an_id_is_refused_by_name() {
        for bad in [
            "0",
            "-1",
            "1.0",
            "1e0",
            "\"1\"",
            "true",
            "[1]",
            "{}",
            "9007199254740992",
        ] {
            let text = format!(r#"{{"RoomID":{bad}}}"#);
            let error = read(&text).id::<RoomId>(0).unwrap_err();
            assert_eq!(
                error.detail(),
                "RoomID: must be an integer from 1 to 2^53 - 1",
                "{bad}"
            );
        }
        for huge in [
            "9223372036854775808",
            "18446744073709551616",
            "-9223372036854775809",
        ] {
            let text = format!(r#"{{"RoomID":{huge}}}"#);
            assert!(read(&text).id::<RoomId>(0).is_err(), "{huge}");
        }
    }

    #[test]
    fn strings_and_booleans_are_strict() {
        for bad in ["1", "true", "[]", "{}"] {
            let text = format!(r#"{{"Text":{bad}}}"#);
            assert_eq!(
                read(&text).string(1).unwrap_err().detail(),
                "Text: must be a string"
            );
        }
        for bad in ["1", "\"true\"", "[]", "{}", "0"] {
            let text = format!(r#"{{"IsPrivate":{bad}}}"#);
            let error = read(&text).optional_bool(2).unwrap_err();
            assert_eq!(error.detail(), "IsPrivate: must be true or false");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_in_clear_words() {
        for bad in ["", " ", "[]", "1", "null", "\"x\"", "x"] {
            assert_eq!(refusal(bad.as_bytes()), "must be a JSON object", "{bad}");
        }
        for bad in ["{", "{\"a\":1", "{\"a\"}", "{\"a\":1,}", "{} x", "{'a':1}"] {
            assert!(
                refusal(bad.as_bytes()).starts_with("not valid JSON: "),
                "{bad}"
            );
        }
        assert_eq!(refusal(b"{\"Text\":\"\xff\"}"), "not valid UTF-8");
    }

    #[test]
    fn a_value_that_is_none_leaves_the_others_readable() {
        let mut fields = read(r#"{"Text":"\ud800","RoomID":1e999,"IsPrivate":true}"#);
        let error = fields.string(1).unwrap_err();
        assert!(
            error.detail().starts_with("Text: not valid JSON: "),
            "{error}"
        );
        let error = fields.id::<RoomId>(0).unwrap_err();
        assert_eq!(
            error.detail(),
            "RoomID: must be an integer from 1 to 2^53 - 1"
        );
        assert_eq!(fields.optional_bool(2).unwrap(), Some(true));
    }

    #[test]
    fn deep_nesting_neither_panics_nor_overflows() {
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(60_000), "]".repeat(60_000));
        drop(Fields::parse(&NAMES, deep.as_bytes()));
        let deep = format!(r#"{{"Text":{}{}}}"#, "[".repeat(60_000), "]".repeat(60_000));
        drop(Fields::parse(&NAMES, deep.as_bytes()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(Fields::parse(&NAMES, &bytes));
        }

        #[test]
        fn nearly_json_does_not_make_it_panic(text in r#"\{("[a-zA-Z]{0,6}":(1|"x"|\[|\{|\}|null),?){0,5}\}?"#) {
            drop(Fields::parse(&NAMES, text.as_bytes()));
        }

        #[test]
        fn every_string_comes_back(text in ".*") {
            let body = serde_json::json!({ "text": text }).to_string();
            let mut fields = Fields::parse(&NAMES, body.as_bytes()).unwrap();
            prop_assert_eq!(fields.string(1).unwrap(), text);
        }
    }
}
