//! The bodies of the fuzz targets for what clients send over HTTP and WebSocket: plain functions, so that tests replay
//! the corpus.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use livekit_protocol::{SignalRequest, signal_response};
use prost::Message;

use crate::auth::bearer;
use crate::auth::grants::Claims;
use crate::auth::token::Keys;
use crate::config::network::Network;
use crate::http::client_address;
use crate::signal::arrival::{Path, Strictness, arrival};
use crate::signal::frame::{self, Format};
use crate::signal::query::Query;
use crate::signal::wrapped_join;

/// A token, as it comes and with our signature, so that claims are reached. What is accepted can be refreshed.
pub fn access_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let keys = Keys::new([("key".to_owned(), "secret".to_owned())]);
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let _ = bearer::claims(now, &keys, &HeaderMap::new(), text);
    let _ = keys.verify(text, now);
    let Ok(claims) = serde_json::from_slice::<Claims>(data) else { return };
    let lifetime = Duration::from_secs(60);
    let token =
        keys.sign(now, "key", &claims, lifetime).expect("the key is ours and claims have a JSON form");
    if let Ok(again) = keys.verify(&token, now) {
        assert_eq!(again.video, claims.video);
        assert_eq!(again.attributes, claims.attributes);
    }
}

/// The query of a join, from a client that may do everything.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let query = Query::parse(text);
    let claims: Claims = serde_json::from_str(
        r#"{"sub":"a","video":{"roomJoin":true,"room":"r","canUpdateOwnMetadata":true}}"#,
    )
    .expect("written here");
    for (path, strictness) in [(Path::V0, Strictness::Lenient), (Path::V1, Strictness::Strict)] {
        let socket = Ipv4Addr::LOCALHOST.into();
        if let Ok(arrival) =
            arrival(path, strictness, &query, Some(claims.clone()), &HeaderMap::new(), socket)
        {
            assert_eq!(arrival.room, "r", "the token's room goes before the parameter");
            assert_eq!(arrival.claims.identity, "a");
        }
    }
}

/// The value of the `join_request` parameter.
pub fn join_request(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(request) = wrapped_join::decode(text) {
        assert!(request.add_track_requests.len() <= 4096);
    }
}

/// A binary frame. What was read means the same when it is written and read again.
pub fn signal_binary(data: &[u8]) {
    if let Ok(message @ Some(_)) = frame::from_binary(data) {
        let again = SignalRequest { message: message.clone() }.encode_to_vec();
        // NaN is not equal to itself, so bytes are compared.
        let read = frame::from_binary(&again).expect("what was written can be read");
        assert_eq!(SignalRequest { message: read }.encode_to_vec(), again);
    }
}

/// A text frame. What was read can be written in both forms.
pub fn signal_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(Some(message)) = frame::from_text(text) {
        let binary = SignalRequest { message: Some(message) }.encode_to_vec();
        let _ = frame::from_binary(&binary);
    }
    let _ = frame::encode(Format::Json, signal_response::Message::RefreshToken(text.to_owned()));
}

/// What a trusted proxy says of its caller: never the proxy itself, unless nobody else is named.
pub fn forwarded_for(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-forwarded-for"), value)]);
    let proxies: [Network; 1] = ["10.0.0.0/8".parse().expect("a network")];
    let proxy = IpAddr::from([10, 0, 0, 9]);
    let stranger = IpAddr::from([192, 0, 2, 1]);
    let _ = client_address::address(&headers, proxy, &[]);
    assert_eq!(client_address::address(&headers, stranger, &proxies), stranger);
    let found = client_address::address(&headers, proxy, &proxies);
    let last = data.rsplit(|byte| *byte == b',').next().and_then(|hop| std::str::from_utf8(hop).ok());
    if let Some(last) = last.and_then(|hop| hop.trim().parse::<IpAddr>().ok())
        && !client_address::is_trusted(last, &proxies)
    {
        assert_eq!(found, last, "whoever called the proxy");
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../tests/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let contents: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
        assert!(!contents.is_empty(), "{folder} is empty");
        contents
    }

    type Body = fn(&[u8]);

    const TARGETS: [(&str, Body); 6] = [
        ("access_token", access_token),
        ("forwarded_for", forwarded_for),
        ("join_query", query),
        ("join_request", join_request),
        ("signal_binary", signal_binary),
        ("signal_text", signal_text),
    ];

    #[test]
    fn the_corpus_passes() {
        for (target, body) in TARGETS {
            corpus(target).iter().for_each(|data| body(data));
        }
    }

    proptest! {
        #[test]
        fn random_bytes_pass(data in vec(any::<u8>(), 0..512)) {
            TARGETS.iter().for_each(|(_, body)| body(&data));
        }

        #[test]
        fn random_text_passes(text in "[a-z0-9=&%+/_.\"{}:,\\[\\] -]{0,256}") {
            TARGETS.iter().for_each(|(_, body)| body(text.as_bytes()));
        }

        /// Seeds with a few bytes changed go deeper than noise.
        #[test]
        fn changed_seeds_pass(seed in any::<prop::sample::Index>(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            for (target, body) in TARGETS {
                let seeds = corpus(target);
                let mut data = seed.get(&seeds).clone();
                for (place, byte) in &changes {
                    if !data.is_empty() {
                        let place = place.index(data.len());
                        data[place] = *byte;
                    }
                }
                body(&data);
            }
        }
    }
}
