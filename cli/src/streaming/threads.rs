//! Thread pools, and the results of threads.

use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

use anyhow::Context;
use latentbit_codec::Error;

/// A pool of compute threads; 0 for one per core.
pub fn pool(threads: usize) -> anyhow::Result<rayon::ThreadPool> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?)
}

/// Starts a thread with a name.
///
/// # Errors
/// The system has no more threads, or no memory for one.
pub fn start<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<JoinHandle<T>> {
    let started = Builder::new().name(name.to_owned()).spawn(run);
    started.with_context(|| format!("cannot start the thread {name:?}"))
}

/// As [`start`], for a thread that ends before `scope` does.
///
/// # Errors
/// As for [`start`].
pub fn start_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    run: impl FnOnce() -> T + Send + 'scope,
) -> anyhow::Result<ScopedJoinHandle<'scope, T>> {
    let started = Builder::new().name(name.to_owned()).spawn_scoped(scope, run);
    started.with_context(|| format!("cannot start the thread {name:?}"))
}

/// The result of a thread that was joined. If it died, the message says `what` it did.
pub fn joined<T>(result: std::thread::Result<anyhow::Result<T>>, what: &str) -> anyhow::Result<T> {
    result.unwrap_or_else(|_| anyhow::bail!("the {what} thread died; this is a bug"))
}

/// The results of feeding a pipeline and of emptying it, or the error that explains why one of them failed.
pub fn both<A, B>(fed: anyhow::Result<A>, emptied: anyhow::Result<B>) -> anyhow::Result<(A, B)> {
    let is_closed = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(Error::Closed));
    match (fed, emptied) {
        // That the pipeline closed is a consequence; the cause is on the other side.
        (Err(error), _) if !is_closed(&error) => Err(error),
        (_, Err(error)) | (Err(error), Ok(_)) => Err(error),
        (Ok(fed), Ok(emptied)) => Ok((fed, emptied)),
    }
}
