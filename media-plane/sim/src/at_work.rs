//! Whether the engine is at work on this thread, so that an allocator in a test can tell its allocations from the world's.

use std::cell::Cell;

thread_local! {
    static ENGINE: Cell<bool> = const { Cell::new(false) };
}

#[must_use]
pub fn is_engine() -> bool {
    ENGINE.try_with(Cell::get).unwrap_or(false)
}

/// The engine's work.
pub(crate) fn within<T>(work: impl FnOnce() -> T) -> T {
    with(true, work)
}

/// What the world does while the engine waits for it.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    with(false, work)
}

fn with<T>(is_engine: bool, work: impl FnOnce() -> T) -> T {
    let before = ENGINE.replace(is_engine);
    let done = work();
    ENGINE.set(before);
    done
}
