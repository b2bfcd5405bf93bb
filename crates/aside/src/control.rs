//! Managing a running server: a socket in the data directory that takes the same commands as the command line, one per
//! connection, one line of JSON each way. Only the owner of the data directory can reach it.

use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::manage::{Answer, ManageCommand, ManageError, Manager, Refusal, now};

/// Longest request, bytes.
const LONGEST_REQUEST: u64 = 64 * 1024;
/// Longest answer, bytes.
const LONGEST_ANSWER: u64 = 16 * 1024 * 1024;
/// Connections served at once; more wait.
const CONNECTIONS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(15);

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Done(Answer),
    Refused(ManageError),
}

/// Why the socket did not do.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket cannot be made.
    #[error("the control socket {path} cannot be made ({source}); check that the data directory is writable and its path short", path = path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A server is there but did not answer properly.
    #[error("the running server did not answer on {path} ({problem}); check its log", path = path.display())]
    NoAnswer {
        /// Where.
        path: PathBuf,
        /// What happened.
        problem: String,
    },
}

/// The directory of the socket, in the data directory: nobody else may enter it.
fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("run")
}

/// Where the socket is.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    directory(data_dir).join("control.sock")
}

/// A listening control socket; the file goes when it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // A file that is gone already needs no removal.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl ControlSocket {
    /// Listens. Whoever calls holds the database's lock, so a socket file that is still there is a leftover.
    ///
    /// # Errors
    /// [`ControlError::Listen`].
    pub fn bind(data_dir: &Path) -> Result<Self, ControlError> {
        let path = socket_path(data_dir);
        let failed = |source| ControlError::Listen { path: path.clone(), source };
        let directory = directory(data_dir);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, path })
    }

    /// Serves until `stop`.
    pub async fn serve(self, manager: Manager, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "the control socket could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let manager = manager.clone();
            tokio::spawn(async move {
                match tokio::time::timeout(PATIENCE, answer(stream, &manager)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "a control connection broke"),
                    Err(_) => tracing::debug!("a control connection was too slow"),
                }
                drop(place);
            });
        }
    }
}

async fn answer(stream: UnixStream, manager: &Manager) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut line = Vec::new();
    BufReader::new(reading.take(LONGEST_REQUEST)).read_until(b'\n', &mut line).await?;
    let reply = if line.last() != Some(&b'\n') {
        let message = format!("the command is longer than {LONGEST_REQUEST} bytes or not complete");
        Reply::Refused(ManageError { kind: Refusal::Invalid, message })
    } else {
        match serde_json::from_slice::<ManageCommand>(&line) {
            Ok(command) => match manager.run(command, now()).await {
                Ok(answer) => Reply::Done(answer),
                Err(error) => Reply::Refused(error),
            },
            Err(error) => Reply::Refused(ManageError {
                kind: Refusal::Invalid,
                message: format!(
                    "the command is not understood ({error}); use the same version of aside as the server"
                ),
            }),
        }
    };
    let mut text = serde_json::to_vec(&reply).map_err(io::Error::other)?;
    text.push(b'\n');
    writing.write_all(&text).await?;
    writing.shutdown().await
}

/// Asks the running server. `None`: there is none.
///
/// # Errors
/// [`ControlError::NoAnswer`].
pub async fn ask(
    data_dir: &Path,
    command: &ManageCommand,
) -> Result<Option<Result<Answer, ManageError>>, ControlError> {
    let path = socket_path(data_dir);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(ControlError::NoAnswer { path, problem: error.to_string() }),
    };
    let broken = |problem: String| ControlError::NoAnswer { path: path.clone(), problem };
    match tokio::time::timeout(PATIENCE, exchange(stream, command)).await {
        Ok(Ok(Reply::Done(answer))) => Ok(Some(Ok(answer))),
        Ok(Ok(Reply::Refused(error))) => Ok(Some(Err(error))),
        Ok(Err(error)) => Err(broken(error.to_string())),
        Err(_) => Err(broken(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

async fn exchange(stream: UnixStream, command: &ManageCommand) -> io::Result<Reply> {
    let (reading, mut writing) = stream.into_split();
    let mut text = serde_json::to_vec(command).map_err(io::Error::other)?;
    text.push(b'\n');
    writing.write_all(&text).await?;
    let mut line = Vec::new();
    BufReader::new(reading.take(LONGEST_ANSWER)).read_until(b'\n', &mut line).await?;
    serde_json::from_slice(&line).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manage::By;

    async fn listening() -> (store::Store, PathBuf, CancellationToken, tokio::task::JoinHandle<()>) {
        let store = store::Store::open_temporary(store::StoreConfig::default()).unwrap();
        let data_dir = store.path().parent().unwrap().to_owned();
        let stop = CancellationToken::new();
        let manager = Manager { store: store.clone(), shared_domains: Vec::new(), live: None, by: By::Operator };
        let socket = ControlSocket::bind(&data_dir).unwrap();
        let task = tokio::spawn(socket.serve(manager, stop.clone()));
        (store, data_dir, stop, task)
    }

    #[tokio::test]
    async fn nobody_but_the_owner_can_reach_the_control_socket() {
        let (_store, data_dir, stop, task) = listening().await;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory(&data_dir)), 0o700);
        assert_eq!(mode(&socket_path(&data_dir)), 0o600);
        stop.cancel();
        task.await.unwrap();
        assert!(!socket_path(&data_dir).exists(), "the socket file is removed at the end");
    }

    #[tokio::test]
    async fn an_oversized_or_senseless_command_is_refused_and_the_next_is_served() {
        let (_store, data_dir, _stop, _task) = listening().await;
        for nonsense in [vec![b'x'; 70_000], b"{\"account\":null}\n".to_vec(), b"\xff\xfe\n".to_vec()] {
            let mut stream = UnixStream::connect(socket_path(&data_dir)).await.unwrap();
            // The server may close before all of an oversized command is written.
            let _ = stream.write_all(&nonsense).await;
            let mut text = String::new();
            if stream.read_to_string(&mut text).await.is_ok() && !text.is_empty() {
                assert!(text.contains("refused") && text.contains("invalid"), "{text}");
            }
        }
        let list =
            serde_json::json!({ "account": null, "subject": { "account": { "list": { "limit": 5, "offset": 0 } } } });
        let command: ManageCommand = serde_json::from_value(list).unwrap();
        let answer = ask(&data_dir, &command).await.unwrap().unwrap().unwrap();
        assert_eq!(answer, Answer::Many { items: Vec::new(), total: 0 });
    }
}
