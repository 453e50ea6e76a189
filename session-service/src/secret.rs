//! The secret of a system that makes its own: a file in its data directory that
//! only its owner may read. It is made whole or not at all, and never twice.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base::{Entropy, Error, OsEntropy};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::config::Secret;

use crate::token::SECRET_BYTES;

/// The file's name.
const FILE: &str = "jwt-secret";
/// Bytes that are read of it, most.
const MOST: u64 = 4_096;

/// The secret in the directory `dir`, made if there is none.
///
/// # Errors
/// When the file is open to others, too short to be a secret, or cannot be read or
/// made.
pub fn secret_in(dir: &Path) -> base::Result<Secret> {
    let path = dir.join(FILE);
    let refuse = |why: &dyn std::fmt::Display| {
        Error::invalid("jwt-secret", format!("{}: {why}", path.display()))
    };
    let opened = File::open(&path).or_else(|error| match error.kind() {
        ErrorKind::NotFound => make(dir, &path).and_then(|()| File::open(&path)),
        _ => Err(error),
    });
    let file = opened.map_err(|error| refuse(&error))?;
    let facts = file.metadata().map_err(|error| refuse(&error))?;
    if !facts.is_file() {
        return Err(refuse(&"it is no file"));
    }
    if facts.permissions().mode() & 0o077 != 0 {
        return Err(refuse(
            &"others may read or write it; chmod 600 it, or remove it",
        ));
    }
    let mut text = String::new();
    file.take(MOST)
        .read_to_string(&mut text)
        .map_err(|error| refuse(&error))?;
    let secret = text.trim_end();
    if secret.len() < SECRET_BYTES {
        return Err(refuse(
            &"it has less than 32 bytes; remove it, and all log in anew",
        ));
    }
    Ok(Secret::new(secret))
}

/// Writes a secret beside the place, then links it there: whoever links first wins,
/// and nobody ever sees half of one.
fn make(dir: &Path, path: &Path) -> std::io::Result<()> {
    let mut bytes = [0; SECRET_BYTES + 8];
    OsEntropy.fill(&mut bytes)?;
    let (secret, name) = bytes.split_at(SECRET_BYTES);
    let draft = dir.join(format!("{FILE}.{}", URL_SAFE_NO_PAD.encode(name)));
    let written = write(&draft, secret).and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = std::fs::remove_file(&draft);
    written?;
    removed?;
    File::open(dir)?.sync_all()
}

fn write(draft: &Path, secret: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    writeln!(file, "{}", URL_SAFE_NO_PAD.encode(secret))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(dir: &Path, text: &str, mode: u32) {
        let path = dir.join(FILE);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_is_made_once_for_its_owner_alone_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = secret_in(dir.path()).unwrap();
        assert!(first.expose().len() >= SECRET_BYTES);
        assert_eq!(secret_in(dir.path()).unwrap(), first);
        let mode = std::fs::metadata(dir.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        let another = tempfile::tempdir().unwrap();
        assert_ne!(secret_in(another.path()).unwrap(), first);
    }

    #[test]
    fn of_many_who_make_it_at_once_all_get_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let made = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| secret_in(dir.path())))
                .collect();
            let made = makers
                .into_iter()
                .map(|maker| maker.join().unwrap().unwrap());
            made.collect::<Vec<_>>()
        });
        assert!(made.iter().all(|secret| *secret == made[0]));
    }

    #[test]
    fn one_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o644, 0o640, 0o660, 0o604] {
            put(dir.path(), &"x".repeat(43), mode);
            let error = secret_in(dir.path()).unwrap_err();
            assert!(error.detail().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn one_that_is_too_short_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "",
            "\n",
            &"x".repeat(31),
            &format!("{}\n\n", "x".repeat(31)),
        ] {
            put(dir.path(), text, 0o600);
            let error = secret_in(dir.path()).unwrap_err();
            assert!(error.detail().contains("less than 32 bytes"), "{error}");
        }
    }

    #[test]
    fn without_the_directory_there_is_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        assert!(secret_in(&dir.path().join("missing")).is_err());
    }
}
