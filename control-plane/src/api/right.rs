//! What a method takes: which grant a token must have, and for which room.

use crate::auth::grants::Claims;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// `roomCreate`
    CreateRoom,
    /// `roomList`
    ListRooms,
    /// `roomAdmin` of the room in question.
    Administer,
    /// The same, or `roomCreate` for all rooms together.
    Revoke,
    /// `roomAdmin`, and `destinationRoom`.
    Move,
    /// `roomRecord`
    Record,
    /// `ingressAdmin`
    Ingress,
    /// `sip.admin`
    AdministerSip,
    /// `sip.call`
    CallSip,
}

/// What a request is about. Empty where the right is not about a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope<'a> {
    pub room: &'a str,
    pub destination: &'a str,
}

impl<'a> Scope<'a> {
    #[must_use]
    pub const fn room(room: &'a str) -> Self {
        Self { room, destination: "" }
    }
}

impl Right {
    /// Whether a token could have it for anything: what is known before the request is read.
    #[must_use]
    pub fn is_granted(self, claims: &Claims) -> bool {
        let video = &claims.video;
        match self {
            Self::CreateRoom => video.room_create,
            Self::ListRooms => video.room_list,
            Self::Administer | Self::Move => video.room_admin,
            Self::Revoke => video.room_admin || video.room_create,
            Self::Record => video.room_record,
            Self::Ingress => video.ingress_admin,
            Self::AdministerSip => claims.sip.is_some_and(|sip| sip.admin),
            Self::CallSip => claims.sip.is_some_and(|sip| sip.call),
        }
    }

    /// Whether it has it for this.
    #[must_use]
    pub fn covers(self, claims: &Claims, scope: Scope<'_>) -> bool {
        let video = &claims.video;
        let about = match self {
            Self::Administer => video.room == scope.room,
            Self::Revoke if scope.room.is_empty() => return video.room_create,
            Self::Revoke => return Self::Administer.covers(claims, scope),
            Self::Move => video.room == scope.room && video.destination_room == scope.destination,
            _ => true,
        };
        about && self.is_granted(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::grants::{SipGrant, VideoGrant};

    #[test]
    fn a_right_is_for_the_room_of_the_token_only() {
        let claims = |video: VideoGrant| Claims { video, ..Claims::default() };
        let admin = claims(VideoGrant { room_admin: true, room: "r".to_owned(), ..VideoGrant::default() });
        let mover = claims(VideoGrant { destination_room: "d".to_owned(), ..admin.video.clone() });
        let creator = claims(VideoGrant { room_create: true, ..VideoGrant::default() });
        let caller =
            Claims { sip: Some(SipGrant { call: true, ..SipGrant::default() }), ..Claims::default() };
        let roomless = claims(VideoGrant { room_admin: true, ..VideoGrant::default() });
        let between = |room, destination| Scope { room, destination };
        for (name, right, claims, scope, expected) in [
            ("its room", Right::Administer, &admin, Scope::room("r"), true),
            ("another room", Right::Administer, &admin, Scope::room("s"), false),
            ("no room in the request", Right::Administer, &admin, Scope::room(""), false),
            ("no room in the token", Right::Administer, &roomless, Scope::room("r"), false),
            ("no admin", Right::Administer, &creator, Scope::room(""), false),
            ("no destination in the token", Right::Move, &admin, between("r", "d"), false),
            ("both rooms", Right::Move, &mover, between("r", "d"), true),
            ("another destination", Right::Move, &mover, between("r", "e"), false),
            ("another source", Right::Move, &mover, between("s", "d"), false),
            ("admin revokes in its room", Right::Revoke, &admin, Scope::room("r"), true),
            ("admin does not revoke everywhere", Right::Revoke, &admin, Scope::default(), false),
            ("nor who administers no room", Right::Revoke, &roomless, Scope::default(), false),
            ("creator revokes everywhere", Right::Revoke, &creator, Scope::default(), true),
            ("creator does not revoke in a room", Right::Revoke, &creator, Scope::room("r"), false),
            ("creator", Right::CreateRoom, &creator, Scope::room("any"), true),
            ("admin does not create", Right::CreateRoom, &admin, Scope::room("r"), false),
            ("creator does not list", Right::ListRooms, &creator, Scope::default(), false),
            ("caller", Right::CallSip, &caller, Scope::default(), true),
            ("caller does not administer", Right::AdministerSip, &caller, Scope::default(), false),
        ] {
            assert_eq!(right.covers(claims, scope), expected, "{name}");
        }
    }
}
