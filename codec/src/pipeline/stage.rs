//! What all stages have in common: a thread, a queue on either side, and the pool that computes.

use std::sync::Arc;
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::queue::{Inlet, Outlet};
use crate::error::{Error, Result};

/// The threads that compute for all stages of a pipeline, so that stages overlap without more threads than cores.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<ThreadPool>);

impl Pool {
    /// A pool of `threads` threads; 0 for one on each core.
    pub(super) fn new(threads: usize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("compute-{index}"))
            .build();
        let pool = pool.map_err(|e| Error::parameter("threads", format!("cannot start {threads}: {e}")))?;
        Ok(Self(Arc::new(pool)))
    }
}

/// What a stage may do.
pub(super) struct Context<O> {
    pool: Pool,
    outlet: Outlet<O>,
}

impl<O> Context<O> {
    /// Runs `f` in the pool. It must not wait for a queue: the threads of the pool are those that empty it.
    pub(super) fn compute<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.pool.0.install(f)
    }

    /// Hands an item to the next stage; waits for room.
    pub(super) fn send(&self, item: O) -> Result<()> {
        self.outlet.send(item)
    }
}

/// A part of a pipeline.
pub(super) trait Stage: Send + 'static {
    type In: Send + 'static;
    type Out: Send + 'static;

    /// Takes an item.
    fn take(&mut self, item: Self::In, context: &Context<Self::Out>) -> Result<()>;

    /// Sends what is left, after the last item.
    fn finish(&mut self, _context: &Context<Self::Out>) -> Result<()> {
        Ok(())
    }
}

/// Runs a stage on a thread of its own until its input or its output ends.
pub(super) fn spawn<S: Stage>(
    name: &str,
    pool: &Pool,
    inlet: Inlet<S::In>,
    outlet: Outlet<S::Out>,
    stage: S,
) -> Result<()> {
    let context = Context {
        pool: pool.clone(),
        outlet,
    };
    let thread = thread::Builder::new().name(name.to_owned());
    let run = move || {
        // Nobody is left to hear of a queue that was closed: whoever closed it knows.
        let _ = match work(stage, inlet, &context) {
            Ok(()) => context.outlet.end(),
            Err(error) => context.outlet.fail(error),
        };
    };
    thread
        .spawn(run)
        .map(|_| ())
        .map_err(|e| Error::parameter("threads", format!("cannot start {name}: {e}")))
}

fn work<S: Stage>(mut stage: S, mut inlet: Inlet<S::In>, context: &Context<S::Out>) -> Result<()> {
    while let Some(item) = inlet.next()? {
        stage.take(item, context)?;
    }
    stage.finish(context)
}
