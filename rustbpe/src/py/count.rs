//! `WordCounter` and `split`: text in, distinct words out.

use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::buffer::{ArrowTexts, Buffer};
use super::text::{Text, next_batch};
use super::train::PyTrainer;
use crate::count::{Counter, Limits};
use crate::error::Error;
use crate::split::Splitter;
use crate::utf8;

/// UTF-8 bytes in a batch: enough to keep every core busy, far below memory.
const BATCH_BYTES: usize = 8 << 20;
/// How often to look for Ctrl-C: taking the interpreter's lock is not free.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[pyclass(module = "core._bpe", name = "WordCounter")]
pub(super) struct PyCounter {
    counter: Counter,
    num_replaced: u64,
}

/// What to do about bytes that are not UTF-8.
#[derive(Clone, Copy, PartialEq)]
enum OnInvalid {
    Replace,
    Refuse,
}

impl OnInvalid {
    fn new(errors: &str) -> PyResult<Self> {
        match errors {
            "replace" => Ok(Self::Replace),
            "refuse" => Ok(Self::Refuse),
            _ => Err(PyValueError::new_err(format!(
                "errors must be 'replace' or 'refuse', not {errors:?}"
            ))),
        }
    }
}

#[pymethods]
impl PyCounter {
    #[new]
    #[pyo3(signature = (pattern, *, max_chars=None, max_doc_chars=None, num_threads=None))]
    pub(super) fn new(
        pattern: &str,
        max_chars: Option<u64>,
        max_doc_chars: Option<u64>,
        num_threads: Option<usize>,
    ) -> PyResult<Self> {
        let limits = Limits {
            max_chars: max_chars.unwrap_or(u64::MAX),
            max_doc_chars: max_doc_chars.unwrap_or(u64::MAX),
        };
        let num_threads = match num_threads {
            None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            Some(count) => NonZeroUsize::new(count)
                .ok_or_else(|| PyValueError::new_err("num_threads must be above 0"))?,
        };
        Ok(Self {
            counter: Counter::new(pattern, limits, num_threads)?,
            num_replaced: 0,
        })
    }

    fn feed(&mut self, py: Python<'_>, texts: &Bound<'_, PyAny>) -> PyResult<bool> {
        let mut texts = texts.try_iter()?;
        let mut wants_more = true;
        while wants_more {
            let batch = next_batch(&mut texts, BATCH_BYTES)?;
            // An empty batch is the end, but also how one asks whether there is any need to read.
            wants_more = self.feed_batch(py, &batch)?;
            if batch.is_empty() {
                break;
            }
        }
        Ok(wants_more)
    }

    #[pyo3(signature = (array, *, errors="replace"))]
    fn feed_arrow(
        &mut self,
        py: Python<'_>,
        array: &Bound<'_, PyAny>,
        errors: &str,
    ) -> PyResult<bool> {
        let on_invalid = OnInvalid::new(errors)?;
        let chunks = ArrowTexts::chunks(array)?;
        let mut rows = Vec::new();
        let mut num_rows = 0;
        for chunk in &chunks {
            let found = chunk.rows()?.into_iter();
            rows.extend(found.map(|(row, bytes)| (Some(num_rows + row), bytes)));
            num_rows += chunk.len();
        }
        self.feed_rows(py, &rows, on_invalid)
    }

    #[pyo3(signature = (data, *, errors="replace"))]
    fn feed_bytes(
        &mut self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        errors: &str,
    ) -> PyResult<bool> {
        let on_invalid = OnInvalid::new(errors)?;
        let buffer = Buffer::new(data)?;
        if buffer.is_writable() {
            // Python could change the bytes as soon as the interpreter is let go.
            let copy = buffer.bytes().to_vec();
            return self.feed_rows(py, &[(None, &copy)], on_invalid);
        }
        self.feed_rows(py, &[(None, buffer.bytes())], on_invalid)
    }

