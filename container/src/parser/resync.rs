//! Finding the way again after damage (LBIT §10.2).

use super::{Event, Fault, Parser, ReadMode, Resume, State, Step};
use crate::error::{Broken, Error};
use crate::record::{CRC_LEN, HEADER_LEN, RecordHeader, SYNC, Tag};
use crate::work::spend;

impl Parser {
    /// The payload of a record does not match its checksum: find out whether its length can be trusted.
    pub(super) fn damaged_payload(
        &mut self,
        record: &RecordHeader,
        whole: usize,
        broken: Broken,
    ) -> Result<Step, Fault> {
        let error = broken.in_file(self.input.offset() + (whole - CRC_LEN) as u64, record.chunk());
        if self.mode == ReadMode::Strict || !self.may_lack_start() {
            return Err(Fault::never(error));
        }
        let resume = match self.follows(whole) {
            None => return Ok(Step::NeedInput),
            Some(true) => Resume::Record(whole),
            Some(false) => Resume::Scan(HEADER_LEN),
        };
        Err(Fault { error, resume })
    }

    /// Whether a record begins so many bytes `ahead`, or the input ends there: flipped bits leave the next record in its
    /// place. Lost or added bytes do not, and then it must be looked for inside of what would have been this one. None
    /// where that is not known yet.
    pub(super) fn follows(&self, ahead: usize) -> Option<bool> {
        let next = self.input.rest().get(ahead..).unwrap_or_default();
        match next.first_chunk() {
            Some(fixed) => Some(RecordHeader::decode(fixed).is_ok()),
            None if !self.input.finished => None,
            None => Some(next.is_empty()),
        }
    }

    /// With no header at the end, what was wrong first is the error (LBIT §10.2, step 6): of what was passed over, if
    /// anything was, else `last`.
    pub(super) fn first_fault(&mut self, last: Error) -> Error {
        let lost = self
            .pending
            .iter()
            .position(|event| matches!(event, Event::Lost(_)));
        match lost.and_then(|at| self.pending.remove(at)) {
            Some(Event::Lost(lost)) => lost.reason,
            _ => last,
        }
    }

    /// Whether `fixed` starts a record to go on with.
    fn is_wanted(&self, fixed: &[u8; HEADER_LEN]) -> bool {
        let Ok(record) = RecordHeader::decode(fixed) else {
            return false;
        };
        // Without a header nothing else can be read.
        self.head.is_some() || matches!(record.tag, Tag::HEAD | Tag::HEAD_COPY)
    }

    pub(super) fn scan(&mut self) -> Result<Step, Fault> {
        let rest = self.input.rest();
        let mut at = 0;
        let mut found = false;
        while let Some(ahead) = rest[at..].iter().position(|&byte| byte == SYNC[0]) {
            at += ahead;
            match rest[at..].first_chunk::<HEADER_LEN>() {
                Some(fixed) if self.is_wanted(fixed) => {
                    found = true;
                    break;
                }
                None if !self.input.finished => {
                    spend(at);
                    self.input.consume(at);
                    return Ok(Step::NeedInput);
                }
                _ => at += 1,
            }
        }
        if !found {
            at = rest.len();
        }
        spend(at);
        self.input.consume(at);
        if !found && !self.input.finished {
            return Ok(Step::NeedInput);
        }
        if let State::Scan { from, reason } = std::mem::replace(&mut self.state, State::Record) {
            if !found && self.head.is_none() {
                return Err(Fault::never(self.first_fault(reason)));
            }
            self.lose(from, self.input.offset() - from, reason);
        }
        Ok(Step::Again)
    }
}
