//! Verdicts from numbers; pure
