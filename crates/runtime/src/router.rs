//! The `Router` port on belay proxy.
