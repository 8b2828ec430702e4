//! The sessions of this server: each has a task that speaks for its participant, as a WebSocket would.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use livekit_protocol::{
    DisconnectReason, IceServer, JoinResponse, LeaveRequest, SessionDescription, signal_request,
    signal_response::Message,
};
use sdp::session::Session as Description;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::auth::grants::Claims;
use crate::room::join::ParticipantHandle;
use crate::signal::sink::{Next, Outgoing};
use crate::whip::fragment::{self, Credentials};

#[derive(Debug, Default)]
pub struct Sessions {
    by_id: Mutex<HashMap<String, Session>>,
}

/// The way to a session's task.
#[derive(Clone, Debug)]
pub struct Session {
    room: String,
    identity: String,
    orders: mpsc::Sender<Order>,
}

#[derive(Debug)]
enum Order {
    /// Whether the entity tag is that of the ICE generation in force.
    Check {
        etag: String,
        reply: oneshot::Sender<bool>,
    },
    Restart {
        credentials: Credentials,
        reply: oneshot::Sender<Option<Restarted>>,
    },
    Leave {
        done: oneshot::Sender<()>,
    },
}

/// An ICE restart's outcome: the new generation's entity tag, and the fragment that tells the client of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restarted {
    pub etag: String,
    pub fragment: String,
}

/// What the room said to the offer.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The participant's sid, which is the session's id.
    pub id: String,
    pub answer: String,
    pub etag: String,
    pub ice_servers: Vec<IceServer>,
    /// Sections of the answer on which something is sent.
    pub sends: usize,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The offer cannot be answered.
    Offer,
    Closed(DisconnectReason),
    /// The room did not answer.
    Silent,
}

impl Sessions {
    /// What the room said when the participant joined.
    pub async fn welcome(outgoing: &mut Outgoing) -> Result<Welcome, Denied> {
        let mut joined = JoinResponse::default();
        loop {
            match timeout(ANSWER_MAX, outgoing.next()).await {
                Ok(Next::Write(Message::Join(response))) => joined = response,
                Ok(Next::Write(Message::Answer(answer))) => return welcome(joined, answer),
                Ok(Next::Write(Message::Leave(leave))) => return Err(denied(&leave)),
                Ok(Next::Write(_)) => {}
                Ok(Next::Close) => return Err(Denied::Offer),
                Err(_) => return Err(Denied::Silent),
            }
        }
    }

    /// Keeps a session, under its id, until the room or the client ends it: the future is the task's.
    pub fn keep(
        self: &Arc<Self>,
        welcome: &Welcome,
        claims: &Claims,
        room: String,
        offer: String,
        participant: ParticipantHandle,
        outgoing: Outgoing,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let session = Session { room, identity: claims.identity.clone(), orders };
        self.lock().insert(welcome.id.clone(), session);
        let forget = Forget { sessions: Arc::clone(self), id: welcome.id.clone() };
        let speaker = Speaker { participant, outgoing, offer, etag: welcome.etag.clone(), description_id: 1 };
        async move {
            let _forget = forget;
            speaker.run(received).await;
        }
    }

    /// A session, for a token with which its participant could join.
    #[must_use]
    pub fn find(&self, id: &str, claims: &Claims) -> Option<Session> {
        let session = self.lock().get(id).cloned()?;
        let video = &claims.video;
        let same_room = video.room_join && (video.room.is_empty() || video.room == session.room);
        (same_room && claims.identity == session.identity).then_some(session)
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// A panic while the map is locked cannot leave it half changed.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    #[must_use]
    pub fn room(&self) -> &str {
        &self.room
    }

    /// `None`: the session has ended.
    pub async fn has_tag(&self, etag: &str) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Check { etag: etag.to_owned(), reply }).await.ok()?;
        answer.await.ok()
    }

    /// `None`: ICE could not be restarted. The session goes on as it was, unless the room ended it (RFC 9725 §4.3.3).
    pub async fn restart(&self, credentials: Credentials) -> Option<Restarted> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Restart { credentials, reply }).await.ok()?;
        answer.await.ok()?
    }

    /// Returns when the participant has left.
    pub async fn leave(&self) {
        let (done, left) = oneshot::channel();
        // An error means that it has left already.
        if self.orders.send(Order::Leave { done }).await.is_ok() {
            let _ = left.await;
        }
    }
}

