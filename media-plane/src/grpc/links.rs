//! The hub's ends of the rings: one link to each worker, one to the helper.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use driver::doorbell::Doorbell;
use driver::relays::rings;
use engine::command::Command;
use proto::key::Key;
use tokio::sync::oneshot;
use units::handle::{RouteId, WorkerIndex};

use crate::helper::counters::Counters;
use crate::helper::input::Input;
use crate::helper::output::Output;
use crate::helper::queue::HelperHandle;
use crate::mailbox::{Receiver, Sender};
use crate::worker::mail::{Counted, Link, Order, Report, UNANSWERED_MAX};

/// Which command of which batch an answer belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    pub attachment: u64,
    pub batch: u64,
    pub revision: u64,
    /// Of an upsert: what was entered into the table.
    pub key: Option<Key>,
}

#[derive(Debug)]
pub struct WorkerLink {
    orders: Sender<Order, Doorbell>,
    reports: Receiver<Report>,
    /// Commands that the worker has not answered, in order; without a ticket nobody waits.
    unanswered: VecDeque<Option<Ticket>>,
    answered_count: u64,
}

impl WorkerLink {
    #[must_use]
    pub const fn new(orders: Sender<Order, Doorbell>, reports: Receiver<Report>) -> Self {
        Self { orders, reports, unanswered: VecDeque::new(), answered_count: 0 }
    }

    /// # Errors
    /// Gives the command back while the worker has enough to do; each answer makes room.
    pub fn command(&mut self, command: Command, ticket: Option<Ticket>) -> Result<(), Command> {
        if self.unanswered.len() >= UNANSWERED_MAX {
            return Err(command);
        }
        self.orders.push(Order::Command(command)).map_err(|order| match order {
            Order::Command(command) => command,
            _ => unreachable!("gives back what was pushed"),
        })?;
        self.unanswered.push_back(ticket);
        Ok(())
    }

    /// # Errors
    /// Gives the link back while the worker has enough to do.
    pub fn connect(&mut self, link: Box<Link>) -> Result<(), Box<Link>> {
        self.orders.push(Order::Link(link)).map_err(|order| match order {
            Order::Link(link) => link,
            _ => unreachable!("gives back what was pushed"),
        })
    }

    /// Rings and bells for two workers that have had nothing to do with each other so far.
    #[must_use]
    pub fn links(one: (WorkerIndex, &Self), other: (WorkerIndex, &Self)) -> [(WorkerIndex, Box<Link>); 2] {
        let (one_outgoing, other_incoming) = rings(other.1.orders.bell().clone());
        let (other_outgoing, one_incoming) = rings(one.1.orders.bell().clone());
        let link = |with, outgoing, incoming| {
            Box::new(Link { with, outgoing: Box::new(outgoing), incoming: Box::new(incoming) })
        };
        [
            (one.0, link(other.0, one_outgoing, one_incoming)),
            (other.0, link(one.0, other_outgoing, other_incoming)),
        ]
    }

    /// The oldest command is answered; whose was it?
    pub fn answered(&mut self) -> Option<Ticket> {
        self.answered_count += 1;
        self.unanswered.pop_front().flatten()
    }

    /// How many commands it has been given so far.
    #[must_use]
    pub fn commanded_count(&self) -> u64 {
        self.answered_count + self.unanswered.len() as u64
    }

    /// How many of them are answered.
    #[must_use]
    pub const fn answered_count(&self) -> u64 {
        self.answered_count
    }

    pub fn report(&mut self) -> Option<Report> {
        self.reports.pop()
    }

    #[must_use]
    pub fn has_report(&self) -> bool {
        !self.reports.is_empty()
    }

    /// The answer never comes if the worker is too busy to be asked.
    pub fn counters(&mut self) -> oneshot::Receiver<Counted> {
        let (reply, answer) = oneshot::channel();
        // A dropped sender is an answer, too.
        let _ = self.orders.push(Order::Counters(reply));
        answer
    }

    pub fn ring(&mut self) {
        self.orders.ring();
    }

    /// False if it is too busy to hear of it.
    pub fn stop(&mut self) -> bool {
        let heard = self.orders.push(Order::Stop).is_ok();
        self.orders.ring();
        heard
    }
}

#[derive(Debug)]
pub struct HelperLink {
    handle: HelperHandle,
    outputs: Receiver<Output>,
    dropped: Arc<AtomicU64>,
}

impl HelperLink {
    #[must_use]
    pub const fn new(handle: HelperHandle, outputs: Receiver<Output>, dropped: Arc<AtomicU64>) -> Self {
        Self { handle, outputs, dropped }
    }

    /// # Errors
    /// Gives the order back while the helper's queue is full.
    pub fn order(&self, order: Input) -> Result<(), Input> {
        self.handle.order(order)
    }

    pub fn output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// A full queue drops `reply`, which is an answer, too.
    pub fn progress(&self, route: RouteId, reply: oneshot::Sender<Option<u32>>) {
        let _ = self.handle.order(Input::Progress { route, reply });
    }

    #[must_use]
    pub fn counters(&self) -> oneshot::Receiver<Box<Counters>> {
        let (reply, answer) = oneshot::channel();
        let _ = self.handle.order(Input::Counters { reply });
        answer
    }

    /// What did not fit into the rings of workers.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
