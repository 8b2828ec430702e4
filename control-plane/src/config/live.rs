//! The configuration in force: whoever holds it sees at the next look what a reload has changed.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;

/// Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Live(Arc<watch::Sender<Arc<Config>>>);

impl Live {
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(config))))
    }

    /// As it is now. Whoever keeps it does not see what comes.
    #[must_use]
    pub fn now(&self) -> Arc<Config> {
        Arc::clone(&self.0.borrow())
    }

    pub fn replace(&self, config: Config) {
        self.0.send_replace(Arc::new(config));
    }

    /// For who has to act when it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Config>> {
        self.0.subscribe()
    }
}
