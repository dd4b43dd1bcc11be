//! A switch, done: enough pods first, then one change of one object, then seen where traffic goes.

use crate::apply::Work;
use crate::mark::Note;
use crate::object;
use crate::params::{Need, Wanted};
use crate::router;
use belay_driver::{Applied, Error};
use belay_model::state::State;
use futures_util::future::try_join;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

impl Work<'_> {
    pub(crate) async fn switch(
        &self,
        key: &str,
        wanted: &Wanted,
        needs: &[Need],
        seen: &State,
    ) -> Result<Applied, Error> {
        let made = [object::made(&wanted.resource())];
        let note = match wanted.named[object::ONLY].is_string() {
            true => Note::Nothing,
            false => Note::Made(&made),
        };
        // Side by side: who goes back is in a hurry.
        let marker = self.marker();
        try_join(marker.write(self.cx, note), self.enough(key, needs)).await?;
        let live = self.make_so(key, wanted, seen).await?;
        let mut times = BTreeMap::from([("t3".to_owned(), now_us())]);
        self.see(wanted, Some(&live)).await?;
        times.insert("t4".to_owned(), now_us());
        Ok(Applied::Done { times })
    }

    /// Waits until traffic goes where what is there says. `live`: it, as it was answered when it was changed.
    pub(crate) async fn see(&self, wanted: &Wanted, live: Option<&Value>) -> Result<(), Error> {
        let named = object::made(&wanted.resource());
        match wanted.named[router::SERVICES].is_null() {
            true => self.see_endpoints(&named, live).await,
            false => self.see_route(&named, live).await,
        }
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
