//! The `.lbit` container.
