//! Addresses of the admin operations. Every one takes a JSON body with `POST`.

pub const TABLE: &str = "/v1/table";
pub const PUT_ROUTE: &str = "/v1/put-route";
pub const DELETE_ROUTE: &str = "/v1/delete-route";
pub const STATS: &str = "/v1/stats";
pub const DRAIN: &str = "/v1/drain";
pub const STATUS: &str = "/v1/status";
pub const CONFIRM: &str = "/v1/confirm";

/// The name of the socket in the proxy's directory.
pub const SOCKET: &str = "admin.sock";
