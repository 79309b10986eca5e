//! Entries, page by page.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use restante_api::{EntryView, ListEnd, ListQuery};
use restante_queue::{Cursor, Entry, Filter};
use restante_types::Domain;

use crate::limits::PAGE;
use crate::lines::{self, Lines, Stop};
use crate::refusal::Refusal;
use crate::router::Shared;
use crate::view;

/// `GET /v1/entries`
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query?;
    query.filter.check()?;
    let after =
        query.after.as_deref().map(|text| Cursor::parse(text).ok_or_else(|| Refusal::bad("bad cursor")));
    let after = after.transpose()?;
    let limit = query.limit.unwrap_or(u64::MAX);
    if limit == 0 {
        return Err(Refusal::bad("a limit is at least 1"));
    }
    let filter = view::filter(query.filter);
    let (mut lines, response) = lines::open(&shared.stopping);
    tokio::spawn(async move {
        let outcome = walk(&shared, &filter, after, limit, &mut lines).await;
        lines.close(outcome).await;
    });
    Ok(response)
}

async fn walk(
    shared: &Shared,
    filter: &Filter,
    mut after: Option<Cursor>,
    limit: u64,
    lines: &mut Lines<EntryView, ListEnd>,
) -> Result<ListEnd, Stop> {
    let mut entries = 0;
    let mut shelf = Shelf::default();
    while entries < limit {
        let want = usize::try_from(limit - entries).unwrap_or(PAGE).min(PAGE);
        let page = shared.store.list(filter, after.as_ref(), want).await?;
        for entry in page.entries {
            lines.item(&shelf.view(shared, entry)).await?;
            entries += 1;
        }
        lines.breathe().await?;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(ListEnd { entries, next: after.map(|cursor| cursor.encode()) })
}

/// Shows entries with their expiry; remembers the last domain's clock, since entries come domain by domain.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    last: Option<(Domain, Option<view::Age>)>,
}

impl Shelf {
    pub(crate) fn view(&mut self, shared: &Shared, entry: Entry) -> EntryView {
        let known = self.last.take().filter(|(domain, _)| *domain == entry.key.domain);
        let (domain, age) = known.unwrap_or_else(|| {
            let domain = entry.key.domain.clone();
            let age = shared.operations.domain(&domain).map(|policy| view::Age {
                retention: policy.retention,
                pauses: shared.store.stats(&domain).pauses,
                now: shared.operations.now(),
            });
            (domain, age)
        });
        let shown = view::entry(entry, age.as_ref());
        self.last = Some((domain, age));
        shown
    }
}
