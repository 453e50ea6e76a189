//! Breaks a running Parley in every way it promises to survive, and checks what clients
//! were told against what the rooms' logs say in the end.
//!
//! ```text
//! cargo run --profile dist -p faults -- --cycles 1000 --seed 7
//! cargo run --profile dist -p faults -- --embedded --cycles 200
//! ```
//!
//! How it works, top down:
//! - [`cli`]: the command line and the exit code (0 sound, 1 a promise was broken, 2 the
//!   run could not be made).
//! - [`options`]: what a run is asked to do.
//! - [`run`]: cycle after cycle one fault, or two, under load; after each block of cycles
//!   a checkpoint, where everything comes to rest and is compared.
//! - [`plan`]: which faults. A seed determines all of them.
//! - [`rig`]: the system under test, started by `deploy/dev/up` or, embedded, as one
//!   process, and what can be done to it.
//! - [`links`]: the TCP proxies between the processes, which cut one process off another.
//! - [`load`]: clients that write, read, leave and join, and keep what they were told.
//! - [`ledger`]: what they keep. A ledger is dropped when it has been checked, and every
//!   block writes in rooms of its own, so memory does not grow with the run.
//! - [`check`]: the log of a room against its ledger; pure, and tested by planted faults.
//! - [`report`]: figures, and the evidence of what was found.

pub mod check;
pub mod cli;
pub mod ledger;
pub mod links;
pub mod load;
pub mod options;
pub mod plan;
mod random;
pub mod report;
pub mod rig;
pub mod run;
