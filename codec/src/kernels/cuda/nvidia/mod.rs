//! An NVIDIA GPU behind [`Driver`], through libraries that are loaded when one is asked for.

mod blas;
mod compiler;
mod dnn;
mod libraries;
mod staging;

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::driver::{Convolution, Download, Driver, Kernel, Launch, Mark, Product, Variant};
use crate::error::{Error, Result};
use blas::Blas;
use dnn::Dnn;
use staging::{Direction, Staging};

/// An NVIDIA GPU. Work is queued on one stream, copies from and to the host on one more each.
pub(crate) struct Nvidia {
    name: String,
    context: sys::CUcontext,
    compute: sys::CUstream,
    /// Compute capability.
    capability: (i32, i32),
    kernels: Mutex<HashMap<(Variant, Kernel), sys::CUfunction>>,
    modules: Mutex<HashMap<Variant, sys::CUmodule>>,
    dnn: Mutex<Dnn>,
    blas: Mutex<Blas>,
    uploads: Arc<Staging>,
    downloads: Arc<Staging>,
}

// SAFETY: contexts, streams, modules and functions of the driver may be used from any thread; the handles of libraries,
// which may not be used from several at a time, are behind locks.
unsafe impl Send for Nvidia {}
// SAFETY: as above.
unsafe impl Sync for Nvidia {}

