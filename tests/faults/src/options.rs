//! What a run is asked to do.

use crate::load;
use crate::plan::Shape;
use crate::rig::Settings;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many cycles.
    pub cycles: u64,
    /// Determines the faults.
    pub seed: u64,
    /// Cycles between checkpoints.
    pub block: u64,
    /// Tell each cycle's plan.
    pub verbose: bool,
    /// The load.
    pub load: load::Shape,
    /// The system.
    pub system: Shape,
    /// Its place.
    pub settings: Settings,
}
