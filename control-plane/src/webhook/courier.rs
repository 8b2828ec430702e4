//! A courier delivers to one URL: it has the line of what waits, and tries until the receiver has it.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet, spawn_blocking};
use tokio::time::sleep;
use url::{Host, Url};

use crate::room::clock::Clock;
use crate::webhook::event;
use crate::webhook::line::{Drop, Job, Line, Outcome, Waiting};
use crate::webhook::outbox::Office;
use crate::webhook::reach::{self, Resolver};
use crate::webhook::store::Store;

/// An event that is in the store.
#[derive(Clone, Debug)]
pub struct Filed {
    pub room: String,
    pub waiting: Waiting,
    /// Events that never got there, since the last one that did.
    pub dropped: i32,
}

#[derive(Debug)]
pub struct Courier {
    post: Arc<Post>,
    line: Line,
    clock: Clock,
    under_way: JoinSet<Result<(), Failure>>,
    jobs: HashMap<Id, Job>,
    /// The last delivery failed: what fails after it is no news.
    failing: bool,
}

/// What a delivery needs.
#[derive(Debug)]
struct Post {
    office: Arc<Office>,
    store: Arc<Store>,
    url: String,
}

/// Why the receiver does not have it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it is not in the outbox any more")]
    Lost,
    #[error("the URL is none")]
    Url,
    #[error("webhook.api_key is not among the keys")]
    Unsigned,
    #[error("{0}")]
    Private(#[from] reach::Private),
    #[error("{0}")]
    Unreachable(String),
    #[error("the receiver answered {0}")]
    Status(StatusCode),
}

impl Courier {
    #[must_use]
    pub fn new(office: Arc<Office>, store: Arc<Store>, url: String) -> Self {
        Self {
            post: Arc::new(Post { office, store, url }),
            line: Line::default(),
            clock: Clock::start(),
            under_way: JoinSet::new(),
            jobs: HashMap::new(),
            failing: false,
        }
    }

