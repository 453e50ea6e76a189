//! Counts the instructions of hot paths, and holds them to a committed baseline.
//!
//! Instructions, because they are the same on a busy machine as on an idle one, where time
//! differs by more than what is looked for. What they do not see is waiting: for memory, for
//! locks, for the kernel. That is what `tests/load` is for.

mod baseline;
pub mod cli;
mod valgrind;

/// What is counted.
pub struct Case {
    /// Names it in the baseline.
    pub name: &'static str,
    /// Prepares it, uncounted.
    pub prepare: fn() -> Work,
}

/// What is counted of a case; done once.
pub type Work = Box<dyn FnMut()>;

/// Does the work. What it costs in here is counted: the name is what valgrind goes by.
#[inline(never)]
fn counted_by_valgrind(work: &mut dyn FnMut()) {
    work();
}
