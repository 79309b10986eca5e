//! restante api
