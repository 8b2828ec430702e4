//! Where the gRPC server listens: a Unix socket, or TCP on loopback.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Unix(PathBuf),
    /// Always a loopback address.
    Tcp(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            if !path.is_absolute() {
                return Err(
                    "the path of a Unix socket must be absolute, as in unix:/run/millrace/media.sock".into(),
                );
            }
            return Ok(Self::Unix(path));
        }
        let address: SocketAddr =
            text.parse().map_err(|_| "expected unix:/PATH or ADDRESS:PORT".to_owned())?;
        if !address.ip().is_loopback() {
            return Err(format!(
                "{} is not a loopback address: TCP beyond this host needs mTLS, which is not there yet",
                address.ip()
            ));
        }
        Ok(Self::Tcp(address))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}
