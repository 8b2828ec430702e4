//! What happens in rooms is an occasion for jobs, and their end.

use crate::agent::rooms;
use crate::agent::service::Agents;
use crate::room::notice::{Happened, Kept, Listener, Notice};

impl Listener for Agents {
    /// Nothing of it is kept: jobs end with the process, as on LiveKit without Redis.
    fn hear(&self, notices: &[Notice]) -> Option<Kept> {
        self.change(|desk, now| {
            for Notice { room, agents, happened, .. } in notices {
                match happened {
                    Happened::RoomStarted => rooms::started(desk, now, room, agents),
                    Happened::RoomFinished { .. } => rooms::finished(desk, now, room),
                    Happened::ParticipantJoined { participant } => {
                        rooms::joined(desk, now, room, participant)
                    }
                    Happened::ParticipantLeft { participant }
                    | Happened::ParticipantConnectionAborted { participant } => {
                        rooms::left(desk, now, room, participant);
                    }
                    Happened::TrackPublished { participant, .. } => {
                        rooms::published(desk, now, room, participant);
                    }
                    Happened::TrackUnpublished { .. } => {}
                }
            }
        });
        None
    }
}