    /// Until nobody brings anything more and all is delivered, or the URL is not wanted any more.
    pub async fn work(mut self, mut mailbox: mpsc::Receiver<Filed>) {
        let client = match self.post.client() {
            Ok(client) => client,
            Err(error) => return tracing::error!("webhooks: no HTTP client: {error}"),
        };
        let mut changes = self.post.office.config.watch();
        let mut open = true;
        while open || !self.line.is_empty() {
            let config = Arc::clone(&changes.borrow_and_update());
            if !config.webhook.urls.contains(&self.post.url) {
                return self.abandon();
            }
            let now = self.clock.now();
            let expired = self.line.expire(now, config.webhook.resource_url_notifier.max_age);
            self.give_up(expired);
            while let Some(job) = self.line.next(now) {
                let delivery = Arc::clone(&self.post).deliver(client.clone(), job.clone());
                self.jobs.insert(self.under_way.spawn(delivery).id(), job);
            }
            let pause =
                self.line.next_due().map_or(EXPIRY_INTERVAL, |due| due.since(now).min(EXPIRY_INTERVAL));
            tokio::select! {
                filed = mailbox.recv(), if open => match filed {
                    Some(filed) => self.take(&filed),
                    None => open = false,
                },
                Some(done) = self.under_way.join_next_with_id() => self.done(done),
                _ = changes.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }

    fn take(&mut self, filed: &Filed) {
        let config = self.post.office.config.now();
        let (bounds, bytes_max) = (&config.webhook.resource_url_notifier, config.webhook.outbox_max_bytes);
        let dropped = self.line.push(&filed.room, filed.waiting, bounds, bytes_max);
        self.line.lost(&filed.room, filed.dropped);
        self.post.office.counters.queued(self.line.depth(&filed.room));
        self.give_up(dropped);
    }

    fn done(&mut self, done: Result<(Id, Result<(), Failure>), JoinError>) {
        let (id, result) = match done {
            Ok(done) => done,
            Err(error) => (error.id(), Err(Failure::Unreachable("the delivery ended early".to_owned()))),
        };
        let Some(job) = self.jobs.remove(&id) else { return };
        let counters = &self.post.office.counters;
        match &result {
            Ok(()) => {
                counters.delivered();
                counters.waiting.dec();
            }
            Err(_) => counters.failed(),
        }
        self.report(&job, &result);
        let outcome = result.map_or_else(|failure| failure.outcome(), |()| Outcome::Delivered);
        let given_up = self.line.done(&job, outcome, self.clock.now(), rand::random());
        self.give_up(given_up.into_iter().collect());
    }

    /// Once when it begins, and once when it ends.
    fn report(&mut self, job: &Job, result: &Result<(), Failure>) {
        let receiver = self.post.receiver();
        match result {
            Ok(()) if self.failing => tracing::info!(receiver, "webhooks are delivered again"),
            Err(failure) if !self.failing => {
                tracing::warn!(receiver, room = %job.room, "a webhook is not delivered and tried again: {failure}");
            }
            _ => {}
        }
        self.failing = result.is_err();
    }

    fn give_up(&self, dropped: Vec<(u64, Drop)>) {
        if dropped.is_empty() {
            return;
        }
        dropped.iter().for_each(|(_, why)| self.post.office.counters.dropped(*why));
        let (receiver, why) = (self.post.receiver(), dropped.first().map(|(_, why)| why));
        tracing::warn!(receiver, events = dropped.len(), ?why, "webhooks are given up");
        self.remove(dropped.into_iter().map(|(number, _)| number).collect());
    }

    /// The URL was taken out of the configuration.
    fn abandon(mut self) {
        let numbers = self.line.clear();
        tracing::warn!(
            receiver = self.post.receiver(),
            events = numbers.len(),
            "webhooks for a URL that is not configured any more are given up"
        );
        numbers.iter().for_each(|_| self.post.office.counters.orphaned());
        self.remove(numbers);
    }

    fn remove(&self, numbers: Vec<u64>) {
        self.post.office.counters.waiting.sub(i64::try_from(numbers.len()).unwrap_or(i64::MAX));
        let store = Arc::clone(&self.post.store);
        spawn_blocking(move || store.remove(&numbers));
    }
}

impl Post {
    fn client(&self) -> Result<Client, reqwest::Error> {
        // An error means that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .dns_resolver(Resolver { config: self.office.config.clone() })
            .user_agent(concat!("millrace/", env!("CARGO_PKG_VERSION")))
            .build()
    }

    async fn deliver(self: Arc<Self>, client: Client, job: Job) -> Result<(), Failure> {
        let (store, number) = (Arc::clone(&self.store), job.number);
        let found = spawn_blocking(move || store.find(number)).await.ok().flatten();
        let mut event = found.and_then(|record| record.event).ok_or(Failure::Lost)?;
        #[expect(deprecated, reason = "receivers read it nevertheless")]
        {
            event.num_dropped = job.dropped;
        }
        let body = serde_json::to_vec(&event).map_err(|_| Failure::Lost)?;
        self.send(&client, body).await?;
        let store = Arc::clone(&self.store);
        // Before the next one of the room goes out: what is delivered twice, is so in order.
        let _ = spawn_blocking(move || store.remove(&[number])).await;
        Ok(())
    }

    async fn send(&self, client: &Client, body: Vec<u8>) -> Result<(), Failure> {
        let config = self.office.config.now();
        let url = Url::parse(&self.url).map_err(|_| Failure::Url)?;
        // Names are judged when they are resolved.
        match url.host() {
            Some(Host::Ipv4(address)) => reach::check(&config, address.into())?,
            Some(Host::Ipv6(address)) => reach::check(&config, address.into())?,
            Some(Host::Domain(_)) => {}
            None => return Err(Failure::Url),
        }
        let token = event::signature(&self.office.keys, &config.webhook.api_key, SystemTime::now(), &body);
        let request = client
            .post(url)
            .header(AUTHORIZATION, token.ok_or(Failure::Unsigned)?)
            .header(CONTENT_TYPE, "application/webhook+json")
            .body(body);
        let response = request.send().await.map_err(|error| Failure::Unreachable(reason(error)))?;
        let status = response.status();
        status.is_success().then_some(()).ok_or(Failure::Status(status))
    }

    /// Without what may be secret in it.
    fn receiver(&self) -> String {
        let url = Url::parse(&self.url).ok();
        url.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned()
    }
}

impl Failure {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Status(
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS,
            ) => Outcome::Failed,
            Self::Status(status) if !status.is_server_error() => Outcome::Rejected,
            Self::Lost => Outcome::Rejected,
            Self::Status(_) | Self::Url | Self::Unsigned | Self::Private(_) | Self::Unreachable(_) => {
                Outcome::Failed
            }
        }
    }
}

/// The whole chain of it, without the URL, which may have a secret in its query.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// Of one attempt, from the name's resolution to the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often the oldest are looked at if nothing else happens.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
