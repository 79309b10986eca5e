//! One message: in all its queues, and its content.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use restante_api::{ContentQuery, ErrorCode, MessageView};
use restante_queue::{ContentReader, Entry, EntryKey, Filter, QueueStore, StoreError};
use restante_types::{DeliveryState, QueueId};

use super::entries::Shelf;
use crate::events;
use crate::limits::{MAX_HEADERS, MAX_MESSAGE_ENTRIES, PAGE};
use crate::named::Named;
use crate::refusal::Refusal;
use crate::router::Shared;

/// `GET /v1/messages/{id}`
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    Named(id): Named<QueueId>,
) -> Result<Json<MessageView>, Refusal> {
    let entries = entries_of(&shared, id, MAX_MESSAGE_ENTRIES).await?;
    let Some(first) = entries.first() else { return Err(unknown(id)) };
    let read = header_section(&*shared.store, &first.key).await;
    let mut shelf = Shelf::default();
    let entries = entries.into_iter().map(|entry| shelf.view(&shared, entry)).collect();
    let (headers, headers_cut) = match read {
        Ok((headers, cut)) => (Some(String::from_utf8_lossy(&headers).into_owned()), cut),
        Err(error) => {
            events::content_unreadable(id, &error.to_string());
            (None, false)
        }
    };
    Ok(Json(MessageView { entries, headers, headers_cut }))
}

/// A message as all queues hold it, deleted ones included.
async fn entries_of(shared: &Shared, id: QueueId, at_most: usize) -> Result<Vec<Entry>, StoreError> {
    let states = DeliveryState::ALL.into_iter().filter(|state| *state != DeliveryState::Delivered).collect();
    let filter = Filter { ids: vec![id], states, ..Filter::default() };
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        let page = shared.store.list(&filter, after.as_ref(), PAGE.min(at_most)).await?;
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() || entries.len() >= at_most {
            return Ok(entries);
        }
    }
}

async fn first_entry(shared: &Shared, id: QueueId) -> Result<EntryKey, Refusal> {
    let entries = entries_of(shared, id, 1).await?;
    entries.into_iter().next().map(|entry| entry.key).ok_or_else(|| unknown(id))
}

/// `GET /v1/messages/{id}/content`
pub(crate) async fn content(
    State(shared): State<Arc<Shared>>,
    Named(id): Named<QueueId>,
    query: Result<Query<ContentQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query?;
    let key = match query.domain {
        Some(domain) => EntryKey { domain, id },
        None => first_entry(&shared, id).await?,
    };
    let reader = shared.store.open_content(&key).await.map_err(|error| match error {
        StoreError::NotFound => unknown(id),
        error => Refusal::from(error),
    })?;
    let length = reader.remaining();
    let headers = [(CONTENT_TYPE, "message/rfc822".to_owned()), (CONTENT_LENGTH, length.to_string())];
    Ok((headers, Body::from_stream(unfold(reader, move |reader| next(id, reader)))).into_response())
}

/// An error cuts the connection short of the promised length, so that nobody takes half a message for a whole one.
async fn next(id: QueueId, mut reader: ContentReader) -> Option<(Result<Bytes, StoreError>, ContentReader)> {
    let piece = reader.next().await.inspect_err(|error| events::content_unreadable(id, &error.to_string()));
    Some((piece.transpose()?, reader))
}

fn unknown(id: QueueId) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("no such message: {id} (delivered, purged, or never here)"))
}

/// Everything up to and with the empty line; cut where it is too long.
async fn header_section(store: &dyn QueueStore, key: &EntryKey) -> Result<(Vec<u8>, bool), StoreError> {
    let mut reader = store.open_content(key).await?;
    let mut headers = Vec::new();
    while let Some(piece) = reader.next().await? {
        let searched = headers.len().saturating_sub(3);
        headers.extend_from_slice(&piece);
        if let Some(end) = section_end(&headers[searched..]) {
            headers.truncate(searched + end);
            break;
        }
        if headers.len() > MAX_HEADERS {
            break;
        }
    }
    let cut = headers.len() > MAX_HEADERS;
    headers.truncate(MAX_HEADERS);
    Ok((headers, cut))
}

fn section_end(octets: &[u8]) -> Option<usize> {
    octets.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 2)
}
