//! Threads that take deals in turn, while the calling thread asks whether to go on.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::ShouldStop;
use super::id::{Id, lock};
use super::parts::Deal;
use super::worker::Worker;
use crate::error::Error;

/// Between two questions: a person notices a tenth of a second.
const POLL: Duration = Duration::from_millis(20);

pub(super) struct Team<'a, T: Id> {
    pub(super) pool: &'a Mutex<Vec<Worker<T>>>,
    pub(super) pattern: &'a str,
    pub(super) num_threads: NonZeroUsize,
    pub(super) should_stop: ShouldStop<'a>,
}

/// What the threads share.
struct Turn<'a, 'p, 'd, F> {
    deals: &'a [Deal<'p, 'd>],
    next: AtomicUsize,
    stop: AtomicBool,
    work: F,
}

impl<T: Id> Team<'_, T> {
    /// Does `work` on every deal and returns what each thread has made of its own.
    ///
    /// # Errors
    /// The first error of `work`; `Error::Stopped` after `should_stop`.
    pub(super) fn run<S, F>(&mut self, deals: &[Deal<'_, '_>], work: F) -> Result<Vec<S>, Error>
    where
        S: Default + Send,
        F: Fn(&mut Worker<T>, &mut S, Deal<'_, '_>, &AtomicBool) -> Result<(), Error> + Sync,
    {
        let num_threads = self.num_threads.get().min(deals.len());
        let workers = self.take(num_threads.max(1))?;
        let turn = Turn {
            deals,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            work,
        };
        let is_small = deals.len() == 1 && deals.iter().all(Deal::is_small);
        let done = if is_small {
            workers
                .into_iter()
                .map(|worker| turn.work_off(worker))
                .collect()
        } else {
            self.wait(workers, &turn)
        };
        let mut error = None;
        let mut states = Vec::new();
        for (worker, result) in done {
            lock(self.pool).push(worker);
            match result {
                Ok(state) => states.push(state),
                // What made the others stop says more.
                Err(Error::Stopped) if error.is_some() => {}
                Err(other) => error = Some(other),
            }
        }
        error.map_or(Ok(states), Err)
    }

    fn wait<S, F>(
        &mut self,
        workers: Vec<Worker<T>>,
        turn: &Turn<'_, '_, '_, F>,
    ) -> Vec<(Worker<T>, Result<S, Error>)>
    where
        S: Default + Send,
        F: Fn(&mut Worker<T>, &mut S, Deal<'_, '_>, &AtomicBool) -> Result<(), Error> + Sync,
    {
        thread::scope(|scope| {
            let (at_work, is_done) = mpsc::channel();
            let threads: Vec<_> = workers
                .into_iter()
                .map(|worker| {
                    let at_work = at_work.clone();
                    scope.spawn(move || {
                        let done = turn.work_off(worker);
                        drop::<Sender<()>>(at_work);
                        done
                    })
                })
                .collect();
            drop(at_work);
            self.poll(&is_done, &turn.stop);
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        })
    }

    /// Returns when every sender of `is_done` is gone.
    fn poll(&mut self, is_done: &Receiver<()>, stop: &AtomicBool) {
        while is_done.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
            if (self.should_stop)() {
                stop.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Takes workers from the pool, the most learned first, and makes those that are missing.
    fn take(&self, count: usize) -> Result<Vec<Worker<T>>, Error> {
        let mut pool = lock(self.pool);
        let num_idle = pool.len().min(count);
        let at = pool.len() - num_idle;
        let mut workers = pool.split_off(at);
        drop(pool);
        while workers.len() < count {
            workers.push(Worker::new(self.pattern)?);
        }
        Ok(workers)
    }
}

impl<F> Turn<'_, '_, '_, F> {
    fn work_off<T: Id, S: Default>(&self, mut worker: Worker<T>) -> (Worker<T>, Result<S, Error>)
    where
        F: Fn(&mut Worker<T>, &mut S, Deal<'_, '_>, &AtomicBool) -> Result<(), Error>,
    {
        let mut state = S::default();
        while let Some(deal) = self.deals.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = (self.work)(&mut worker, &mut state, *deal, &self.stop) {
                self.stop.store(true, Ordering::Relaxed);
                return (worker, Err(error));
            }
        }
        (worker, Ok(state))
    }
}