/// What a session's task has.
#[derive(Debug)]
struct Speaker {
    participant: ParticipantHandle,
    outgoing: Outgoing,
    offer: String,
    etag: String,
    description_id: u32,
}

impl Speaker {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                next = self.outgoing.next() => match next {
                    Next::Write(Message::Leave(_)) | Next::Close => return,
                    // There is nobody to tell.
                    Next::Write(_) => {}
                },
                order = orders.recv() => match order {
                    Some(Order::Check { etag, reply }) => _ = reply.send(etag == self.etag),
                    Some(Order::Restart { credentials, reply }) => {
                        let Ok(restarted) = self.restart(&credentials).await else { return };
                        let _ = reply.send(restarted);
                    }
                    Some(Order::Leave { done }) => {
                        self.leave().await;
                        drop(self);
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
            }
        }
    }

    /// `None`: no answer that could be read came in time.
    async fn restart(&mut self, credentials: &Credentials) -> Result<Option<Restarted>, Ended> {
        let sdp = credentials.put_into(&self.offer);
        self.description_id += 1;
        let offer = SessionDescription {
            r#type: "offer".to_owned(),
            sdp: sdp.clone(),
            id: self.description_id,
            ..SessionDescription::default()
        };
        self.participant.request(signal_request::Message::Offer(offer));
        loop {
            let Ok(next) = timeout(ANSWER_MAX, self.outgoing.next()).await else { return Ok(None) };
            match next {
                Next::Write(Message::Answer(answer)) if answer.id == self.description_id => {
                    let Some(restarted) = restarted(&answer.sdp) else { return Ok(None) };
                    self.offer = sdp;
                    self.etag.clone_from(&restarted.etag);
                    return Ok(Some(restarted));
                }
                Next::Write(Message::Leave(_)) | Next::Close => return Err(Ended),
                Next::Write(_) => {}
            }
        }
    }

    /// The room closes the connection of who has left.
    async fn leave(&mut self) {
        let reason = DisconnectReason::ClientInitiated.into();
        self.participant
            .request(signal_request::Message::Leave(LeaveRequest { reason, ..Default::default() }));
        let closed = async { while !matches!(self.outgoing.next().await, Next::Close) {} };
        if timeout(ANSWER_MAX, closed).await.is_err() {
            tracing::warn!("a room did not let a WHIP session leave");
        }
    }
}

/// Takes a session out of the table when its task ends, in whatever way.
#[derive(Debug)]
struct Forget {
    sessions: Arc<Sessions>,
    id: String,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.id);
    }
}

/// The room has let the participant go.
#[derive(Clone, Copy, Debug)]
struct Ended;

fn restarted(answer: &str) -> Option<Restarted> {
    let answer = Description::parse(answer).ok()?;
    Some(Restarted { etag: Credentials::of(&answer)?.ufrag, fragment: fragment::of_answer(&answer)? })
}

fn welcome(joined: JoinResponse, answer: SessionDescription) -> Result<Welcome, Denied> {
    let description = Description::parse(&answer.sdp).map_err(|_| Denied::Offer)?;
    let credentials = Credentials::of(&description).ok_or(Denied::Offer)?;
    let sends =
        description.sections.iter().filter(|section| section.direction.sends() && !section.is_rejected());
    Ok(Welcome {
        id: joined.participant.map(|participant| participant.sid).ok_or(Denied::Silent)?,
        sends: sends.filter(|section| !section.codecs.is_empty()).count(),
        answer: answer.sdp,
        etag: credentials.ufrag,
        ice_servers: joined.ice_servers,
    })
}

fn denied(leave: &LeaveRequest) -> Denied {
    match leave.reason() {
        DisconnectReason::StateMismatch => Denied::Offer,
        reason => Denied::Closed(reason),
    }
}

/// Orders of one session that wait for each other.
const ORDERS_MAX: usize = 4;
const ANSWER_MAX: Duration = Duration::from_secs(9);
