//! The Python module `core._bpe`; `core/_bpe.pyi` documents it.
//!
//! Long work runs detached from the interpreter in chunks, so that Ctrl-C and progress get through.

use std::num::NonZeroUsize;
use std::thread;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyString};

use crate::count::{Counter, Limits};
use crate::error::Error;
use crate::split::Splitter;
use crate::train::{Progress, Trainer};
use crate::word::Pair;

/// UTF-8 bytes in a batch of `train`: enough to keep every core busy, far below memory.
const BATCH_BYTES: usize = 4 << 20;
/// Merges between two looks at signals.
const MERGES_PER_CHUNK: usize = 64;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        PyValueError::new_err(error.to_string())
    }
}

/// The UTF-8 of a `str`, borrowed where that is possible.
enum Text {
    Borrowed(PyBackedStr),
    Repaired(String),
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Repaired(text) => text,
        }
    }
}

impl Text {
    fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let text = object.cast::<PyString>()?;
        if let Ok(text) = PyBackedStr::try_from(text.clone()) {
            return Ok(Self::Borrowed(text));
        }
        // Lone surrogates have no UTF-8. tiktoken repairs them through UTF-16 before it encodes:
        // do the same, so that training sees what encoding will see.
        let encoded = text.call_method1("encode", ("utf-16-le", "surrogatepass"))?;
        let bytes: &[u8] = encoded.extract()?;
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|two| u16::from_le_bytes([two[0], two[1]]))
            .collect();
        Ok(Self::Repaired(String::from_utf16_lossy(&units)))
    }
}

#[pyclass(module = "core._bpe", name = "WordCounter")]
struct PyCounter(Counter);

#[pymethods]
impl PyCounter {
    #[new]
    #[pyo3(signature = (pattern, *, max_chars, max_doc_chars, num_threads=None))]
    fn new(
        pattern: &str,
        max_chars: u64,
        max_doc_chars: u64,
        num_threads: Option<usize>,
    ) -> PyResult<Self> {
        let limits = Limits {
            max_chars,
            max_doc_chars,
        };
        let num_threads = match num_threads {
            None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            Some(count) => NonZeroUsize::new(count)
                .ok_or_else(|| PyValueError::new_err("num_threads must be above 0"))?,
        };
        Ok(Self(Counter::new(pattern, limits, num_threads)?))
    }

    fn feed(&mut self, py: Python<'_>, texts: &Bound<'_, PyAny>) -> PyResult<bool> {
        let texts = texts
            .try_iter()?
            .map(|text| Text::new(&text?))
            .collect::<PyResult<Vec<_>>>()?;
        Ok(py.detach(|| self.0.feed(&texts))?)
    }

    #[getter]
    fn num_docs(&self) -> u64 {
        self.0.num_docs()
    }

    #[getter]
    fn num_chars(&self) -> u64 {
        self.0.num_chars()
    }

    fn words<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let words = py.detach(|| self.0.words());
        let counts = PyDict::new(py);
        for (word, count) in words {
            counts.set_item(PyBytes::new(py, word), count)?;
        }
        Ok(counts)
    }

    fn trainer(&mut self, py: Python<'_>, num_merges: usize) -> PyResult<PyTrainer> {
        let trainer = py.detach(|| Trainer::new(self.0.words(), num_merges))?;
        Ok(PyTrainer::new(trainer))
    }
}

#[pyclass(module = "core._bpe", name = "Trainer")]
struct PyTrainer {
    trainer: Trainer,
    progress: Progress,
}

impl PyTrainer {
    fn new(mut trainer: Trainer) -> Self {
        let progress = trainer.advance(0);
        Self { trainer, progress }
    }
}

#[pymethods]
impl PyTrainer {
    fn advance(&mut self, py: Python<'_>, limit: usize) -> usize {
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
fn train(
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
    let mut counter = PyCounter::new(pattern, max_chars, max_doc_chars, None)?;
    let mut texts = texts.try_iter()?;
    while let Some(batch) = next_batch(&mut texts)? {
        let wants_more = py.detach(|| counter.0.feed(&batch))?;
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

fn next_batch(texts: &mut Bound<'_, PyIterator>) -> PyResult<Option<Vec<Text>>> {
    let mut batch = Vec::new();
    let mut num_bytes = 0;
    while num_bytes < BATCH_BYTES {
        let Some(text) = texts.next() else {
            break;
        };
        let text = Text::new(&text?)?;
        num_bytes += text.as_ref().len();
        batch.push(text);
    }
    Ok((!batch.is_empty()).then_some(batch))
}

#[pyfunction]
fn train_words(
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

#[pyfunction]
fn split(text: &Bound<'_, PyAny>, pattern: &str) -> PyResult<Vec<String>> {
    let text = Text::new(text)?;
    let mut words = Vec::new();
    Splitter::new(pattern)?.for_each(text.as_ref(), |word| words.push(word.to_owned()))?;
    Ok(words)
}

#[pymodule]
fn _bpe(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyCounter>()?;
    module.add_class::<PyTrainer>()?;
    module.add_function(wrap_pyfunction!(train, module)?)?;
    module.add_function(wrap_pyfunction!(train_words, module)?)?;
    module.add_function(wrap_pyfunction!(split, module)?)
}
