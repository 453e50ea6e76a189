//! What a message's text says of itself: who sent it, the how manieth it is, and when.
//!
//! Fixed width, in hexadecimal: 4 digits sender, 8 number, 16 nanoseconds since the
//! start of the run, then filler up to the text's length.

use std::io::Write as _;

/// The shortest text that holds a stamp, in bytes.
pub(crate) const SHORTEST: usize = 28;

/// The stamp of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) sender: u16,
    pub(crate) number: u32,
    /// Nanoseconds since the start of the run.
    pub(crate) sent: u64,
}

impl Stamp {
    /// Appends a text of `bytes` bytes, at least `SHORTEST`.
    pub(crate) fn write(self, out: &mut Vec<u8>, bytes: usize) {
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            "{:04x}{:08x}{:016x}",
            self.sender, self.number, self.sent
        );
        out.resize(out.len() + bytes.saturating_sub(SHORTEST), b'.');
    }

    /// Reads a text back; `None` if it is not one of ours.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let field = |from: usize, to: usize| {
            text.get(from..to)?.iter().try_fold(0_u64, |sum, &byte| {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    b'a'..=b'f' => byte - b'a' + 10,
                    _ => return None,
                };
                Some(sum << 4 | u64::from(digit))
            })
        };
        Some(Self {
            sender: u16::try_from(field(0, 4)?).ok()?,
            number: u32::try_from(field(4, 12)?).ok()?,
            sent: field(12, 28)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_the_journey() {
        for stamp in [
            Stamp {
                sender: 0,
                number: 0,
                sent: 0,
            },
            Stamp {
                sender: 41,
                number: 70_000,
                sent: 12_345_678_901,
            },
            Stamp {
                sender: u16::MAX,
                number: u32::MAX,
                sent: u64::MAX,
            },
        ] {
            let mut text = Vec::new();
            stamp.write(&mut text, 64);
            assert_eq!(text.len(), 64);
            assert_eq!(Stamp::read(&text), Some(stamp));
        }
        assert_eq!(Stamp::read(b"hello"), None);
        assert_eq!(Stamp::read(&[b'g'; 64]), None);
    }
}
