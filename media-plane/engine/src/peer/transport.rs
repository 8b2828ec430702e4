//! The keys of a peer, and what its transport's state is in the control plane's words.

use srtp::cipher::Cipher;
use srtp::inbound::Inbound;
use srtp::keys::Keys;
use srtp::outbound::Outbound;

use crate::event::{FailureReason, TransportState};
use crate::path::Path;
use crate::peer::consent::Consent;

#[derive(Debug)]
pub struct Transport<C: Cipher> {
    pub inbound: Option<Inbound<C>>,
    pub outbound: Option<Outbound<C>>,
    failure: Option<FailureReason>,
    told: Option<TransportState>,
}

impl<C: Cipher> Default for Transport<C> {
    fn default() -> Self {
        Self { inbound: None, outbound: None, failure: None, told: None }
    }
}

impl<C: Cipher> Transport<C> {
    pub fn install(&mut self, keys: &Keys) {
        self.inbound = Some(Inbound::new(keys));
        self.outbound = Some(Outbound::new(keys));
        self.failure = None;
    }

    /// The DTLS association ended: nothing is received or sent until there are other keys.
    pub fn fail(&mut self, reason: FailureReason) {
        self.inbound = None;
        self.outbound = None;
        self.failure = Some(reason);
    }

    /// Whether this state was not told yet; it is now.
    pub fn tell(&mut self, state: TransportState) -> bool {
        self.told.replace(state) != Some(state)
    }

    /// `None` before the first path is validated.
    #[must_use]
    pub fn state(&self, path: Option<Path>, consent: Consent) -> Option<TransportState> {
        if let Some(reason) = self.failure {
            return Some(TransportState::Failed(reason));
        }
        let path = path?;
        match consent {
            Consent::None => None,
            Consent::Fresh if self.outbound.is_some() => Some(TransportState::Connected { path }),
            Consent::Fresh => Some(TransportState::Connecting { path }),
            Consent::Doubtful => Some(TransportState::Disconnected),
            Consent::Lost | Consent::Ended => Some(TransportState::Failed(FailureReason::ConsentLost)),
        }
    }
}
