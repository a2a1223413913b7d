//! How long operators take.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::driver::{Convolution, Download, Driver, Launch, Mark, Product};
use crate::error::Result;

/// What operators of the same kind and extents took together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OperatorTime {
    /// What they do.
    pub name: String,
    /// How many there were.
    pub calls: usize,
    /// Seconds of the GPU.
    pub seconds: f64,
}

/// A driver that looks at the clock around another one's work, when it is asked to.
pub(crate) struct Profiler {
    inner: Arc<dyn Driver>,
    on: AtomicBool,
    /// Locked while an operator is queued, so that nobody else's work comes between its marks.
    seen: Mutex<Vec<(String, [Mark; 2])>>,
}

impl fmt::Debug for Profiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Profiler {
    pub(crate) fn around(inner: Arc<dyn Driver>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            on: AtomicBool::new(false),
            seen: Mutex::default(),
        })
    }

    fn seen(&self) -> MutexGuard<'_, Vec<(String, [Mark; 2])>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f`, and tells what the operators that it queued took: the longest first.
    pub(crate) fn profile<R>(&self, f: impl FnOnce() -> R) -> Result<(R, Vec<OperatorTime>)> {
        self.seen().clear();
        self.on.store(true, Ordering::Relaxed);
        let result = f();
        self.on.store(false, Ordering::Relaxed);
        let seen = std::mem::take(&mut *self.seen());
        let mut times: HashMap<String, OperatorTime> = HashMap::new();
        for (name, marks) in seen {
            let seconds = self.inner.seconds(marks)?;
            let time = times.entry(name).or_insert_with_key(|name| OperatorTime {
                name: name.clone(),
                calls: 0,
                seconds: 0.0,
            });
            time.calls += 1;
            time.seconds += seconds;
        }
        let mut times: Vec<_> = times.into_values().collect();
        times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.name.cmp(&b.name)));
        Ok((result, times))
    }

    fn timed<R>(&self, name: impl FnOnce() -> String, f: impl FnOnce() -> Result<R>) -> Result<R> {
        if !self.on.load(Ordering::Relaxed) {
            return f();
        }
        let mut seen = self.seen();
        let start = self.inner.mark()?;
        let result = f()?;
        seen.push((name(), [start, self.inner.mark()?]));
        Ok(result)
    }
}

impl Driver for Profiler {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.inner.allocate(bytes)
    }

    fn free(&self, address: u64) {
        self.inner.free(address);
    }

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.timed(|| "copy".to_owned(), || self.inner.copy(from, to, bytes))
    }

    fn zero(&self, at: u64, bytes: usize) -> Result<()> {
        self.timed(|| "zero".to_owned(), || self.inner.zero(at, bytes))
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        self.timed(|| launch.kernel.name().to_owned(), || self.inner.launch(launch))
    }

    fn convolve(&self, convolution: &Convolution, input: u64, weight: u64, output: u64) -> Result<bool> {
        let name = || {
            let [kt, kh, kw] = convolution.kernel;
            let [n, d, h, w, inputs] = convolution.input;
            let outputs = convolution.outputs;
            format!("conv {kt}x{kh}x{kw} {inputs}->{outputs} of {n}x{d}x{h}x{w}")
        };
        self.timed(name, || self.inner.convolve(convolution, input, weight, output))
    }

    fn multiply(&self, product: &Product, a: u64, b: u64, c: u64) -> Result<()> {
        let name = || {
            let Product {
                rows,
                columns,
                depth,
                count,
                ..
            } = product;
            format!("matmul {count}x{rows}x{depth} by {depth}x{columns}")
        };
        self.timed(name, || self.inner.multiply(product, a, b, c))
    }

    fn upload(&self, bytes: &[u8], read: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        self.inner.upload(bytes, read)
    }

    fn download(&self, bytes: usize, write: &mut dyn FnMut(u64) -> Result<()>) -> Result<Box<dyn Download>> {
        self.inner.download(bytes, write)
    }

    fn mark(&self) -> Result<Mark> {
        self.inner.mark()
    }

    fn seconds(&self, marks: [Mark; 2]) -> Result<f64> {
        self.inner.seconds(marks)
    }
}
