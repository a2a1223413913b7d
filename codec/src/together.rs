//! Work of several threads that is done in one go.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Sender, bounded};

/// Jobs that wait for their turn. Whoever's turn it is does those that are like its own as well.
///
/// Nobody waits for others to come: while one go runs, jobs gather for the next.
pub(crate) struct Together<J, R, W> {
    waiting: Mutex<Queued<J, R>>,
    work: Mutex<W>,
}

struct Queued<J, R> {
    next: u64,
    jobs: Vec<(u64, J, Sender<R>)>,
}

impl<J, R, W: Default> Default for Together<J, R, W> {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Queued {
                next: 0,
                jobs: Vec::new(),
            }),
            work: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<J, R, W> Together<J, R, W> {
    /// The result of a job. `run` is given at most `most` jobs, all of them `alike`, and something that only one go has at
    /// a time; it gives a result for each, in their order. Their number is a power of two, so that what is prepared for a
    /// number of jobs is of use again. None, if the go that the job was part of panicked.
    pub(crate) fn run(
        &self,
        job: J,
        most: usize,
        alike: impl Fn(&J, &J) -> bool,
        run: impl FnOnce(&mut W, Vec<J>) -> Vec<R>,
    ) -> Option<R> {
        let (reply, result) = bounded(1);
        let ticket = {
            let mut waiting = lock(&self.waiting);
            let ticket = waiting.next;
            waiting.next += 1;
            waiting.jobs.push((ticket, job, reply));
            ticket
        };
        let mut work = lock(&self.work);
        let (mut jobs, mut replies) = (Vec::new(), Vec::new());
        {
            let mut waiting = lock(&self.waiting);
            let Some(own) = waiting.jobs.iter().position(|(other, ..)| *other == ticket) else {
                // It was done along with another one.
                return result.try_recv().ok();
            };
            let (_, job, reply) = waiting.jobs.remove(own);
            jobs.push(job);
            replies.push(reply);
            let others = waiting.jobs.iter().filter(|(_, other, _)| alike(&jobs[0], other));
            let most = 1 << (others.count() + 1).min(most.max(1)).ilog2();
            let mut at = 0;
            while jobs.len() < most {
                if alike(&jobs[0], &waiting.jobs[at].1) {
                    let (_, job, reply) = waiting.jobs.remove(at);
                    jobs.push(job);
                    replies.push(reply);
                } else {
                    at += 1;
                }
            }
        }
        for (reply, result) in replies.into_iter().zip(run(&mut work, jobs)) {
            // There is room for one, and its receiver waits.
            let _ = reply.send(result);
        }
        result.try_recv().ok()
    }

    /// How many jobs wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.waiting).jobs.len()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn jobs_that_are_alike_are_done_in_one_go() {
        let together: Together<u32, (u32, usize), Vec<usize>> = Together::default();
        let alike = |a: &u32, b: &u32| a % 2 == b % 2;
        let squares = |goes: &mut Vec<usize>, jobs: Vec<u32>| {
            goes.push(jobs.len());
            let count = jobs.len();
            jobs.into_iter().map(|job| (job * job, count)).collect()
        };
        thread::scope(|scope| {
            // The first one holds up all others until they are there.
            let first = scope.spawn(|| {
                together.run(100, 3, alike, |goes, jobs| {
                    while together.waiting() < 8 {
                        thread::yield_now();
                    }
                    squares(goes, jobs)
                })
            });
            while together.waiting() > 0 || together.work.try_lock().is_ok() {
                thread::yield_now();
            }
            let others: Vec<_> = (0..8)
                .map(|job| {
                    scope.spawn({
                        let together = &together;
                        move || together.run(job, 3, alike, squares)
                    })
                })
                .collect();
            assert_eq!(first.join().unwrap(), Some((10_000, 1)));
            for (job, other) in others.into_iter().enumerate() {
                let (square, _) = other.join().unwrap().unwrap();
                assert_eq!(square as usize, job * job);
            }
        });
        let mut goes = lock(&together.work).clone();
        goes.sort_unstable();
        // Four even and four odd ones, two at a time.
        assert_eq!(goes, [1, 2, 2, 2, 2]);
    }

    #[test]
    fn a_panic_is_told_to_those_that_it_concerns() {
        let together: Together<u32, u32, ()> = Together::default();
        thread::scope(|scope| {
            let lost = scope.spawn(|| together.run(1, 1, |_, _| true, |(), _| panic!("on purpose")));
            assert!(lost.join().is_err());
        });
        assert_eq!(together.run(2, 1, |_, _| true, |(), jobs| jobs), Some(2));
        assert_eq!(together.run(3, 1, |_, _| true, |(), _| Vec::new()), None);
    }
}
