//! The results of threads.

/// What a thread gave, by the result of joining it; `what` it did is for the message should it have died.
pub fn joined<T>(result: std::thread::Result<anyhow::Result<T>>, what: &str) -> anyhow::Result<T> {
    result.unwrap_or_else(|_| anyhow::bail!("the {what} thread died; this is a bug"))
}
