//! Files that are too long to be read in one go.

use crate::sources::Sources;

/// Lines that a source file has at most.
pub const MOST_LINES: usize = 600;

/// Returns the files over [`MOST_LINES`], with their lines.
pub fn too_long(sources: &Sources) -> Vec<(&str, usize)> {
    let lines = sources
        .iter()
        .map(|(path, text)| (path, text.lines().count()));
    lines.filter(|(_, lines)| *lines > MOST_LINES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_601_lines_is_too_long_and_one_of_600_is_not() {
        let (fits, long) = ("\n".repeat(MOST_LINES), "\n".repeat(MOST_LINES + 1));
        let sources = Sources::from_texts([("fits.rs", &*fits), ("style.css", &*long)]);
        assert_eq!(too_long(&sources), [("style.css", 601)]);
    }
}
