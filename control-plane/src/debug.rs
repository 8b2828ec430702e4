//! `GET /debug/counts` in development mode: what both planes hold right now and what they have counted, as JSON.
//!
//! Nothing in it names a person; tests read it to see that everything is freed.

use std::fs;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proto::media::v1::Counter;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use crate::http::Site;

pub fn add_routes(routes: Router<Site>) -> Router<Site> {
    routes.route("/debug/counts", get(counts))
}

async fn counts(State(site): State<Site>) -> Response {
    let mut planes = Vec::new();
    for plane in site.registry.planes().all() {
        planes.push(match plane.counters().await {
            Ok(counters) => json!({
                "workers": counters.workers.iter().map(|worker| named(&worker.counters)).collect::<Vec<_>>(),
                "process": named(&counters.process),
            }),
            // The plane is away; its place in the list stays.
            Err(_) => Value::Null,
        });
    }
    let counts = site.registry.counts();
    let control = json!({
        "rooms": counts.rooms,
        "participants": counts.participants,
        "connections": site.connections.len(),
        "tracks": counts.tracks,
        "subscriptions": counts.subscriptions,
        "tasks": Handle::current().metrics().num_alive_tasks(),
        "open_files": fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
    });
    axum::Json(json!({
        "control": control,
        "refused": rows(site.registry.refusals()),
        "signal": rows(site.counters.rows()),
        "media": planes,
    }))
    .into_response()
}

fn rows(rows: Vec<(&str, u64)>) -> Map<String, Value> {
    rows.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
}

fn named(counters: &[Counter]) -> Map<String, Value> {
    counters.iter().map(|counter| (counter.name.clone(), counter.value.into())).collect()
}
