//! Streams of rooms: the mix, or each member by itself.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Source, Words, open, run};
use crate::command::{AccountRef, CommandError, RoomRef, TapRoom, Tapped};
use crate::dialect::Kind;
use crate::engine::{Engine, Inner};
use crate::http::shown;
use crate::room::{Follower, RoomHandle, Track};
use crate::verb::{Stream, StreamMix};
use crate::websocket::WebSocket;

/// Members whose streams may wait to be begun.
const TRACKS: usize = 512;

impl Engine {
    /// Streams a live room to a program, as a listener that nobody hears or sees, until the room or the stream ends. One
    /// stream of the mix and one of the members runs at a time; whoever asks for a second is told of the first.
    ///
    /// # Errors
    /// No such room; `Failed`: the program cannot be reached.
    pub async fn tap_room(
        &self,
        account: &AccountRef,
        room: &RoomRef,
        tap: TapRoom,
        dialect: &'static str,
    ) -> Result<Tapped, CommandError> {
        follow(self.inner(), self.visible_room(account, room)?, tap, dialect).await
    }

    /// Ends that; false: there was no such stream.
    ///
    /// # Errors
    /// No such room.
    pub async fn untap_room(&self, account: &AccountRef, room: &RoomRef, members: bool) -> Result<bool, CommandError> {
        self.visible_room(account, room)?.untap(members, None).await
    }

    fn visible_room(&self, account: &AccountRef, room: &RoomRef) -> Result<RoomHandle, CommandError> {
        self.room(account, room).filter(|room| account.sees(room.auth_id())).ok_or_else(|| {
            let (RoomRef::Name(id) | RoomRef::Uuid(id)) = room;
            CommandError::NotFound { what: "room", id: id.clone() }
        })
    }
}

/// Begins to stream a room.
pub(crate) async fn follow(
    inner: &Arc<Inner>,
    room: RoomHandle,
    tap: TapRoom,
    dialect: &'static str,
) -> Result<Tapped, CommandError> {
    let failed = |problem: String| CommandError::Failed(problem);
    let words = inner.hooks.dialect(dialect).map_err(|error| failed(error.to_string()))?.sound_words();
    let words = words.ok_or_else(|| failed(format!("dialect {dialect} has no streams of sound")))?;
    let TapRoom { stream, members } = tap;
    if let Some(id) = room.tapped(members).await? {
        return Ok(Tapped { id, known: true });
    }
    // Whoever cannot be reached is no follower.
    let socket = open(&inner.http, &*words, &stream.url, stream.auth.as_ref()).await;
    let socket = socket.map_err(|error| CommandError::Failed(format!("the stream cannot be opened: {error}")))?;
    let (to, tracks) = mpsc::channel(TRACKS);
    let follower = Follower { id: uuid::Uuid::new_v4().to_string(), to };
    let tapped = room.tap(members, follower).await?;
    if tapped.known {
        socket.close(1000).await;
        return Ok(tapped);
    }
    let id = tapped.id.clone();
    let streaming = Streaming { id, inner: Arc::clone(inner), room, stream, members, words };
    tokio::spawn(streaming.run(socket, tracks));
    Ok(tapped)
}

/// A stream of a room.
#[derive(Clone)]
struct Streaming {
    id: String,
    inner: Arc<Inner>,
    room: RoomHandle,
    stream: Stream,
    members: bool,
    words: Arc<dyn Words>,
}

impl Streaming {
    async fn run(self, first: WebSocket, mut tracks: mpsc::Receiver<Track>) {
        let mut first = Some(first);
        let room = self.room.clone();
        let mut followed = JoinSet::new();
        loop {
            let track = tokio::select! {
                track = tracks.recv() => track,
                Some(_) = followed.join_next(), if !followed.is_empty() => {
                    // Whoever has left all its streams, though there are members, wants no more.
                    if followed.is_empty() && room.snapshot().await.is_ok_and(|room| !room.members.is_empty()) {
                        let _ = room.untap(true, Some(self.id)).await;
                        return;
                    }
                    continue;
                }
                () = room.gone() => None,
            };
            let Some(track) = track else {
                // The room has ended, and with it every tap: what is left is said to the end.
                while followed.join_next().await.is_some() {}
                return;
            };
            let (streaming, socket) = (self.clone(), first.take());
            if !self.members {
                // There is one track only.
                streaming.follow(socket, track).await;
                // A room that ended meanwhile is streamed no more.
                let _ = room.untap(false, Some(self.id)).await;
                return;
            }
            followed.spawn(async move { streaming.follow(socket, track).await });
        }
    }

    async fn follow(self, socket: Option<WebSocket>, track: Track) {
        let socket = match socket {
            Some(socket) => Ok(socket),
            None => open(&self.inner.http, &*self.words, &self.stream.url, self.stream.auth.as_ref()).await,
        };
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                let text = format!("a member's sound cannot be streamed to {}: {error}", shown(&self.stream.url));
                return self.room.tell(Kind::Warning(text), track.member, None).await;
            }
        };
        let mut before = vec![self.stream.metadata.clone().unwrap_or_else(|| "{}".to_owned())];
        before.extend(track.member.as_ref().map(|member| self.words.member(member)));
        let source = Source { reader: track.reader, mix: StreamMix::Inbound, of_room: true };
        let (_control, controls) = mpsc::channel(1);
        let words = (Arc::clone(&self.words), Arc::clone(&self.inner.counters));
        let ended = run(words, socket, &self.stream, source, None, before, controls).await;
        if let Some(fault) = ended.fault {
            let text = format!("a stream of the room to {} ended: {fault}", shown(&self.stream.url));
            self.room.tell(Kind::Warning(text), track.member, None).await;
        }
    }
}