impl fmt::Debug for Nvidia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What went wrong in a call of the driver.
fn failed(what: &str) -> impl Fn(DriverError) -> Error {
    move |error| {
        if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            return Error::device(format!(
                "out of memory ({what}); compute large frames in tiles (--max-memory), or use bf16"
            ));
        }
        Error::device(format!("{what}: {error:?}"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Nvidia {
    /// GPU number `index` of this machine.
    ///
    /// # Errors
    /// [`Error::Device`] if there is none, or if a library is missing; the message says which.
    pub(crate) fn open(index: usize) -> Result<Arc<dyn Driver>> {
        libraries::check()?;
        result::init().map_err(failed("the driver does not start"))?;
        let count = result::device::get_count().map_err(failed("counting GPUs"))?;
        let ordinal = i32::try_from(index).ok().filter(|&index| index < count);
        let ordinal = ordinal.ok_or_else(|| {
            Error::device(match count {
                0 => "this machine has none (the driver sees no device)".to_owned(),
                _ => format!("there is no number {index}: this machine has {count}, counted from 0"),
            })
        })?;
        let device = result::device::get(ordinal).map_err(failed("opening it"))?;
        let attribute = |attribute| {
            // SAFETY: the device was just got.
            unsafe { result::device::get_attribute(device, attribute) }
                .map_err(failed("asking for its abilities"))
        };
        use sys::CUdevice_attribute_enum as Attribute;
        let capability = (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        if capability.0 < 8 {
            return Err(Error::device(format!(
                "compute capability {}.{} is too old: 8.0 (Ampere) or newer is needed",
                capability.0, capability.1
            )));
        }
        let card = result::device::get_name(device).map_err(failed("asking for its name"))?;
        // SAFETY: the device was just got. The context is kept until the process ends.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(failed("making a context"))?;
        // SAFETY: the context was just made.
        unsafe { result::ctx::set_current(context) }.map_err(failed("entering the context"))?;
        keep_freed_memory(device)?;
        let stream = || {
            result::stream::create(result::stream::StreamKind::NonBlocking).map_err(failed("making a stream"))
        };
        let compute = stream()?;
        let dnn = Dnn::new(compute)?;
        let version = dnn.version();
        Ok(Arc::new(Self {
            name: format!("{card} (CUDA, cuDNN {version})"),
            context,
            compute,
            capability,
            kernels: Mutex::default(),
            modules: Mutex::default(),
            dnn: Mutex::new(dnn),
            blas: Mutex::new(Blas::new(compute)?),
            uploads: Arc::new(Staging::new(context, stream()?, compute, Direction::ToDevice)),
            downloads: Arc::new(Staging::new(context, stream()?, compute, Direction::ToHost)),
        }))
    }

    /// Makes the context that of this thread.
    fn enter(&self) -> Result<()> {
        // SAFETY: the context lives as long as the process.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed("entering the context"))
    }

    fn kernel(&self, variant: Variant, kernel: Kernel) -> Result<sys::CUfunction> {
        let mut kernels = lock(&self.kernels);
        if let Some(&function) = kernels.get(&(variant, kernel)) {
            return Ok(function);
        }
        let mut modules = lock(&self.modules);
        let module = match modules.get(&variant) {
            Some(&module) => module,
            None => {
                let image = compiler::compile(variant, self.capability)?;
                // SAFETY: the image is what the compiler gave, and complete.
                let module = unsafe { result::module::load_data(image.as_ptr().cast()) };
                let module = module.map_err(failed("loading the kernels"))?;
                modules.insert(variant, module);
                module
            }
        };
        let name = CString::new(kernel.name()).map_err(|_| Error::device("a kernel has no name"))?;
        // SAFETY: the module is never unloaded.
        let function = unsafe { result::module::get_function(module, name) };
        let function = function.map_err(failed("finding a kernel"))?;
        kernels.insert((variant, kernel), function);
        Ok(function)
    }
}

/// Memory that was given back stays with this process, so that taking it again costs nothing.
fn keep_freed_memory(device: sys::CUdevice) -> Result<()> {
    // SAFETY: the device is one that the driver gave.
    let pool = unsafe { result::device::get_default_mem_pool(device) };
    let pool = pool.map_err(failed("asking for the memory pool"))?;
    let mut threshold = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the pool is the device's, and this attribute is a u64.
    unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast()) }
        .map_err(failed("setting up the memory pool"))
}

impl Driver for Nvidia {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.enter()?;
        // SAFETY: the stream lives; what is in the memory is not looked at before it is written.
        unsafe { result::malloc_async(self.compute, bytes) }.map_err(failed("taking memory"))
    }

    fn free(&self, address: u64) {
        // Nobody is left to hear of an error, and the next call meets it again.
        if self.enter().is_ok() {
            // SAFETY: the owner gives it up, and all work that uses it was queued on the same stream.
            let _ = unsafe { result::free_async(address, self.compute) };
        }
    }

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller owns both places; the copy is queued behind all work on them.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.compute) }.map_err(failed("copying"))
    }

    fn zero(&self, at: u64, bytes: usize) -> Result<()> {
        self.enter()?;
        // SAFETY: as above.
        unsafe { result::memset_d8_async(at, 0, bytes, self.compute) }.map_err(failed("clearing"))
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        self.enter()?;
        let function = self.kernel(launch.variant, launch.kernel)?;
        let [x, y, z] = launch.blocks;
        let mut parameters = [launch.arguments.as_ptr().cast_mut().cast::<c_void>()];
        // SAFETY: each kernel has one parameter, the struct whose bytes these are; the driver copies them. The addresses in
        // it are those of memory that the caller owns.
        let launched = unsafe {
            result::launch_kernel(
                function,
                (x, y, z),
                (launch.threads, 1, 1),
                0,
                self.compute,
                &mut parameters,
            )
        };
        launched.map_err(failed(launch.kernel.name()))
    }

    fn convolve(&self, convolution: &Convolution, input: u64, weight: u64, output: u64) -> Result<bool> {
        self.enter()?;
        lock(&self.dnn).convolve(convolution, input, weight, output)
    }

    fn multiply(&self, product: &Product, a: u64, b: u64, c: u64) -> Result<()> {
        self.enter()?;
        lock(&self.blas).multiply(product, a, b, c)
    }

    fn mark(&self) -> Result<Mark> {
        self.enter()?;
        let flags = sys::CUevent_flags::CU_EVENT_DEFAULT;
        let event = result::event::create(flags).map_err(failed("making an event"))?;
        // SAFETY: event and stream live.
        unsafe { result::event::record(event, self.compute) }.map_err(failed("recording an event"))?;
        Ok(event as u64)
    }

    fn seconds(&self, marks: [Mark; 2]) -> Result<f64> {
        self.enter()?;
        let [from, to] = marks.map(|mark| mark as sys::CUevent);
        // SAFETY: marks are events that `mark` made, and each is asked for once.
        let milliseconds = unsafe {
            let found = result::event::synchronize(to).and_then(|()| result::event::elapsed(from, to));
            let destroyed = result::event::destroy(from).and(result::event::destroy(to));
            found.and_then(|found| destroyed.map(|()| found))
        };
        Ok(f64::from(milliseconds.map_err(failed("looking at the clock"))?) / 1e3)
    }

    fn upload(&self, bytes: &[u8], read: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        self.enter()?;
        self.uploads.upload(bytes, read)
    }

    fn download(&self, bytes: usize, write: &mut dyn FnMut(u64) -> Result<()>) -> Result<Box<dyn Download>> {
        self.enter()?;
        self.downloads.download(bytes, write)
    }
}
