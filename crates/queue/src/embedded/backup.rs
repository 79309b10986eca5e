//! A consistent copy while running. It holds the log and the notes; the index is made anew from them.

use std::path::Path;
use std::sync::Arc;

use super::shared::Shared;
use super::{atomic, notes};
use crate::error::StoreError;
use crate::events;

impl Shared {
    pub(super) async fn backup(self: &Arc<Self>, to: &Path) -> Result<u64, StoreError> {
        let dir = to.to_owned();
        let copied = self.blocking(move |shared| shared.copy_to(&dir)).await?;
        events::backed_up(to, copied);
        Ok(copied)
    }

    /// The notes go first: a copy that was cut short is never one that lets mail go.
    fn copy_to(&self, dir: &Path) -> Result<u64, StoreError> {
        let failed = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", dir.display()));
        atomic::make_dir(dir).map_err(failed)?;
        if std::fs::read_dir(dir).map_err(failed)?.next().is_some() {
            return Err(StoreError::Unavailable(format!("{} is not empty", dir.display())));
        }
        let mut notes = self.books.lock().notes();
        notes.all_held = Some(notes::restored(self.books.clock.wall()));
        notes.domains.values_mut().for_each(|notes| notes.released = false);
        notes.save(dir).map_err(failed)?;
        self.log.copy_to(dir)
    }
}
