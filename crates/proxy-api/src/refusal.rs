//! How the proxy says no. A refused request changed nothing, but for `NotPersisted`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::table::Route;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request does not have the right shape, or the table would break a rule.
    Invalid,
    /// What was expected is not so; `number` and `route` say what is.
    Conflict,
    NotFound,
    /// The address of a new listener cannot be bound.
    NotBound,
    /// The change is in force, but not on disk: a restart would forget it. Send it again. Until
    /// it is on disk no other change is taken.
    NotPersisted,
    Internal,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: Code,
    /// The field that is wrong, such as `groups.green.weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub message: String,
    /// The table's number now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// For a conflict: the route as it is now, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Box<Route>>,
}

impl Refusal {
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            field: None,
            message: message.into(),
            number: None,
            route: None,
        }
    }

    #[must_use]
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(Code::Invalid, message)
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Refusal {}
