//! `Trainer` and the functions that drive it to its end.

use std::sync::OnceLock;

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::count::PyCounter;
use super::text::next_batch;
use crate::train::{Progress, Trainer};
use crate::word::Pair;

/// UTF-8 bytes in a batch of `train`: enough to keep every core busy, far below memory.
const BATCH_BYTES: usize = 4 << 20;
/// Merges between two looks at signals; a few that take long are cut short by `advance` itself.
const MERGES_PER_CHUNK: usize = 64;
/// Words between two looks at signals: a few milliseconds of copying.
const WORDS_PER_LOOK: usize = 1 << 15;

#[pyclass(module = "core._bpe", name = "Trainer")]
pub(super) struct PyTrainer {
    trainer: Trainer,
    progress: Progress,
}

impl PyTrainer {
    /// Prepares to train on the words, with the interpreter released; signals get through.
    pub(super) fn build<'w, W>(
        py: Python<'_>,
        num_merges: usize,
        words: impl FnOnce() -> W + Send,
    ) -> PyResult<Self>
    where
        W: Iterator<Item = (&'w [u8], u64)> + Clone,
    {
        let interrupt = OnceLock::new();
        let mut trainer = py.detach(|| {
            let words = Watched {
                words: words(),
                num_words: 0,
                interrupt: &interrupt,
            };
            Trainer::new(words, num_merges)
        })?;
        if let Some(error) = interrupt.into_inner() {
            return Err(error);
        }
        let progress = trainer.advance(0);
        Ok(Self { trainer, progress })
    }

    /// Makes merges until there are `target`, or until it is time to look at signals.
    fn advance_to(&mut self, py: Python<'_>, target: usize) -> PyResult<()> {
        let limit = target.saturating_sub(self.progress.num_merges);
        self.progress = py.detach(|| self.trainer.advance(limit.min(MERGES_PER_CHUNK)));
        py.check_signals()
    }
}

/// Words that end early when a signal handler raises.
#[derive(Clone)]
struct Watched<'a, W> {
    words: W,
    num_words: usize,
    interrupt: &'a OnceLock<PyErr>,
}

impl<W: Iterator> Iterator for Watched<'_, W> {
    type Item = W::Item;

    fn next(&mut self) -> Option<W::Item> {
        self.num_words += 1;
        if self.num_words.is_multiple_of(WORDS_PER_LOOK) {
            let looked = Python::attach(|py| {
                py.check_signals()?;
                Ok(())
            });
            if let Err(error) = looked {
                // The first error is the one to raise.
                let _ = self.interrupt.set(error);
            }
            if self.interrupt.get().is_some() {
                return None;
            }
        }
        self.words.next()
    }
}

#[pymethods]
impl PyTrainer {
    fn advance(&mut self, py: Python<'_>, limit: usize) -> PyResult<usize> {
        let target = self.progress.num_merges.saturating_add(limit);
        while self.progress.num_merges < target && !self.progress.is_done {
            self.advance_to(py, target)?;
        }
        Ok(self.progress.num_merges)
    }

    #[getter]
    fn is_done(&self) -> bool {
        self.progress.is_done
    }

    fn merges(&self) -> Vec<Pair> {
        self.trainer.merges().to_vec()
    }

    fn merges_array<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<u32>>> {
        let merges = self.trainer.merges();
        let ids = merges.iter().flat_map(|&(left, right)| [left, right]);
        PyArray1::from_iter(py, ids).reshape([merges.len(), 2])
    }

    fn counts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        PyArray1::from_slice(py, self.trainer.counts())
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.trainer.memory_bytes()
    }

    #[getter]
    fn peak_memory_bytes(&self) -> usize {
        self.trainer.peak_memory_bytes()
    }
}

#[pyfunction]
#[pyo3(signature = (
    texts, num_merges, pattern, *, max_chars=None, max_doc_chars=None, progress=None
))]
pub(super) fn train(
    py: Python<'_>,
    texts: &Bound<'_, PyAny>,
    num_merges: usize,
    pattern: &str,
    max_chars: Option<u64>,
    max_doc_chars: Option<u64>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<Pair>> {
    let tell = |done: usize| match progress {
        Some(progress) => progress.call1((done, num_merges)).map(drop),
        None => Ok(()),
    };
    let mut counter = PyCounter::new(pattern, max_chars, max_doc_chars, None)?;
    let mut texts = texts.try_iter()?;
    loop {
        let batch = next_batch(&mut texts, BATCH_BYTES)?;
        if batch.is_empty() {
            break;
        }
        let wants_more = counter.feed_batch(py, &batch)?;
        py.check_signals()?;
        tell(0)?;
        if !wants_more {
            break;
        }
    }
    let mut trainer = counter.trainer(py, num_merges)?;
    drop(counter);
    while !trainer.progress.is_done {
        trainer.advance_to(py, num_merges)?;
        tell(trainer.progress.num_merges)?;
    }
    Ok(trainer.merges())
}

#[pyfunction]
pub(super) fn train_words(
    py: Python<'_>,
    word_counts: &Bound<'_, PyDict>,
    num_merges: usize,
) -> PyResult<Vec<Pair>> {
    let mut counted: Vec<(Vec<u8>, u64)> = Vec::with_capacity(word_counts.len());
    for (word, count) in word_counts {
        counted.push((word.extract()?, count.extract()?));
        if counted.len().is_multiple_of(WORDS_PER_LOOK) {
            py.check_signals()?;
        }
    }
    let words = || counted.iter().map(|(word, count)| (&word[..], *count));
    let mut trainer = PyTrainer::build(py, num_merges, words)?;
    while !trainer.progress.is_done {
        trainer.advance_to(py, num_merges)?;
    }
    Ok(trainer.merges())
}
