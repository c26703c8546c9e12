//! Running queries by the id that clients see, so that they can be cancelled.

use helios_engine::CancelHandle;
use helios_net::lease::new_id;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Finished ids that are remembered, to tell "finished" from "unknown".
const FINISHED_MAX: usize = 10_000;

#[derive(Default)]
pub struct QueryRegistry(Mutex<Queries>);

#[derive(Default)]
struct Queries {
    running: HashMap<String, Running>,
    finished: VecDeque<String>,
}

struct Running {
    user: String,
    cancel: CancelHandle,
}

/// A query that runs; it is finished when this is dropped.
pub struct RunningQuery<'a> {
    registry: &'a QueryRegistry,
    pub id: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Cancelled {
    Yes,
    Finished,
    Unknown,
    OtherUser,
}

impl QueryRegistry {
    pub fn start(&self, user: &str, cancel: CancelHandle) -> RunningQuery<'_> {
        let id = new_id("q_");
        self.lock().running.insert(
            id.clone(),
            Running {
                user: user.to_owned(),
                cancel,
            },
        );
        RunningQuery { registry: self, id }
    }

    pub fn cancel(&self, id: &str, user: &str) -> Cancelled {
        let queries = self.lock();
        match queries.running.get(id) {
            Some(running) if running.user != user => Cancelled::OtherUser,
            Some(running) => {
                running.cancel.cancel();
                Cancelled::Yes
            }
            None if queries.finished.iter().any(|f| f == id) => Cancelled::Finished,
            None => Cancelled::Unknown,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningQuery<'_> {
    fn drop(&mut self) {
        let mut queries = self.registry.lock();
        queries.running.remove(&self.id);
        if queries.finished.len() == FINISHED_MAX {
            queries.finished.pop_front();
        }
        queries.finished.push_back(std::mem::take(&mut self.id));
    }
}
