//! `Trainer` and the functions that drive it to its end.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::count::PyCounter;
use super::text::next_batch;
use crate::train::{Progress, Trainer};
use crate::word::Pair;

/// UTF-8 bytes in a batch of `train`: enough to keep every core busy, far below memory.
const BATCH_BYTES: usize = 4 << 20;
/// Merges between two looks at signals.
const MERGES_PER_CHUNK: usize = 64;

#[pyclass(module = "core._bpe", name = "Trainer")]
pub(super) struct PyTrainer {
    trainer: Trainer,
    progress: Progress,
}

impl PyTrainer {
    pub(super) fn new(mut trainer: Trainer) -> Self {
        let progress = trainer.advance(0);
        Self { trainer, progress }
    }
}

#[pymethods]
impl PyTrainer {
    pub(super) fn advance(&mut self, py: Python<'_>, limit: usize) -> usize {
        self.progress = py.detach(|| self.trainer.advance(limit));
        self.progress.num_merges
    }

    #[getter]
    fn is_done(&self) -> bool {
        self.progress.is_done
    }

    fn merges(&self) -> Vec<Pair> {
        self.trainer.merges().to_vec()
    }
}

#[pyfunction]
#[pyo3(signature = (texts, num_merges, pattern, *, max_chars, max_doc_chars, progress=None))]
pub(super) fn train(
    py: Python<'_>,
    texts: &Bound<'_, PyAny>,
    num_merges: usize,
    pattern: &str,
    max_chars: u64,
    max_doc_chars: u64,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<Pair>> {
    let tell = |done: usize| match progress {
        Some(progress) => progress.call1((done, num_merges)).map(drop),
        None => Ok(()),
    };
    let mut counter = PyCounter::new(pattern, Some(max_chars), Some(max_doc_chars), None)?;
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
    while !trainer.progress.is_done {
        let done = trainer.advance(py, MERGES_PER_CHUNK);
        py.check_signals()?;
        tell(done)?;
    }
    Ok(trainer.merges())
}

#[pyfunction]
pub(super) fn train_words(
    py: Python<'_>,
    word_counts: &Bound<'_, PyDict>,
    num_merges: usize,
) -> PyResult<Vec<Pair>> {
    let counted = word_counts
        .iter()
        .map(|(word, count)| Ok((word.extract()?, count.extract()?)))
        .collect::<PyResult<Vec<(Vec<u8>, u64)>>>()?;
    let words = counted.iter().map(|(word, count)| (&word[..], *count));
    let mut trainer = PyTrainer::new(Trainer::new(words, num_merges)?);
    while !trainer.progress.is_done {
        trainer.advance(py, MERGES_PER_CHUNK);
        py.check_signals()?;
    }
    Ok(trainer.merges())
}
