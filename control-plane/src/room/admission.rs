//! Whether a client may join, as far as its token and the configuration say: the same for `/rtc` and `/rtc/validate`.

use std::collections::BTreeMap;

use crate::config::{Config, Limit as Limits};
use crate::room::join::{Arrival, JoinError, Name};

/// LiveKit's checks in LiveKit's order (`rtcservice.go`, `validateInternal`).
pub fn check(config: &Config, arrival: &Arrival) -> Result<(), JoinError> {
    let grant = &arrival.claims.video;
    let limit = &config.limit;
    if !grant.room_join || (!grant.room.is_empty() && grant.room != arrival.room) {
        return Err(JoinError::NotAllowed);
    }
    if arrival.claims.identity.is_empty() {
        return Err(JoinError::IdentityEmpty);
    }
    check_len(&identity(arrival), limit.max_participant_identity_length, Name::Identity)?;
    check_len(&arrival.room, limit.max_room_name_length, Name::Room)?;
    check_len(&arrival.claims.name, limit.max_participant_name_length, Name::Participant)?;
    if arrival.publish.is_some() && !grant.can_publish() {
        return Err(JoinError::NotAllowed);
    }
    check_len(metadata(arrival), limit.max_metadata_size, Name::Metadata)?;
    if attributes_len(&attributes(arrival)) > limit_or_none(limit.max_attributes_size) {
        return Err(JoinError::NameTooLong(Name::Attributes));
    }
    Ok(())
}

/// With `publish`, a second participant of the same user.
#[must_use]
pub fn identity(arrival: &Arrival) -> String {
    match &arrival.publish {
        Some(name) => format!("{}#{name}", arrival.claims.identity),
        None => arrival.claims.identity.clone(),
    }
}

/// The token's, unless the client may and does say otherwise.
#[must_use]
pub fn metadata(arrival: &Arrival) -> &str {
    let own = !arrival.metadata.is_empty() && arrival.claims.video.can_update_own_metadata();
    if own { &arrival.metadata } else { &arrival.claims.metadata }
}

/// The token's, and over them the client's own if it may have any.
#[must_use]
pub fn attributes(arrival: &Arrival) -> BTreeMap<String, String> {
    let mut attributes = arrival.claims.attributes.clone();
    if arrival.claims.video.can_update_own_metadata() {
        attributes.extend(arrival.participant_attributes.clone());
    }
    attributes
}

#[must_use]
pub fn attributes_len(attributes: &BTreeMap<String, String>) -> usize {
    attributes.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// 0 means unlimited in every limit of the configuration.
#[must_use]
pub fn limit_or_none(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}

/// Whether texts that a client wants to have are within the limits.
#[must_use]
pub fn within(limits: &Limits, name: &str, metadata: &str, attributes: &BTreeMap<String, String>) -> bool {
    name.len() <= limit_or_none(limits.max_participant_name_length)
        && metadata.len() <= limit_or_none(limits.max_metadata_size)
        && attributes_len(attributes) <= limit_or_none(limits.max_attributes_size)
}

fn check_len(text: &str, max: usize, name: Name) -> Result<(), JoinError> {
    if text.len() > limit_or_none(max) { Err(JoinError::NameTooLong(name)) } else { Ok(()) }
}
