//! Counts by callgrind, one process a case, so that no case sees another one's heap.

use std::path::Path;
use std::process::{Command, Stdio};

/// Where counting is on; see [`crate::counted_by_valgrind`].
const COUNTED: &str = "--toggle-collect=*counted_by_valgrind*";
/// glibc copies memory as suits the processor, which makes a twentieth of some cases; so it
/// is kept from what not every processor has. (Names that a glibc does not know it passes
/// over.)
const PLAIN_COPIES: &str =
    "glibc.cpu.hwcaps=-AVX_Fast_Unaligned_Load,-AVX2,-AVX2_Usable,-AVX512VL,-ERMS,-FSRM";

/// The instructions of a case of this very program.
///
/// # Errors
/// When valgrind is not there, or has no count; in words.
pub(crate) fn count(case: &str, scratch: &Path) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| format!("no program: {error}"))?;
    let out = scratch.join("callgrind.out");
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(COUNTED)
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(["--alone", case])
        // The heap begins, and the stack lies, where it always does.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", PLAIN_COPIES)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    let profile = std::fs::read_to_string(&out).unwrap_or_default();
    let total = profile
        .lines()
        .find_map(|line| line.strip_prefix("summary: "));
    match total.and_then(|total| total.trim().parse().ok()) {
        Some(0) => Err(format!("{case}: nothing was counted")),
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!(
            "{case}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
