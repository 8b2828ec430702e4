//! The shared secret of TCP connections, checked on every call.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Refuses calls without `authorization: Bearer SECRET`. Without a secret, as on a Unix socket, all may call.
#[derive(Clone)]
pub struct Token(Option<String>);

impl Token {
    #[must_use]
    pub const fn new(secret: Option<String>) -> Self {
        Self(secret)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Interceptor for Token {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(secret) = &self.0 else { return Ok(request) };
        let shown = request.metadata().get("authorization").map(|value| value.as_bytes());
        let shown = shown.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
        match verify_slices_are_equal(shown, secret.as_bytes()) {
            Ok(()) => Ok(request),
            Err(_) => Err(Status::unauthenticated("the token is missing or wrong")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_opens() {
        for (name, secret, shown, open) in [
            ("none needed", None, None, true),
            ("right", Some("secret"), Some("Bearer secret"), true),
            ("missing", Some("secret"), None, false),
            ("wrong", Some("secret"), Some("Bearer secreT"), false),
            ("longer", Some("secret"), Some("Bearer secret2"), false),
            ("empty", Some("secret"), Some("Bearer "), false),
            ("another scheme", Some("secret"), Some("Basic secret"), false),
        ] {
            let mut request = Request::new(());
            if let Some(shown) = shown {
                request.metadata_mut().insert("authorization", shown.parse().unwrap());
            }
            let outcome = Token::new(secret.map(str::to_owned)).call(request);
            assert_eq!(outcome.is_ok(), open, "{name}");
        }
    }
}
