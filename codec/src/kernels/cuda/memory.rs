//! Memory of a device.

use std::sync::Arc;

use super::driver::Driver;
use crate::error::Result;

/// Bytes that are brought to a device at once, so that what they pass through stays small.
const PART: usize = 16 << 20;

/// Memory that is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Memory {
    driver: Arc<dyn Driver>,
    address: u64,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(driver: &Arc<dyn Driver>, bytes: usize) -> Result<Self> {
        // No address stands for no memory, so there is always some.
        let bytes = bytes.max(256);
        Ok(Self {
            address: driver.allocate(bytes)?,
            driver: driver.clone(),
            bytes,
        })
    }

    /// Memory that holds these bytes.
    pub(super) fn holding(driver: &Arc<dyn Driver>, bytes: &[u8]) -> Result<Self> {
        let memory = Self::new(driver, bytes.len())?;
        memory.write(bytes)?;
        Ok(memory)
    }

    /// Writes bytes to its beginning.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<()> {
        let mut to = self.address;
        for part in bytes.chunks(PART) {
            let mut copy = |from| self.driver.copy(from, to, part.len());
            self.driver.upload(part, &mut copy)?;
            to += part.len() as u64;
        }
        Ok(())
    }

    pub(super) fn address(&self) -> u64 {
        self.address
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.driver.free(self.address);
    }
}

/// At least so many bytes of memory that grows as needed; what it held stays if `keep`.
pub(super) fn at_least<'a>(
    memory: &'a mut Option<Memory>,
    driver: &Arc<dyn Driver>,
    bytes: usize,
    keep: bool,
) -> Result<&'a Memory> {
    let known = memory.as_ref().map_or(0, Memory::bytes);
    if memory.is_none() || known < bytes {
        if !keep {
            // Given back first, so that both are never there at once.
            *memory = None;
        }
        let grown = Memory::new(driver, bytes)?;
        if let Some(old) = memory.as_ref().filter(|_| known > 0) {
            driver.copy(old.address(), grown.address(), known)?;
        }
        *memory = Some(grown);
    }
    memory.as_ref().ok_or_else(super::lost)
}
