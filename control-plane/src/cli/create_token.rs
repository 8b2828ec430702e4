//! `millrace create-join-token`: a token for one room, signed with the first key that is configured.

use std::time::{Duration, SystemTime};

use clap::Args;

use crate::auth::grants::{Claims, VideoGrant};
use crate::auth::token::Keys;

#[derive(Clone, Debug, Args)]
pub struct CreateToken {
    /// Name of the room.
    #[arg(long)]
    pub room: String,

    /// Identity of the participant.
    #[arg(long)]
    pub identity: String,

    /// Shown name of the participant [default: none].
    #[arg(long, default_value = "", hide_default_value = true)]
    pub name: String,

    /// Metadata of the participant.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub metadata: String,

    /// The participant is seen by nobody, records, and publishes nothing.
    #[arg(long)]
    pub recorder: bool,

    /// How long the token may be used to join, as in 30m or 24h.
    #[arg(long, default_value = "24h", value_parser = crate::config::duration::from_argument)]
    pub valid_for: Duration,
}

/// The token.
///
/// # Errors
/// A sentence, if there is no key to sign with.
pub fn run(now: SystemTime, arguments: &CreateToken, keys: &Keys) -> Result<String, String> {
    let key = keys.first_api_key().ok_or(NO_KEYS)?;
    let claims = Claims {
        identity: arguments.identity.clone(),
        name: arguments.name.clone(),
        metadata: arguments.metadata.clone(),
        video: grant(arguments),
        ..Claims::default()
    };
    keys.sign(now, &key, &claims, arguments.valid_for).ok_or_else(|| NO_KEYS.to_owned())
}

fn grant(arguments: &CreateToken) -> VideoGrant {
    let grant = VideoGrant { room_join: true, room: arguments.room.clone(), ..VideoGrant::default() };
    if !arguments.recorder {
        return grant;
    }
    VideoGrant {
        hidden: true,
        recorder: true,
        can_publish: Some(false),
        can_publish_data: Some(false),
        ..grant
    }
}

const NO_KEYS: &str = "no API key to sign with: give --keys, --key-file, --config or --dev";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Arguments, Command};

    fn arguments(line: &str) -> CreateToken {
        let words = ["millrace", "create-join-token"].into_iter().chain(line.split_whitespace());
        match Arguments::try_parse_from(words).unwrap().command {
            Some(Command::CreateJoinToken(create)) => *create,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_token_joins_its_room() {
        let keys = Keys::new([("first".to_owned(), "1".to_owned()), ("second".to_owned(), "2".to_owned())]);
        let now = SystemTime::now();
        let token =
            run(now, &arguments("--room r --identity alice --name Alice --metadata m --valid-for 1h"), &keys)
                .unwrap();
        let claims = keys.verify(&token, now + Duration::from_secs(3600)).unwrap();
        assert_eq!(
            (claims.api_key.as_str(), claims.identity.as_str(), claims.name.as_str()),
            ("first", "alice", "Alice")
        );
        assert!(claims.video.room_join && claims.video.can_publish() && !claims.video.hidden);
        assert_eq!(claims.video.room, "r");
        assert!(keys.verify(&token, now + Duration::from_secs(3600 + 60)).is_err());
    }

    #[test]
    fn a_recorder_is_hidden_and_publishes_nothing() {
        let keys = Keys::new([("key".to_owned(), "secret".to_owned())]);
        let now = SystemTime::now();
        let token = run(now, &arguments("--room r --identity rec --recorder"), &keys).unwrap();
        let grant = keys.verify(&token, now).unwrap().video;
        assert!(grant.hidden && grant.recorder && !grant.can_publish() && !grant.can_publish_data());
    }

    #[test]
    fn without_keys_there_is_no_token() {
        let error =
            run(SystemTime::now(), &arguments("--room r --identity a"), &Keys::default()).unwrap_err();
        assert!(error.contains("--keys"), "{error}");
    }
}
