//! One who only reads.

use std::time::Duration;

use tokio::time::Instant;

use super::line::Line;
use super::{Kept, Phase, Phases};

/// How often it looks what it is to do.
const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn read(mut line: Line, phases: Phases) -> Kept {
    loop {
        line.mind_home(&phases);
        if let Phase::Drain { heads, until } = &*phases.borrow()
            && (line.has_all(heads) || Instant::now() >= *until)
        {
            break;
        }
        line.hear(Instant::now() + LOOK).await;
    }
    line.finish()
}
