//! A service: its methods by name, each with its right and its handler.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::error::Error;
use crate::api::json;
use crate::api::right::{Right, Scope};
use crate::api::shape::Shaped;
use crate::auth::grants::Claims;
use crate::http::Site;

/// How requests and answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Protobuf,
}

#[derive(Debug)]
pub struct Service {
    pub package: &'static str,
    pub name: &'static str,
    methods: BTreeMap<&'static str, Method>,
}

/// One row of the table.
#[derive(Clone)]
pub struct Method {
    pub name: &'static str,
    pub right: Right,
    handler: Handler,
}

/// Reads the request, checks that the token is for it, and answers.
type Handler =
    Arc<dyn Fn(Site, Arc<Claims>, Encoding, Bytes) -> BoxFuture<'static, Result<Bytes, Error>> + Send + Sync>;

impl Service {
    /// One of LiveKit's.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self::of("livekit", name)
    }

    #[must_use]
    pub fn of(package: &'static str, name: &'static str) -> Self {
        Self { package, name, methods: BTreeMap::new() }
    }

    /// Whether it is the one of a path.
    #[must_use]
    pub fn is(&self, full_name: &str) -> bool {
        full_name.split_once('.') == Some((self.package, self.name))
    }

    /// `about` says which room a request is about, for the right.
    #[must_use]
    pub fn method<Q, A, F>(
        mut self,
        name: &'static str,
        right: Right,
        about: fn(&Q) -> Scope<'_>,
        handler: fn(Site, Q) -> F,
    ) -> Self
    where
        Q: Message + Default + DeserializeOwned + 'static,
        A: Message + Serialize + Shaped,
        F: Future<Output = Result<A, Error>> + Send + 'static,
    {
        let handle: Handler = Arc::new(move |site, claims, encoding, body| {
            Box::pin(async move {
                let request: Q = encoding.decode(&body)?;
                if !right.covers(&claims, about(&request)) {
                    return Err(Error::PERMISSIONS_DENIED);
                }
                encoding.encode(&handler(site, request).await?)
            })
        });
        self.methods.insert(name, Method { name, right, handler: handle });
        self
    }

    /// A method whose requests are read and checked, and then refused.
    #[must_use]
    pub fn refused<Q>(mut self, name: &'static str, right: Right, error: fn() -> Error) -> Self
    where
        Q: Message + Default + DeserializeOwned + 'static,
    {
        let handle: Handler = Arc::new(move |_, _, encoding, body| {
            Box::pin(async move {
                let _: Q = encoding.decode(&body)?;
                Err(error())
            })
        });
        self.methods.insert(name, Method { name, right, handler: handle });
        self
    }

    #[must_use]
    pub fn find(&self, method: &str) -> Option<&Method> {
        self.methods.get(method)
    }
}

impl Method {
    pub async fn answer(
        &self,
        site: Site,
        claims: Arc<Claims>,
        encoding: Encoding,
        body: Bytes,
    ) -> Result<Bytes, Error> {
        (self.handler)(site, claims, encoding, body).await
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Method").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Encoding {
    /// As Twirp's servers read it: parameters are ignored, anything else is no route.
    #[must_use]
    pub fn of(content_type: &str) -> Option<Self> {
        let name = content_type.split(';').next().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "application/json" => Some(Self::Json),
            "application/protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }

    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/protobuf",
        }
    }

    fn decode<Q: Message + Default + DeserializeOwned>(self, body: &Bytes) -> Result<Q, Error> {
        match self {
            Self::Json => json::decode(body),
            Self::Protobuf => Q::decode(body.clone()).map_err(|_| Error::MALFORMED_PROTOBUF),
        }
    }

    fn encode<A: Message + Serialize + Shaped>(self, answer: &A) -> Result<Bytes, Error> {
        match self {
            Self::Json => json::encode(answer),
            Self::Protobuf => Ok(answer.encode_to_vec().into()),
        }
    }
}
