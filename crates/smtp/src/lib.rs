//! restante smtp
