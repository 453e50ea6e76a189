//! Texts that cannot be wrong: whoever holds a [`Username`] holds a valid one.
//!
//! Lengths count Unicode scalar values, after normalisation where there is one.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::{Error, limits};

/// Whether `c` is a control character that names may not have.
fn forbidden_in_names(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

fn within((least, most): (usize, usize), text: &str) -> bool {
    // Bytes bound characters from above, so a huge text is not counted through.
    text.len() <= most * 4 && (least..=most).contains(&text.chars().count())
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, to keep.
            pub fn into_string(self) -> String {
                self.0
            }
        }
    };
}

text!(
    /// A username: 3–20 letters or digits of any script, or `_`, in NFC.
    Username
);
text!(
    /// The name of a room: 3–20 characters, no control characters but tab and line feed.
    RoomName
);
text!(
    /// An e-mail address: one `@`, a dot in the domain, at most 254 characters.
    Email
);
text!(
    /// The text of a message: 1–2,000 characters, no NUL.
    MessageText
);
text!(
    /// What makes a write safe to repeat: 1–64 characters chosen by its sender, no NUL.
    Nonce
);

impl Username {
    /// Reads a username; `field` is what an error calls it.
    pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
        let name: String = if text.len() <= limits::USERNAME_CHARS.1 * 16 {
            text.nfc().collect()
        } else {
            text.to_owned()
        };
        if !within(limits::USERNAME_CHARS, &name) {
            return Err(Error::invalid(field, "must have 3 to 20 characters"));
        }
        // A combining mark that NFC leaves belongs to the letter before it.
        let fits = |c: char| c == '_' || is_letter_or_digit(c) || is_mark(c);
        if !name.chars().all(fits) || name.chars().next().is_some_and(is_mark) {
            return Err(Error::invalid(field, "may have letters, digits and _ only"));
        }
        Ok(Self(name))
    }

    /// The form by which names are compared: case does not count.
    pub fn key(&self) -> String {
        fold(&self.0)
    }
}

/// Letters and decimal digits (Unicode general categories L and Nd) that one can see.
fn is_letter_or_digit(c: char) -> bool {
    // Letters by category, and blank by purpose: they fill a place in Hangul.
    const FILLERS: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];
    let category = c.general_category();
    (c.general_category_group() == GeneralCategoryGroup::Letter && !FILLERS.contains(&c))
        || category == GeneralCategory::DecimalNumber
}

/// Combining marks (Unicode general categories Mn and Mc), without which the words of
/// Hindi, Thai and other scripts cannot be written; not those that only choose how
/// something is drawn.
fn is_mark(c: char) -> bool {
    let unseen = matches!(
        c,
        '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
    );
    let marks = [
        GeneralCategory::NonspacingMark,
        GeneralCategory::SpacingMark,
    ];
    marks.contains(&c.general_category()) && !unseen
}

/// The same for texts that differ in case or composition alone. By way of the upper case,
/// because some letters have several lower ones (σ and ς), and a character at a time,
/// because a letter's neighbours do not count.
fn fold(text: &str) -> String {
    let upper = text.nfc().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).nfc().collect()
}

