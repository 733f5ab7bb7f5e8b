//! Text that Python hands over.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyIterator, PyString};

/// The UTF-8 of a `str`, borrowed where that is possible.
pub(super) enum Text {
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
    pub(super) fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
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

/// Returns texts of some `max_bytes` together, fewer at the end, nothing behind it.
pub(super) fn next_batch(
    texts: &mut Bound<'_, PyIterator>,
    max_bytes: usize,
) -> PyResult<Vec<Text>> {
    let mut batch = Vec::new();
    let mut num_bytes = 0;
    while num_bytes < max_bytes {
        let Some(text) = texts.next() else {
            break;
        };
        let text = Text::new(&text?)?;
        num_bytes += text.as_ref().len();
        batch.push(text);
    }
    Ok(batch)
}
