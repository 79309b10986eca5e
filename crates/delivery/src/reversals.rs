//! Takes turned connections as they come and drains each.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::drain::{self, Context, Stop};
use crate::events;
use crate::limits::TURNED_DRAINS;
use crate::turned::Turned;

/// Runs until a shutdown is asked for and every drain is back. With too many at work no more are taken, and the server
/// that would hand them over tells the customer to come later.
pub(crate) async fn run(context: Arc<Context>, mut calls: mpsc::Receiver<Turned>) {
    let mut drains = JoinSet::new();
    let mut stop = context.stop.clone();
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop > Stop::Run) => break,
            Some(ended) = drains.join_next() => {
                if let Err(error) = ended {
                    events::task_lost(&error);
                }
            }
            Some(turned) = calls.recv(), if drains.len() < TURNED_DRAINS => {
                drains.spawn(Box::pin(drain::turned(context.clone(), turned)));
            }
        }
    }
    // What waits in the channel is closed, and its leases go back.
    drop(calls);
    while drains.join_next().await.is_some() {}
}
