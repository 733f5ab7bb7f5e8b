//! Bytes that Python owns, read without a copy.

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::prelude::*;

/// An object's memory, kept in place for as long as this lives.
pub(super) struct Buffer(PyUntypedBuffer);

impl Buffer {
    pub(super) fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyUntypedBuffer::get(object)?;
        if buffer.is_c_contiguous() {
            Ok(Self(buffer))
        } else {
            Err(PyBufferError::new_err("the bytes are not contiguous"))
        }
    }

    pub(super) fn is_writable(&self) -> bool {
        !self.0.readonly()
    }

    /// The bytes, which nobody may change meanwhile.
    #[allow(unsafe_code)]
    pub(super) fn bytes(&self) -> &[u8] {
        let (start, len) = (self.0.buf_ptr(), self.0.len_bytes());
        if start.is_null() || len == 0 {
            return &[];
        }
        // SAFETY: a contiguous buffer is `len` readable bytes at `start` until it is released,
        // which dropping `self` does.
        unsafe { std::slice::from_raw_parts(start.cast_const().cast(), len) }
    }
}

/// An Arrow array of strings or of bytes: its buffers as pyarrow hands them out.
pub(super) struct ArrowTexts {
    validity: Option<Buffer>,
    offsets: Option<Buffer>,
    data: Option<Buffer>,
    /// Bytes of one offset.
    width: usize,
    first: usize,
    len: usize,
}

impl ArrowTexts {
    /// Returns the chunks of an array, or of a chunked array.
    pub(super) fn chunks(array: &Bound<'_, PyAny>) -> PyResult<Vec<Self>> {
        match array.getattr_opt("chunks")? {
            Some(chunks) => chunks.try_iter()?.map(|chunk| Self::new(&chunk?)).collect(),
            None => Ok(vec![Self::new(array)?]),
        }
    }

    fn new(array: &Bound<'_, PyAny>) -> PyResult<Self> {
        let kind = array.getattr("type")?.str()?.to_string();
        let width = match kind.as_str() {
            "string" | "binary" => 4,
            "large_string" | "large_binary" => 8,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "an Arrow array of type {kind} holds no plain strings; cast it to pa.string()"
                )));
            }
        };
        let buffers: Vec<Option<Bound<'_, PyAny>>> = array.call_method0("buffers")?.extract()?;
        let [validity, offsets, data] = &buffers[..] else {
            return Err(broken());
        };
        let open = |buffer: &Option<Bound<'_, PyAny>>| buffer.as_ref().map(Buffer::new).transpose();
        Ok(Self {
            validity: open(validity)?,
            offsets: open(offsets)?,
            data: open(data)?,
            width,
            first: array.getattr("offset")?.extract()?,
            len: array.len()?,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes of every row that is not null.
    pub(super) fn rows(&self) -> PyResult<Vec<(usize, &[u8])>> {
        let validity = self.validity.as_ref().map(Buffer::bytes);
        let [offsets, data] = [&self.offsets, &self.data]
            .map(|buffer| buffer.as_ref().map_or(&[][..], Buffer::bytes));
        let mut rows = Vec::with_capacity(self.len);
        for row in 0..self.len {
            let at = self.first + row;
            if let Some(validity) = validity {
                let bits = validity.get(at / 8).ok_or_else(broken)?;
                if bits >> (at % 8) & 1 == 0 {
                    continue;
                }
            }
            let text = self.offset(offsets, at).zip(self.offset(offsets, at + 1));
            let text = text.and_then(|(start, end)| data.get(start..end));
            rows.push((row, text.ok_or_else(broken)?));
        }
        Ok(rows)
    }

    fn offset(&self, offsets: &[u8], index: usize) -> Option<usize> {
        let bytes = offsets.get(index * self.width..(index + 1) * self.width)?;
        match bytes.try_into() {
            Ok(bytes) => usize::try_from(i64::from_ne_bytes(bytes)).ok(),
            Err(_) => usize::try_from(i32::from_ne_bytes(bytes.try_into().ok()?)).ok(),
        }
    }
}

fn broken() -> PyErr {
    PyValueError::new_err("the Arrow array's buffers do not fit together; validate it")
}
