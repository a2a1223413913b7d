//! Threads in a row with short queues between them, and the caller at both ends.

use std::collections::VecDeque;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use crate::error::{Error, Result};

/// A row of stages from items `I` to items `O`.
pub(super) struct Line<I, O> {
    input: Option<Sender<I>>,
    output: Receiver<Result<O>>,
    ready: VecDeque<Result<O>>,
    stages: Vec<JoinHandle<()>>,
}

/// Where a stage puts its results. `false` says that nobody wants more: the stage ends.
pub(super) struct Outlet<T>(Sender<Result<T>>);

impl<T> Outlet<T> {
    pub(super) fn send(&self, item: Result<T>) -> bool {
        let failed = item.is_err();
        self.0.send(item).is_ok() && !failed
    }
}

impl<I: Send + 'static, O: Send + 'static> Line<I, O> {
    /// Starts two stages. `queues` are the lengths of the queues before, between and after them.
    ///
    /// `first` takes from the caller until its queue closes; `second` turns what comes of it into any number of
    /// outputs, and an error of the first ends both.
    pub(super) fn start<M: Send + 'static>(
        name: &str,
        queues: [usize; 3],
        first: impl FnOnce(Receiver<I>, Outlet<M>) + Send + 'static,
        mut second: impl FnMut(M, &Outlet<O>) -> Result<bool> + Send + 'static,
    ) -> Result<Self> {
        let (input, from_caller) = bounded(queues[0].max(1));
        let (to_second, middle) = bounded(queues[1].max(1));
        let (to_caller, output) = bounded(queues[2].max(1));
        let front = move || first(from_caller, Outlet(to_second));
        let back = move || {
            let outlet = Outlet(to_caller);
            for item in middle {
                let goes_on = match item.and_then(|item| second(item, &outlet)) {
                    Ok(goes_on) => goes_on,
                    Err(error) => outlet.send(Err(error)),
                };
                if !goes_on {
                    break;
                }
            }
        };
        let spawn = |label: &str, body: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(format!("{name}-{label}"));
            thread
                .spawn(body)
                .map_err(|e| Error::parameter("threads", format!("cannot start one: {e}")))
        };
        let stages = vec![spawn("1", Box::new(front))?, spawn("2", Box::new(back))?];
        Ok(Self {
            input: Some(input),
            output,
            ready: VecDeque::new(),
            stages,
        })
    }

    /// Waits for room in the first queue, and collects results meanwhile so that the stages never wait for the caller.
    pub(super) fn push(&mut self, item: I) -> Result<()> {
        let Some(input) = &self.input else {
            return Err(Error::parameter("push", "comes after flush"));
        };
        loop {
            select! {
                recv(self.output) -> result => match result {
                    Ok(result) => self.ready.push_back(result),
                    Err(_) => break,
                },
                send(input, item) -> sent => match sent {
                    Ok(()) => return Ok(()),
                    Err(_) => break,
                },
            }
        }
        // The stages are gone before their time: the reason is the last thing that they sent.
        self.ready.extend(self.output.try_iter());
        match self.ready.pop_back() {
            Some(Err(error)) => Err(error),
            _ => Err(Error::Stopped),
        }
    }

    /// What is ready, without waiting.
    pub(super) fn pull(&mut self) -> Result<Option<O>> {
        self.ready.extend(self.output.try_iter());
        self.ready.pop_front().transpose()
    }

    /// Lets the stages finish what they have.
    pub(super) fn flush(&mut self) {
        self.input = None;
    }

    /// Waits for the next result; none after the last.
    pub(super) fn next(&mut self) -> Result<Option<O>> {
        if self.input.is_some() {
            return Err(Error::parameter(
                "flush",
                "has not been called, so this would wait forever",
            ));
        }
        if let Some(result) = self.ready.pop_front() {
            return result.map(Some);
        }
        match self.output.recv() {
            Ok(result) => result.map(Some),
            Err(_) => {
                let panicked = self
                    .stages
                    .drain(..)
                    .map(JoinHandle::join)
                    .filter(|end| end.is_err())
                    .count();
                if panicked > 0 {
                    Err(Error::Stopped)
                } else {
                    Ok(None)
                }
            }
        }
    }
}

impl<I, O> Drop for Line<I, O> {
    fn drop(&mut self) {
        self.input = None;
        self.output = never();
        for stage in self.stages.drain(..) {
            // A panic has been printed already, and there is nobody left to tell.
            let _ = stage.join();
        }
    }
}
