//! Where a media plane listens, and how to get there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    /// `http://HOST:PORT`.
    Tcp(Uri),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no address of a media plane: expected unix:/PATH or http://HOST:PORT");
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(wrong()) };
        }
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let plain =
            uri.scheme_str() == Some("http") && uri.port().is_some() && matches!(uri.path(), "" | "/");
        if plain { Ok(Self::Tcp(uri)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(uri) => write!(f, "{uri}"),
        }
    }
}

impl Address {
    /// # Errors
    /// When nobody answers there.
    pub async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        match self {
            Self::Tcp(uri) => endpoint(uri.clone()).connect().await,
            Self::Unix(path) => {
                let path = path.clone();
                let connect = move |_: Uri| {
                    let path = path.clone();
                    async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
                };
                // The name is needed by HTTP, not by the socket.
                let uri = Uri::from_static("http://media.invalid");
                endpoint(uri).connect_with_connector(tower::service_fn(connect)).await
            }
        }
    }
}

fn endpoint(uri: Uri) -> Endpoint {
    Endpoint::from(uri)
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
}

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Shows the shared secret that a media plane on TCP asks for.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// # Errors
    /// When the secret has characters that a header can't carry.
    pub fn new(token: Option<&str>) -> Result<Self, String> {
        let value = token.map(|token| format!("Bearer {token}").parse::<MetadataValue<Ascii>>());
        let mut value =
            value.transpose().map_err(|_| "the media plane's token is not plain ASCII".to_owned())?;
        if let Some(value) = &mut value {
            value.set_sensitive(true);
        }
        Ok(Self(value))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(..)")
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["unix:/run/millrace/media.sock", "http://127.0.0.1:7000/", "http://[::1]:7000/"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "unix:",
            "unix:media.sock",
            "127.0.0.1:7000",
            "https://127.0.0.1:7000",
            "http://host",
            "http://h:1/x",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
