//! What it takes until a file's new bytes are on the disk.

use std::io::{Result, Write as _};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::Times;

/// A file longer than that begins anew.
const LONGEST: usize = 64 << 20;

/// Appends `bytes` to a file in `directory` and waits for the disk (fdatasync), again and
/// again for `length`.
pub(super) fn sync(directory: &Path, bytes: usize, length: Duration) -> Result<Times> {
    let mut file = tempfile::tempfile_in(directory)?;
    let (block, mut written) = (vec![0x5a; bytes], 0);
    let mut times = Times::new()?;
    let stop = Instant::now() + length;
    while Instant::now() < stop {
        if written >= LONGEST {
            file = tempfile::tempfile_in(directory)?;
            written = 0;
        }
        let begun = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.note(begun.elapsed());
        written += bytes;
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_are_timed() {
        let folder = tempfile::tempdir().unwrap();
        let times = sync(folder.path(), 4096, Duration::from_millis(20)).unwrap();
        assert!(times.per_second() > 0.0 && !times.micros.is_empty());
    }
}
