//! A value that some wait for. Whoever waited first is woken first: tokio's `watch` wakes them in an order of its own, and
//! then no story would go the same way twice.

use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Told<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Told<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            changed: Notify::new(),
        }
    }

    pub(crate) fn get(&self) -> T {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, change: impl FnOnce(T) -> T) {
        {
            let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
            *value = change(*value);
        }
        self.changed.notify_waiters();
    }

    pub(crate) async fn until(&self, is_it: impl Fn(T) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_it(self.get()) {
                return;
            }
            changed.await;
        }
    }
}
