//! A bell: whether there is something to look at, and whom to wake for it. Looking whether it has rung costs one load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// See the module.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Bell {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Bell {
    /// It has rung: everything is to be looked at once.
    pub(super) fn new() -> Self {
        Self { rung: AtomicBool::new(true), task: Mutex::default() }
    }

    pub(super) fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Whether it counts as having rung.
    pub(super) fn rings(&self, rings: bool) {
        self.rung.store(rings, Ordering::Release);
    }

    /// Whom it wakes from now on.
    pub(super) fn wakes(&self, task: &Waker) {
        *self.task() = Some(task.clone());
    }

    /// Wakes whoever is to look.
    pub(super) fn ring(&self) {
        self.rings(true);
        if let Some(task) = &*self.task() {
            task.wake_by_ref();
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        // Every change is a plain store.
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
