//! What all sections of a peer connection share: ICE, DTLS and the session level of our descriptions.

use proto::media::v1 as proto;
use sdp::attribute::SetupRole;
use sdp::section::MediaSection;
use serde::{Deserialize, Serialize};

use crate::negotiate::error::NegotiationError;
use crate::negotiate::setup::{IceCredentials, Setup};

/// Earlier generations stay valid: a client goes on checking with the old credentials until the new ones work. The
/// media plane takes four.
const GENERATIONS_MAX: usize = 4;

/// One ICE generation: credentials of ours and the client's ufrag for them. As ICE-lite we never check, so the
/// client's password is of no use (RFC 8445 §2.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Generation {
    pub(super) local: IceCredentials,
    pub(super) remote_ufrag: Option<String>,
}

/// The DTLS role of our side: that of the first answer is kept for life, since another one would be another
/// association (RFC 8842 §5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DtlsRole {
    Server,
    Client,
}

impl DtlsRole {
    pub(super) const fn to_proto(self) -> proto::DtlsRole {
        match self {
            Self::Server => proto::DtlsRole::Server,
            Self::Client => proto::DtlsRole::Client,
        }
    }

    pub(super) const fn setup(self) -> SetupRole {
        match self {
            Self::Server => SetupRole::Passive,
            Self::Client => SetupRole::Active,
        }
    }
}

/// A certificate of the client's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    algorithm: String,
    value: Vec<u8>,
}

/// The transport state of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transport {
    /// Newest first, never empty.
    pub(super) generations: Vec<Generation>,
    pub(super) dtls: Option<DtlsRole>,
    pub(super) fingerprints: Vec<Fingerprint>,
}

impl Transport {
    pub(super) fn new(local: IceCredentials) -> Self {
        Self {
            generations: vec![Generation { local, remote_ufrag: None }],
            dtls: None,
            fingerprints: Vec::new(),
        }
    }

    pub(super) fn start_generation(&mut self, local: IceCredentials) {
        self.generations.insert(0, Generation { local, remote_ufrag: None });
        self.generations.truncate(GENERATIONS_MAX);
    }

    /// Learns from an offer; true: it restarts ICE (RFC 8839 §4.4.1), so the newest credentials are `spare`.
    pub(super) fn learn_offer(
        &mut self,
        offer: &sdp::session::Session,
        section: &MediaSection,
        spare: &IceCredentials,
    ) -> Result<bool, NegotiationError> {
        let wanted = match offer.setup(section) {
            // The server of a handshake chooses the SRTP profile, and ours prefers the fast ones.
            None | Some(SetupRole::ActPass) => self.dtls.unwrap_or(DtlsRole::Server),
            Some(SetupRole::Active) => DtlsRole::Server,
            Some(SetupRole::Passive) => DtlsRole::Client,
        };
        self.learn_role(wanted)?;
        self.learn_fingerprints(offer, section)?;
        let ufrag = offer.ice_ufrag(section).ok_or(NegotiationError::NoIceCredentials)?;
        let known = self.generations.first().and_then(|newest| newest.remote_ufrag.as_deref());
        let restarts = known.is_some_and(|known| known != ufrag);
        if restarts {
            self.start_generation(spare.clone());
        }
        self.set_remote_ufrag(ufrag);
        Ok(restarts)
    }

    /// Learns from the answer to our offer.
    pub(super) fn learn_answer(
        &mut self,
        answer: &sdp::session::Session,
        section: &MediaSection,
    ) -> Result<(), NegotiationError> {
        let role = match answer.setup(section) {
            Some(SetupRole::Passive) => DtlsRole::Client,
            // RFC 8842 §5.3: an answerer that says nothing is active; actpass is not an answer, but one that was seen.
            None | Some(SetupRole::Active | SetupRole::ActPass) => DtlsRole::Server,
        };
        self.learn_role(role)?;
        self.learn_fingerprints(answer, section)?;
        let ufrag = answer.ice_ufrag(section).ok_or(NegotiationError::NoIceCredentials)?;
        self.set_remote_ufrag(ufrag);
        Ok(())
    }

    fn learn_role(&mut self, role: DtlsRole) -> Result<(), NegotiationError> {
        if *self.dtls.get_or_insert(role) == role { Ok(()) } else { Err(NegotiationError::DtlsRoleChanged) }
    }

    fn learn_fingerprints(
        &mut self,
        description: &sdp::session::Session,
        section: &MediaSection,
    ) -> Result<(), NegotiationError> {
        let known = description.fingerprints(section).iter().filter(|fingerprint| {
            let len = match fingerprint.algorithm.as_str() {
                "sha-256" => 32,
                "sha-384" => 48,
                "sha-512" => 64,
                _ => return false,
            };
            fingerprint.value.len() == len
        });
        let fingerprints: Vec<Fingerprint> = known
            .map(|known| Fingerprint { algorithm: known.algorithm.clone(), value: known.value.clone() })
            .collect();
        if fingerprints.is_empty() {
            return Err(NegotiationError::NoFingerprint);
        }
        self.fingerprints = fingerprints;
        Ok(())
    }

    fn set_remote_ufrag(&mut self, ufrag: &str) {
        if let Some(newest) = self.generations.first_mut() {
            newest.remote_ufrag = Some(ufrag.to_owned());
        }
    }

    pub(super) fn local_ice(&self) -> Vec<proto::IceCredentials> {
        self.generations.iter().map(|generation| generation.local.to_proto()).collect()
    }

    pub(super) fn remote_ufrags(&self) -> Vec<String> {
        self.generations
            .iter()
            .map(|generation| generation.remote_ufrag.clone().unwrap_or_default())
            .collect()
    }

    pub(super) fn fingerprints_to_proto(&self) -> Vec<proto::Fingerprint> {
        self.fingerprints
            .iter()
            .map(|known| proto::Fingerprint {
                algorithm: known.algorithm.clone(),
                value: known.value.clone(),
            })
            .collect()
    }

    /// The session level of our next description.
    pub(super) fn describe(&self, id: u64, version: u64, setup: &Setup) -> sdp::session::Session {
        sdp::session::Session {
            id,
            version,
            ice_lite: true,
            msid_semantic: true,
            fingerprints: vec![sdp::attribute::Fingerprint {
                algorithm: "sha-256".to_owned(),
                value: setup.fingerprint_sha256.to_vec(),
            }],
            ..sdp::session::Session::default()
        }
    }

    /// What each accepted section of ours says; the first one also has the candidates.
    pub(super) fn describe_section(
        &self,
        section: &mut MediaSection,
        role: SetupRole,
        setup: &Setup,
        first: bool,
    ) {
        let Some(newest) = self.generations.first() else { return };
        section.setup = Some(role);
        section.ice_ufrag = Some(newest.local.ufrag.clone());
        section.ice_pwd = Some(newest.local.password.clone());
        if first {
            section.candidates = setup.candidate_lines(&newest.local.ufrag);
            section.end_of_candidates = true;
        }
    }
}
