//! `Encoder`: documents in, numpy arrays of ids out.

use std::num::NonZeroUsize;
use std::thread;

use numpy::PyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use super::buffer::ArrowTexts;
use super::text::Text;
use crate::encode::{Encoded, Encoder, Ids, Options, ShouldStop};
use crate::error::Error;
use crate::utf8;

type Array<'py, T> = Bound<'py, PyArray1<T>>;

#[pyclass(module = "core._bpe", name = "Encoder", frozen)]
pub(super) struct PyEncoder(Encoder);

#[pymethods]
impl PyEncoder {
    #[new]
    fn new(py: Python<'_>, tokens: &Bound<'_, PyAny>, pattern: &str) -> PyResult<Self> {
        let tokens = tokens
            .try_iter()?
            .map(|token| Ok(token?.extract()?))
            .collect::<PyResult<Vec<PyBackedBytes>>>()?;
        Ok(Self(py.detach(|| Encoder::new(&tokens, pattern))?))
    }

    #[getter]
    fn num_tokens(&self) -> usize {
        self.0.num_tokens()
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    fn encode<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let text = Text::new(text)?;
        let options = Options {
            prefix: None,
            num_threads: NonZeroUsize::MIN,
        };
        let encoded = stoppable(py, |should_stop| {
            self.0.encode(&[text], options, should_stop)
        })?;
        Ok(ids_array(py, encoded.ids))
    }

    #[pyo3(signature = (texts, *, prefix=None, num_threads=None))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        prefix: Option<i64>,
        num_threads: Option<usize>,
    ) -> PyResult<(Bound<'py, PyAny>, Array<'py, i64>)> {
        let texts = collect(texts)?;
        let options = options(prefix, num_threads)?;
        let encoded = stoppable(py, |should_stop| {
            self.0.encode(&texts, options, should_stop)
        })?;
        Ok(arrays(py, encoded))
    }

    #[pyo3(signature = (array, *, prefix=None, num_threads=None))]
    fn encode_arrow<'py>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyAny>,
        prefix: Option<i64>,
        num_threads: Option<usize>,
    ) -> PyResult<(Bound<'py, PyAny>, Array<'py, i64>)> {
        let chunks = ArrowTexts::chunks(array)?;
        let rows = rows(&chunks)?;
        let options = options(prefix, num_threads)?;
        let encoded = stoppable(py, |should_stop| {
            let texts = rows.iter().enumerate();
            let texts = texts.map(|(row, bytes)| utf8::check(bytes, Some(row)));
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            self.0.encode(&texts, options, should_stop)
        })?;
        Ok(arrays(py, encoded))
    }

    fn encode_words<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyAny>, Array<'py, i64>)> {
        let text = Text::new(text)?;
        let (ids, ends) = stoppable(py, |should_stop| {
            self.0.encode_words(text.as_ref(), should_stop)
        })?;
        Ok((ids_array(py, ids), PyArray1::from_vec(py, ends)))
    }

    #[pyo3(signature = (texts, *, num_threads=None))]
    fn count_tokens<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        num_threads: Option<usize>,
    ) -> PyResult<Array<'py, i64>> {
        let texts = collect(texts)?;
        let num_threads = threads(num_threads)?;
        let counts = stoppable(py, |should_stop| {
            self.0.count(&texts, num_threads, should_stop)
        })?;
        Ok(PyArray1::from_vec(py, counts))
    }
}

/// Runs `work` without the interpreter; a signal handler that raises ends it.
fn stoppable<R: Send>(
    py: Python<'_>,
    work: impl FnOnce(ShouldStop<'_>) -> Result<R, Error> + Send,
) -> PyResult<R> {
    let mut raised = Ok(());
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method is not general enough"
    )]
    let result = py.detach(|| {
        work(&mut || {
            if raised.is_ok() {
                raised = Python::attach(|py| py.check_signals());
            }
            raised.is_err()
        })
    });
    raised?;
    Ok(result?)
}

fn collect(texts: &Bound<'_, PyAny>) -> PyResult<Vec<Text>> {
    texts.try_iter()?.map(|text| Text::new(&text?)).collect()
}

/// Returns the bytes of every row, none for a null.
fn rows(chunks: &[ArrowTexts]) -> PyResult<Vec<&[u8]>> {
    let num_rows = chunks.iter().map(ArrowTexts::len).sum();
    let mut rows: Vec<&[u8]> = vec![&[]; num_rows];
    let mut first = 0;
    for chunk in chunks {
        for (row, bytes) in chunk.rows()? {
            rows[first + row] = bytes;
        }
        first += chunk.len();
    }
    Ok(rows)
}

fn options(prefix: Option<i64>, num_threads: Option<usize>) -> PyResult<Options> {
    let prefix = prefix.map(u32::try_from).transpose();
    let Ok(prefix) = prefix else {
        return Err(PyValueError::new_err(
            "prefix must be an id: 0 or more, below 2**32",
        ));
    };
    let num_threads = threads(num_threads)?;
    Ok(Options {
        prefix,
        num_threads,
    })
}

fn threads(count: Option<usize>) -> PyResult<NonZeroUsize> {
    match count {
        None => Ok(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
        Some(count) => NonZeroUsize::new(count)
            .ok_or_else(|| PyValueError::new_err("num_threads must be above 0")),
    }
}

fn arrays(py: Python<'_>, encoded: Encoded) -> (Bound<'_, PyAny>, Array<'_, i64>) {
    let Encoded { ids, offsets } = encoded;
    (ids_array(py, ids), PyArray1::from_vec(py, offsets))
}

fn ids_array(py: Python<'_>, ids: Ids) -> Bound<'_, PyAny> {
    match ids {
        Ids::Narrow(ids) => PyArray1::from_vec(py, ids).into_any(),
        Ids::Wide(ids) => PyArray1::from_vec(py, ids).into_any(),
    }
}
