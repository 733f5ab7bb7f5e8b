//! Dealing a batch of texts to threads, and stopping them.

use std::ops::Range;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::front::Front;
use super::shard::Shards;
use crate::error::Error;
use crate::split::Splitter;

/// Text that a thread claims at a time, and the size of the pieces that long texts are cut into.
const CLAIM_BYTES: usize = 64 * 1024;
/// Below this many bytes a batch is counted on the calling thread: starting threads costs more.
const MIN_PARALLEL_BYTES: usize = 2 * CLAIM_BYTES;
/// How often the caller is asked whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// Words between two looks at the clock, where a regex engine takes its time.
const WORDS_PER_LOOK: u32 = 256;

/// Texts, long ones in pieces, dealt into claims of about the same size.
pub(super) struct Batch<'t> {
    texts: Vec<&'t str>,
    claims: Vec<Range<usize>>,
    num_bytes: usize,
}

impl<'t> Batch<'t> {
    pub fn new(texts: &[&'t str], splitter: &Splitter) -> Self {
        let mut batch = Self {
            texts: Vec::with_capacity(texts.len()),
            claims: Vec::new(),
            num_bytes: 0,
        };
        let mut claim_bytes = 0;
        for piece in texts
            .iter()
            .flat_map(|text| splitter.pieces(text, CLAIM_BYTES))
        {
            if claim_bytes == 0 || claim_bytes + piece.len() > CLAIM_BYTES {
                batch.claims.push(batch.texts.len()..batch.texts.len());
                claim_bytes = 0;
            }
            batch.texts.push(piece);
            batch.num_bytes += piece.len();
            claim_bytes += piece.len();
            if let Some(last) = batch.claims.last_mut() {
                last.end = batch.texts.len();
            }
        }
        batch
    }
}

/// One thread's splitter and table, kept over the batches.
pub(super) struct Worker {
    splitter: Splitter,
    front: Front,
}

impl Worker {
    pub fn new(splitter: Splitter) -> Self {
        Self {
            splitter,
            front: Front::new(),
        }
    }

    pub fn splitter(&self) -> &Splitter {
        &self.splitter
    }

    pub fn front(&self) -> &Front {
        &self.front
    }

    pub fn front_mut(&mut self) -> &mut Front {
        &mut self.front
    }

    /// Counts claims until there are none, or `go_on` returns false.
    fn run(&mut self, job: &Job<'_, '_>, go_on: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        while let Some(claim) = job.next_claim() {
            for text in &job.batch.texts[claim] {
                self.add(text, job.shards, go_on)?;
            }
            if !go_on() {
                return Err(Error::Stopped);
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        text: &str,
        shards: &Shards<'_>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let (front, bytes) = (&mut self.front, text.as_bytes());
        if self.splitter.is_known() {
            return self.splitter.for_each_span(text, |start, end| {
                front.add(bytes, start, end, shards);
                true
            });
        }
        let mut num_words = 0_u32;
        let mut goes_on = true;
        self.splitter.for_each_span(text, |start, end| {
            front.add(bytes, start, end, shards);
            num_words = num_words.wrapping_add(1);
            goes_on = !num_words.is_multiple_of(WORDS_PER_LOOK) || go_on();
            goes_on
        })?;
        if goes_on { Ok(()) } else { Err(Error::Stopped) }
    }
}

/// A batch being counted.
struct Job<'a, 's> {
    batch: &'a Batch<'a>,
    shards: &'a Shards<'s>,
    next: AtomicUsize,
    is_stopped: AtomicBool,
    num_running: AtomicUsize,
}

impl Job<'_, '_> {
    fn next_claim(&self) -> Option<Range<usize>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.batch.claims.get(number).cloned()
    }

    fn goes_on(&self) -> bool {
        !self.is_stopped.load(Ordering::Relaxed)
    }

    /// Tells every thread to stop if this one failed.
    fn note<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.is_stopped.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// Says that a thread has ended, even if it panicked.
struct Ended<'a> {
    num_running: &'a AtomicUsize,
    caller: &'a Thread,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.num_running.fetch_sub(1, Ordering::Release);
        self.caller.unpark();
    }
}

/// Counts a batch with as many of the workers as it keeps busy, the first one on this thread.
pub(super) fn run(
    workers: &mut [Worker],
    batch: &Batch<'_>,
    shards: &Shards<'_>,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    let num_threads = if batch.num_bytes < MIN_PARALLEL_BYTES {
        1
    } else {
        workers.len().min(batch.claims.len()).max(1)
    };
    let Some((first, others)) = workers[..num_threads].split_first_mut() else {
        return Ok(());
    };
    let job = &Job {
        batch,
        shards,
        next: AtomicUsize::new(0),
        is_stopped: AtomicBool::new(false),
        num_running: AtomicUsize::new(others.len()),
    };
    let mut asked = Instant::now();
    let mut go_on = || {
        if asked.elapsed() < ASK_EVERY {
            return job.goes_on();
        }
        asked = Instant::now();
        job.goes_on() && go_on()
    };
    let caller = &thread::current();
    thread::scope(|scope| {
        let threads: Vec<_> = others
            .iter_mut()
            .map(|worker| {
                scope.spawn(move || {
                    let num_running = &job.num_running;
                    let _ended = Ended {
                        num_running,
                        caller,
                    };
                    job.note(worker.run(job, &mut || job.goes_on()))
                })
            })
            .collect();
        let mut result = job.note(first.run(job, &mut go_on));
        while job.num_running.load(Ordering::Acquire) > 0 {
            thread::park_timeout(ASK_EVERY);
            if result.is_ok() && !go_on() {
                result = job.note(Err(Error::Stopped));
            }
        }
        for thread in threads {
            let other = thread
                .join()
                .unwrap_or_else(|error| panic::resume_unwind(error));
            // A thread that was only told to stop knows less than the one that failed.
            if matches!(result, Ok(()) | Err(Error::Stopped)) && other.is_err() {
                result = other;
            }
        }
        result
    })
}
