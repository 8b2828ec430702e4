//! Cross-origin requests: any page may use the server, tokens are what guards it.
//!
//! The headers are those of the library and the options that LiveKit v1.13.5 uses (`pkg/service/server.go`).

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

/// The answer to a preflight request; none if it is an ordinary one.
pub fn preflight(method: &Method, headers: &HeaderMap) -> Option<Response> {
    let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| method == Method::OPTIONS)?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answer = response.headers_mut();
    answer.insert(VARY, PREFLIGHT_VARY);
    let Some(origin) = headers.get(ORIGIN).filter(|_| METHODS.contains(&wanted.as_bytes())) else {
        return Some(response);
    };
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, wanted.clone());
    if let Some(names) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|names| !names.is_empty()) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    Some(response)
}

/// Lets the page at `origin` read the response.
pub fn allow(origin: Option<HeaderValue>, response: &mut Response) {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
}

/// The validate paths may be read by everyone, asked or not.
pub fn allow_all(response: &mut Response) {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

const METHODS: [&[u8]; 6] = [b"OPTIONS", b"HEAD", b"GET", b"POST", b"PATCH", b"DELETE"];
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");
const PREFLIGHT_VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn show(response: &Response) -> Vec<String> {
        let mut shown: Vec<_> = response
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn preflights_are_answered_as_livekit_does() {
        let vary = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        for (name, method, asked, expected) in [
            (
                "headers wanted",
                Method::OPTIONS,
                &[
                    ("origin", "https://a.example"),
                    ("access-control-request-method", "POST"),
                    ("access-control-request-headers", "authorization,content-type"),
                ][..],
                Some(vec![
                    "access-control-allow-headers: authorization,content-type",
                    "access-control-allow-methods: POST",
                    "access-control-allow-origin: https://a.example",
                    "access-control-max-age: 86400",
                    vary,
                ]),
            ),
            (
                "no headers wanted",
                Method::OPTIONS,
                &[("origin", "null"), ("access-control-request-method", "DELETE")],
                Some(vec![
                    "access-control-allow-methods: DELETE",
                    "access-control-allow-origin: null",
                    "access-control-max-age: 86400",
                    vary,
                ]),
            ),
            (
                "a method nobody has",
                Method::OPTIONS,
                &[("origin", "https://a.example"), ("access-control-request-method", "BREW")],
                Some(vec![vary]),
            ),
            ("no origin", Method::OPTIONS, &[("access-control-request-method", "GET")], Some(vec![vary])),
            ("plain options", Method::OPTIONS, &[("origin", "https://a.example")], None),
            (
                "a request",
                Method::GET,
                &[("origin", "https://a.example"), ("access-control-request-method", "GET")],
                None,
            ),
        ] {
            let response = preflight(&method, &headers(asked));
            assert_eq!(
                response.as_ref().map(show),
                expected.map(|lines| lines.into_iter().map(str::to_owned).collect()),
                "{name}"
            );
            assert!(response.is_none_or(|response| response.status() == StatusCode::NO_CONTENT), "{name}");
        }
    }
}
