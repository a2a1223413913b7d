//! Copies between host and device beside the work: through pinned memory, on a stream of their own, with events that say
//! when what is there.

use std::sync::{Arc, Mutex};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::super::driver::Download;
use super::{failed, lock};
use crate::error::Result;

/// Buffers that wait for their next use, at most: more were needed at once only if several networks run.
const KEPT: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToDevice,
    ToHost,
}

/// The copies in one direction.
pub(super) struct Staging {
    context: sys::CUcontext,
    copies: sys::CUstream,
    compute: sys::CUstream,
    direction: Direction,
    free: Mutex<Vec<Slot>>,
}

// SAFETY: contexts and streams of the driver may be used from any thread.
unsafe impl Send for Staging {}
// SAFETY: as above; slots are behind a lock.
unsafe impl Sync for Staging {}

/// A buffer on the host and one of the same size on the device.
struct Slot {
    context: sys::CUcontext,
    host: *mut u8,
    device: u64,
    bytes: usize,
    /// The copy is done.
    copied: sys::CUevent,
    /// The work on the device's side is done.
    used: sys::CUevent,
}

// SAFETY: the memory is the slot's own, and the driver may be called from any thread.
unsafe impl Send for Slot {}

impl Slot {
    fn new(context: sys::CUcontext, bytes: usize) -> Result<Self, DriverError> {
        use sys::CUevent_flags_enum::{CU_EVENT_BLOCKING_SYNC, CU_EVENT_DISABLE_TIMING};
        let mut slot = Self {
            context,
            host: std::ptr::null_mut(),
            device: 0,
            bytes,
            copied: result::event::create(CU_EVENT_BLOCKING_SYNC)?,
            used: result::event::create(CU_EVENT_DISABLE_TIMING)?,
        };
        // SAFETY: the memory is given back when the slot is dropped.
        slot.host = unsafe { result::malloc_host(bytes, 0) }?.cast();
        // SAFETY: as above.
        slot.device = unsafe { result::malloc_sync(bytes) }?;
        Ok(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: the slot owns all of this, and waits for whoever may still use it. Nobody is left to hear of errors.
        unsafe {
            let _ = result::ctx::set_current(self.context);
            let _ = result::event::synchronize(self.copied);
            let _ = result::event::synchronize(self.used);
            if !self.host.is_null() {
                let _ = result::free_host(self.host.cast());
            }
            if self.device != 0 {
                let _ = result::free_sync(self.device);
            }
            let _ = result::event::destroy(self.copied);
            let _ = result::event::destroy(self.used);
        }
    }
}

impl Staging {
    pub(super) fn new(
        context: sys::CUcontext,
        copies: sys::CUstream,
        compute: sys::CUstream,
        direction: Direction,
    ) -> Self {
        Self {
            context,
            copies,
            compute,
            direction,
            free: Mutex::default(),
        }
    }

    /// The slot that has waited longest, of those that are large enough. Two uses in a row get different ones, so that one
    /// is copied while the other one is worked on.
    fn take(&self, bytes: usize) -> Result<Slot> {
        let mut free = lock(&self.free);
        let large = free.iter().filter(|slot| slot.bytes >= bytes).count();
        // The first use of a size makes a second slot for it.
        if (large > 1 || self.direction == Direction::ToHost)
            && let Some(index) = free.iter().position(|slot| slot.bytes >= bytes)
        {
            return Ok(free.remove(index));
        }
        drop(free);
        Slot::new(self.context, bytes.max(1)).map_err(failed("taking memory for copies"))
    }

    fn put(&self, slot: Slot) {
        let mut free = lock(&self.free);
        free.push(slot);
        if free.len() > KEPT {
            let smallest = (0..free.len())
                .min_by_key(|&index| free[index].bytes)
                .unwrap_or(0);
            drop(free.remove(smallest));
        }
    }

    pub(super) fn upload(&self, bytes: &[u8], read: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let slot = self.take(bytes.len())?;
        // SAFETY: events and streams live. The host's side is free once the last copy from it is done, the device's side
        // once the last work on it is; the slice is within the slot.
        let queued = unsafe {
            (|| {
                result::event::synchronize(slot.copied)?;
                let host = std::slice::from_raw_parts_mut(slot.host, bytes.len());
                host.copy_from_slice(bytes);
                let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
                result::stream::wait_event(self.copies, slot.used, flags)?;
                result::memcpy_htod_async(slot.device, host, self.copies)?;
                result::event::record(slot.copied, self.copies)?;
                result::stream::wait_event(self.compute, slot.copied, flags)
            })()
        };
        queued.map_err(failed("copying to it"))?;
        let done = read(slot.device);
        // SAFETY: as above.
        unsafe { result::event::record(slot.used, self.compute) }.map_err(failed("copying to it"))?;
        self.put(slot);
        done
    }

    pub(super) fn download(
        self: &Arc<Self>,
        bytes: usize,
        write: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Box<dyn Download>> {
        let slot = self.take(bytes)?;
        write(slot.device)?;
        // SAFETY: as for uploads; nobody looks at the host's side before the copy is done.
        let queued = unsafe {
            (|| {
                result::event::record(slot.used, self.compute)?;
                let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
                result::stream::wait_event(self.copies, slot.used, flags)?;
                let host = std::slice::from_raw_parts_mut(slot.host, bytes);
                result::memcpy_dtoh_async(host, slot.device, self.copies)?;
                result::event::record(slot.copied, self.copies)
            })()
        };
        queued.map_err(failed("copying from it"))?;
        Ok(Box::new(Coming {
            staging: self.clone(),
            slot: Some(slot),
            bytes,
        }))
    }
}

/// Bytes on their way to the host.
struct Coming {
    staging: Arc<Staging>,
    slot: Option<Slot>,
    bytes: usize,
}

impl Download for Coming {
    fn wait(mut self: Box<Self>, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let Some(slot) = self.slot.take() else {
            return Ok(());
        };
        // SAFETY: the context, and the event, live.
        let waited = unsafe {
            result::ctx::set_current(slot.context).and_then(|()| result::event::synchronize(slot.copied))
        };
        waited.map_err(failed("computing"))?;
        // SAFETY: the copy into this memory is done, and the slot is nobody else's.
        read(unsafe { std::slice::from_raw_parts(slot.host, self.bytes) });
        self.staging.put(slot);
        Ok(())
    }
}
