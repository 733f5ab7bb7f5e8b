//! The width of ids in the output.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::worker::Worker;

/// Ids in the smallest of two widths that holds them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// Every id that there may be is below 65,536.
    Narrow(Vec<u16>),
    /// Any other vocabulary.
    Wide(Vec<u32>),
}

/// Workers by the width of their ids, with what they remember.
#[derive(Default)]
pub(super) struct Pools {
    narrow: Mutex<Vec<Worker<u16>>>,
    wide: Mutex<Vec<Worker<u32>>>,
}

impl Pools {
    pub(super) fn memory_bytes(&self) -> usize {
        let narrow: usize = lock(&self.narrow).iter().map(Worker::memory_bytes).sum();
        let wide: usize = lock(&self.wide).iter().map(Worker::memory_bytes).sum();
        narrow + wide
    }
}

/// Locks a list of workers. Whoever panicked with the lock left a list of workers behind.
pub(super) fn lock<T>(pool: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An id as it is given out.
pub(super) trait Id: Copy + Default + Send + Sync + 'static {
    /// What 16 bytes hold of them; a word is copied in one move.
    type Lanes: Copy + Default + AsRef<[Self]> + AsMut<[Self]> + Send;

    /// Narrows a number that the caller knows to fit.
    fn from_index(index: usize) -> Self;
    fn index(self) -> usize;
    /// The workers that are at rest.
    fn pool(pools: &Pools) -> &Mutex<Vec<Worker<Self>>>;
    fn into_ids(ids: Vec<Self>) -> Ids;
}

impl Id for u16 {
    type Lanes = [Self; 8];

    #[expect(clippy::cast_possible_truncation, reason = "chosen where ids fit")]
    fn from_index(index: usize) -> Self {
        index as Self
    }

    fn index(self) -> usize {
        usize::from(self)
    }

    fn pool(pools: &Pools) -> &Mutex<Vec<Worker<Self>>> {
        &pools.narrow
    }

    fn into_ids(ids: Vec<Self>) -> Ids {
        Ids::Narrow(ids)
    }
}

impl Id for u32 {
    type Lanes = [Self; 4];

    #[expect(clippy::cast_possible_truncation, reason = "chosen where ids fit")]
    fn from_index(index: usize) -> Self {
        index as Self
    }

    fn index(self) -> usize {
        self as usize
    }

    fn pool(pools: &Pools) -> &Mutex<Vec<Worker<Self>>> {
        &pools.wide
    }

    fn into_ids(ids: Vec<Self>) -> Ids {
        Ids::Wide(ids)
    }
}
