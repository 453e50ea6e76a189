//! `grpc-timeout`, as the gRPC protocol over HTTP/2 writes it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

/// The header's name.
pub(crate) const HEADER: &str = "grpc-timeout";

/// Reads the header: up to eight digits and a unit of H, M, S, m, u or n.
/// Anything else counts as no deadline, as the caller's cap applies all the same.
pub(crate) fn read(headers: &HeaderMap<HeaderValue>) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3_600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static(text));
        read(&headers)
    }

    #[test]
    fn units_are_those_of_the_protocol() {
        assert_eq!(parsed("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parsed("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parsed("99999999u"), Some(Duration::from_micros(99_999_999)));
        for bad in ["", "S", "123456789S", "5s", "-1S"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
