//! What the proxy counted, as traffic checks read it.

use crate::artifacts::chain;
use async_trait::async_trait;
use belay_analysis::Histogram;
use belay_model::release::Target;
use belay_proxy_api::{Client, Cursor, GroupStats, LATENCY_BOUNDS_MS, Second, StatsRequest};
use belay_sources::{Bucket, Counters, Reading};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct ProxyCounters {
    client: Client,
}

impl ProxyCounters {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Counters for ProxyCounters {
    async fn read(&self, target: &Target, cursor: Option<String>) -> Result<Reading, String> {
        let request = StatsRequest {
            route: Some(target.name.clone()),
            since: cursor.as_deref().and_then(parse),
        };
        let stats = self.client.stats(&request).await;
        let stats = stats.map_err(|error| chain(&error))?;
        let route = stats
            .routes
            .get(&target.name)
            .ok_or_else(|| format!("the proxy has no route {}", target.name))?;
        let mut reading = Reading {
            cursor: format!("{}.{}", stats.cursor.boot, stats.cursor.sequence),
            ..Reading::default()
        };
        for (name, group) in &route.groups {
            reading.groups.insert(name.clone(), buckets(group)?);
            if let Some(first_us) = group.times.first_error_us {
                let first_us = i64::try_from(first_us).unwrap_or(i64::MAX);
                reading.first_error_us.insert(name.clone(), first_us);
            }
        }
        Ok(reading)
    }
}

/// A cursor that is none reads everything: the same as one of another run.
fn parse(text: &str) -> Option<Cursor> {
    let (boot, sequence) = text.split_once('.')?;
    Some(Cursor {
        boot: boot.parse().ok()?,
        sequence: sequence.parse().ok()?,
    })
}

fn buckets(group: &GroupStats) -> Result<Vec<Bucket>, String> {
    group.seconds.iter().map(bucket).collect()
}

fn bucket(second: &Second) -> Result<Bucket, String> {
    let bounds_us = LATENCY_BOUNDS_MS.iter().map(|ms| ms * 1000).collect();
    let latency = Histogram::new(bounds_us, second.latency.to_vec());
    Ok(Bucket {
        second: i64::try_from(second.second).unwrap_or(i64::MAX),
        requests: second.requests,
        errors: second.errors.total(),
        latency: latency.map_err(|why| why.to_string())?,
    })
}
