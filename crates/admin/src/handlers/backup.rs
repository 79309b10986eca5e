//! A copy of the store.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use restante_api::{BackupProgress, BackupReport, BackupRequest, ErrorCode};
use restante_types::Printable;
use tokio::time::{Instant, interval};

use crate::events;
use crate::lines::{self, Lines, Stop};
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::router::Shared;

/// How often the client hears that the copy still runs.
const TICK: Duration = Duration::from_secs(1);

/// `POST /v1/backup`
pub(crate) async fn backup(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Result<Json<BackupRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(request) = request?;
    if !request.directory.is_absolute() {
        return Err(Refusal::bad("the directory must be absolute: the server stands elsewhere"));
    }
    if is_taken(&request.directory).await {
        let message = format!("{} is there and is not an empty directory", request.directory.display());
        return Err(Refusal::new(ErrorCode::Conflict, Printable::from(message.as_str()).to_string()));
    }
    let (mut lines, response) = lines::open(&shared.stopping);
    tokio::spawn(async move {
        events::backup_started(peer, &request.directory);
        let outcome = copy(&shared, &request, peer, &mut lines).await;
        lines.close(outcome).await;
    });
    Ok(response)
}

/// A friendlier answer than the store's own check gives. What cannot be looked at is left to the store.
async fn is_taken(directory: &Path) -> bool {
    match tokio::fs::read_dir(directory).await {
        Ok(mut entries) => entries.next_entry().await.is_ok_and(|entry| entry.is_some()),
        Err(error) => error.kind() == io::ErrorKind::NotADirectory,
    }
}

/// Goes on to its end when the client leaves: half a copy is of no use to anybody.
async fn copy(
    shared: &Shared,
    request: &BackupRequest,
    peer: Peer,
    lines: &mut Lines<BackupProgress, BackupReport>,
) -> Result<BackupReport, Stop> {
    let began = Instant::now();
    let mut tick = interval(TICK);
    let mut copying = shared.store.backup(&request.directory);
    let outcome = loop {
        tokio::select! {
            outcome = &mut copying => break outcome,
            _ = tick.tick() => {
                let _ = lines.now(&BackupProgress { seconds: began.elapsed().as_secs() }).await;
            }
        }
    };
    let told = outcome.as_ref().map(|messages| *messages).map_err(ToString::to_string);
    events::backup_ended(
        peer,
        &request.directory,
        told.as_ref().map(|messages| *messages).map_err(String::as_str),
    );
    Ok(BackupReport { directory: request.directory.clone(), messages: outcome? })
}
