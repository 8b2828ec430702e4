//! Notices go in at one end, and a real HTTP server has them at the other.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::any;
use livekit_protocol::{Room, WebhookEvent};
use tokio::net::TcpListener;

use super::*;
use crate::auth::token::Keys;
use crate::config::Config;
use crate::config::live::Live;
use crate::room::clock::Time;
use crate::room::notice::{Happened, Listener, Notice};
use crate::webhook::fixture::copy;
use crate::webhook::outbox::Outbox;

/// Answers as it was told to, then with 200.
#[derive(Clone, Debug, Default)]
struct Receiver {
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
    /// Path, headers, body.
    received: Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>,
}

impl Receiver {
    async fn start(answers: &[u16]) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self::on(listener, answers), address)
    }

    fn on(listener: TcpListener, answers: &[u16]) -> Self {
        let receiver = Self::default();
        let answers = answers.iter().map(|status| StatusCode::from_u16(*status).unwrap());
        receiver.answers.lock().unwrap().extend(answers);
        let routes = Router::new().fallback(any(receive)).with_state(receiver.clone());
        tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
        receiver
    }

    fn events(&self) -> Vec<WebhookEvent> {
        let received = self.received.lock().unwrap();
        received.iter().map(|(_, _, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    fn rooms(&self) -> Vec<String> {
        self.events().into_iter().map(|event| event.room.unwrap().name).collect()
    }
}

async fn receive(
    State(receiver): State<Receiver>,
    request: axum::http::request::Parts,
    body: Bytes,
) -> impl IntoResponse {
    let path = request.uri.path().to_owned();
    receiver.received.lock().unwrap().push((path, request.headers, body));
    let status = receiver.answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK);
    (status, [(header::LOCATION, "/elsewhere")])
}

fn keys() -> Arc<Keys> {
    Arc::new(Keys::new([("key".to_owned(), "secret".to_owned())]))
}

fn config(receiver: SocketAddr, directory: &Path) -> Config {
    let mut config = Config::default();
    config.webhook.urls = vec![format!("http://{receiver}/hook")];
    config.webhook.api_key = "key".to_owned();
    config.webhook.allow_private = vec!["127.0.0.1".parse().unwrap()];
    config.webhook.outbox_dir = Some(directory.to_owned());
    config
}

fn started(room: &str) -> Notice {
    let room = Room { name: room.to_owned(), ..Room::default() };
    let now = SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Notice { at: Time::default().after(now), room, agents: Vec::new(), happened: Happened::RoomStarted }
}

/// Told, and kept.
async fn tell(outbox: &Outbox, rooms: &[&str]) {
    for room in rooms {
        if let Some(kept) = outbox.hear(&[started(room)]) {
            let _ = kept.await;
        }
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn count(outbox: &Outbox, status: &str, reason: &str) -> f64 {
    let families = outbox.counters().collect();
    let dispatched = families.iter().find(|family| family.name() == "livekit_webhook_dispatch_total");
    let rows = dispatched.map(|family| family.get_metric()).unwrap_or_default();
    let row = rows.iter().find(|row| {
        let is = |name: &str, value: &str| {
            row.get_label().iter().any(|label| label.name() == name && label.value() == value)
        };
        is("status", status) && is("reason", reason)
    });
    row.map_or(0.0, |row| row.get_counter().get_value())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_signed_and_is_not_kept_any_longer() {
    let directory = tempfile::tempdir().unwrap();
    let (receiver, address) = Receiver::start(&[]).await;
    let outbox = Outbox::new(Live::new(config(address, directory.path())), keys(), "ND_1");
    tell(&outbox, &["a"]).await;
    until("it arrives", || outbox.counters().waiting.get() == 0 && !receiver.events().is_empty()).await;
    let (path, headers, body) = receiver.received.lock().unwrap()[0].clone();
    assert_eq!(
        (path.as_str(), &headers[CONTENT_TYPE]),
        ("/hook", &"application/webhook+json".parse().unwrap())
    );
    let token = headers[AUTHORIZATION].to_str().unwrap();
    let claims = keys().verify(token, SystemTime::now()).expect("signed with the key");
    let expected = event::signature(&keys(), "key", SystemTime::now(), &body).unwrap();
    assert_eq!(claims.sha256, keys().verify(&expected, SystemTime::now()).unwrap().sha256);
    let event = &receiver.events()[0];
    assert!(event.id.starts_with("EV_") && event.id.len() == 15 && event.created_at > 0, "{event:?}");
    assert_eq!((count(&outbox, "success", ""), outbox.counters().durable.get()), (1.0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_and_holds_up_its_own_room_only() {
    let directory = tempfile::tempdir().unwrap();
    let (receiver, address) = Receiver::start(&[500]).await;
    let outbox = Outbox::new(Live::new(config(address, directory.path())), keys(), "ND_1");
    tell(&outbox, &["a"]).await;
    until("the first attempt", || receiver.events().len() == 1).await;
    tell(&outbox, &["a", "b"]).await;
    until("all arrive", || outbox.counters().waiting.get() == 0).await;
    let events = receiver.events();
    let of_a: Vec<&str> = events
        .iter()
        .filter(|event| event.room.as_ref().unwrap().name == "a")
        .map(|event| event.id.as_str())
        .collect();
    assert!(of_a.len() == 3 && of_a[0] == of_a[1] && of_a[1] != of_a[2], "{of_a:?}");
    assert_eq!((count(&outbox, "success", ""), count(&outbox, "failure", "")), (3.0, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (receiver, address) = Receiver::start(&[302, 307]).await;
    let outbox = Outbox::new(Live::new(config(address, directory.path())), keys(), "ND_1");
    tell(&outbox, &["a"]).await;
    until("it arrives at last", || outbox.counters().waiting.get() == 0).await;
    let received = receiver.received.lock().unwrap();
    assert!(received.len() == 3 && received.iter().all(|(path, ..)| path == "/hook"), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_get_nothing_before_they_are_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let (receiver, address) = Receiver::start(&[]).await;
    let name = format!("http://localhost:{}/hook", address.port());
    for url in [format!("http://{address}/hook"), name] {
        let mut allowing = config(address, directory.path());
        allowing.webhook.urls = vec![url];
        allowing.webhook.allow_private.push("::1".parse().unwrap());
        let mut refusing = allowing.clone();
        refusing.webhook.allow_private.clear();
        let live = Live::new(refusing);
        let outbox = Outbox::new(live.clone(), keys(), "ND_1");
        let before = receiver.events().len();
        tell(&outbox, &["a"]).await;
        until("it is refused", || count(&outbox, "failure", "") > 0.0).await;
        assert_eq!(receiver.events().len(), before);
        live.replace(allowing);
        until("it arrives", || receiver.events().len() == before + 1).await;
        until("it is not kept", || outbox.counters().waiting.get() == 0).await;
        outbox.flush(Duration::from_secs(30)).await;
        // The directory is free when everybody has let go of it.
        drop(outbox);
        until("the directory is free", || Store::open(directory.path()).is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_former_run_left_goes_out_first_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nowhere.local_addr().unwrap();
    let live = Live::new(config(address, directory.path()));
    let outbox = Outbox::new(live.clone(), keys(), "ND_1");
    tell(&outbox, &["a", "b", "a"]).await;
    // As a kill leaves it: what is acknowledged is in the files, whatever else is not.
    let killed = tempfile::tempdir().unwrap();
    copy(directory.path(), killed.path());
    let config = config(address, killed.path());
    live.replace(Config::default());
    drop(nowhere);
    let receiver = Receiver::on(TcpListener::bind(address).await.unwrap(), &[]);
    let successor = Outbox::new(Live::new(config), keys(), "ND_1");
    successor.open();
    until("they arrive", || receiver.rooms().len() == 3).await;
    tell(&successor, &["c"]).await;
    until("the next one arrives", || receiver.rooms().len() == 4).await;
    let rooms = receiver.rooms();
    assert_eq!(rooms.iter().filter(|room| *room == "a").count(), 2);
    assert!(rooms.contains(&"b".to_owned()) && rooms[3] == "c", "{rooms:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_urls_change_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (receiver, address) = Receiver::start(&[]).await;
    let with = config(address, directory.path());
    let mut without = with.clone();
    without.webhook.urls.clear();
    let live = Live::new(without);
    let outbox = Outbox::new(live.clone(), keys(), "ND_1");
    assert!(outbox.hear(&[started("unheard")]).is_none());
    let mut filtered = with.clone();
    filtered.webhook.filter_params.exclude_events = vec!["room_started".to_owned()];
    live.replace(filtered);
    assert!(outbox.hear(&[started("filtered")]).is_none());
    live.replace(with);
    tell(&outbox, &["a"]).await;
    until("it arrives", || receiver.rooms() == ["a"]).await;
}
