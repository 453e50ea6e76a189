//! Where a client that has something of a log goes on in it; the same for frames and
//! for HTTP.

use base::{Epoch, Error, Seq, limits};

/// A log as it is now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    /// The newest event.
    pub(crate) head: Seq,
    /// Which life it is.
    pub(crate) epoch: Epoch,
    /// The oldest event kept.
    pub(crate) first: Seq,
}

/// How to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resume {
    /// With the event after this.
    From(Seq),
    /// Not at all: what the client has is of another life, or what follows it is gone.
    Reset,
}

impl Log {
    /// Where to go on after event `after`, counted in the log's life `epoch` if the client
    /// knows that.
    pub(crate) fn resume(&self, after: Seq, epoch: Option<Epoch>) -> base::Result<Resume> {
        if epoch.is_some_and(|epoch| epoch != self.epoch) || after.next() < self.first {
            Ok(Resume::Reset)
        } else if after > self.head {
            let rule = format!("is beyond the newest event, {}", self.head);
            Err(Error::invalid("After", rule))
        } else {
            Ok(Resume::From(after))
        }
    }

    /// The event before the newest ones that a replay has at most.
    pub(crate) fn replay_from(&self) -> Seq {
        let kept = self.first.get().saturating_sub(1);
        Seq(self
            .head
            .get()
            .saturating_sub(limits::REPLAY_EVENTS)
            .max(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Log = Log {
        head: Seq(5_000),
        epoch: Epoch(2),
        first: Seq(101),
    };

    #[test]
    fn one_goes_on_where_one_was() {
        for after in [100, 101, 4_999, 5_000] {
            let resume = LOG.resume(Seq(after), Some(Epoch(2))).unwrap();
            assert_eq!(resume, Resume::From(Seq(after)));
            assert_eq!(LOG.resume(Seq(after), None).unwrap(), resume);
        }
    }

    #[test]
    fn what_is_gone_or_of_another_life_is_begun_afresh() {
        assert_eq!(LOG.resume(Seq(99), Some(Epoch(2))).unwrap(), Resume::Reset);
        for after in [0, 3_000, 9_999] {
            let resume = LOG.resume(Seq(after), Some(Epoch(1)));
            assert_eq!(resume.unwrap(), Resume::Reset);
        }
    }

    #[test]
    fn nobody_has_what_is_not_written() {
        let error = LOG.resume(Seq(5_001), Some(Epoch(2))).unwrap_err();
        assert_eq!(error.code(), base::Code::InvalidArgument);
        assert!(LOG.resume(Seq(5_001), None).is_err());
    }

    #[test]
    fn a_replay_is_bounded_and_begins_with_what_is_kept() {
        assert_eq!(LOG.replay_from(), Seq(4_000));
        let short = Log {
            head: Seq(500),
            ..LOG
        };
        assert_eq!(short.replay_from(), Seq(100));
    }
}
