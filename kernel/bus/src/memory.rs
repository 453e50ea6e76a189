//! A bus within one process, for the embedded system and for tests.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{Bus, BusError, Record, Tail, Wanted};

/// Records that a slow reader may fall behind by; then it is told that it missed
/// some, and reads the log.
const CAPACITY: usize = 4_096;

/// A bus in memory; clones share it.
#[derive(Clone)]
pub struct MemoryBus {
    records: broadcast::Sender<Record>,
}

impl MemoryBus {
    /// A bus that nobody reads yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            records: broadcast::Sender::new(CAPACITY),
        })
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, records: Vec<Record>) -> Result<(), BusError> {
        for record in records {
            // Nobody reading is no fault.
            let _ = self.records.send(record);
        }
        Ok(())
    }

    async fn tail(&self, wanted: Wanted) -> Result<Box<dyn Tail>, BusError> {
        Ok(Box::new(MemoryTail {
            records: self.records.subscribe(),
            wanted,
        }))
    }

    fn healthy(&self) -> bool {
        true
    }
}

struct MemoryTail {
    records: broadcast::Receiver<Record>,
    wanted: Wanted,
}

#[async_trait]
impl Tail for MemoryTail {
    async fn next(&mut self) -> Result<Record, BusError> {
        loop {
            match self.records.recv().await {
                Ok(record) if (self.wanted)(record.key) => return Ok(record),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    return Err(BusError(format!(
                        "the reader fell behind by {missed} records"
                    )));
                }
                // The last publisher is gone and nothing will come any more.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
