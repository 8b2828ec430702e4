//! Connectivity checks: who may be reached where (RFC 8445 §7.3, as an ICE-lite agent that is always controlled).

use srtp::cipher::Cipher;
use units::handle::PeerId;
use units::time::Instant;
use wire::stun::write::{self, ErrorCode};
use wire::stun::{Kind, Message, Role};

use crate::discard::Reason;
use crate::engine::{Engine, Outcome};
use crate::outbox::{DATAGRAM_LEN_MAX, Outbox};
use crate::path::Path;
use crate::peer::consent::Consent;
use crate::peer::ice::{Check, Credentials};
use crate::slots::Slot;

impl<C: Cipher> Engine<C> {
    pub(crate) fn check(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
        out: &mut impl Outbox,
    ) -> Result<Outcome, Reason> {
        let address = path.remote.ip();
        let owner = self.demux.by_path(path);
        if owner.is_none() && !self.demux.may_check(now, address) {
            return Err(Reason::StunRateLimited);
        }
        let authentic = request(datagram).and_then(|message| {
            self.authenticate(&message).map(|(slot, generation)| (message, slot, generation))
        });
        // Reading one costs about as much as verifying it, so what is no check counts too.
        let (message, slot, generation) = authentic.inspect_err(|_| self.demux.check_failed(now, address))?;
        let answer = Self::objection(&message);
        if let Some((code, reason)) = answer {
            self.answer(path, slot, &message, Some(code), out);
            return Err(reason);
        }
        if owner.is_some_and(|owner| owner != slot && self.is_alive(owner)) {
            return Err(Reason::TupleTaken);
        }
        let check = Check {
            path,
            priority: message.priority.unwrap_or(0),
            use_candidate: message.use_candidate,
            generation,
        };
        self.learn_check(now, slot, &check, out)?;
        self.answer(path, slot, &message, None, out);
        self.counters.checks_answered += 1;
        Ok(Outcome::Consumed)
    }

    /// Whose check it is, and of which generation of credentials.
    fn authenticate(&self, message: &Message<'_>) -> Result<(Slot<PeerId>, u32), Reason> {
        let unknown = Reason::StunUnknownUfrag;
        let (slot, credentials) = self.credentials(message).ok_or(unknown)?;
        let remote = credentials.remote_ufrag.as_bytes();
        if !remote.is_empty() && message.remote_ufrag() != Some(remote) {
            return Err(unknown);
        }
        if !message.verify(credentials.local.password.as_bytes()) {
            return Err(Reason::StunIntegrity);
        }
        Ok((slot, credentials.generation()))
    }

    fn credentials(&self, message: &Message<'_>) -> Option<(Slot<PeerId>, &Credentials)> {
        let ufrag = core::str::from_utf8(message.local_ufrag()?).ok()?;
        let slot = self.demux.by_ufrag(ufrag)?;
        Some((slot, self.peers.get(slot)?.ice.credentials(ufrag)?))
    }

    /// What is wrong with an authentic check that its sender should know.
    const fn objection(message: &Message<'_>) -> Option<(ErrorCode, Reason)> {
        if let Some(attribute) = message.unknown_required {
            return Some((ErrorCode::UnknownAttribute(attribute), Reason::StunMalformed));
        }
        // RFC 8445 §7.3.1.1: we never change our role, so that the other one has to.
        if let Some(Role::Controlled(_)) = message.role {
            return Some((ErrorCode::RoleConflict, Reason::StunRoleConflict));
        }
        // RFC 8445 §7.1.1: PRIORITY is in every check.
        if message.priority.is_none() {
            return Some((ErrorCode::BadRequest, Reason::StunMalformed));
        }
        None
    }

    fn is_alive(&self, slot: Slot<PeerId>) -> bool {
        self.peers.get(slot).is_some_and(|peer| !peer.is_dead())
    }

    fn learn_check(
        &mut self,
        now: Instant,
        slot: Slot<PeerId>,
        check: &Check,
        out: &mut impl Outbox,
    ) -> Result<(), Reason> {
        let Some(peer) = self.peers.get_mut(slot) else { return Err(Reason::StunUnknownUfrag) };
        let checked = peer.ice.checked(now, check).map_err(|_| Reason::TooManyTuples)?;
        if let Some(evicted) = checked.evicted {
            self.demux.remove_path(evicted, slot);
        }
        self.demux.add_path(check.path, slot);
        if matches!(peer.consent.checked(now), Consent::None | Consent::Ended) {
            // What became due while nothing might be sent.
            self.peer_timers.bring_forward(slot, now);
        }
        for at in [peer.consent.next_at(), peer.ice.next_expiry()].into_iter().flatten() {
            self.peer_timers.bring_forward(slot, at);
        }
        self.tell_transport(slot, out);
        Ok(())
    }

    fn answer(
        &self,
        path: Path,
        slot: Slot<PeerId>,
        message: &Message<'_>,
        code: Option<ErrorCode>,
        out: &mut impl Outbox,
    ) {
        let Some((_, credentials)) = self.credentials(message).filter(|(owner, _)| *owner == slot) else {
            return;
        };
        let password = credentials.local.password.as_bytes();
        // An answer that finds no buffer is a lost datagram: the check is repeated.
        let Some(buffer) = out.lend(ANSWER_LEN_MAX) else { return };
        let written = match code {
            None => write::success(buffer, message.transaction, path.remote, password),
            Some(code) => write::error(buffer, message.transaction, code, password),
        };
        if let Ok(len) = written {
            out.send(&path, len);
        }
    }
}

fn request(datagram: &[u8]) -> Result<Message<'_>, Reason> {
    let message = Message::parse(datagram).map_err(|_| Reason::StunMalformed)?;
    if message.kind == Kind::Request { Ok(message) } else { Err(Reason::StunNotBinding) }
}

const ANSWER_LEN_MAX: usize = 128;
const _: () = assert!(ANSWER_LEN_MAX <= DATAGRAM_LEN_MAX);
