//! restante delivery
