//! An empty list of authorities. sqlx trusts what is in it beside the authorities that it is given, and can be told no
//! other way: with Mozilla's, `sslmode=verify-ca` would take any certificate that anyone bought. Who wants the system's
//! authorities names them (crates/store/src/postgres/tls.rs).
#![no_std]
#![forbid(unsafe_code)]

use rustls_pki_types::TrustAnchor;

/// None.
pub const TLS_SERVER_ROOTS: &[TrustAnchor<'static>] = &[];
