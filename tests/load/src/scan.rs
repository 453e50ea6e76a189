//! Finds values in the server's JSON by one pass over its bytes.
//!
//! It trusts the server to send valid JSON and promises only to stop, never to panic,
//! when it does not. Keys may come in any order, values may nest, spaces are allowed.

/// The members of a JSON object: key and raw value, strings without their quotes
/// and with their escapes.
pub(crate) struct Members<'a> {
    rest: &'a [u8],
}

/// The members of the object in `json`.
pub(crate) fn members(json: &[u8]) -> Members<'_> {
    let start = json
        .iter()
        .position(|&byte| byte == b'{')
        .map_or(json.len(), |at| at + 1);
    Members {
        rest: &json[start..],
    }
}

/// The value of `key`, as text.
pub(crate) fn text<'a>(json: &'a [u8], key: &str) -> Option<&'a str> {
    let (_, value) = members(json).find(|(name, _)| *name == key.as_bytes())?;
    std::str::from_utf8(value).ok()
}

/// The value of `key`, as a number.
pub(crate) fn number(json: &[u8], key: &str) -> Option<u64> {
    members(json)
        .find(|(name, _)| *name == key.as_bytes())
        .map(|(_, value)| digits(value))
}

/// What the generator looks at in a server's frame; 0 and empty where it is absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    pub(crate) kind: &'a [u8],
    pub(crate) id: u64,
    pub(crate) message_id: u64,
    pub(crate) room_id: u64,
    pub(crate) seq: u64,
    pub(crate) text: &'a [u8],
    pub(crate) code: &'a [u8],
    /// The number that a command carried as its reference.
    pub(crate) reference: u64,
    /// Whether a replay leaves something out.
    pub(crate) gap: bool,
}

/// Reads a frame.
pub(crate) fn event(json: &[u8]) -> Event<'_> {
    let mut event = Event::default();
    for (key, value) in members(json) {
        match key {
            b"Type" => event.kind = value,
            b"ID" => event.id = digits(value),
            b"MessageID" => event.message_id = digits(value),
            b"RoomID" => event.room_id = digits(value),
            b"Seq" => event.seq = digits(value),
            b"Text" => event.text = value,
            b"Code" => event.code = value,
            b"Ref" => event.reference = digits(value),
            b"Truncated" | b"Reset" => event.gap |= value == b"true",
            _ => {}
        }
    }
    event
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let opening = self.rest.iter().position(|&byte| byte == b'"')?;
        let (key, rest) = string(&self.rest[opening + 1..])?;
        let colon = rest.iter().position(|&byte| byte == b':')?;
        let rest = rest[colon + 1..].trim_ascii_start();
        let (value, rest) = match rest.first()? {
            b'"' => string(&rest[1..])?,
            b'{' | b'[' => nested(rest)?,
            _ => {
                let end = rest.iter().position(|byte| b",} \t\r\n".contains(byte))?;
                rest.split_at(end)
            }
        };
        self.rest = rest;
        Some((key, value))
    }
}

/// Splits after the string whose opening quote is just before `bytes`.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += quote_or_escape(bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some((&bytes[..at], &bytes[at + 1..]));
        }
        at += 2;
    }
}

/// Where the first `"` or `\` is. Most of a frame is strings, so eight bytes at a time:
/// "determine if a word has a zero byte" of Anderson's Bit Twiddling Hacks, whose lowest
/// hit is exact.
fn quote_or_escape(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
        if hits != 0 {
            let lowest = hits.to_le_bytes().iter().position(|&byte| byte != 0)?;
            return Some(index * 8 + lowest);
        }
    }
    let found = rest
        .iter()
        .position(|&byte| byte == b'"' || byte == b'\\')?;
    Some(words.len() * 8 + found)
}

/// Splits after the object or array that `bytes` begins with.
fn nested(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut at, mut depth) = (0, 0_u32);
    loop {
        match bytes.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let (_, rest) = string(&bytes[at + 1..])?;
                at = bytes.len() - rest.len() - 1;
            }
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(bytes.split_at(at));
        }
    }
}

/// A number's leading digits; what is not a number is 0.
fn digits(value: &[u8]) -> u64 {
    value
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |sum: u64, byte| {
            sum.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_in_any_order_and_spacing() {
        let expected = Event {
            kind: b"message",
            id: 58,
            room_id: 7,
            text: br#"say \"ID\":9 {"#,
            ..Event::default()
        };
        let plain = br#"{"Type":"message","ID":58,"RoomID":7,"UID":1,"Text":"say \"ID\":9 {","Timestamp":"t"}"#;
        assert_eq!(event(plain), expected);
        let other = br#" { "Text" : "say \"ID\":9 {", "Mentions":[1,{"ID":2,"x":"]}"}],
            "RoomID": 7 , "ID": 58 , "Type":"message" } "#;
        assert_eq!(event(other), expected);
    }

    #[test]
    fn the_other_frames_are_read_too() {
        let sent = event(br#"{"Type":"sent","MessageID":9007199254740991,"RoomID":1}"#);
        assert_eq!(
            (sent.kind, sent.message_id),
            (&b"sent"[..], 9_007_199_254_740_991)
        );
        let enter = event(br#"{"Type":"enter","RoomID":1,"Seq":57}"#);
        assert_eq!((enter.room_id, enter.seq), (1, 57));
        let error =
            event(br#"{"Type":"error","Error":"no","Code":"rate_limited","Retryable":true}"#);
        assert_eq!(error.code, b"rate_limited");
    }

    #[test]
    fn a_quote_is_found_wherever_it_is() {
        for before in 0..40 {
            for after in 0..20 {
                for mark in *b"\"\\" {
                    let mut bytes = vec![b'!'; before];
                    bytes.push(mark);
                    bytes.extend(vec![b'#'; after]);
                    bytes.extend(*b"\xff\"\\");
                    assert_eq!(quote_or_escape(&bytes), Some(before));
                }
            }
        }
        assert_eq!(quote_or_escape(&[0xa2; 33]), None);
    }

    #[test]
    fn every_beginning_of_a_frame_is_survived() {
        let json = br#"{"Type":"message","A":[{"b":"\\\""}],"ID":58,"Text":"x\"y"}"#;
        for end in 0..json.len() {
            let _ = event(&json[..end]);
        }
        assert_eq!(event(b"}]:,\"").id, 0);
        assert_eq!(text(br#"{"token":"abc"}"#, "token"), Some("abc"));
        assert_eq!(number(br#"{"UID":12}"#, "UID"), Some(12));
    }
}
