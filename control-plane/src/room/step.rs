//! One step of a room: finds the verb for a request. Rules live with the verbs.
//!
//! Who says what, of the 30 messages that a server may say:
//!
//! | `SignalResponse` | said by |
//! |---|---|
//! | `join` | `joining`, worded in `welcome` |
//! | `answer`, `offer`, `trickle`, `media_sections_requirement` | `negotiating`, `offering` |
//! | `update`, `room_update` | `updating` |
//! | `track_published`, `track_unpublished` | `publishing` |
//! | `track_subscribed`, `subscription_response`, `subscription_permission_update` | `subscribing` |
//! | `leave` | `leaving` |
//! | `mute` | `muting`, for the server API |
//! | `speakers_changed` | `speaking` |
//! | `connection_quality` | `quality` |
//! | `subscribed_quality_update` | `dynacast` |
//! | `stream_state_update` | `stalling` |
//! | `subscribed_audio_codec_update` | later, with several codecs of one audio track: now each is taken as it comes |
//! | `refresh_token` | `refreshing`, signed in `actor` |
//! | `pong`, `pong_resp` | `join::ParticipantHandle` |
//! | `reconnect` | `resuming`, worded in `welcome` |
//! | `request_response` | `answering`, for every verb that may refuse |
//! | `room_moved` | later, with the server API (`MoveParticipant`) |
//! | `publish_data_track_response`, `unpublish_data_track_response`, `data_track_subscriber_handles` | `data_tracks` |
//! | `store_data_blob_response`, `get_data_blob_response` | `data_blobs` |

use livekit_protocol::signal_request::Message;
use proto::event::Event;
use proto::media::v1 as proto;

use crate::room::call;
use crate::room::clock::Time;
use crate::room::effect::{ConnectionId, Effects};
use crate::room::mint::Mint;
use crate::room::request::Request;
use crate::room::state::Room;
use crate::room::surroundings::Surroundings;
use crate::room::turn::Turn;
use crate::room::{
    connecting, data_blobs, data_tracks, joining, leaving, muting, negotiating, notice, performing,
    permissions, publishing, quality, refusing, simulating, speaking, stalling, subscribing, syncing,
    ticking, updating,
};

/// The only thing that changes a room.
pub fn step(
    room: &mut Room,
    mint: &mut Mint,
    surroundings: &Surroundings,
    now: Time,
    request: Request,
) -> Effects {
    let mut turn = Turn::new(now, room, mint, surroundings);
    notice::started(&mut turn);
    match request {
        Request::Join { connection, arrival, last_message_sequence } => {
            joining::arrive(&mut turn, connection, &arrival, last_message_sequence);
        }
        Request::Signal { connection, message } => signal(&mut turn, connection, *message),
        Request::Disconnected { connection } => leaving::disconnected(&mut turn, connection),
        Request::Media(event) => media(&mut turn, event),
        Request::Refused { key, reason } => refusing::refused(&mut turn, &key, reason),
        Request::MediaLost => leaving::media_lost(&mut turn),
        Request::Close { reason } => leaving::close(&mut turn, reason),
        Request::Call { id, call } => call::perform(&mut turn, id, *call),
        Request::Tick => ticking::tick(&mut turn),
    }
    turn.finish()
}

#[expect(deprecated, reason = "`update_layers` is still a message that may come")]
fn signal(turn: &mut Turn<'_>, connection: ConnectionId, message: Message) {
    // A connection that was superseded, or whose participant was removed, has nothing more to say.
    let Some(who) = turn.room.of_connection(connection) else { return };
    let who = &who;
    match message {
        Message::Offer(offer) => negotiating::offer(turn, who, &offer),
        Message::Answer(answer) => negotiating::answer(turn, who, &answer),
        // ICE-lite sends checks to nobody, so it has no use for the client's candidates.
        Message::Trickle(_) => {}
        Message::AddTrack(request) => publishing::add_track(turn, who, request),
        Message::Mute(request) => muting::mute(turn, who, request),
        Message::Subscription(request) => subscribing::update(turn, who, &request),
        Message::TrackSetting(request) => subscribing::set(turn, who, &request),
        Message::Leave(request) => leaving::leave(turn, who, &request),
        Message::SubscriptionPermission(permission) => permissions::permit(turn, who, permission),
        Message::SyncState(state) => syncing::sync(turn, who, &state),
        Message::Simulate(scenario) => simulating::simulate(turn, who, &scenario),
        Message::UpdateMetadata(request) => updating::update_metadata(turn, who, request),
        Message::UpdateAudioTrack(request) => updating::update_audio_track(turn, who, request),
        Message::UpdateVideoTrack(request) => updating::update_video_track(turn, who, request),
        Message::PublishDataTrackRequest(request) => data_tracks::publish(turn, who, request),
        Message::UnpublishDataTrackRequest(request) => data_tracks::unpublish(turn, who, request),
        Message::UpdateDataSubscription(request) => data_tracks::update_subscriptions(turn, who, &request),
        Message::StoreDataBlobRequest(request) => data_blobs::store(turn, who, request),
        Message::GetDataBlobRequest(request) => data_blobs::fetch(turn, who, &request),
        // Deprecated and ignored by LiveKit too.
        Message::UpdateLayers(_) => {}
        // Answered where they arrive.
        Message::Ping(_) | Message::PingReq(_) => {}
    }
}

fn media(turn: &mut Turn<'_>, event: Event) {
    match event {
        Event::Transport(changed) => connecting::changed(turn, &changed),
        Event::SourceStarted(started) => publishing::started(turn, &started),
        Event::SubscriptionStarted(started) => subscribing::started(turn, started.subscription),
        Event::Speakers(speakers) => speaking::heard(turn, &speakers),
        Event::Quality(measured) => quality::measured(turn, &measured),
        Event::StreamState(state) => stalling::changed(turn, &state),
        // The media plane itself holds back what is sent before.
        Event::DataReady(_) => {}
        Event::DataReplied(replied) => performing::replied(turn, &replied),
    }
}
