//! Which code exists only in tests.

use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// Whether these attributes keep an item out of everything but tests.
pub(crate) fn only_in_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.parse_args::<Meta>();
            condition.is_ok_and(|condition| without_test(&condition) == Some(false))
        }
        meta => {
            let name = meta.path().segments.last();
            name.is_some_and(|name| name.ident == "test")
        }
    })
}

/// Whether a condition holds where `test` does not; `None`: that depends on something else.
fn without_test(condition: &Meta) -> Option<bool> {
    match condition {
        Meta::Path(path) if path.is_ident("test") => Some(false),
        Meta::List(list) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            let parts: Vec<_> = parts.ok()?.iter().map(without_test).collect();
            if list.path.is_ident("not") {
                return parts.first().copied().flatten().map(|it| !it);
            }
            // `all` is decided by one part that does not hold, `any` by one that does.
            let decides = list.path.is_ident("any");
            if parts.contains(&Some(decides)) {
                return Some(decides);
            }
            parts.iter().all(Option::is_some).then_some(!decides)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_only_in_tests(attribute: &str) -> bool {
        let item = format!("{attribute} struct Item;");
        only_in_tests(&syn::parse_str::<syn::ItemStruct>(&item).unwrap().attrs)
    }

    #[test]
    fn a_condition_that_may_hold_without_test_is_no_test() {
        for test in [
            "#[cfg(test)]",
            "#[cfg(all(test, feature = \"servers\"))]",
            "#[cfg(any(test, all(test, unix)))]",
            "#[cfg(not(not(test)))]",
            "#[test]",
            "#[must_use] #[tokio::test(start_paused = true)]",
        ] {
            assert!(is_only_in_tests(test), "{test}");
        }
        for other in [
            "#[cfg(any(test, feature = \"bench\"))]",
            "#[cfg(not(test))]",
            "#[cfg(feature = \"test\")]",
            "#[cfg_attr(test, path = \"elsewhere.rs\")]",
            "#[must_use]",
        ] {
            assert!(!is_only_in_tests(other), "{other}");
        }
    }
}
