//! restante turn