    #[getter]
    fn num_docs(&self) -> u64 {
        self.counter.num_docs()
    }

    #[getter]
    fn num_chars(&self) -> u64 {
        self.counter.num_chars()
    }

    #[getter]
    fn num_replaced(&self) -> u64 {
        self.num_replaced
    }

    #[getter]
    fn num_words(&mut self, py: Python<'_>) -> usize {
        py.detach(|| self.counter.num_words())
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.counter.memory_bytes()
    }

    fn words<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let words = py.detach(|| self.counter.words());
        let counts = PyDict::new(py);
        for (word, count) in words {
            counts.set_item(PyBytes::new(py, word), count)?;
        }
        Ok(counts)
    }

    pub(super) fn trainer(&mut self, py: Python<'_>, num_merges: usize) -> PyResult<PyTrainer> {
        let counter = &mut self.counter;
        PyTrainer::build(py, num_merges, || counter.counts())
    }
}

impl PyCounter {
    /// Counts a batch with the interpreter released; signals get through.
    pub(super) fn feed_batch<S: AsRef<str> + Sync>(
        &mut self,
        py: Python<'_>,
        batch: &[S],
    ) -> PyResult<bool> {
        let counter = &mut self.counter;
        watched(py, |go_on| counter.feed_while(batch, go_on))
    }

    fn feed_rows(
        &mut self,
        py: Python<'_>,
        rows: &[(Option<usize>, &[u8])],
        on_invalid: OnInvalid,
    ) -> PyResult<bool> {
        if on_invalid == OnInvalid::Refuse {
            // All rows before the first word is counted, so that a refusal changes nothing.
            let texts = watched(py, |go_on| {
                let check = |&(row, bytes): &(_, _)| {
                    let text = utf8::check(bytes, row)?;
                    if go_on() {
                        Ok(text)
                    } else {
                        Err(Error::Stopped)
                    }
                };
                rows.iter().map(check).collect::<Result<Vec<_>, _>>()
            })?;
            return self.feed_batch(py, &texts);
        }
        let mut rest = rows;
        loop {
            let (batch, others) = rest.split_at(batch_len(rest));
            rest = others;
            let repaired = py.detach(|| -> Vec<_> {
                let repair = |row: &(_, _)| utf8::repair(row.1);
                batch.iter().map(repair).collect()
            });
            self.num_replaced += repaired.iter().map(|row| row.1).sum::<u64>();
            let texts: Vec<&str> = repaired.iter().map(|row| &*row.0).collect();
            let wants_more = self.feed_batch(py, &texts)?;
            if rest.is_empty() || !wants_more {
                return Ok(wants_more);
            }
        }
    }
}

/// Rows that make a batch.
fn batch_len(rows: &[(Option<usize>, &[u8])]) -> usize {
    let mut num_bytes = 0;
    let full = rows.iter().position(|(_, bytes)| {
        num_bytes += bytes.len();
        num_bytes >= BATCH_BYTES
    });
    full.map_or(rows.len(), |last| last + 1)
}

/// Runs `work` with the interpreter released; the `go_on` that it gets looks for signals.
fn watched<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&mut dyn FnMut() -> bool) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let mut interrupt = None;
    let mut looked = Instant::now();
    let done = py.detach(|| {
        work(&mut || {
            if looked.elapsed() < LOOK_EVERY {
                return true;
            }
            looked = Instant::now();
            interrupt = Python::attach(|py| py.check_signals().err());
            interrupt.is_none()
        })
    });
    match interrupt {
        Some(error) => Err(error),
        None => Ok(done?),
    }
}

#[pyfunction]
pub(super) fn split(text: &Bound<'_, PyAny>, pattern: &str) -> PyResult<Vec<String>> {
    let text = Text::new(text)?;
    let mut words = Vec::new();
    Splitter::new(pattern)?.for_each(text.as_ref(), |word| words.push(word.to_owned()))?;
    Ok(words)
}
