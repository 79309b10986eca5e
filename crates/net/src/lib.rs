//! restante net
