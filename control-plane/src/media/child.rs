//! The media plane that this control plane starts itself, and starts again if it dies.
//!
//! It lives in a session of its own and outlives a control plane that is killed; the next one on the same socket finds
//! it there and takes it over.

pub mod arguments;
pub mod executable;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

#[derive(Clone, Debug)]
pub struct Options {
    pub executable: PathBuf,
    /// Where it listens.
    pub socket: PathBuf,
    /// What it is told beside `--grpc` and `--own-session`.
    pub arguments: Vec<OsString>,
}

/// Keeps a media plane running until it is stopped. If it is only dropped, the media plane goes on.
#[derive(Debug)]
pub struct Keeper {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    #[must_use]
    pub fn start(options: Options) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(keep(options, stopped)) }
    }

    /// Ends the media plane: it is asked to, and killed if it takes more than 2 s.
    pub async fn stop(self) {
        // The task ends only by this.
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that keeps the media plane failed");
        }
    }
}

async fn keep(options: Options, mut stopped: oneshot::Receiver<()>) {
    let mut pause = PAUSE_MIN;
    loop {
        let started = Instant::now();
        match Plane::find_or_start(&options).await {
            Ok(mut plane) => {
                tokio::select! {
                    how = plane.ended() => {
                        tracing::error!(pid = plane.pid().as_raw(), how, "the media plane ended");
                    }
                    asked = &mut stopped => {
                        if asked.is_ok() {
                            plane.stop().await;
                        }
                        return;
                    }
                }
            }
            Err(error) => {
                let executable = options.executable.display();
                tracing::error!(%error, %executable, "cannot start the media plane");
            }
        }
        if started.elapsed() > STEADY {
            pause = PAUSE_MIN;
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = &mut stopped => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

enum Plane {
    Ours(Child, Pid),
    /// Left by a control plane that was killed. Its end shows at the connection's.
    Found(PathBuf, UnixStream, Pid),
}

impl Plane {
    async fn find_or_start(options: &Options) -> io::Result<Self> {
        if let Ok((connection, pid)) = connect(&options.socket).await {
            tracing::info!(pid = pid.as_raw(), "a media plane is running already: taken over");
            return Ok(Self::Found(options.socket.clone(), connection, pid));
        }
        let mut listen = OsString::from("unix:");
        listen.push(&options.socket);
        let child = Command::new(&options.executable)
            .arg("--own-session")
            .arg("--grpc")
            .arg(listen)
            .args(&options.arguments)
            .stdin(Stdio::null())
            .kill_on_drop(false)
            .spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| io::Error::other("it ended at once"))?;
        tracing::info!(pid, "media plane started");
        Ok(Self::Ours(child, Pid::from_raw(pid)))
    }

    const fn pid(&self) -> Pid {
        match self {
            Self::Ours(_, pid) | Self::Found(_, _, pid) => *pid,
        }
    }

    /// Resolves to how it ended.
    async fn ended(&mut self) -> String {
        match self {
            Self::Ours(child, _) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => format!("unknown: {error}"),
            },
            Self::Found(socket, connection, pid) => loop {
                // Nothing ever comes: we say nothing on this connection.
                let _ = connection.read(&mut [0; 64]).await;
                match connect(socket).await {
                    Ok((again, same)) if same == *pid => *connection = again,
                    Ok(_) => return "replaced by another one".into(),
                    Err(_) if !is_alive(*pid) => return "while it was not our child".into(),
                    Err(_) => {}
                }
                sleep(PAUSE_MIN).await;
            },
        }
    }

    async fn stop(mut self) {
        let pid = self.pid();
        for (signal, patience) in [(Signal::SIGTERM, PATIENCE), (Signal::SIGKILL, PATIENCE)] {
            // It may have ended on its own just now.
            let _ = kill(pid, signal);
            if timeout(patience, self.gone()).await.is_ok() {
                return;
            }
            tracing::warn!(pid = pid.as_raw(), ?signal, "the media plane does not stop");
        }
    }

    async fn gone(&mut self) {
        match self {
            Self::Ours(child, _) => {
                let _ = child.wait().await;
            }
            Self::Found(_, _, pid) => {
                while is_alive(*pid) {
                    sleep(POLL).await;
                }
            }
        }
    }
}

async fn connect(socket: &Path) -> io::Result<(UnixStream, Pid)> {
    let connection = UnixStream::connect(socket).await?;
    let pid =
        connection.peer_cred()?.pid().ok_or_else(|| io::Error::other("the system does not tell its pid"))?;
    Ok((connection, Pid::from_raw(pid)))
}

fn is_alive(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// After this long a death is not one of a series.
const STEADY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);
