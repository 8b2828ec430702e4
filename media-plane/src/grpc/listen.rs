//! The server's socket: a Unix socket that only its owner may open, or TCP on loopback.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use futures_util::stream::Stream;
use proto::media::v1::media_plane_server::MediaPlaneServer;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::cli::listen::Listen;
use crate::grpc::Service;
use crate::grpc::token::Token;

/// A bound socket; the file of a Unix socket goes away with it.
#[derive(Debug)]
pub struct Listener(Bound);

#[derive(Debug)]
enum Bound {
    Unix(UnixIncoming),
    Tcp(TcpListener),
}

impl Listener {
    /// # Errors
    /// When the address is taken, or the path can't be made.
    pub fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Unix(path) => {
                let (listener, file) = bind_unix(path)?;
                let connections = UnixListenerStream::new(UnixListener::from_std(listener)?);
                Ok(Self(Bound::Unix(UnixIncoming { _file: file, connections })))
            }
            Listen::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Self(Bound::Tcp(TcpListener::from_std(listener)?)))
            }
        }
    }

    /// The address that was bound, where the system chose the port.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Bound::Unix(..) => None,
            Bound::Tcp(listener) => listener.local_addr().ok(),
        }
    }

    /// Serves until the future is dropped.
    ///
    /// # Errors
    /// When the transport fails as a whole.
    pub async fn serve(self, service: Service, token: Token) -> Result<(), tonic::transport::Error> {
        let service = MediaPlaneServer::new(service).max_decoding_message_size(MESSAGE_LEN_MAX);
        let router = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_service(InterceptedService::new(service, token));
        match self.0 {
            Bound::Unix(incoming) => router.serve_with_incoming(incoming).await,
            Bound::Tcp(listener) => {
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                router.serve_with_incoming(incoming).await
            }
        }
    }
}

/// Between bind and listen nobody can connect, so the mode is right before anybody does.
fn bind_unix(path: &Path) -> io::Result<(std::os::unix::net::UnixListener, SocketFile)> {
    let _lock = lock_directory(path)?;
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok((socket.into(), file))
}

/// One media plane at a time looks, binds and listens: a socket that is bound and does not listen yet looks stale.
fn lock_directory(path: &Path) -> io::Result<File> {
    let directory = File::open(path.parent().unwrap_or_else(|| Path::new("/")))?;
    for _ in 0..LOCK_TRIES {
        match directory.try_lock() {
            Ok(()) => return Ok(directory),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process keeps its directory locked"))
}

/// A socket that nobody listens on was left by a process that was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is something else than a socket",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another media plane listens there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => match fs::remove_file(path) {
            // It went while we looked.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it, which is as well.
        let _ = fs::remove_file(&self.0);
    }
}

/// The file goes first: as long as it is there somebody listens, so it can't be the next media plane's.
#[derive(Debug)]
struct UnixIncoming {
    _file: SocketFile,
    connections: UnixListenerStream,
}

impl Stream for UnixIncoming {
    type Item = io::Result<UnixStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.connections).poll_next(context)
    }
}

/// Some resources with the largest state there may be.
const MESSAGE_LEN_MAX: usize = 16 * 1024 * 1024;
const KEEPALIVE: Duration = Duration::from_secs(10);
const BACKLOG: i32 = 128;
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn unix_socket_is_its_owners_alone_and_goes_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("media.sock");
        let (listener, file) = bind_unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let taken = bind_unix(&path).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "{taken}");
        drop(file);
        assert!(!path.exists());
        drop(listener);
    }

    #[test]
    fn socket_of_a_killed_process_is_replaced_and_other_files_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("media.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "stale");
        assert!(bind_unix(&path).is_ok());
        let other = directory.path().join("file");
        fs::write(&other, "precious").unwrap();
        assert!(bind_unix(&other).is_err());
        assert!(other.exists());
    }

    #[tokio::test]
    async fn the_file_goes_before_the_socket() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..100 {
            let path = directory.path().join(round.to_string());
            let listener = Listener::bind(&Listen::Unix(path.clone())).unwrap();
            let end = thread::spawn(move || {
                while std::os::unix::net::UnixStream::connect(&path).is_ok() {}
                path.exists()
            });
            thread::sleep(Duration::from_micros(200));
            drop(listener);
            assert!(!end.join().unwrap(), "round {round}: looked stale");
        }
    }

    #[test]
    fn of_many_at_once_one_has_the_socket() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..200 {
            let path = directory.path().join(round.to_string());
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            let start = Barrier::new(4);
            let bound: Vec<_> = thread::scope(|scope| {
                let bind = || {
                    start.wait();
                    bind_unix(&path)
                };
                let threads = [bind; 4].map(|bind| scope.spawn(bind));
                threads.map(|thread| thread.join().unwrap()).into_iter().flatten().collect()
            });
            assert_eq!(bound.len(), 1, "round {round}");
        }
    }
}
