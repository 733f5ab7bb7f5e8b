//! `WordCounter` and `split`: text in, distinct words out.

use std::num::NonZeroUsize;
use std::thread;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::text::Text;
use super::train::PyTrainer;
use crate::count::{Counter, Limits};
use crate::split::Splitter;
use crate::train::Trainer;

#[pyclass(module = "core._bpe", name = "WordCounter")]
pub(super) struct PyCounter(pub(super) Counter);

#[pymethods]
impl PyCounter {
    #[new]
    #[pyo3(signature = (pattern, *, max_chars, max_doc_chars, num_threads=None))]
    pub(super) fn new(
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

    pub(super) fn trainer(&mut self, py: Python<'_>, num_merges: usize) -> PyResult<PyTrainer> {
        let trainer = py.detach(|| Trainer::new(self.0.words(), num_merges))?;
        Ok(PyTrainer::new(trainer))
    }
}

#[pyfunction]
pub(super) fn split(text: &Bound<'_, PyAny>, pattern: &str) -> PyResult<Vec<String>> {
    let text = Text::new(text)?;
    let mut words = Vec::new();
    Splitter::new(pattern)?.for_each(text.as_ref(), |word| words.push(word.to_owned()))?;
    Ok(words)
}
