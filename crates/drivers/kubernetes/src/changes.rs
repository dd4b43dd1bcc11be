//! Who wants to know when a workload changes is told: one watch for each kind and namespace, whoever asks, so that releases that
//! are watched for days cost the server nothing while nothing happens.

use crate::cluster::{Cluster, List};
use crate::kinds;
use crate::settings::Settings;
use belay_model::error::Class;
use futures_util::StreamExt;
use kube::api::WatchEvent;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long the server is asked to keep a watch open. Below the hour, so that hundreds cost a few requests a minute.
pub(crate) const OPEN_SECONDS: u32 = 55 * 60;
/// Before a watch that broke is made again: the first time, and the longest.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// What is watched: kind and namespace.
type Place = (&'static str, String);

struct Listener {
    /// Of the workload; in front of a dash where releases have some of their own.
    name: String,
    tell: Arc<watch::Sender<()>>,
}

impl Listener {
    fn is_about(&self, name: &str) -> bool {
        let rest = name.strip_prefix(&self.name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

/// Those of one connection.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<BTreeMap<Place, Vec<Listener>>>);

/// Marked as changed whenever a workload of the target is another; none where nothing runs.
pub(crate) fn of(cluster: &Arc<Cluster>, settings: &Settings) -> Option<watch::Receiver<()>> {
    let (tell, told) = watch::channel(());
    let tell = Arc::new(tell);
    for workload in settings.workloads().ok()? {
        let place = (workload.kind.name(), settings.namespace.clone());
        let (name, tell) = (workload.name, tell.clone());
        let is_new = {
            let mut all = cluster.listeners.lock();
            let listeners = all.entry(place.clone()).or_default();
            listeners.push(Listener { name, tell });
            listeners.len() == 1
        };
        if is_new {
            tokio::spawn(listen(cluster.clone(), place));
        }
    }
    // Nobody is left to tell where nothing was found.
    (Arc::strong_count(&tell) > 1).then_some(told)
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Vec<Listener>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of a change of that object, or of none. False: nobody wants to know any more.
    fn tell(&self, place: &Place, name: Option<&str>) -> bool {
        let mut all = self.lock();
        let Some(listeners) = all.get_mut(place) else {
            return false;
        };
        listeners.retain(|it| !it.tell.is_closed());
        if listeners.is_empty() {
            all.remove(place);
            return false;
        }
        let about = |it: &&Listener| name.is_some_and(|name| it.is_about(name));
        listeners.iter().filter(about).for_each(|it| {
            it.tell.send_replace(());
        });
        true
    }

    /// Whoever listens sees that there will be nothing to hear.
    fn give_up(&self, place: &Place) {
        self.lock().remove(place);
    }
}

/// As long as somebody wants to know.
async fn listen(cluster: Arc<Cluster>, place: Place) {
    let what = List::of(kinds::API, place.0, &place.1);
    let [first, longest] = AGAIN;
    let (mut version, mut again) = (String::new(), first);
    while cluster.listeners.tell(&place, None) {
        match cluster.watch_headers(what, &version).await {
            Ok(changes) => {
                let mut changes = Box::pin(changes);
                while let Some(change) = changes.next().await {
                    let (name, seen) = match change {
                        Ok(
                            WatchEvent::Added(it)
                            | WatchEvent::Modified(it)
                            | WatchEvent::Deleted(it),
                        ) => (it.metadata.name, it.metadata.resource_version),
                        Ok(WatchEvent::Bookmark(it)) => (None, Some(it.metadata.resource_version)),
                        // What happened meanwhile is told again from the beginning.
                        Ok(WatchEvent::Error(_)) | Err(_) => (None, None),
                    };
                    let Some(seen) = seen else {
                        version.clear();
                        break;
                    };
                    (version, again) = (seen, first);
                    if !cluster.listeners.tell(&place, name.as_deref()) {
                        return;
                    }
                }
            }
            Err(error) if error.class == Class::Authorisation => {
                return cluster.listeners.give_up(&place);
            }
            Err(_) => version.clear(),
        }
        tokio::time::sleep(again).await;
        again = (again * 2).min(longest);
    }
}
