//! The Python module `core._bpe`; `core/_bpe.pyi` documents it.
//!
//! Long work runs detached from the interpreter in chunks, so that Ctrl-C and progress get through.

mod buffer;
mod count;
mod encode;
mod text;
mod train;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::Error;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        PyValueError::new_err(error.to_string())
    }
}

#[pymodule]
fn _bpe(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<count::PyCounter>()?;
    module.add_class::<encode::PyEncoder>()?;
    module.add_class::<train::PyTrainer>()?;
    module.add_function(wrap_pyfunction!(train::train, module)?)?;
    module.add_function(wrap_pyfunction!(train::train_words, module)?)?;
    module.add_function(wrap_pyfunction!(count::split, module)?)
}
