//! Judges a table before it may serve: pure, so that a refused table touches nothing.

use std::collections::{BTreeMap, BTreeSet};

use belay_proxy_api::{
    Code, FORMAT, Group, HealthCheck, Refusal, Route, SplitBy, Table, WEIGHT_SUM,
};

pub(crate) fn validate(table: &Table) -> Result<(), Refusal> {
    if table.format != FORMAT {
        let message = format!("format {} is not known, {FORMAT} is", table.format);
        return Err(Refusal::invalid("format", message));
    }
    for (name, route) in &table.routes {
        validate_route(name, route)
            .map_err(|refusal| within(refusal, &format!("routes.{name}")))?;
    }
    let mut by_address = BTreeMap::new();
    for (name, route) in &table.routes {
        if let Some(other) = by_address.insert(route.listen, name) {
            return Err(Refusal::invalid(
                format!("routes.{name}.listen"),
                format!("{} is the address of route {other}, too", route.listen),
            ));
        }
    }
    Ok(())
}

fn within(refusal: Refusal, place: &str) -> Refusal {
    let field = refusal
        .field
        .map_or_else(|| place.to_owned(), |field| format!("{place}.{field}"));
    Refusal {
        field: Some(field),
        code: Code::Invalid,
        ..refusal
    }
}

fn validate_route(name: &str, route: &Route) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > 200 {
        return Err(Refusal::invalid("name", "a name has 1 to 200 bytes"));
    }
    if route.listen.port() == 0 {
        return Err(Refusal::invalid("listen", "port 0 names no address"));
    }
    if let SplitBy::Cookie { name } = &route.split_by
        && (name.is_empty() || !name.bytes().all(is_token))
    {
        return Err(Refusal::invalid(
            "split_by.cookie.name",
            format!("{name:?} names no cookie"),
        ));
    }
    let sum: u64 = route
        .groups
        .values()
        .map(|group| u64::from(group.weight))
        .sum();
    if sum != 0 && sum != u64::from(WEIGHT_SUM) {
        let message = format!("the weights add up to {sum}, not to {WEIGHT_SUM} (or all 0)");
        return Err(Refusal::invalid("groups", message));
    }
    for (name, group) in &route.groups {
        validate_group(name, group)
            .map_err(|refusal| within(refusal, &format!("groups.{name}")))?;
    }
    Ok(())
}

fn validate_group(name: &str, group: &Group) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > 200 {
        return Err(Refusal::invalid("name", "a name has 1 to 200 bytes"));
    }
    if group.weight > 0 && group.upstreams.is_empty() {
        let message = format!("weight {} but no upstream to take it", group.weight);
        return Err(Refusal::invalid("upstreams", message));
    }
    let mut ids = BTreeSet::new();
    for (index, upstream) in group.upstreams.iter().enumerate() {
        if upstream.id.is_empty() || !ids.insert(&upstream.id) {
            let message = format!("{:?} is empty or taken in this group", upstream.id);
            return Err(Refusal::invalid(format!("upstreams.{index}.id"), message));
        }
        if upstream.address.port() == 0 {
            return Err(Refusal::invalid(
                format!("upstreams.{index}.address"),
                "port 0 names no address",
            ));
        }
    }
    group.health.as_ref().map_or(Ok(()), validate_health)
}

fn validate_health(health: &HealthCheck) -> Result<(), Refusal> {
    if !health.path.starts_with('/') || health.path.parse::<http::Uri>().is_err() {
        let message = format!("{:?} is no path such as /healthz", health.path);
        return Err(Refusal::invalid("health.path", message));
    }
    let numbers = [
        ("health.interval_ms", health.interval_ms),
        ("health.timeout_ms", health.timeout_ms),
        ("health.unhealthy_after", u64::from(health.unhealthy_after)),
        ("health.healthy_after", u64::from(health.healthy_after)),
    ];
    match numbers.into_iter().find(|(_, number)| *number == 0) {
        Some((field, _)) => Err(Refusal::invalid(field, "must be more than 0")),
        None => Ok(()),
    }
}

/// RFC 9110, 5.6.2; RFC 6265 takes a cookie's name from there.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
