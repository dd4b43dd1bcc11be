//! Environments as far as they were folded already. Their streams only grow: whoever asks again reads what was appended
//! since, so that going back in an environment of a thousand deployments takes no longer than in a new one.

use crate::reader::{self, Stretch};
use crate::sql::Sql;
use belay_engine::ports::StoreError;
use belay_model::environment::View;
use belay_model::id::Scope;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// How many are remembered; one that is forgotten is folded anew.
const REMEMBERED: usize = 256;

struct Folded {
    view: Arc<View>,
    /// Of its last entry: a stream that has another one there is not the one that was folded, but was restored.
    hash: String,
    /// The greatest was asked for last.
    asked: u64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Views(Mutex<BTreeMap<Scope, Folded>>);

impl Views {
    /// The fold of a stream.
    ///
    /// # Errors
    /// It cannot be read, or was altered.
    pub(crate) async fn of(
        &self,
        tx: &mut dyn Sql,
        scope: &Scope,
    ) -> Result<Arc<View>, StoreError> {
        // Taken out, so that it is changed in place: whoever asks at the same time folds its own.
        let known = self.known().remove(scope);
        let folded = match known {
            Some(known) if known.view.seq > 0 => {
                let stretch = reader::environment(tx, scope, known.view.seq).await;
                // Nothing to go on from: what is wrong with it, if anything is, shows where all of it is read.
                match stretch.ok().filter(|it| it.follows == known.hash) {
                    Some(stretch) => go_on(known.view, stretch),
                    None => anew(tx, scope).await?,
                }
            }
            _ => anew(tx, scope).await?,
        };
        let view = folded.view.clone();
        self.remember(scope, folded);
        Ok(view)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Scope, Folded>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn remember(&self, scope: &Scope, mut folded: Folded) {
        let mut known = self.known();
        // Another one may have read on meanwhile; either is as good to go on from.
        folded.asked = 1 + known.values().map(|it| it.asked).max().unwrap_or(0);
        known.insert(scope.clone(), folded);
        if known.len() > REMEMBERED {
            let oldest = known.iter().min_by_key(|(_, it)| it.asked);
            let oldest = oldest.map(|(scope, _)| scope.clone());
            oldest.and_then(|scope| known.remove(&scope));
        }
    }
}

async fn anew(tx: &mut dyn Sql, scope: &Scope) -> Result<Folded, StoreError> {
    let stretch = reader::environment(tx, scope, 0).await?;
    Ok(go_on(Arc::default(), stretch))
}

fn go_on(mut view: Arc<View>, stretch: Stretch) -> Folded {
    if !stretch.entries.is_empty() {
        let view = Arc::make_mut(&mut view);
        stretch.entries.iter().for_each(|entry| view.apply(entry));
    }
    Folded {
        view,
        hash: stretch.last,
        asked: 0,
    }
}