impl RoomName {
    /// Reads a room's name; `field` is what an error calls it.
    pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
        if !within(limits::ROOM_NAME_CHARS, text) {
            return Err(Error::invalid(field, "must have 3 to 20 characters"));
        }
        if text.chars().any(forbidden_in_names) {
            return Err(Error::invalid(field, "may have no control characters"));
        }
        if text.trim().is_empty() {
            return Err(Error::invalid(field, "may not be blank"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The form by which names are compared: case does not count.
    pub fn key(&self) -> String {
        Self::key_of(&self.0)
    }

    /// The same of a part of a name.
    pub fn key_of(part: &str) -> String {
        fold(part)
    }
}

impl Email {
    /// Reads an address; `field` is what an error calls it.
    pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
        if text.chars().count() > limits::EMAIL_CHARS {
            return Err(Error::invalid(field, "must have at most 254 characters"));
        }
        let rule = "must be an address like name@example.org";
        let (local, domain) = text
            .split_once('@')
            .ok_or_else(|| Error::invalid(field, rule))?;
        let blank = |c: char| c.is_whitespace() || c.is_control();
        let labels_fit = domain.contains('.') && domain.split('.').all(|label| !label.is_empty());
        if local.is_empty() || domain.contains('@') || !labels_fit || text.chars().any(blank) {
            return Err(Error::invalid(field, rule));
        }
        Ok(Self(text.to_owned()))
    }

    /// The form by which addresses are compared: case does not count.
    pub fn key(&self) -> String {
        fold(&self.0)
    }
}

impl MessageText {
    /// Reads a message; `field` is what an error calls it.
    pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
        Self::try_from_string(field, text.to_owned())
    }

    /// As [`MessageText::parse`], without a copy.
    pub fn try_from_string(field: &str, text: String) -> Result<Self, Error> {
        if !within(limits::MESSAGE_CHARS, &text) {
            return Err(Error::invalid(field, "must have 1 to 2000 characters"));
        }
        if text.contains('\0') {
            return Err(Error::invalid(field, "may not have NUL"));
        }
        Ok(Self(text))
    }
}

impl Nonce {
    /// Reads a nonce; `field` is what an error calls it.
    pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
        if !within(limits::NONCE_CHARS, text) {
            return Err(Error::invalid(field, "must have 1 to 64 characters"));
        }
        if text.contains('\0') {
            return Err(Error::invalid(field, "may not have NUL"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A password: 8–128 characters, no NUL. It does not print.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Reads a password; `field` is what an error calls it.
    pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
        if !within(limits::PASSWORD_CHARS, text) {
            return Err(Error::invalid(field, "must have 8 to 128 characters"));
        }
        if text.contains('\0') {
            return Err(Error::invalid(field, "may not have NUL"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The bytes to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_counted_in_characters_of_any_script() {
        for good in [
            "ann",
            "Ann_42",
            "ЖеняЖ",
            "小明明",
            "หนึ่งสอง",
            &"x".repeat(20),
            &"ß".repeat(20),
        ] {
            assert!(Username::parse("Username", good).is_ok(), "{good}");
        }
        for bad in [
            "an",
            "",
            "a b",
            "a-b",
            "ann\u{0}",
            "a\u{301}".repeat(0).as_str(),
            &"x".repeat(21),
        ] {
            assert!(Username::parse("Username", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn composed_and_decomposed_names_are_one() {
        let composed = Username::parse("Username", "Zo\u{eb}").unwrap();
        let decomposed = Username::parse("Username", "Zoe\u{308}").unwrap();
        assert_eq!(composed, decomposed);
        assert_eq!(
            composed.key(),
            Username::parse("Username", "ZO\u{cb}").unwrap().key()
        );
    }

    #[test]
    fn a_name_is_made_of_what_one_can_see_and_write() {
        for good in [
            "ann",
            "_x_",
            "Анна",
            "राहुल",
            "สมชาย",
            "a٣٤",
            "小明明",
            "한국어",
        ] {
            assert!(Username::parse("Username", good).is_ok(), "{good}");
        }
        for bad in [
            "ann\u{fe0f}",
            "½½½",
            "①②③",
            "ⒶⒷⒸ",
            "1\u{20e3}ab",
            "\u{3164}\u{3164}\u{3164}",
            "ann\u{200d}",
            "ⅧⅧⅧ",
        ] {
            assert!(Username::parse("Username", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_differ_in_case_alone_are_one() {
        for (one, other) in [
            ("Ann", "aNN"),
            ("οδοσ", "ΟΔΟΣ"),
            ("οδος", "ΟΔΟΣ"),
            ("ſam", "SAM"),
            ("µab", "Μab"),
            ("straße", "STRASSE"),
        ] {
            let key = |name| Username::parse("Username", name).unwrap().key();
            assert_eq!(key(one), key(other), "{one}");
        }
    }

    #[test]
    fn an_address_has_one_at_and_a_dot_behind_it() {
        for good in ["a@b.c", "Ann.Smith+x@mail.example.org"] {
            assert!(Email::parse("Email", good).is_ok(), "{good}");
        }
        let long = format!("{}@example.org", "x".repeat(243));
        for bad in [
            "", "a@b", "@b.c", "a@@b.c", "a@b@c.d", "a b@c.d", "a@b.", "a@.c", &long,
        ] {
            assert!(Email::parse("Email", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bounds_hold_at_and_over_the_edge() {
        assert!(RoomName::parse("Name", &"é".repeat(20)).is_ok());
        assert!(RoomName::parse("Name", &"é".repeat(21)).is_err());
        assert!(RoomName::parse("Name", "ab").is_err());
        assert!(RoomName::parse("Name", "a\u{7}b").is_err());
        assert!(MessageText::parse("Text", &"😀".repeat(2_000)).is_ok());
        assert!(MessageText::parse("Text", &"😀".repeat(2_001)).is_err());
        assert!(MessageText::parse("Text", "").is_err());
        assert!(MessageText::parse("Text", "a\0").is_err());
        assert!(MessageText::parse("Text", "a\n\tb").is_ok());
        assert!(Password::parse("Password", &"p".repeat(8)).is_ok());
        assert!(Password::parse("Password", &"p".repeat(7)).is_err());
        assert!(Password::parse("Password", &"p".repeat(129)).is_err());
        assert!(Nonce::parse("Nonce", &"n".repeat(65)).is_err());
    }

    #[test]
    fn a_password_does_not_print() {
        let password = Password::parse("Password", "correct horse").unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }
}
