//! The levels of logs, as the configuration names them.

use base::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// Libraries that log what they carry at the level `trace`.
const CARRIERS: [&str; 5] = ["h2", "hyper", "rustls", "tokio_tungstenite", "tungstenite"];

/// Returns what a level, or a list of directives, lets through.
///
/// # Errors
/// When a word is neither a level nor `target=level`.
pub(crate) fn filter(level: &str) -> base::Result<EnvFilter> {
    let mut directives = Vec::new();
    for word in level.split(',').map(str::trim) {
        directives.push(match word.to_lowercase().as_str() {
            // The words that loggers of Go have besides.
            "warning" => "warn",
            "fatal" | "panic" => "error",
            // A word that is no level would be read as a target, and nothing else logged.
            folded if !word.contains('=') && !is_level(folded) => {
                let rule = format!("{word:?} is no level; write error, warn, info, debug or trace");
                return Err(Error::invalid("log.level", rule));
            }
            _ => word,
        });
    }
    let wrong = |error| Error::invalid("log.level", error);
    let mut filter = EnvFilter::try_new(directives.join(",")).map_err(wrong)?;
    if filter.max_level_hint() == Some(LevelFilter::TRACE) {
        for carrier in CARRIERS {
            let quieter = format!("{carrier}=debug").parse();
            filter = filter.add_directive(quieter.map_err(Error::internal)?);
        }
    }
    Ok(filter)
}

/// The parser takes an empty word for `error`.
fn is_level(word: &str) -> bool {
    !word.is_empty() && word.parse::<LevelFilter>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_word_that_is_one() {
        for good in ["info", "WARN", "warning", "fatal", "info,sqlx=warn", "off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["", "inof", "info,sqlx", "-4", "sqlx=loud"] {
            assert!(filter(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            filter("warning").unwrap().max_level_hint(),
            Some(LevelFilter::WARN)
        );
    }

    #[test]
    fn nothing_that_is_carried_is_logged() {
        let all = filter("trace").unwrap().to_string();
        assert!(all.contains("tungstenite=debug"), "{all}");
        assert_eq!(filter("info").unwrap().to_string(), "info");
    }
}
